//! Why the worker gives no answer: every error in OpenAI's form.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    /// The question cannot be understood: where, and what would be right.
    #[error("{0}")]
    Question(String),
    /// No such model is loaded.
    #[error("this worker has no {0} model: start it with --{0} DIR")]
    NotLoaded(&'static str),
    /// The served model comes first.
    #[error("the served model is busy; try again later")]
    Busy,
    /// Too many wait.
    #[error("too many texts are waiting; try again later")]
    Full,
    /// The model failed.
    #[error("{0}")]
    Model(String),
    /// It was not asked any more: the worker ends.
    #[error("the worker is ending")]
    Ending,
    /// Whoever asks has no token.
    #[error("send Authorization: Bearer TOKEN")]
    Unauthorized,
    /// There is no such path.
    #[error(
        "{0}: no such path; there are /v1/embeddings, /v1/score, /v1/judge, /v1/reward, /v1/models, /healthz, /metrics"
    )]
    Path(String),
    /// The path is asked in another way.
    #[error("{0} is not answered with {1}; ask with {2}")]
    Method(String, String, &'static str),
    /// The question is too large.
    #[error("the body has more than {0} bytes")]
    Large(usize),
    /// The question does not come to its end.
    #[error("the body did not arrive whole within {0} seconds")]
    Slow(u64),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::Question(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::NotLoaded(_) => (StatusCode::NOT_FOUND, "model_not_loaded"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Full => (StatusCode::TOO_MANY_REQUESTS, "full"),
            Self::Model(_) => (StatusCode::INTERNAL_SERVER_ERROR, "model_failed"),
            Self::Ending => (StatusCode::SERVICE_UNAVAILABLE, "ending"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Path(_) => (StatusCode::NOT_FOUND, "no_such_path"),
            Self::Method(..) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Large(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Slow(_) => (StatusCode::REQUEST_TIMEOUT, "too_slow"),
        };
        let kind = if status.is_client_error() { "invalid_request_error" } else { "server_error" };
        let error = json!({"error": {"message": self.to_string(), "type": kind, "param": null, "code": code}});
        let mut response = (status, Json(error)).into_response();
        if matches!(self, Self::Busy | Self::Full | Self::Ending) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
