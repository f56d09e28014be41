//! How many pods the traffic takes, flat and always a number: for KEDA's metrics-api and the like.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use plimsoll_rules::Need;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::config::Checked;

type Told = (watch::Receiver<Need>, watch::Receiver<Arc<Checked>>);

/// Route of `/api/v1/scaling`.
pub fn router(need: watch::Receiver<Need>, config: watch::Receiver<Arc<Checked>>) -> Router {
    Router::new().route("/api/v1/scaling", get(scaling)).with_state((need, config))
}

/// While it is not known, `known` is 0 and this pod asks for itself: the sum over pods is what there is.
async fn scaling(State((need, config)): State<Told>) -> Json<Value> {
    Json(shown(*need.borrow(), config.borrow().raw.capacity.reserve))
}

fn shown(need: Need, reserve: f64) -> Value {
    json!({
        "recommended_replicas": need.replicas.unwrap_or(1.0),
        "known": u8::from(need.replicas.is_some()),
        "peak_requests_per_second": need.peak.unwrap_or(0.0),
        "capacity_requests_per_second": need.capacity.unwrap_or(0.0),
        "reserve": reserve,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_always_a_number() {
        for need in [Need::default(), Need { peak: Some(3.0), capacity: Some(2.0), replicas: Some(2.25) }] {
            let shown = shown(need, 1.5);
            assert!(shown.as_object().unwrap().values().all(Value::is_number), "{shown}");
            assert_eq!(shown["known"] == 1, need.replicas.is_some());
        }
        assert_eq!(shown(Need::default(), 1.5)["recommended_replicas"], 1.0);
    }
}
