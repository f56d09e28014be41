//! The loop over HTTP: runs, versions, and what a person may do about them.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Asked, Path, refuse, told};
use super::audit::Note;
use crate::retrain::{Act, Denied, Retrain, number_of};

/// Routes of `/api/v1/finetunes` and `/api/v1/versions`.
pub fn router(retrain: Retrain) -> Router {
    Router::new()
        .route("/api/v1/finetunes", get(runs).post(begin))
        .route("/api/v1/finetunes/{id}", get(run))
        .route("/api/v1/finetunes/{id}/approve", post(approve))
        .route("/api/v1/finetunes/{id}/cancel", post(cancel))
        .route("/api/v1/finetunes/{id}/trained", post(trained))
        .route("/api/v1/finetunes/circuit/close", post(close))
        .route("/api/v1/versions", get(versions))
        .route("/api/v1/versions/{version}", get(version))
        .route("/api/v1/versions/{version}/promote", post(promote))
        .route("/api/v1/versions/{version}/pin", post(pin))
        .route("/api/v1/versions/{version}/unpin", post(unpin))
        .route("/api/v1/versions/{version}/rollback", post(roll_back))
        .with_state(retrain)
}

async fn runs(State(retrain): State<Retrain>) -> Response {
    let view = retrain.view();
    told(&json!({
        "mode": view.mode, "circuit_open": view.circuit_open, "holds": view.holds, "trouble": view.trouble,
        "missing": view.missing, "runs": view.runs,
    }))
}

/// A run by its number.
struct Id(u32);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await?;
        let why = || format!("{text:?} is no run; write its number, such as 3");
        text.parse().map(Self).map_err(|_| refuse(StatusCode::NOT_FOUND, &why()))
    }
}

async fn run(State(retrain): State<Retrain>, Id(id): Id) -> Response {
    match retrain.view().runs.iter().find(|run| run.id == id) {
        Some(run) => told(&json!(run)),
        None => refuse(StatusCode::NOT_FOUND, &format!("there is no run {id}")),
    }
}

async fn versions(State(retrain): State<Retrain>) -> Response {
    let view = retrain.view();
    told(&json!({
        "live": view.live, "wanted": view.wanted, "missing": view.missing, "route": view.route, "versions": view.versions,
    }))
}

async fn version(State(retrain): State<Retrain>, Path(version): Path<String>) -> Response {
    match number_of(&version) {
        Ok(number) => match retrain.view().versions.iter().find(|version| version.number == number) {
            Some(version) => told(&json!(version)),
            None => refuse(StatusCode::NOT_FOUND, &format!("there is no version {number}")),
        },
        Err(why) => refuse(StatusCode::NOT_FOUND, &why),
    }
}

/// When examples are new, in seconds since the Unix epoch.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Begin {
    since: Option<f64>,
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds of a date")]
async fn begin(State(retrain): State<Retrain>, Asked(how): Asked<How>, body: String) -> Response {
    let wanted = if body.trim().is_empty() { Ok(Begin::default()) } else { serde_json::from_str::<Begin>(&body) };
    match wanted {
        Ok(begin) => act(&retrain, how, Act::Begin(begin.since.map(|seconds| (seconds * 1000.0) as i64))).await,
        Err(why) => refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            &format!("the body is {{\"since\": SECONDS}}, seconds since 1970, or empty: {why}"),
        ),
    }
}

async fn approve(State(retrain): State<Retrain>, Id(id): Id, Asked(how): Asked<How>) -> Response {
    act(&retrain, how, Act::Approve(id)).await
}

async fn cancel(State(retrain): State<Retrain>, Id(id): Id, Asked(how): Asked<How>) -> Response {
    act(&retrain, how, Act::Cancel(id)).await
}

async fn trained(State(retrain): State<Retrain>, Id(id): Id, body: String) -> Response {
    let said = if body.trim().is_empty() { Ok(json!({})) } else { serde_json::from_str::<Value>(&body) };
    match said {
        Ok(said @ Value::Object(_)) => act(&retrain, How::default(), Act::Trained(id, said)).await,
        _ => refuse(StatusCode::UNPROCESSABLE_ENTITY, "the body is a JSON object with what is known of the training"),
    }
}

async fn close(State(retrain): State<Retrain>, Asked(how): Asked<How>) -> Response {
    act(&retrain, how, Act::CloseCircuit).await
}

async fn promote(State(retrain): State<Retrain>, Path(version): Path<String>, Asked(how): Asked<How>) -> Response {
    with_number(&retrain, how, &version, |number| Act::Promote(number, how.force)).await
}

async fn pin(State(retrain): State<Retrain>, Path(version): Path<String>, Asked(how): Asked<How>) -> Response {
    with_number(&retrain, how, &version, |number| Act::Pin(number, true)).await
}

async fn unpin(State(retrain): State<Retrain>, Path(version): Path<String>, Asked(how): Asked<How>) -> Response {
    with_number(&retrain, how, &version, |number| Act::Pin(number, false)).await
}

/// From this version, if it is the one that serves, or from `live`.
async fn roll_back(State(retrain): State<Retrain>, Path(version): Path<String>, Asked(how): Asked<How>) -> Response {
    let live = retrain.view().live;
    if version == "live" {
        return act(&retrain, how, Act::RollBack).await;
    }
    match number_of(&version) {
        Ok(number) if live == Some(number) => act(&retrain, how, Act::RollBack).await,
        Ok(number) => refuse(StatusCode::CONFLICT, &format!("version {number} does not serve")),
        Err(why) => refuse(StatusCode::NOT_FOUND, &why),
    }
}

async fn with_number(retrain: &Retrain, how: How, version: &str, wish: impl FnOnce(u32) -> Act) -> Response {
    match number_of(version) {
        Ok(number) => act(retrain, how, wish(number)).await,
        Err(why) => refuse(StatusCode::NOT_FOUND, &why),
    }
}

/// How something is done.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct How {
    /// It is only asked whether it would be.
    dry_run: bool,
    /// Even where gate or users were against it.
    force: bool,
}

async fn act(retrain: &Retrain, how: How, act: Act) -> Response {
    match retrain.act(act, how.dry_run).await {
        Ok(()) => {
            let note = Note::each(json!({"dry_run": how.dry_run, "force": how.force}));
            let status = if how.dry_run { StatusCode::OK } else { StatusCode::ACCEPTED };
            (status, Extension(note), Json(json!({"status": "success"}))).into_response()
        }
        Err(why) => {
            let status = match why {
                Denied::Unknown(_) => StatusCode::NOT_FOUND,
                Denied::Conflict(_) => StatusCode::CONFLICT,
                Denied::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            refuse(status, &why.to_string())
        }
    }
}
