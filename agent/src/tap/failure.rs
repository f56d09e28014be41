//! What the tap answers when the upstream does not: an error in the form that OpenAI's clients understand, which says
//! that it comes from here.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::download::Download;
use super::h1::{BadChunk, BadHead};
use super::observe::How;
use super::options::Upstream;
use super::pool::ConnectError;

/// Why there is no answer from the upstream.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the upstream cannot be reached: {0}")]
    Connect(ConnectError),
    #[error("the upstream closed the connection, or did not answer in HTTP, before it answered: {0}")]
    Broken(String),
    #[error("the upstream did not answer within {0:?}")]
    Timeout(Duration),
    #[error("the upstream switched protocols without being asked")]
    Switched,
    #[error("the request's body broke off")]
    Client,
    #[error("CONNECT is not proxied")]
    Method,
    #[error("the request's target or host cannot be forwarded")]
    Target,
    #[error("the request cannot be forwarded: {0}")]
    Head(#[from] BadHead),
    #[error("the request cannot be forwarded: {0}")]
    Chunk(#[from] BadChunk),
}

impl Failure {
    /// What the client gets.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Connect(_) | Self::Broken(_) | Self::Switched => StatusCode::BAD_GATEWAY,
            Self::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Head(BadHead::TooLong) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Client | Self::Target | Self::Head(_) | Self::Chunk(_) => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// What the observer is told.
    pub(super) fn how(&self) -> How {
        match self {
            Self::Connect(_) | Self::Broken(_) | Self::Switched => How::Unreachable,
            Self::Timeout(_) => How::Timeout,
            Self::Client => How::ClientAbort,
            Self::Method | Self::Target | Self::Head(_) | Self::Chunk(_) => How::Complete,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "upstream_unreachable",
            Self::Broken(_) | Self::Switched => "upstream_broken",
            Self::Timeout(_) => "upstream_timeout",
            Self::Client | Self::Method | Self::Target | Self::Head(_) | Self::Chunk(_) => "invalid_request_error",
        }
    }

    /// The words of the answer.
    fn body(&self, upstream: &Upstream) -> String {
        let status = self.status();
        let error = serde_json::json!({"error": {
            "message": format!("plimsoll tap: {self} (upstream {upstream})"),
            "type": self.kind(),
            "param": null,
            "code": status.as_u16(),
        }});
        error.to_string()
    }

    /// The answer as it is on the wire.
    pub(super) fn wire(&self, upstream: &Upstream, close: bool) -> String {
        let (status, body) = (self.status(), self.body(upstream));
        let connection = if close { "connection: close\r\n" } else { "" };
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{connection}\r\n{body}"
        )
    }

    /// The answer for hyper.
    pub(super) fn response(&self, upstream: &Upstream) -> Response<Download> {
        let mut response = Response::new(Download::own(Bytes::from(self.body(upstream))));
        *response.status_mut() = self.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
