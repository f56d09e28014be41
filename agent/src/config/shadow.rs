//! `shadow:` of the configuration: who reads a sample of the traffic, and where.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use plimsoll_shadow_model::Place;
use reqwest::Url;

use super::checked::{Check, Secret};
use super::raw::{Numbers, Shadow};

/// The least memory of a child, in bytes.
const LEAST_MEMORY: u64 = 128 << 20;

/// Where a worker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerUrl {
    /// Over HTTP, the base of its paths.
    Http(Url),
    /// On a Unix socket.
    Unix(PathBuf),
}

impl FromStr for WorkerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let right = "write http://HOST:PORT, https://HOST or unix:/PATH";
        if let Some(path) = text.strip_prefix("unix:") {
            let absolute = PathBuf::from(path);
            return if absolute.is_absolute() {
                Ok(Self::Unix(absolute))
            } else {
                Err(format!("{text:?} has no absolute path; {right}"))
            };
        }
        let url = Url::parse(text).map_err(|why| format!("{text:?} is not a URL ({why}); {right}"))?;
        match url.scheme() {
            "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
                Err("holds a user or a password; put a token into shadow.token".to_owned())
            }
            "http" | "https" if url.has_host() => Ok(Self::Http(url)),
            scheme => Err(format!("{text:?} has the scheme {scheme:?}; {right}")),
        }
    }
}

impl fmt::Display for WorkerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => write!(f, "{url}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who reads the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A child of the agent, with these models.
    Child {
        /// Folder of the embedding model.
        model: Option<PathBuf>,
        /// Folder of the language model.
        scorer: Option<PathBuf>,
        /// What else it is told on its command line, as flags and values.
        flags: Vec<(&'static str, String)>,
        /// Bytes it may take.
        memory: u64,
    },
    /// A worker elsewhere.
    Remote {
        /// Where.
        url: WorkerUrl,
        /// Its token.
        token: Option<Secret>,
        /// The model that is asked for.
        model: Option<String>,
    },
}

/// A shadow model that is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowModel {
    /// Who reads.
    pub reader: Reader,
    /// Names what the vectors come from: vectors of two models are not compared.
    pub identity: String,
    /// As configured.
    pub settings: Shadow,
}

/// What is configured, if anything is; mistakes are noted in `c`.
pub(super) fn check(c: &mut Check<'_>, raw: &Shadow) -> Option<ShadowModel> {
    let place = raw.device.parse::<Place>().inspect_err(|why| c.refuse("shadow.device", why.clone()));
    if raw.memory.0 < LEAST_MEMORY {
        c.refuse("shadow.memory", format!("{} is too little; at least 128MiB is needed", raw.memory));
    }
    if let Some(hash) =
        raw.sha256.as_ref().filter(|hash| hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        c.refuse("shadow.sha256", format!("{hash:?} is no SHA-256; write 64 hexadecimal digits"));
    }
    let reader = match &raw.url {
        Some(url) => remote(c, raw, url)?,
        None if raw.model.is_none() && raw.scorer.is_none() => return None,
        None => child(c, raw, place.unwrap_or_default()),
    };
    let name = |text: &Option<String>| text.clone().unwrap_or_default();
    let identity = format!("{}{} {}", raw.url.clone().unwrap_or_default(), name(&raw.model), name(&raw.sha256));
    Some(ShadowModel { reader, identity: identity.trim().to_owned(), settings: raw.clone() })
}

fn remote(c: &mut Check<'_>, raw: &Shadow, url: &str) -> Option<Reader> {
    if raw.scorer.is_some() {
        c.refuse("shadow.scorer", "the worker at shadow.url has its own; leave one of them out");
    }
    let token = raw.token.as_ref().map(|text| c.secret("shadow.token", text));
    match url.parse() {
        Ok(url) => Some(Reader::Remote { url, token, model: raw.model.clone() }),
        Err(why) => {
            c.refuse("shadow.url", why);
            None
        }
    }
}

fn child(c: &mut Check<'_>, raw: &Shadow, place: Place) -> Reader {
    if raw.token.is_some() {
        c.refuse("shadow.token", "is for shadow.url; the agent's own child needs none");
    }
    // a child that can never start would only be started again and again
    if let Err(why) = place.built() {
        c.refuse("shadow.device", format!("{:?}: {why}", raw.device));
    } else if matches!(place, Place::Cuda(_)) && raw.precision == Numbers::Int8 {
        c.refuse("shadow.precision", "int8 is for the CPU; a GPU computes in f32, bf16 or f16");
    }
    let mut folder = |key: &str, path: &Option<String>| {
        let path = PathBuf::from(path.as_ref()?);
        let is_gguf = key == "shadow.scorer" && path.extension().is_some_and(|is| is == "gguf") && path.is_file();
        if !path.is_dir() && !is_gguf {
            c.refuse(
                key,
                format!(
                    "{} is no folder; name one with config.json, tokenizer.json and model.safetensors",
                    path.display()
                ),
            );
        }
        Some(path)
    };
    let (model, scorer) = (folder("shadow.model", &raw.model), folder("shadow.scorer", &raw.scorer));
    let precision = match raw.precision {
        Numbers::Auto => "auto",
        Numbers::F32 => "f32",
        Numbers::Bf16 => "bf16",
        Numbers::F16 => "f16",
        Numbers::Int8 => "int8",
    };
    let mut flags = vec![("--device", raw.device.clone()), ("--precision", precision.to_owned())];
    flags.push(("--threads", raw.threads.to_string()));
    flags.push(("--memory", raw.memory.to_string()));
    flags.extend(raw.sha256.clone().map(|hash| ("--sha256", hash)));
    Reader::Child { model, scorer, flags, memory: raw.memory.0 }
}
