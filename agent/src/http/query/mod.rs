//! Prometheus' query API over the pod's own series: Grafana and `promtool query` can use the agent as a data source.
//!
//! Envelopes, parameters, error codes and number formats are Prometheus' (3.x). A query works on a copy of the series
//! it selects, off the pipeline and off the async threads, under bounds of time, samples and memory (`desk`).

mod desk;
mod encode;
mod envelope;
mod evaluate;
mod labels;
mod meta;
mod params;
mod rules;

use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use plimsoll_exporters::Registry;
use serde_json::json;

use super::answer;
use crate::pipeline::Desk;
use desk::QueryDesk;
pub use evaluate::body;

/// Longest form of a POST, in bytes.
const FORM_BYTES: usize = 256 << 10;

/// Bounds of one query.
#[derive(Clone, Copy, Debug)]
pub struct QueryLimits {
    /// Longest it may take.
    pub time: Duration,
    /// Most samples it may read.
    pub samples: u64,
}

/// Routes of the query API.
pub fn router(pipeline: Desk, registry: Registry, limits: QueryLimits) -> Router {
    Router::new()
        .route("/api/v1/query", get(evaluate::instant).post(evaluate::instant))
        .route("/api/v1/query_range", get(evaluate::range).post(evaluate::range))
        .route("/api/v1/format_query", get(evaluate::format).post(evaluate::format))
        .route("/api/v1/query_exemplars", get(meta::exemplars).post(meta::exemplars))
        .route("/api/v1/series", get(labels::series).post(labels::series))
        .route("/api/v1/labels", get(labels::names).post(labels::names))
        .route("/api/v1/label/{name}/values", get(labels::values))
        .route("/api/v1/rules", get(rules::rules))
        .route("/api/v1/alerts", get(rules::alerts))
        .route("/api/v1/metadata", get(meta::metadata))
        .route("/api/v1/status/buildinfo", get(meta::buildinfo))
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .with_state(QueryDesk::new(pipeline, registry, limits))
}

/// An error in Prometheus' form that none of its own kinds is.
async fn no_such_method(method: Method, uri: Uri) -> Response {
    let why = answer::takes_not(&method, &uri);
    let told = json!({"status": "error", "errorType": "bad_data", "error": why});
    (StatusCode::METHOD_NOT_ALLOWED, Json(told)).into_response()
}
