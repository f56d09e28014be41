//! `/api/v1/metadata`, `/api/v1/status/buildinfo` and exemplars (there are none): what data sources ask beside queries.

use axum::extract::State;
use plimsoll_exporters::{CATALOG, Kind};
use serde_json::{Map, Value, json};

use super::desk::QueryDesk;
use super::envelope::{Failure, Success};
use super::params::Params;

/// The Prometheus whose API and PromQL this speaks; clients choose their features by it.
const COMPATIBLE: &str = "3.5.0";

/// Type and help of every metric of our own; `ALERTS` and recorded series have none.
pub(super) async fn metadata(State(_): State<QueryDesk>, params: Params) -> Result<Success, Failure> {
    let limit = params.count("limit")?;
    let wanted = params.get("metric");
    let specs = CATALOG.iter().filter(|spec| wanted.is_empty() || spec.name == wanted);
    let mut found = Map::new();
    for spec in specs.take(if limit == 0 { usize::MAX } else { limit }) {
        let kind = match spec.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        found.insert(spec.name.to_owned(), json!([{"type": kind, "help": spec.help, "unit": ""}]));
    }
    Ok(Success::of(&Value::Object(found)))
}

/// What Grafana asks first.
pub(super) async fn buildinfo() -> Success {
    Success::of(&json!({
        "version": COMPATIBLE,
        "revision": env!("PLIMSOLL_REVISION"),
        "branch": concat!("plimsoll-", env!("CARGO_PKG_VERSION")),
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

/// None are kept.
pub(super) async fn exemplars() -> Success {
    Success::of(&json!([]))
}
