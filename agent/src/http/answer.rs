//! The two forms of our API's answers.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

/// What was asked for.
pub(super) fn told(data: &Value) -> Response {
    Json(json!({"status": "success", "data": data})).into_response()
}

/// Why not.
pub(super) fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({"error": why}))).into_response()
}
