//! Drift over HTTP: where every signal stands and why, its baselines, and what may be done to them.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{self, Asked, Path, refuse};
use super::audit::Note;
use super::auth::Caller;
use crate::drift::{Act, Ask, By, Door, Drift, Refusal, Signal, Which};

/// Header by which `plimsoll baselines` says that it is the caller.
pub const CLIENT: &str = "x-plimsoll-client";
/// Header in which a caller may say who it is: for the log of what was done to baselines.
pub const USER: &str = "x-plimsoll-user";

/// Which signal's, and which baseline; in the query or in the body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    model: Option<String>,
    variant: Option<String>,
    id: Option<u64>,
}

/// Two baselines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    model: Option<String>,
    variant: Option<String>,
    a: u64,
    b: u64,
}

/// Routes of `/api/v1/drift`.
pub fn router(drift: Drift) -> Router {
    Router::new()
        .route("/api/v1/drift", get(list))
        .route("/api/v1/drift/log", get(log))
        .route("/api/v1/drift/{signal}/baselines", get(baselines))
        .route("/api/v1/drift/{signal}/compare", get(compare))
        .route("/api/v1/drift/{signal}/{act}", post(act))
        .with_state(drift)
}

/// Examples are text of the traffic: who may not see it gets the rest.
async fn list(State(drift): State<Drift>, caller: Option<Extension<Caller>>) -> Response {
    let snapshot = drift.snapshot();
    if let Some(why) = &snapshot.unread {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, why);
    }
    let mut signals = snapshot.signals.clone();
    let text_shown = caller.is_some_and(|Extension(caller)| caller.sees_text());
    let mut examples = 0;
    for why in signals.iter_mut().filter_map(|signal| signal.explanation.as_mut()) {
        match text_shown {
            true => examples += why.examples.len(),
            false => why.examples.clear(),
        }
    }
    let data =
        json!({"enabled": drift.is_on(), "at": snapshot.at.rfc3339(), "text_shown": text_shown, "signals": signals});
    let answer = Json(json!({"status": "success", "data": data}));
    match examples {
        0 => answer.into_response(),
        shown => (Extension(Note::hourly(json!({"examples": shown}))), answer).into_response(),
    }
}

/// How many of the newest acts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    limit: Option<usize>,
}

async fn log(State(drift): State<Drift>, Asked(Newest { limit }): Asked<Newest>) -> Response {
    told(drift.log(limit.unwrap_or(100)).await)
}

/// What the caller says of itself.
fn by(headers: &HeaderMap) -> By {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    By { door: if said(CLIENT) == "cli" { Door::Cli } else { Door::Api }, who: said(USER).to_owned() }
}

async fn baselines(
    State(drift): State<Drift>,
    Path(signal): Path<String>,
    Asked(Wanted { model, variant, .. }): Asked<Wanted>,
) -> Response {
    respond(&drift, &signal, Which { model, variant }, Ask::Baselines).await
}

async fn compare(
    State(drift): State<Drift>,
    Path(signal): Path<String>,
    Asked(Pair { model, variant, a, b }): Asked<Pair>,
) -> Response {
    respond(&drift, &signal, Which { model, variant }, Ask::Compare(a, b)).await
}

async fn act(
    State(drift): State<Drift>,
    Path((signal, act)): Path<(String, String)>,
    Asked(query): Asked<Wanted>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let text = if body.trim().is_empty() { "{}" } else { &body };
    let body: Wanted = match serde_json::from_str(text) {
        Ok(body) => body,
        Err(why) => {
            let hint = "write {\"model\": NAME, \"variant\": NAME, \"id\": NUMBER}, each if needed";
            return refuse(StatusCode::BAD_REQUEST, &format!("{why}; {hint}"));
        }
    };
    let wanted =
        Wanted { model: body.model.or(query.model), variant: body.variant.or(query.variant), id: body.id.or(query.id) };
    let act = match (act.as_str(), wanted.id) {
        ("accept", None) => Act::Accept,
        ("accept", Some(_)) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "accept takes no id: it learns from what is new; to go back, roll back",
            );
        }
        ("pin", id) => Act::Pin(id),
        ("unpin", _) => Act::Unpin,
        ("rollback", Some(id)) => Act::RollBack(id),
        ("rollback", None) => return refuse(StatusCode::BAD_REQUEST, "id is missing: the baseline to go back to"),
        _ => return refuse(StatusCode::NOT_FOUND, &format!("{act:?} is not one of accept, pin, unpin, rollback")),
    };
    let note = Note::each(json!({"model": wanted.model, "variant": wanted.variant, "baseline": wanted.id}));
    let which = Which { model: wanted.model, variant: wanted.variant };
    (Extension(note), respond(&drift, &signal, which, Ask::Do(act, by(&headers))).await).into_response()
}

async fn respond(drift: &Drift, signal: &str, which: Which, ask: Ask) -> Response {
    let Some(signal) = Signal::named(signal) else {
        let known = Signal::ALL.iter().map(|signal| signal.name()).collect::<Vec<_>>().join(", ");
        return refuse(StatusCode::NOT_FOUND, &format!("there is no signal {signal:?}; known: {known}"));
    };
    told(drift.ask(signal, which, ask).await)
}

fn told(answer: Result<Value, Refusal>) -> Response {
    match answer {
        Ok(data) => answer::told(&data),
        Err(refusal) => refuse(status(&refusal), &refusal.to_string()),
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Off | Refusal::Unknown(_) => StatusCode::NOT_FOUND,
        Refusal::Ambiguous { .. } => StatusCode::BAD_REQUEST,
        Refusal::Act(_) => StatusCode::CONFLICT,
        Refusal::NotReady(_) | Refusal::Disk(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
