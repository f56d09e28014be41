//! `deploy` as meant: which engine loads adapters, with its secrets read, every mistake with its place.

use std::path::PathBuf;
use std::time::Duration;

use plimsoll_alerts::Signer;
use reqwest::Url;

use super::checked::{Check, Secret};
use super::raw::deploy::{self as raw, Deploy, DeployKind};

/// How adapters are loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Who loads them.
    pub engine: Engine,
    /// Bearer token of the engine.
    pub token: Option<Secret>,
    /// The longest that one request or one restart command may take.
    pub timeout: Duration,
    /// The longest until a restarted slot serves.
    pub ready_timeout: Duration,
}

/// Who loads adapters.
#[derive(Clone, Debug, PartialEq)]
pub enum Engine {
    /// vLLM at a base URL.
    Vllm(Url),
    /// SGLang at a base URL.
    Sglang(Url),
    /// Servers of llama.cpp.
    LlamaCpp(Vec<Slot>),
    /// Whoever hears signed posts.
    Webhook(Url, Option<Signer>),
}

/// One server of llama.cpp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its base URL.
    pub upstream: Url,
    /// The file that it reads its adapter from when it starts.
    pub adapter: PathBuf,
    /// Program and arguments that make it start again; empty where somebody else does.
    pub restart: Vec<String>,
}

/// What is configured under `key`, if anything is; mistakes are noted in `c`.
pub(super) fn check(c: &mut Check<'_>, key: &str, raw: &Deploy) -> Option<Settings> {
    let Some(kind) = raw.kind else {
        if *raw != Deploy::default() {
            c.refuse(key, "has no kind; write one of vllm, sglang, llamacpp, webhook");
        }
        return None;
    };
    c.at_least(&format!("{key}.timeout"), raw.timeout, Duration::from_millis(100));
    c.at_least(&format!("{key}.ready_timeout"), raw.ready_timeout, Duration::from_secs(1));
    if kind != DeployKind::Webhook && raw.secret.is_some() {
        c.refuse(&format!("{key}.secret"), "is for kind: webhook; an engine takes a token");
    }
    if kind != DeployKind::Llamacpp && !raw.slots.is_empty() {
        c.refuse(&format!("{key}.slots"), "are for kind: llamacpp; others have a url");
    }
    let token = raw.token.as_ref().map(|text| c.secret(&format!("{key}.token"), text));
    let engine = if kind == DeployKind::Llamacpp {
        if raw.url.is_some() {
            c.refuse(&format!("{key}.url"), "is not for kind: llamacpp; each of slots has its upstream");
        }
        Engine::LlamaCpp(slots(c, &format!("{key}.slots"), &raw.slots)?)
    } else {
        let url = url(c, &format!("{key}.url"), raw.url.as_deref().unwrap_or_default())?;
        match kind {
            DeployKind::Sglang => Engine::Sglang(url),
            DeployKind::Webhook => Engine::Webhook(url, signer(c, &format!("{key}.secret"), raw.secret.as_deref())?),
            DeployKind::Vllm | DeployKind::Llamacpp => Engine::Vllm(url),
        }
    };
    Some(Settings { engine, token, timeout: raw.timeout.0, ready_timeout: raw.ready_timeout.0 })
}

fn url(c: &mut Check<'_>, key: &str, text: &str) -> Option<Url> {
    let wrong = match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "holds a user or a password; put a token into token".to_owned()
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") => return Some(url),
        Ok(url) => format!("has the scheme {:?}; write http://HOST:PORT", url.scheme()),
        Err(_) if text.is_empty() => "is missing; write http://HOST:PORT".to_owned(),
        Err(why) => format!("{text:?} is not a URL ({why}); write http://HOST:PORT"),
    };
    c.refuse(key, wrong);
    None
}

/// `Some(None)` where posts are not signed.
#[expect(clippy::option_option, reason = "a mistake, no secret, a secret")]
fn signer(c: &mut Check<'_>, key: &str, text: Option<&str>) -> Option<Option<Signer>> {
    let Some(text) = text else { return Some(None) };
    let Secret(secret) = c.secret(key, text);
    Signer::new(&secret).map_err(|why| c.refuse(key, why.to_string())).ok().map(Some)
}

fn slots(c: &mut Check<'_>, key: &str, written: &[raw::Slot]) -> Option<Vec<Slot>> {
    if written.len() < 2 {
        let right = "two or more are needed: one serves while the next version is loaded into another";
        c.refuse(key, format!("{} slots; {right}", written.len()));
        return None;
    }
    let mut slots: Vec<Slot> = Vec::new();
    for (at, slot) in written.iter().enumerate() {
        let place = |name: &str| format!("{key}.{at}.{name}");
        let upstream = url(c, &place("upstream"), &slot.upstream);
        let adapter = PathBuf::from(&slot.adapter);
        if !adapter.is_absolute() || adapter.file_name().is_none() {
            let right = "write the absolute path of the file that the server was started with, --lora FILE";
            c.refuse(&place("adapter"), format!("{:?} is no absolute path; {right}", slot.adapter));
        }
        if slot.restart.first().is_some_and(String::is_empty) {
            c.refuse(&place("restart"), "begins with an empty program; write [PROGRAM, ARGUMENT, ...]");
        }
        let Some(upstream) = upstream else { continue };
        for (other, taken) in slots.iter().enumerate() {
            if taken.upstream == upstream {
                c.refuse(
                    &place("upstream"),
                    format!("{upstream} is that of slot {other} too; each server is one slot"),
                );
            }
            if taken.adapter == adapter {
                let message = format!("{} is that of slot {other} too; each has its own file", adapter.display());
                c.refuse(&place("adapter"), message);
            }
        }
        slots.push(Slot { upstream, adapter, restart: slot.restart.clone() });
    }
    Some(slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Problem;

    /// What is made of some YAML, and the mistakes found.
    fn checked(yaml: &str) -> (Option<Settings>, Vec<String>) {
        let raw: Deploy = serde_saphyr::from_str(yaml).unwrap();
        let locate = |key: &str, message: String| Problem {
            file: "p.yaml".into(),
            at: None,
            message: format!("{key} {message}"),
        };
        let mut c = Check::new(&locate);
        let settings = check(&mut c, "finetune.deploy", &raw);
        (settings, c.into_problems().into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn each_mistake_has_its_place() {
        for (yaml, expected) in [
            ("{url: 'http://h'}", vec!["finetune.deploy has no kind"]),
            ("{kind: vllm}", vec!["finetune.deploy.url is missing"]),
            ("{kind: vllm, url: 'ftp://h'}", vec!["finetune.deploy.url has the scheme \"ftp\""]),
            ("{kind: sglang, url: 'http://u:p@h'}", vec!["finetune.deploy.url holds a user or a password"]),
            (
                "{kind: vllm, url: 'http://h', secret: x, slots: [{}], timeout: 1ms}",
                vec![
                    "finetune.deploy.timeout 1ms is too short",
                    "deploy.secret is for kind: webhook",
                    "deploy.slots are for",
                ],
            ),
            ("{kind: webhook, url: 'http://h', secret: whsec_??}", vec!["finetune.deploy.secret"]),
            ("{kind: llamacpp, slots: [{}]}", vec!["finetune.deploy.slots 1 slots; two or more"]),
            (
                "{kind: llamacpp, url: 'http://h', slots: [{upstream: 'http://h:1', adapter: /a}, {upstream: 'http://h:1', adapter: /a}]}",
                vec![
                    "deploy.url is not for",
                    "slots.1.upstream http://h:1/ is that of slot 0",
                    "slots.1.adapter /a is that of",
                ],
            ),
            (
                "{kind: llamacpp, slots: [{upstream: 'http://h:1', adapter: a}, {upstream: '', adapter: /b, restart: ['']}]}",
                vec![
                    "slots.0.adapter \"a\" is no absolute path",
                    "slots.1.upstream is missing",
                    "slots.1.restart begins with",
                ],
            ),
        ] {
            let (_, found) = checked(yaml);
            assert_eq!(found.len(), expected.len(), "{yaml}: {found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.contains(expected), "{yaml}: {found:?}, expected {expected:?}");
            }
        }
    }

    #[test]
    fn what_is_right_is_taken() {
        assert_eq!(checked("{}"), (None, Vec::new()));
        let (settings, found) = checked("{kind: webhook, url: 'https://h/x', secret: s, timeout: 5s}");
        assert!(found.is_empty(), "{found:?}");
        let settings = settings.unwrap();
        assert!(matches!(&settings.engine, Engine::Webhook(url, Some(_)) if url.as_str() == "https://h/x"));
        assert_eq!((settings.timeout, settings.ready_timeout), (Duration::from_secs(5), Duration::from_secs(300)));
        let (settings, found) = checked(
            "{kind: llamacpp, slots: [{upstream: 'http://h:1', adapter: /a.gguf, restart: [pkill, x]}, {upstream: 'http://h:2', adapter: /b.gguf}]}",
        );
        assert!(found.is_empty(), "{found:?}");
        assert!(matches!(settings.unwrap().engine, Engine::LlamaCpp(slots) if slots.len() == 2));
    }
}
