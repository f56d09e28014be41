//! Silences over HTTP, in Alertmanager's JSON: what the direct receivers are not told for a while.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use plimsoll_alerts::{Dispatcher, Equal, Kind, Matcher, Silence, SilenceError};
use plimsoll_rules::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Path;
use super::audit::Note;
use crate::clock;
use crate::config::Span;

/// Matchers of one silence, at most.
const MATCHERS_MOST: usize = 100;

/// A silence as it is posted. `endsAt` or `duration` says when it is over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Posted {
    id: Option<String>,
    matchers: Vec<PostedMatcher>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
}

/// As Alertmanager writes it, or as text: `severity="critical"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PostedMatcher {
    Text(String),
    #[serde(rename_all = "camelCase")]
    Parts {
        name: String,
        value: String,
        #[serde(default)]
        is_regex: bool,
        #[serde(default = "yes")]
        is_equal: bool,
    },
}

fn yes() -> bool {
    true
}

/// Routes of `/api/v1/silences`.
pub fn router(dispatcher: Dispatcher) -> Router {
    Router::new()
        .route("/api/v1/silences", get(list).post(add))
        .route("/api/v1/silences/{id}", get(one).delete(end))
        .with_state(dispatcher)
}

async fn list(State(dispatcher): State<Dispatcher>) -> Json<Value> {
    let now = clock::wall();
    Json(json!(dispatcher.silences().iter().map(|silence| shown(silence, now)).collect::<Vec<_>>()))
}

async fn one(State(dispatcher): State<Dispatcher>, Path(id): Path<String>) -> Response {
    match dispatcher.silences().iter().find(|silence| silence.id == id) {
        Some(silence) => Json(shown(silence, clock::wall())).into_response(),
        None => refusal(&SilenceError::Unknown { id }),
    }
}

async fn add(State(dispatcher): State<Dispatcher>, body: String) -> Response {
    let mut silence = match read(&body, clock::wall()) {
        Ok(silence) => silence,
        Err(why) => return (StatusCode::BAD_REQUEST, Json(json!({"error": why}))).into_response(),
    };
    if silence.id.is_empty() {
        silence.id = uuid::Uuid::new_v4().to_string();
    } else if !dispatcher.silences().iter().any(|known| known.id == silence.id) {
        return refusal(&SilenceError::Unknown { id: silence.id });
    }
    let (id, told) = (silence.id.clone(), shown(&silence, clock::wall()));
    let note = Note::each(json!({"silence": id, "matchers": told["matchers"], "endsAt": told["endsAt"]}));
    match dispatcher.silence(silence).await {
        Ok(()) => (Extension(note), Json(json!({"silenceID": id}))).into_response(),
        Err(why) => refusal(&why),
    }
}

async fn end(State(dispatcher): State<Dispatcher>, Path(id): Path<String>) -> Response {
    match dispatcher.end_silence(&id).await {
        Ok(()) => Json(json!({"silenceID": id})).into_response(),
        Err(why) => refusal(&why),
    }
}

fn refusal(why: &SilenceError) -> Response {
    let status = match why {
        SilenceError::Unknown { .. } => StatusCode::NOT_FOUND,
        SilenceError::Disk { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, Json(json!({"error": why.to_string()}))).into_response()
}

/// The silence that was posted; its id is empty where it is a new one.
fn read(body: &str, now: Timestamp) -> Result<Silence, String> {
    let posted: Posted = serde_json::from_str(body).map_err(|why| {
        format!("{why}; write {{\"matchers\": [\"alertname=\\\"X\\\"\"], \"duration\": \"2h\", \"comment\": \"why\"}}")
    })?;
    let Posted { id, matchers, starts_at, ends_at, duration, created_by, comment } = posted;
    if matchers.len() > MATCHERS_MOST {
        return Err(format!("{} matchers are too many; {MATCHERS_MOST} are enough", matchers.len()));
    }
    let matchers = matchers.into_iter().map(|matcher| match matcher {
        PostedMatcher::Text(text) => Matcher::parse(&text),
        PostedMatcher::Parts { name, value, is_regex, is_equal } => {
            let equal = if is_equal { Equal::Is } else { Equal::IsNot };
            Matcher::new(&name, &value, equal, if is_regex { Kind::Regex } else { Kind::Text })
        }
    });
    let matchers = matchers.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    let starts_at = starts_at.map_or(Ok(now), |text| time("startsAt", &text))?;
    let ends_at = match (ends_at, duration) {
        (Some(text), None) => time("endsAt", &text)?,
        (None, Some(text)) => starts_at + Span::parse(&text)?.0.min(Duration::from_secs(10 * 365 * 86_400)),
        _ => return Err("say when it is over: endsAt or duration, one of them".into()),
    };
    Ok(Silence { id: id.unwrap_or_default(), matchers, starts_at, ends_at, created_by, comment })
}

fn time(key: &str, text: &str) -> Result<Timestamp, String> {
    Timestamp::from_rfc3339(text).ok_or_else(|| format!("{key}: {text:?} is not a time; write 2026-08-04T10:00:00Z"))
}

fn shown(silence: &Silence, now: Timestamp) -> Value {
    let matchers = silence.matchers.iter().map(|matcher| {
        let (name, value, equal, kind) = matcher.parts();
        json!({"name": name, "value": value, "isEqual": equal == Equal::Is, "isRegex": kind == Kind::Regex})
    });
    json!({
        "id": silence.id,
        "status": {"state": silence.state(now).as_str()},
        "matchers": matchers.collect::<Vec<_>>(),
        "startsAt": silence.starts_at.rfc3339(),
        "endsAt": silence.ends_at.rfc3339(),
        "createdBy": silence.created_by,
        "comment": silence.comment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posted_silence_says_what_is_wrong_with_it() {
        let now = Timestamp::from_millis(1_785_837_600_000);
        let read = |body: &str| read(body, now);
        let silence =
            read(r#"{"matchers": ["a=b", {"name": "c", "value": "d.*", "isRegex": true}], "duration": "2h"}"#);
        let silence = silence.unwrap();
        assert_eq!(silence.ends_at.rfc3339(), "2026-08-04T12:00:00.000Z");
        assert_eq!(shown(&silence, now)["status"]["state"], "active");
        assert_eq!(shown(&silence, now)["matchers"][1]["isRegex"], true);
        for (body, why) in [
            ("{", "write {\"matchers\""),
            (r#"{"matchers": []}"#, "say when it is over"),
            (r#"{"matchers": ["a"], "duration": "2h"}"#, "is not a matcher"),
            (r#"{"matchers": ["a=b"], "duration": "2 hours"}"#, "is not a duration"),
            (r#"{"matchers": ["a=b"], "endsAt": "soon"}"#, "endsAt: \"soon\" is not a time"),
            (r#"{"matchers": ["a=b"], "endsAt": "2026-08-04T12:00:00Z", "duration": "2h"}"#, "one of them"),
            (r#"{"matchers": ["a=b"], "duration": "2h", "reason": "x"}"#, "unknown field"),
        ] {
            let said = read(body).unwrap_err();
            assert!(said.contains(why), "{body}: {said}");
        }
    }
}
