//! The envelope of every answer: `status`, then `data` or an error with its type; notes where there are any.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Kinds of failure, each with its own status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    BadData,
    Execution,
    Timeout,
    Unavailable,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Timeout | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) message: String,
}

impl Failure {
    /// A parameter that cannot be used.
    pub(super) fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Self { kind: Kind::BadData, message: format!("invalid parameter {name:?}: {why}") }
    }

    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({"status": "error", "errorType": self.kind.name(), "error": self.message});
        (self.kind.status(), axum::Json(body)).into_response()
    }
}

/// An answer: JSON text of `data`, and what is remarked on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Success {
    pub(super) data: String,
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
}

impl Success {
    pub(super) fn of(data: &Value) -> Self {
        Self { data: data.to_string(), ..Self::default() }
    }

    /// The first `limit` of `list` (0: all), with a warning where that are not all.
    pub(super) fn limited<T: serde::Serialize>(mut list: Vec<T>, limit: usize) -> Self {
        let cut = limit > 0 && list.len() > limit;
        if cut {
            list.truncate(limit);
        }
        let warnings = if cut { vec![TRUNCATED.to_owned()] } else { Vec::new() };
        Self { data: json!(list).to_string(), warnings, infos: Vec::new() }
    }
}

/// What Prometheus says when `limit` has cut an answer.
pub(super) const TRUNCATED: &str = "results truncated due to limit";

impl Success {
    /// The whole of it as JSON text.
    pub(super) fn body(&self) -> String {
        let mut body = String::with_capacity(self.data.len() + 64);
        body.push_str(r#"{"status":"success","data":"#);
        body.push_str(&self.data);
        for (name, notes) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if !notes.is_empty() {
                body.push_str(&format!(",\"{name}\":{}", json!(notes)));
            }
        }
        body.push('}');
        body
    }
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.body()).into_response()
    }
}
