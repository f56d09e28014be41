//! The configuration as meant: ranges checked, secrets read, rule files compiled, paths resolved.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_alerts::{Routing, Sink};
use plimsoll_rules::{BUILTIN_RULES, CapacitySettings, Group, LEAST_WINDOW, MOST_WINDOW, load_rules};
use reqwest::Url;

use super::experiments::{self, Experiment};
use super::finetune::{self, Finetune};
use super::raw::Capacity;
use super::tokens::{self, Tokens};
use super::units::Span;
use super::{Masking, Problem, Raw, ShadowModel, masking, receivers, shadow};
use crate::records::Location;
use crate::tap::Upstream;

/// Text that no log and no debug print shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Checked {
    /// As written, environment variables replaced.
    pub raw: Raw,
    /// The inference server.
    pub upstream: Upstream,
    /// Where the engine's metrics are.
    pub engine_url: Url,
    /// Rule groups, built-in ones first.
    pub groups: Vec<Group>,
    /// API tokens.
    pub tokens: Tokens,
    /// Who is told.
    pub sinks: Vec<Sink>,
    /// Who hears what.
    pub routing: Routing,
    /// How texts are masked.
    pub masking: Masking,
    /// Who reads a sample of the traffic, if anybody does.
    pub shadow: Option<ShadowModel>,
    /// A/B tests.
    pub experiments: Vec<Arc<Experiment>>,
    /// The loop from falling quality to the next version.
    pub finetune: Option<Finetune>,
    /// The pod's own database file.
    pub database: PathBuf,
    /// Where the records are kept.
    pub records: Location,
    /// Where state lives.
    pub data: PathBuf,
}

impl Checked {
    /// How the capacity is told.
    pub fn capacity(&self) -> CapacitySettings {
        let Capacity { reserve, window, requests_per_second } = &self.raw.capacity;
        CapacitySettings { window: window.0, reserve: *reserve, configured: *requests_per_second }
    }
}

/// Finds the place of a dotted key.
type Locate<'a> = &'a dyn Fn(&str, String) -> Problem;

/// Collects mistakes while the configuration is read.
pub(super) struct Check<'a> {
    locate: Locate<'a>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    /// Without mistakes yet.
    pub(super) fn new(locate: Locate<'a>) -> Self {
        Self { locate, problems: Vec::new() }
    }

    /// The mistakes that were noted.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Notes a mistake at a dotted key.
    pub(super) fn refuse(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push((self.locate)(key, message.into()));
    }

    /// The URL of a value whose form the schema has checked already.
    fn url(&mut self, key: &str, text: &str) -> Option<Url> {
        match Url::parse(text) {
            Ok(url) => Some(url),
            Err(e) => {
                self.refuse(key, format!("{text:?} is not a URL ({e}); write http://HOST:PORT"));
                None
            }
        }
    }

    /// The secret itself, from where `text` says it is.
    pub(super) fn secret(&mut self, key: &str, text: &str) -> Secret {
        let Some(path) = text.strip_prefix("file:") else {
            if text.is_empty() {
                self.refuse(key, "is empty; write the secret, ${NAME} or file:/path");
            }
            return Secret(text.to_owned());
        };
        match std::fs::read_to_string(path) {
            Ok(content) if !content.trim().is_empty() => return Secret(content.trim().to_owned()),
            Ok(_) => self.refuse(key, format!("{path} is empty; the secret belongs in it")),
            Err(e) => self.refuse(key, format!("{path} cannot be read: {e}")),
        }
        Secret(String::new())
    }

    /// Refuses a span shorter than `least`.
    pub(super) fn at_least(&mut self, key: &str, span: Span, least: Duration) {
        if span.0 < least {
            self.refuse(key, format!("{span} is too short; at least {} is needed", Span(least)));
        }
    }
}

/// Checks what a schema cannot.
pub(super) fn check(raw: Raw, folder: &Path, locate: Locate<'_>) -> Result<Checked, Vec<Problem>> {
    let mut c = Check::new(locate);
    spans(&mut c, &raw);
    texts(&mut c, &raw);
    capacity(&mut c, &raw);
    super::drift::check(&mut c, &raw.drift);
    listeners(&mut c, &raw);
    let upstream = c.url("sources.tap.upstream", &raw.sources.tap.upstream);
    if let Some(upstream) = &upstream {
        loops(&mut c, &raw, upstream);
    }
    let engine_url = match &raw.sources.engine.url {
        Some(url) => c.url("sources.engine.url", url),
        None => upstream.as_ref().and_then(|url| url.join("/metrics").ok()),
    };
    let upstream = match raw.sources.tap.upstream.parse::<Upstream>() {
        Ok(upstream) => Some(upstream),
        Err(wrong) => {
            c.refuse("sources.tap.upstream", wrong.to_string());
            None
        }
    };
    let tokens = tokens::check(&mut c, &raw.api);
    let (sinks, routing) = receivers::check(&mut c, &raw.alerts);
    let data = raw.limits.data.as_ref().map_or_else(default_data, PathBuf::from);
    let (database, records) = databases(&mut c, &raw, &data);
    let masking = masking::check(&mut c, &raw.masking);
    let shadow = shadow::check(&mut c, &raw.shadow);
    let experiments = experiments::check(&mut c, &raw);
    let before = c.problems.len();
    let groups = groups(&mut c, &raw, folder);
    let known = (c.problems.len() == before).then_some(&groups[..]);
    let finetune = finetune::check(&mut c, &raw, folder, known);
    match (upstream, engine_url) {
        (Some(upstream), Some(engine_url)) if c.problems.is_empty() => Ok(Checked {
            upstream,
            engine_url,
            groups,
            tokens,
            sinks,
            routing,
            masking,
            shadow,
            experiments,
            finetune,
            database,
            records,
            data,
            raw,
        }),
        _ => Err(c.into_problems()),
    }
}

fn spans(c: &mut Check<'_>, raw: &Raw) {
    const TICK: Duration = Duration::from_millis(100);
    const SECOND: Duration = Duration::from_secs(1);
    for (key, span, least) in [
        ("sources.system.interval", raw.sources.system.interval, TICK),
        ("sources.gpu.interval", raw.sources.gpu.interval, TICK),
        ("sources.engine.interval", raw.sources.engine.interval, TICK),
        ("sources.engine.timeout", raw.sources.engine.timeout, TICK),
        ("sources.tap.connect_timeout", raw.sources.tap.connect_timeout, Duration::from_millis(1)),
        ("sources.tap.response_timeout", raw.sources.tap.response_timeout, Duration::from_millis(1)),
        ("sources.tap.idle_timeout", raw.sources.tap.idle_timeout, Duration::from_millis(1)),
        ("rules.evaluation_interval", raw.rules.evaluation_interval, TICK),
        ("alerts.resend_delay", raw.alerts.resend_delay, SECOND),
        ("business.window", raw.business.window, SECOND),
        ("records.retention", raw.records.retention, Duration::from_secs(60)),
        ("shadow.timeout", raw.shadow.timeout, TICK),
        ("limits.history", raw.limits.history, Duration::from_secs(60)),
    ] {
        c.at_least(key, span, least);
    }
}

/// The tap copies the first 64 KiB of a request; a text of a few words says too little.
fn texts(c: &mut Check<'_>, raw: &Raw) {
    let most = raw.text.max_bytes;
    if !(256..=64 << 10).contains(&most.0) {
        c.refuse("text.max_bytes", format!("{most} is outside 256B to 64KiB"));
    }
}

fn capacity(c: &mut Check<'_>, raw: &Raw) {
    let Capacity { reserve, window, requests_per_second } = &raw.capacity;
    if !(1.0..=100.0).contains(reserve) {
        c.refuse("capacity.reserve", format!("{reserve} found; 1 to 100 is right, such as 1.5"));
    }
    if !(LEAST_WINDOW..=MOST_WINDOW).contains(&window.0) {
        c.refuse("capacity.window", format!("{window} is outside 1m to 90d"));
    }
    if let Some(rate) = requests_per_second
        && !(*rate > 0.0 && rate.is_finite())
    {
        c.refuse("capacity.requests_per_second", format!("{rate} found; a number above 0 is right, or none"));
    }
}

/// Host and port of `HOST:PORT`; the schema has checked the form.
fn host_port(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    (host.trim_start_matches('[').trim_end_matches(']'), port.parse().unwrap_or(0))
}

fn is_any(host: &str) -> bool {
    matches!(host, "0.0.0.0" | "::" | "*")
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn listeners(c: &mut Check<'_>, raw: &Raw) {
    let mut all = vec![("listen.metrics", &raw.listen.metrics), ("listen.api", &raw.listen.api)];
    if raw.sources.tap.enabled {
        all.push(("sources.tap.listen", &raw.sources.tap.listen));
    }
    for (i, (key, address)) in all.iter().enumerate() {
        let (host, port) = host_port(address);
        for (other_key, other) in &all[..i] {
            let (other_host, other_port) = host_port(other);
            let same_host = host == other_host || is_any(host) || is_any(other_host);
            if port != 0 && port == other_port && same_host {
                c.refuse(key, format!("port {port} is taken by {other_key} ({other}); give each its own port"));
            }
        }
    }
    let (host, _) = host_port(&raw.listen.api);
    let open = raw.api.viewers.is_empty() && raw.api.ingest.is_empty() && raw.api.admins.is_empty();
    if open && !is_loopback(host) {
        c.refuse(
            "listen.api",
            format!("{} is not loopback, so it needs tokens: set api.admins, or listen on 127.0.0.1", raw.listen.api),
        );
    }
}

/// A tap that is its own upstream would call itself until something breaks.
fn loops(c: &mut Check<'_>, raw: &Raw, upstream: &Url) {
    let (host, port) = host_port(&raw.sources.tap.listen);
    let target = upstream.host_str().unwrap_or("").trim_start_matches('[').trim_end_matches(']');
    let same_host =
        host == target || (is_any(host) && is_loopback(target)) || (is_loopback(host) && is_loopback(target));
    if raw.sources.tap.enabled && port != 0 && upstream.port_or_known_default() == Some(port) && same_host {
        c.refuse("sources.tap.upstream", format!("{upstream} is the tap itself; name the inference server"));
    }
}

/// `/var/lib/plimsoll` where we may write there, else the user's state folder.
#[expect(clippy::disallowed_methods, reason = "XDG folders are named by the environment")]
fn default_data() -> PathBuf {
    let system = PathBuf::from("/var/lib/plimsoll");
    if std::fs::create_dir_all(&system).is_ok() && writable(&system) {
        return system;
    }
    let state = std::env::var("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(|_| home()).unwrap_or_else(|_| std::env::temp_dir()).join("plimsoll")
}

fn writable(folder: &Path) -> bool {
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    let wrote = std::fs::write(&probe, b"").is_ok();
    wrote && std::fs::remove_file(&probe).is_ok()
}

/// The pod's own database file, and where the records are kept.
fn databases(c: &mut Check<'_>, raw: &Raw, data: &Path) -> (PathBuf, Location) {
    let own = data.join("plimsoll.db");
    let Some(written) = &raw.records.url else { return (own.clone(), Location::Sqlite(own)) };
    let Secret(url) = c.secret("records.url", written);
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        if let Err(why) = reqwest::Url::parse(&url) {
            c.refuse("records.url", format!("is no URL ({why}); write postgres://USER:PASSWORD@HOST:PORT/DATABASE"));
        }
        return (own, Location::Postgres(Secret(url)));
    }
    match url.strip_prefix("sqlite://") {
        Some(path) if !path.is_empty() => (PathBuf::from(path), Location::Sqlite(PathBuf::from(path))),
        _ => {
            let scheme = url.split("://").next().unwrap_or_default();
            let right = "sqlite:///var/lib/plimsoll/plimsoll.db or postgres://USER:PASSWORD@HOST/DATABASE";
            c.refuse(
                "records.url",
                format!("{scheme:?} is not sqlite://PATH or postgres://...; write one such as {right}"),
            );
            (own.clone(), Location::Sqlite(own))
        }
    }
}

fn groups(c: &mut Check<'_>, raw: &Raw, folder: &Path) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut load =
        |c: &mut Check<'_>, file: &str, text: &str| match load_rules(file, text, raw.rules.evaluation_interval.0) {
            Ok(more) => groups.extend(more),
            Err(problems) => c.problems.extend(problems.into_iter().map(|p| Problem {
                file: p.file,
                at: Some((p.line, p.column)),
                message: p.message,
            })),
        };
    if raw.rules.builtin {
        load(c, "builtin.yml", BUILTIN_RULES);
    }
    for (i, pattern) in raw.rules.files.iter().enumerate() {
        let key = format!("rules.files.{i}");
        for path in rule_files(c, &key, &folder.join(pattern)) {
            match std::fs::read_to_string(&path) {
                Ok(text) => load(c, &path.display().to_string(), &text),
                Err(e) => c.refuse(&key, format!("{} cannot be read: {e}", path.display())),
            }
        }
    }
    groups
}

fn rule_files(c: &mut Check<'_>, key: &str, pattern: &Path) -> Vec<PathBuf> {
    let text = pattern.display().to_string();
    if !text.contains(['*', '?', '[']) {
        return vec![pattern.to_path_buf()];
    }
    match glob::glob(&text) {
        Ok(paths) => paths.flatten().collect(),
        Err(e) => {
            c.refuse(key, format!("{text} is not a path pattern: {e}"));
            Vec::new()
        }
    }
}
