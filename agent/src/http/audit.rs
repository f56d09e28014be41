//! The audit log over HTTP: what is written down of a request, and who may read it.
//!
//! The guard writes an entry for everything that takes an admin and for every answer that holds text of the traffic. A handler
//! says more of it by putting a [`Note`] into its answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use plimsoll_rules::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{self, refuse, told};
use super::drift::USER;
use crate::clock;
use crate::records::{AuditEntry, Records};

/// Entries that are told when nobody says how many, and at most.
const FEW: u32 = 100;
const MOST: u32 = 10_000;
/// Longest path and name that are written down, in characters.
const LONGEST: usize = 256;
/// A page that is looked at again and again is written down so often for each caller.
const AGAIN: Duration = Duration::from_secs(3600);
/// Callers and pages that are remembered for it.
const PAGES: usize = 1024;

/// What a handler has to say of its answer: an object. On a GET it means that text was shown.
#[derive(Clone, Debug)]
pub struct Note {
    detail: Value,
    often: bool,
}

impl Note {
    /// Written down each time.
    pub fn each(detail: Value) -> Self {
        Self { detail, often: false }
    }

    /// Of a page that is asked for again and again: written down once an hour for each caller.
    pub fn hourly(detail: Value) -> Self {
        Self { detail, often: true }
    }
}

/// Where entries go; clones share it.
#[derive(Clone, Debug)]
pub struct Audit {
    records: Records,
    pod: Arc<str>,
    seen: Arc<Mutex<HashMap<(String, String), Timestamp>>>,
}

/// What is written down of a request, taken before it is answered.
pub(super) struct Asked {
    action: String,
    detail: Value,
    path: String,
    is_act: bool,
}

impl Asked {
    /// `is_act`: it takes an admin, and is no GET.
    pub(super) fn of(request: &Request, is_act: bool) -> Self {
        let (method, path) = (request.method(), request.uri().path());
        let path: String = path.chars().take(LONGEST).collect();
        let mut detail = json!({"request": format!("{method} {path}")});
        let user = request.headers().get(USER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !user.is_empty() {
            detail["user"] = json!(user.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>());
        }
        Self { action: action(method, &path), detail, path, is_act }
    }
}

/// `/api/v1/experiments/ID/promote` is `experiments.promote`, a POST to `/api/v1/silences` `silences.create`.
fn action(method: &Method, path: &str) -> String {
    let rest = path.strip_prefix("/api/v1/").or_else(|| path.strip_prefix("/-/")).unwrap_or(path);
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let verb = match *method {
        Method::GET | Method::HEAD => "view",
        Method::DELETE => "delete",
        _ => "create",
    };
    match parts[..] {
        ["reload"] => "reload".to_owned(),
        ["outbox", act] => format!("outbox.{act}"),
        [noun] | [noun, _] => format!("{noun}.{verb}"),
        [noun, .., act] if verb == "create" => format!("{noun}.{act}"),
        [noun, .., act] => format!("{noun}.{act}.{verb}"),
        [] => verb.to_owned(),
    }
}

impl Audit {
    /// Of this pod.
    pub fn new(records: Records, pod: &str) -> Self {
        Self { records, pod: pod.into(), seen: Arc::default() }
    }

    /// Writes down what came of a request, if it is to be.
    pub(super) fn note(&self, actor: &str, asked: Asked, answer: &Response) {
        let note = answer.extensions().get::<Note>();
        let seldom = note.is_some_and(|note| note.often) && !asked.is_act;
        if !(asked.is_act || note.is_some()) || (seldom && self.was_written(actor, &asked.path)) {
            return;
        }
        let mut detail = asked.detail;
        detail["status"] = json!(answer.status().as_u16());
        detail["pod"] = json!(&*self.pod);
        for (key, value) in note.and_then(|note| note.detail.as_object()).into_iter().flatten() {
            detail[key] = value.clone();
        }
        self.records.audit(AuditEntry::now(actor, &asked.action, detail));
    }

    /// Whether this caller has been written down for that page lately; it is from now on.
    fn was_written(&self, actor: &str, path: &str) -> bool {
        let now = clock::wall();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, at| now.since(*at) < AGAIN);
        if seen.len() >= PAGES {
            seen.clear();
        }
        let key = (actor.to_owned(), path.to_owned());
        let known = seen.contains_key(&key);
        seen.entry(key).or_insert(now);
        known
    }
}

/// Route of the log.
pub fn router(records: Records) -> Router {
    Router::new().route("/api/v1/audit", get(list)).with_state(records)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    limit: Option<u32>,
}

async fn list(State(records): State<Records>, answer::Asked(Newest { limit }): answer::Asked<Newest>) -> Response {
    match records.audit_log(limit.unwrap_or(FEW).min(MOST)).await {
        Ok(entries) => told(&json!({"audit": entries})),
        Err(why) => refuse(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_have_names() {
        for (method, path, expected) in [
            (Method::POST, "/-/reload", "reload"),
            (Method::POST, "/api/v1/drift/input_tokens/pin", "drift.pin"),
            (Method::POST, "/api/v1/experiments/e/promote", "experiments.promote"),
            (Method::GET, "/api/v1/experiments/e/pairs", "experiments.pairs.view"),
            (Method::GET, "/api/v1/drift", "drift.view"),
            (Method::POST, "/api/v1/silences", "silences.create"),
            (Method::DELETE, "/api/v1/silences/5", "silences.delete"),
            (Method::POST, "/api/v1/outbox/retry", "outbox.retry"),
            (Method::POST, "/api/v1/finetunes", "finetunes.create"),
            (Method::POST, "/api/v1/versions/v7/rollback", "versions.rollback"),
            (Method::PUT, "/", "create"),
        ] {
            assert_eq!(action(&method, path), expected, "{method} {path}");
        }
    }
}
