//! How the agent is, and `/-/reload`. What Prometheus has as well is in `query`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use plimsoll_alerts::Dispatcher;
use plimsoll_rules::{AlertState, Need, Timestamp};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::audit::Note;
use crate::config::Checked;
use crate::drift::{Drift, State as DriftState};
use crate::experiment::Experiments;
use crate::health::Health;
use crate::pipeline::{Desk, Snapshot};
use crate::ranks::Ranks;
use crate::retrain::{Retrain, View};

/// A request to reload the configuration; the answer is what changed, or every mistake.
pub type ReloadRequest = oneshot::Sender<Result<String, String>>;

/// What the API shows.
#[derive(Clone, Debug)]
pub struct ApiState {
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Checked>>,
    /// Alerts and rule reports.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Sources.
    pub health: Health,
    /// Receivers.
    pub dispatcher: Dispatcher,
    /// Asks the shell to reload.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// When the agent started.
    pub started: Timestamp,
    /// Where queries look.
    pub pipeline: Desk,
    /// Where drift is looked at.
    pub drift: Drift,
    /// Where experiments are looked at.
    pub experiments: Experiments,
    /// Where the loop is looked at.
    pub retrain: Retrain,
    /// Where ranks of training jobs report.
    pub ranks: Ranks,
    /// How many pods the traffic takes.
    pub need: watch::Receiver<Need>,
}

/// Routes of the status and `/-/reload`.
pub fn router(state: ApiState) -> Router {
    Router::new().route("/api/v1/status", get(status)).route("/-/reload", post(reload)).with_state(state)
}

async fn status(State(state): State<ApiState>) -> Json<Value> {
    let (config, snapshot) = (state.config.borrow().clone(), state.snapshot.borrow().clone());
    let now = crate::clock::wall();
    let sources: serde_json::Map<String, Value> = state
        .health
        .sources()
        .into_iter()
        .map(|(name, why)| (name.to_owned(), json!({"up": why.is_none(), "why": why})))
        .collect();
    let receivers: Vec<Value> = state
        .dispatcher
        .stats()
        .into_iter()
        .map(|s| json!({"name": s.sink, "sent": s.sent, "pending": s.pending, "dead_letters": s.dead}))
        .collect();
    let count = |wanted: AlertState| snapshot.alerts.iter().filter(|a| a.state == wanted).count();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": now.since(state.started).as_secs_f64(),
        "upstream": config.upstream.to_string(),
        "listen": {
            "tap": config.raw.sources.tap.enabled.then_some(&config.raw.sources.tap.listen),
            "metrics": config.raw.listen.metrics,
            "api": config.raw.listen.api,
        },
        "sources": sources,
        "receivers": receivers,
        "alerts": {"firing": count(AlertState::Firing), "pending": count(AlertState::Pending)},
        "rule_groups": snapshot.groups.len(),
        "rule_failures": snapshot.groups.values().map(|g| g.failures.len()).sum::<usize>(),
        "drift": drift(&state.drift),
        "finetune": finetune(&state.retrain.view()),
        "store": {"series": snapshot.series, "samples": snapshot.samples, "bytes": snapshot.bytes},
    }))
}

/// How many signals are watched and learned, and which have drifted.
fn drift(drift: &Drift) -> Value {
    let snapshot = drift.snapshot();
    let count = |wanted: DriftState| snapshot.signals.iter().filter(|signal| signal.state == wanted).count();
    let alarms = snapshot.signals.iter().filter(|signal| signal.state == DriftState::Alarm);
    json!({
        "enabled": drift.is_on(),
        "signals": snapshot.signals.len(),
        "learning": count(DriftState::Learning),
        "alarms": alarms.map(|signal| json!(signal.id)).collect::<Vec<_>>(),
    })
}

/// The loop in short; nothing where there is none.
fn finetune(view: &View) -> Value {
    let Some(mode) = view.mode else { return Value::Null };
    let run = view.runs.last().map(|run| json!({"id": run.id, "stage": run.stage}));
    json!({
        "mode": mode, "live": view.live, "run": run, "circuit_open": view.circuit_open, "holds": view.holds,
        "trouble": view.trouble,
    })
}

async fn reload(State(state): State<ApiState>) -> Response {
    let (answer, result) = oneshot::channel();
    if state.reload.send(answer).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response();
    }
    match tokio::time::timeout(Duration::from_secs(30), result).await {
        Ok(Ok(Ok(changed))) => (Extension(Note::each(json!({"said": changed}))), changed + "\n").into_response(),
        Ok(Ok(Err(mistakes))) => (StatusCode::UNPROCESSABLE_ENTITY, mistakes + "\n").into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the reload did not finish\n").into_response(),
    }
}
