//! GET /metrics with content negotiation.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use plimsoll_exporters::{Registry, TextFormat};

/// The registry as text, in the format that `Accept` prefers.
pub async fn metrics(State(registry): State<Registry>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = TextFormat::negotiate(accept);
    ([(header::CONTENT_TYPE, format.content_type())], format.encode(&registry.gather()))
}
