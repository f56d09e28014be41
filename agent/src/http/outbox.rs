//! What was not delivered, over HTTP: a list, and another try.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use plimsoll_alerts::{Dispatcher, Pending, Standing};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Asked;
use super::audit::Note;

/// What to try again; nothing said means everything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    sink: Option<String>,
    id: Option<String>,
}

/// What to list; nothing said means everything.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    sink: Option<String>,
}

/// Routes of `/api/v1/outbox`.
pub fn router(dispatcher: Dispatcher) -> Router {
    Router::new().route("/api/v1/outbox", get(list)).route("/api/v1/outbox/retry", post(retry)).with_state(dispatcher)
}

async fn list(State(dispatcher): State<Dispatcher>, Asked(wanted): Asked<Wanted>) -> Json<Value> {
    let all = dispatcher.list();
    let fits = |entry: &&Pending| wanted.sink.as_ref().is_none_or(|sink| **sink == *entry.sink);
    let entries: Vec<Value> = all.iter().filter(fits).map(shown).collect();
    Json(json!({"status": "success", "data": {"outbox": entries}}))
}

fn shown(entry: &Pending) -> Value {
    let standing = match entry.standing {
        Standing::Waiting => "waiting",
        Standing::Parked => "parked",
        Standing::Dead => "dead",
    };
    json!({
        "sink": entry.sink,
        "standing": standing,
        "id": entry.id,
        "status": entry.notification.status.as_str(),
        "labels": entry.notification.labels,
        "startsAt": entry.notification.starts_at.rfc3339(),
        "queuedAt": entry.queued_at.rfc3339(),
        "attempts": entry.attempts,
        "nextAttemptAt": entry.next_attempt_at.map(plimsoll_rules::Timestamp::rfc3339),
        "lastError": entry.last_error,
    })
}

async fn retry(State(dispatcher): State<Dispatcher>, body: String) -> Response {
    let text = if body.trim().is_empty() { "{}" } else { &body };
    let wanted: Retry = match serde_json::from_str(text) {
        Ok(wanted) => wanted,
        Err(why) => {
            let error = format!("{why}; write {{}} for everything, or {{\"sink\": NAME, \"id\": ID}}");
            return (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response();
        }
    };
    if let Some(sink) = wanted.sink.as_ref().filter(|sink| !dispatcher.stats().iter().any(|s| s.sink == **sink)) {
        let error = format!("there is no receiver {sink:?}");
        return (StatusCode::NOT_FOUND, Json(json!({"error": error}))).into_response();
    }
    let retried = dispatcher.retry(wanted.sink.as_deref(), wanted.id.as_deref()).await;
    let note = Note::each(json!({"sink": wanted.sink, "id": wanted.id, "retried": retried}));
    (Extension(note), Json(json!({"status": "success", "data": {"retried": retried}}))).into_response()
}
