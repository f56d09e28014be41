//! Our own HTTP faces: open metrics and health on one port, the API on another.

pub mod answer;
pub mod api;
pub mod audit;
pub mod auth;
pub mod capped;
pub mod drift;
pub mod experiments;
pub mod feedback;
pub mod health;
pub mod metrics;
pub mod outbox;
pub mod query;
pub mod ranks;
pub mod retrain;
pub mod scaling;
pub mod silences;

use axum::Router;
use axum::routing::get;
use plimsoll_exporters::Registry;

use health::Readiness;

/// The open port: metrics and health, nothing secret.
pub fn open_router(registry: Registry, readiness: Readiness) -> Router {
    let health = Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/startupz", get(health::startupz))
        .with_state(readiness);
    Router::new().route("/metrics", get(metrics::metrics)).with_state(registry).merge(health)
}
