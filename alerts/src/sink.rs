//! Who is told: checked settings of every kind of sink.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::chat::ChatSink;
use crate::outbox::Policy;
use crate::route::Unnamed;
use crate::sign::Signer;

/// How long one request may take unless said otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a webhook hears the same state again, as Alertmanager's `repeat_interval`.
const REPEAT: Duration = Duration::from_secs(4 * 3600);
/// Alerts in one request to Alertmanager, as Prometheus sends them.
const BATCH: usize = 64;

/// A mistake in a sink's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The address.
    #[error("the URL is not usable: {why}; write http://HOST:PORT/PATH or https://HOST/PATH")]
    Url {
        /// What is wrong with it.
        why: String,
    },
    /// A header.
    #[error("header {name:?} cannot be sent: {why}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The signing secret.
    #[error("the signing secret is not usable: {why}")]
    Secret {
        /// What is wrong with it.
        why: String,
    },
    /// A text of its messages.
    #[error("template {name} is not usable: {why}")]
    Template {
        /// Which one.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The time limit.
    #[error("a timeout of 0 would let no request through; write a span such as 10s")]
    Timeout,
    /// Two sinks share a name.
    #[error("two sinks are named {name:?}; give each its own name")]
    Twice {
        /// The name.
        name: String,
    },
}

/// Address, headers and time limit of one receiver. `Debug` shows no secret: paths of webhooks often are secrets.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: Arc<str>,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Duration,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = format!("{}://{}/..", self.url.scheme(), host_port(&self.url));
        f.debug_struct("Target").field("name", &self.name).field("url", &place).finish_non_exhaustive()
    }
}

impl Target {
    pub(crate) fn new(name: &str, url: &str) -> Result<Self, SinkError> {
        let mut url = Url::parse(url).map_err(|e| SinkError::Url { why: e.to_string() })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SinkError::Url { why: format!("{}:// is not spoken here", url.scheme()) });
        }
        let host_port = host_port(&url);
        let name = Arc::from(if name.is_empty() { &host_port } else { name });
        let (user, password) = (url.username().to_owned(), url.password().map(ToOwned::to_owned));
        // Both fail only for addresses without a host, which http and https always have.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let mut target = Self { name, url, headers: HeaderMap::new(), timeout: TIMEOUT };
        if !user.is_empty() {
            target.basic(&user, password.as_deref().unwrap_or(""))?;
        }
        Ok(target)
    }

    fn header(&mut self, name: &str, value: &str) -> Result<(), SinkError> {
        let wrong = |why: String| SinkError::Header { name: name.to_owned(), why };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|e| wrong(e.to_string()))?;
        let reserved = ["host", "content-length", "transfer-encoding", "connection"];
        if reserved.contains(&key.as_str()) || key.as_str().starts_with("webhook-") {
            return Err(wrong("it is set by Plimsoll itself".into()));
        }
        let mut value = HeaderValue::from_str(value).map_err(|e| wrong(e.to_string()))?;
        value.set_sensitive(true);
        self.headers.insert(key, value);
        Ok(())
    }

    fn basic(&mut self, user: &str, password: &str) -> Result<(), SinkError> {
        self.header(AUTHORIZATION.as_str(), &format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    pub(crate) fn bearer(&mut self, token: &str) -> Result<(), SinkError> {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) -> Result<(), SinkError> {
        if timeout.is_zero() {
            return Err(SinkError::Timeout);
        }
        self.timeout = timeout;
        Ok(())
    }
}

fn host_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Builder methods that every kind of sink has.
macro_rules! target_settings {
    ($sink:ty) => {
        impl $sink {
            /// Adds `name: value` to every request; later ones replace earlier ones of the same name.
            ///
            /// # Errors
            /// [`SinkError::Header`] when it is no valid header, or one that we set ourselves.
            pub fn header(mut self, name: &str, value: &str) -> Result<Self, SinkError> {
                self.target.header(name, value)?;
                Ok(self)
            }

            /// Sends `Authorization: Bearer token`.
            ///
            /// # Errors
            /// [`SinkError::Header`] when the token cannot stand in a header.
            pub fn bearer(mut self, token: &str) -> Result<Self, SinkError> {
                self.target.bearer(token)?;
                Ok(self)
            }

            /// Sends `Authorization: Basic ...`; `http://user:password@host` does the same.
            ///
            /// # Errors
            /// [`SinkError::Header`], never in practice: the text is base64.
            pub fn basic(mut self, user: &str, password: &str) -> Result<Self, SinkError> {
                self.target.basic(user, password)?;
                Ok(self)
            }

            /// Gives up on one request after `timeout` (10 s unless set).
            ///
            /// # Errors
            /// [`SinkError::Timeout`] when it is zero.
            pub fn timeout(mut self, timeout: Duration) -> Result<Self, SinkError> {
                self.target.set_timeout(timeout)?;
                Ok(self)
            }
        }
    };
}

/// One peer of an Alertmanager cluster, API v2. Every peer is a sink of its own and gets every alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertmanagerSink {
    pub(crate) target: Target,
}

impl AlertmanagerSink {
    /// `url` is the base, a path prefix included; `/api/v2/alerts` is added. An empty `name` becomes host and port.
    ///
    /// # Errors
    /// [`SinkError::Url`] when it is not an http or https address.
    pub fn new(name: &str, url: &str) -> Result<Self, SinkError> {
        const PATH: &str = "/api/v2/alerts";
        let mut target = Target::new(name, url)?;
        let base = target.url.path().trim_end_matches('/');
        let path = format!("{}{PATH}", base.strip_suffix(PATH).unwrap_or(base));
        target.url.set_path(&path);
        Ok(Self { target })
    }
}

target_settings!(AlertmanagerSink);

/// Any address that takes JSON; signed after Standard Webhooks when there is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSink {
    pub(crate) target: Target,
    pub(crate) signer: Option<Signer>,
    pub(crate) repeat: Duration,
}

impl WebhookSink {
    /// Posts to `url` as it is. An empty `name` becomes host and port.
    ///
    /// # Errors
    /// [`SinkError::Url`] when it is not an http or https address.
    pub fn new(name: &str, url: &str) -> Result<Self, SinkError> {
        Ok(Self { target: Target::new(name, url)?, signer: None, repeat: REPEAT })
    }

    /// Signs every request: `whsec_` and base64, or the secret's own characters.
    ///
    /// # Errors
    /// [`SinkError::Secret`] when it is empty or not base64 after `whsec_`.
    pub fn secret(mut self, secret: &str) -> Result<Self, SinkError> {
        self.signer = Some(Signer::new(secret)?);
        Ok(self)
    }

    /// Tells an alert that stays as it is again after this long (4 h unless set).
    #[must_use]
    pub fn repeat(mut self, repeat: Duration) -> Self {
        self.repeat = repeat;
        self
    }
}

target_settings!(WebhookSink);

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// An Alertmanager.
    Alertmanager(AlertmanagerSink),
    /// A webhook.
    Webhook(WebhookSink),
    /// A service that people read, or Alertmanager's webhook.
    Chat(ChatSink),
}

impl Sink {
    /// Its name in metrics, logs and the outbox.
    pub fn name(&self) -> &Arc<str> {
        &self.target().name
    }

    pub(crate) fn target(&self) -> &Target {
        match self {
            Self::Alertmanager(sink) => &sink.target,
            Self::Webhook(sink) => &sink.target,
            Self::Chat(sink) => &sink.target,
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        match self {
            // Alertmanager takes an alert that it hears no more of for over: every repeat goes there.
            Self::Alertmanager(_) => Policy { batch: BATCH, digest: 0, rate: None, direct: None },
            // One alert a message, so that its id stays the same over retries whatever else happens.
            Self::Webhook(sink) => {
                Policy { batch: 1, digest: 0, rate: None, direct: Some(Unnamed::Alone(sink.repeat)) }
            }
            Self::Chat(sink) => sink.policy(),
        }
    }
}

impl From<AlertmanagerSink> for Sink {
    fn from(sink: AlertmanagerSink) -> Self {
        Self::Alertmanager(sink)
    }
}

impl From<ChatSink> for Sink {
    fn from(sink: ChatSink) -> Self {
        Self::Chat(sink)
    }
}

impl From<WebhookSink> for Sink {
    fn from(sink: WebhookSink) -> Self {
        Self::Webhook(sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alertmanager_address_keeps_its_prefix() {
        for (why, url, name, expected) in [
            ("plain", "http://am:9093", "am:9093", "http://am:9093/api/v2/alerts"),
            ("slash", "http://am:9093/", "am:9093", "http://am:9093/api/v2/alerts"),
            ("prefix", "https://mon.example/am/", "mon.example", "https://mon.example/am/api/v2/alerts"),
            ("whole", "http://am/api/v2/alerts", "am", "http://am/api/v2/alerts"),
            ("IPv6", "http://[::1]:9093", "[::1]:9093", "http://[::1]:9093/api/v2/alerts"),
        ] {
            let sink = AlertmanagerSink::new("", url).unwrap();
            assert_eq!((&*sink.target.name, sink.target.url.as_str()), (name, expected), "{why}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let hook = |url: &str| WebhookSink::new("hook", url);
        let ok = || hook("https://h/x").unwrap();
        for (why, found, expected) in [
            ("no scheme", hook("h/x"), "the URL is not usable: relative URL without a base"),
            ("other scheme", hook("ftp://h/x"), "the URL is not usable: ftp:// is not spoken here"),
            ("no host", hook("http://"), "the URL is not usable: empty host"),
            ("header name", ok().header("a b", "c"), "header \"a b\" cannot be sent"),
            ("header value", ok().header("a", "c\nd"), "header \"a\" cannot be sent"),
            ("our header", ok().header("Webhook-Id", "c"), "header \"Webhook-Id\" cannot be sent: it is set by"),
            ("token", ok().bearer("t\n"), "header \"authorization\" cannot be sent"),
            ("timeout", ok().timeout(Duration::ZERO), "a timeout of 0"),
            ("secret", ok().secret("whsec_*"), "the signing secret is not usable"),
            ("empty secret", ok().secret(""), "the signing secret is not usable"),
        ] {
            let message = found.unwrap_err().to_string();
            assert!(message.starts_with(expected), "{why}: {message}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let sink = WebhookSink::new("", "https://user:pass@h/path-secret").unwrap();
        let sink = Sink::from(sink.secret("sign-secret").unwrap().header("x-key", "head-secret").unwrap());
        let shown = format!("{sink:?}");
        for secret in ["user", "pass", "path-secret", "sign-secret", "head-secret"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert_eq!(sink.target().url.as_str(), "https://h/path-secret");
        assert_eq!(sink.target().headers["authorization"], "Basic dXNlcjpwYXNz");
    }
}
