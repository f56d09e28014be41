//! What the tap can be told, and where the upstream is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::experiment::Splitter;

/// Which protocol the upstream is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1, whatever the client speaks: what every inference server understands.
    #[default]
    Http1,
    /// HTTP/2 without TLS, whatever the client speaks.
    H2c,
    /// What the client speaks.
    SameAsClient,
}

/// Where the inference server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    host: String,
    port: u16,
    /// Host and port as they stand in a URL.
    authority: String,
    /// Put before every path; empty, or starts with `/` and does not end with one.
    base: String,
}

/// Why an upstream's URL cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Not a URL.
    #[error("{0:?} is not a URL; write http://HOST:PORT")]
    NotUrl(String),
    /// TLS to the upstream is not built in: the engine is in the same pod.
    #[error(
        "{0:?}: only http:// upstreams are supported (the engine is expected beside this process); write http://HOST:PORT"
    )]
    Scheme(String),
    /// A part that a proxy cannot use.
    #[error("{0:?} has a query or user information; write http://HOST:PORT or http://HOST:PORT/BASE")]
    Extra(String),
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let uri: Uri = text.parse().map_err(|_| UpstreamError::NotUrl(text.to_owned()))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(UpstreamError::Scheme(text.to_owned())),
            None => return Err(UpstreamError::NotUrl(text.to_owned())),
        }
        let authority = uri.authority().ok_or_else(|| UpstreamError::NotUrl(text.to_owned()))?;
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(UpstreamError::Extra(text.to_owned()));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { host, port: authority.port_u16().unwrap_or(80), authority: authority.to_string(), base })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base)
    }
}

impl Upstream {
    /// Host and port to connect to.
    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Host and port as they stand in a URL.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// What stands before every path.
    pub(super) fn base(&self) -> &str {
        &self.base
    }
}

/// Everything that can change while the tap runs.
#[derive(Clone, Debug)]
pub struct TapOptions {
    /// The inference server.
    pub upstream: Arc<Upstream>,
    /// How the upstream is spoken to.
    pub protocol: UpstreamProtocol,
    /// Give up connecting after this long; the client gets 502.
    pub connect_timeout: Duration,
    /// Give up waiting for the head of an answer after this long; the client gets 504.
    pub response_timeout: Duration,
    /// Give up on an answer after this long without a byte of it from the upstream.
    pub idle_timeout: Duration,
    /// Ask for the usage of streams whose client did not, and hide the extra event again.
    pub inject_usage: bool,
    /// Who splits the traffic, where experiments are configured.
    pub splitter: Option<Splitter>,
    /// Label `variant` of everything observed here that is of no experiment.
    pub variant: Arc<str>,
    /// Client connections held at once; further ones are closed and counted.
    pub max_connections: usize,
    /// Share of the exchanges whose text is read and masked, 0 to 1.
    pub text_sample: f64,
    /// Most bytes of a prompt, and of a response, that are kept of it.
    pub text_bytes: usize,
}

impl TapOptions {
    /// Options for `upstream` with defaults for everything else.
    pub fn new(upstream: Upstream) -> Self {
        Self {
            upstream: Arc::new(upstream),
            protocol: UpstreamProtocol::default(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(600),
            inject_usage: false,
            splitter: None,
            variant: "".into(),
            max_connections: 16_384,
            text_sample: 0.0,
            text_bytes: 16 << 10,
        }
    }
}
