//! Ranks of distributed training over HTTP: what they report, and how a run stands.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use plimsoll_rules::mask::Masker;
use plimsoll_rules::ranks::RankReport;
use serde_json::{Value, json};

use super::answer::Path;
use super::feedback::{LARGEST, every, items, refusal};
use crate::ranks::Ranks;

#[derive(Clone)]
struct Door {
    ranks: Ranks,
    masker: Arc<Masker>,
}

/// Route of `/api/v1/finetunes/ID/ranks`. What a mistake quotes is masked.
pub fn router(ranks: Ranks, masker: Arc<Masker>) -> Router {
    Router::new()
        .route("/api/v1/finetunes/{id}/ranks", get(show).post(take))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Door { ranks, masker })
}

async fn take(State(door): State<Door>, Path(run): Path<String>, body: Bytes) -> Response {
    let parse = |item: &Value| {
        serde_path_to_error::deserialize::<_, RankReport>(item).map_err(|wrong| {
            let key = wrong.path().to_string();
            let said = wrong.into_inner();
            vec![if key == "." { said.to_string() } else { format!("{key}: {said}") }]
        })
    };
    let reports = match items(&body).and_then(|list| every(&list, &door.masker, parse)) {
        Ok(reports) => reports,
        Err(refused) => return *refused,
    };
    match door.ranks.take(&run, &reports) {
        Ok(()) => (StatusCode::ACCEPTED, Json(json!({"accepted": reports.len()}))).into_response(),
        Err((place, why)) => {
            let said = if reports.len() > 1 { format!("[{place}].{why}") } else { why.to_string() };
            *refusal(StatusCode::UNPROCESSABLE_ENTITY, &[said])
        }
    }
}

async fn show(State(door): State<Door>, Path(run): Path<String>) -> Response {
    let Some(found) = door.ranks.get(&run) else {
        let why = "no rank of a run of this name has reported in the last 24 h";
        return *refusal(StatusCode::NOT_FOUND, &[why.to_owned()]);
    };
    let data = json!({
        "run": run,
        "world_size": found.world_size(),
        "reporting": found.ranks().count(),
        "last_step": found.last_step(),
        "heard": found.heard().rfc3339(),
        "diverged": found.divergence(),
        "straggler": found.straggler(),
    });
    Json(json!({"status": "success", "data": data})).into_response()
}
