//! Experiments over HTTP: where each stands, what was decided, what an operator may do, and Argo Rollouts' question.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use plimsoll_rules::verdict::experiment::Act;
use serde_json::{Value, json};

use super::answer::{Path, refuse, told};
use super::audit::Note;
use crate::experiment::{Denied, Experiments, View};
use crate::records::LABEL;

/// Most decisions that are told at once.
const MOST: u32 = 1000;

/// Routes of `/api/v1/experiments`.
pub fn router(experiments: Experiments) -> Router {
    Router::new()
        .route("/api/v1/experiments", get(list))
        .route("/api/v1/experiments/{id}", get(one))
        .route("/api/v1/experiments/{id}/argo", get(argo))
        .route("/api/v1/experiments/{id}/decisions", get(decisions))
        .route("/api/v1/experiments/{id}/pairs", get(pairs))
        .route("/api/v1/experiments/{id}/{act}", post(act))
        .with_state(experiments)
}

async fn list(State(experiments): State<Experiments>) -> Response {
    told(&json!({"experiments": *experiments.views()}))
}

fn find(experiments: &Experiments, id: &str) -> Result<View, String> {
    let views = experiments.views();
    views.iter().find(|view| view.id == id).cloned().ok_or_else(|| {
        let known: Vec<&str> = views.iter().map(|view| view.id.as_str()).collect();
        format!("there is no experiment {id:?}; known: {}", known.join(", "))
    })
}

async fn one(State(experiments): State<Experiments>, Path(id): Path<String>) -> Response {
    match find(&experiments, &id) {
        Ok(view) => told(&json!(view)),
        Err(why) => refuse(StatusCode::NOT_FOUND, &why),
    }
}

/// Flat, so that a web metric's `jsonPath: "{$.result}"` finds it.
async fn argo(State(experiments): State<Experiments>, Path(id): Path<String>) -> Response {
    match find(&experiments, &id) {
        Ok(view) => {
            let units = view.units[0] + view.units[1];
            Json(json!({"result": view.argo(), "state": view.state.as_str(), "units": units})).into_response()
        }
        Err(why) => refuse(StatusCode::NOT_FOUND, &why),
    }
}

async fn decisions(State(experiments): State<Experiments>, Path(id): Path<String>) -> Response {
    if let Err(why) = find(&experiments, &id) {
        return refuse(StatusCode::NOT_FOUND, &why);
    }
    match experiments.decisions(&id, MOST).await {
        Ok(found) => {
            let decision = |one: &crate::records::Decision| {
                json!({
                    "at": one.at.rfc3339(), "after_units": one.seq, "from": one.from, "to": one.to, "action": one.action,
                    "reason": one.reason, "state_hash": one.state_hash,
                    "detail": serde_json::from_str::<Value>(&one.detail).unwrap_or_default(),
                })
            };
            told(&json!({"decisions": found.iter().map(decision).collect::<Vec<_>>()}))
        }
        Err(why) => refuse(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
    }
}

/// Pairs of answers that a person may label, as feedback on their ids.
async fn pairs(State(experiments): State<Experiments>, Path(id): Path<String>) -> Response {
    if let Err(why) = find(&experiments, &id) {
        return refuse(StatusCode::NOT_FOUND, &why);
    }
    match experiments.pairs(&id).await {
        Ok(found) => {
            let note = Note::each(json!({"pairs": found.len()}));
            (Extension(note), told(&json!({"pairs": found, "metric_name": LABEL}))).into_response()
        }
        Err(why) => refuse(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
    }
}

async fn act(State(experiments): State<Experiments>, Path((id, act)): Path<(String, String)>) -> Response {
    let act = match act.as_str() {
        "resume" => Act::Resume,
        "promote" => Act::Promote,
        "rollback" => Act::RollBack,
        "keep" => Act::Keep,
        other => {
            return refuse(StatusCode::NOT_FOUND, &format!("{other:?} is not one of resume, promote, rollback, keep"));
        }
    };
    match experiments.act(&id, act).await {
        Ok(view) => told(&json!(view)),
        Err(why) => {
            let status = match why {
                Denied::Unknown(_) => StatusCode::NOT_FOUND,
                Denied::Nothing(_) => StatusCode::CONFLICT,
                Denied::Disk(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            refuse(status, &why.to_string())
        }
    }
}
