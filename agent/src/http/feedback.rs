//! POST /api/v1/feedback and /api/v1/exchanges: 202 only after it is durable.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use plimsoll_rules::{Endpoint, Exchange, ExchangeOutcome, Source, TokenCount};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::records::{Feedback, Records, Refused};

/// Largest body, in bytes, and most items in it.
const LARGEST: usize = 1 << 20;
const MOST: usize = 1000;

/// Routes of the ingest side.
pub fn router(records: Records) -> Router {
    Router::new()
        .route("/api/v1/feedback", post(feedback))
        .route("/api/v1/exchanges", post(exchanges))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(records)
}

async fn feedback(State(records): State<Records>, headers: HeaderMap, body: Bytes) -> Response {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let parsed = items(&body).and_then(|list| {
        let one = list.len() == 1; // a key of the request can only stand for one item
        every(&list, |item| Feedback::parse(item, key.filter(|_| one)))
    });
    match parsed {
        Ok(list) => {
            let count = list.len();
            answer(records.feedback(list).await, count)
        }
        Err(refusal) => *refusal,
    }
}

async fn exchanges(State(records): State<Records>, body: Bytes) -> Response {
    match items(&body).and_then(|list| every(&list, parse_exchange)) {
        Ok(list) => {
            let count = list.len();
            answer(records.exchanges(list).await, count)
        }
        Err(refusal) => *refusal,
    }
}

fn answer(result: Result<(), Refused>, count: usize) -> Response {
    match result {
        Ok(()) => (StatusCode::ACCEPTED, Json(json!({"accepted": count}))).into_response(),
        Err(why) => {
            let body = Json(json!({"error": why.to_string()}));
            if matches!(why, Refused::Conflict { .. }) {
                return (StatusCode::CONFLICT, body).into_response();
            }
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], body).into_response()
        }
    }
}

fn refusal(status: StatusCode, mistakes: &[String]) -> Box<Response> {
    Box::new((status, Json(json!({"error": mistakes.join("; "), "mistakes": mistakes}))).into_response())
}

/// One object, an array, or one object a line.
fn items(body: &[u8]) -> Result<Vec<Value>, Box<Response>> {
    let bad = |message: String| refusal(StatusCode::BAD_REQUEST, &[message]);
    let text =
        std::str::from_utf8(body).map_err(|e| bad(format!("the body is not UTF-8 (byte {})", e.valid_up_to())))?;
    let list = match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(list)) => list,
        Ok(one) => vec![one],
        Err(whole) => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let parsed: Result<Vec<Value>, _> = lines.map(serde_json::from_str).collect();
            parsed.ok().filter(|list| list.len() > 1).ok_or_else(|| bad(format!("the body is not JSON: {whole}")))?
        }
    };
    match list.len() {
        0 => Err(bad("the list is empty".into())),
        count if count > MOST => Err(bad(format!("{count} items; at most {MOST} in one request"))),
        _ => Ok(list),
    }
}

/// All items, or every mistake of every item with the item's place in the list.
fn every<T>(list: &[Value], parse: impl Fn(&Value) -> Result<T, Vec<String>>) -> Result<Vec<T>, Box<Response>> {
    let (mut good, mut mistakes) = (Vec::new(), Vec::new());
    for (i, item) in list.iter().enumerate() {
        match parse(item) {
            Ok(one) => good.push(one),
            Err(wrong) if list.len() == 1 => mistakes.extend(wrong),
            Err(wrong) => mistakes.extend(wrong.into_iter().map(|mistake| format!("[{i}].{mistake}"))),
        }
    }
    if mistakes.is_empty() { Ok(good) } else { Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, &mistakes)) }
}

/// An exchange as an application posts it: names and units that read aloud.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    id: String,
    #[serde(default)]
    request_id: Option<String>,
    model: String,
    #[serde(default)]
    variant: String,
    #[serde(default = "chat")]
    endpoint: Endpoint,
    #[serde(default = "ok")]
    outcome: ExchangeOutcome,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    time_to_first_token_seconds: Option<f64>,
    duration_seconds: f64,
    /// Seconds since the Unix epoch; now, less the duration, when absent.
    #[serde(default)]
    started: Option<f64>,
}

fn chat() -> Endpoint {
    Endpoint::Chat
}

fn ok() -> ExchangeOutcome {
    ExchangeOutcome::Ok
}

fn parse_exchange(item: &Value) -> Result<Exchange, Vec<String>> {
    let posted = Posted::deserialize(item).map_err(|e| vec![e.to_string()])?;
    let mut wrong = Vec::new();
    for (name, text) in [("id", &posted.id), ("model", &posted.model), ("variant", &posted.variant)] {
        if (text.is_empty() && name != "variant") || text.len() > 512 {
            wrong.push(format!("{name}: {} bytes long; 1 to 512", text.len()));
        }
    }
    let span = |name: &str, seconds: f64, wrong: &mut Vec<String>| {
        Duration::try_from_secs_f64(seconds).unwrap_or_else(|_| {
            wrong.push(format!("{name}: {seconds} is not a length of time in seconds"));
            Duration::ZERO
        })
    };
    let duration = span("duration_seconds", posted.duration_seconds, &mut wrong);
    let first = posted.time_to_first_token_seconds.map(|s| span("time_to_first_token_seconds", s, &mut wrong));
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let started = posted.started.map(plimsoll_rules::Timestamp::from_secs_f64);
    let tokens = |count: Option<u64>| count.map_or(TokenCount::Unknown, TokenCount::Reported);
    Ok(Exchange {
        id: posted.id,
        request_id: posted.request_id,
        started: started.unwrap_or_else(|| crate::clock::wall() - duration),
        source: Source::Push,
        endpoint: posted.endpoint,
        model: posted.model,
        variant: posted.variant,
        outcome: posted.outcome,
        status: if posted.outcome == ExchangeOutcome::Ok { 200 } else { 0 },
        finish_reason: posted.finish_reason,
        stream: posted.stream,
        input_tokens: tokens(posted.input_tokens),
        output_tokens: tokens(posted.output_tokens),
        time_to_first_token: first,
        inter_token_seconds: Vec::new(),
        duration,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_one_object_a_list_or_lines() {
        for (why, body, expected) in [
            ("one", r#"{"a":1}"#, Ok(1)),
            ("a list", r#"[{"a":1},{"a":2}]"#, Ok(2)),
            ("lines", "{\"a\":1}\n{\"a\":2}\n\n", Ok(2)),
            ("nothing", "", Err(400)),
            ("an empty list", "[]", Err(400)),
            ("garbage", "{\"a\":", Err(400)),
        ] {
            let seen = items(body.as_bytes()).map(|l| l.len()).map_err(|r| r.status().as_u16());
            assert_eq!(seen, expected, "{why}");
        }
        assert!(items(b"\xff{}").is_err(), "invalid UTF-8");
        assert!(items(format!("[{}1]", "1,".repeat(1000)).as_bytes()).is_err(), "too many");
    }

    #[test]
    fn exchanges_are_checked() {
        let good = json!({"id": "a", "model": "m", "duration_seconds": 1.5, "input_tokens": 3});
        assert_eq!(parse_exchange(&good).unwrap().input_tokens, TokenCount::Reported(3));
        for (bad, said) in [
            (json!({"id": "a", "model": "m"}), "duration_seconds"),
            (json!({"id": "", "model": "m", "duration_seconds": 1}), "id: 0 bytes"),
            (json!({"id": "a", "model": "m", "duration_seconds": -1}), "duration_seconds: -1"),
            (json!({"id": "a", "model": "m", "duration_seconds": 1, "prompt": "x"}), "unknown field `prompt`"),
            (json!({"id": "a", "model": "m", "duration_seconds": 1, "outcome": "meh"}), "unknown variant `meh`"),
        ] {
            let wrong = parse_exchange(&bad).unwrap_err().join(" ");
            assert!(wrong.contains(said), "{wrong}");
        }
    }
}
