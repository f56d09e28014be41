//! POST /api/v1/feedback and /api/v1/exchanges: 202 only after it is durable.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use plimsoll_rules::mask::Masker;
use plimsoll_rules::{
    Assignment, Endpoint, Exchange, ExchangeOutcome, ExchangeText, MaskedText, Phase, Source, TokenCount, unit_hash,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::config::{Checked, Experiment, Split};
use crate::experiment::Splitter;
use crate::records::{Feedback, Records, Refused};

/// How far a clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(300);

/// Largest body, in bytes, and most items in it.
pub(super) const LARGEST: usize = 1 << 20;
const MOST: usize = 1000;

/// What stands at the door: text is masked here.
#[derive(Clone)]
struct Door {
    records: Records,
    masker: Arc<Masker>,
    config: watch::Receiver<Arc<Checked>>,
    splitter: Splitter,
}

impl Door {
    /// The units that an episode would be, one for each experiment and phase that users see the variants of.
    fn units(&self, episode: &str) -> Vec<(String, u64)> {
        let of = |id: &String, phase| (id.clone(), unit_hash(id, phase, episode.as_bytes()));
        let all = self.splitter.all();
        let ids = all.iter().map(|one| &one.experiment().spec.id);
        ids.flat_map(|id| [Phase::Aa, Phase::Split].map(|phase| of(id, phase))).collect()
    }
}

/// Routes of the ingest side. `config` says how long a text may be.
pub fn router(
    records: Records,
    masker: Arc<Masker>,
    config: watch::Receiver<Arc<Checked>>,
    splitter: Splitter,
) -> Router {
    Router::new()
        .route("/api/v1/feedback", post(feedback))
        .route("/api/v1/exchanges", post(exchanges))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Door { records, masker, config, splitter })
}

async fn feedback(State(door): State<Door>, headers: HeaderMap, body: Bytes) -> Response {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let parsed = items(&body).and_then(|list| {
        let one = list.len() == 1; // a key of the request can only stand for one item
        every(&list, &door.masker, |item| {
            let feedback = Feedback::parse(item, key.filter(|_| one), &door.masker)?;
            if feedback.text.is_some() && !door.records.stores_text() {
                return Err(vec!["value: corrections are not kept here; records.store_text: masked keeps them".into()]);
            }
            let units = if item.get("episode_id").is_some() { door.units(&feedback.target) } else { Vec::new() };
            Ok(Feedback { units, ..feedback })
        })
    });
    match parsed {
        Ok(list) => {
            let count = list.len();
            answer(door.records.feedback(list).await, count)
        }
        Err(refusal) => *refusal,
    }
}

async fn exchanges(State(door): State<Door>, body: Bytes) -> Response {
    let config = door.config.borrow().clone();
    let most = usize::try_from(config.raw.text.max_bytes.0).unwrap_or(usize::MAX);
    let parse = |item: &Value| parse_exchange(item, &door.masker, most, &config.experiments);
    match items(&body).and_then(|list| every(&list, &door.masker, parse)) {
        Ok(list) => {
            let count = list.len();
            answer(door.records.exchanges(list).await, count)
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

pub(super) fn refusal(status: StatusCode, mistakes: &[String]) -> Box<Response> {
    Box::new((status, Json(json!({"error": mistakes.join("; "), "mistakes": mistakes}))).into_response())
}

/// One object, an array, or one object a line.
pub(super) fn items(body: &[u8]) -> Result<Vec<Value>, Box<Response>> {
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

/// All items, or every mistake of every item with the item's place in the list. What a mistake quotes is masked: answers
/// end up in logs.
pub(super) fn every<T>(
    list: &[Value],
    masker: &Masker,
    parse: impl Fn(&Value) -> Result<T, Vec<String>>,
) -> Result<Vec<T>, Box<Response>> {
    let (mut good, mut mistakes) = (Vec::new(), Vec::new());
    for (i, item) in list.iter().enumerate() {
        match parse(item) {
            Ok(one) => good.push(one),
            Err(wrong) if list.len() == 1 => mistakes.extend(wrong),
            Err(wrong) => mistakes.extend(wrong.into_iter().map(|mistake| format!("[{i}].{mistake}"))),
        }
    }
    if mistakes.is_empty() {
        return Ok(good);
    }
    let masked = |mistake: &String| MaskedText::of(masker, mistake).as_str().to_owned();
    Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, &mistakes.iter().map(masked).collect::<Vec<_>>()))
}

/// An exchange as an application posts it: names and units that read aloud. No `Debug`: it holds text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    id: String,
    #[serde(default)]
    request_id: Option<String>,
    model: String,
    #[serde(default)]
    variant: String,
    /// The experiment it takes part in; then `unit` and `variant` are needed.
    #[serde(default)]
    experiment: Option<String>,
    #[serde(default)]
    unit: Option<String>,
    /// Probability of the treatment; what the experiment's weights say when absent.
    #[serde(default)]
    propensity: Option<f64>,
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
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    response: Option<String>,
}

fn chat() -> Endpoint {
    Endpoint::Chat
}

fn ok() -> ExchangeOutcome {
    ExchangeOutcome::Ok
}

fn parse_exchange(
    item: &Value,
    masker: &Masker,
    most: usize,
    experiments: &[Arc<Experiment>],
) -> Result<Exchange, Vec<String>> {
    let posted: Posted = serde_path_to_error::deserialize(item).map_err(|wrong| {
        let key = wrong.path().to_string();
        let said = wrong.into_inner();
        vec![if key == "." { said.to_string() } else { format!("{key}: {said}") }]
    })?;
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
    let now = crate::clock::wall();
    if let Some(started) = posted.started.filter(|started| *started > now.secs_f64() + AHEAD.as_secs_f64()) {
        let right = "write seconds since 1970 (not milliseconds), at most 300 ahead of this clock";
        wrong.push(format!("started: {started} lies in the future; {right}"));
    }
    let assignment = assignment(&posted, experiments).unwrap_or_else(|mistake| {
        wrong.push(mistake);
        None
    });
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let text = text_of(posted.prompt, posted.response, masker, most);
    let started = posted.started.map(plimsoll_rules::Timestamp::from_secs_f64);
    let tokens = |count: Option<u64>| count.map_or(TokenCount::Unknown, TokenCount::Reported);
    Ok(Exchange {
        id: posted.id,
        request_id: posted.request_id,
        // a clock that is a little ahead must not keep a row beyond its time
        started: started.map_or(now - duration, |started| started.min(now)),
        source: Source::Push,
        endpoint: posted.endpoint,
        model: posted.model,
        variant: posted.variant,
        assignment,
        outcome: posted.outcome,
        status: if posted.outcome == ExchangeOutcome::Ok { 200 } else { 0 },
        finish_reason: posted.finish_reason,
        stream: posted.stream,
        input_tokens: tokens(posted.input_tokens),
        output_tokens: tokens(posted.output_tokens),
        time_to_first_token: first,
        inter_token_seconds: Vec::new(),
        duration,
        text,
    })
}

/// The place in an experiment that somebody else's splitter has given a unit.
fn assignment(posted: &Posted, experiments: &[Arc<Experiment>]) -> Result<Option<Assignment>, String> {
    let Some(id) = &posted.experiment else {
        let needless = posted.unit.is_some() || posted.propensity.is_some();
        return if needless { Err("experiment: is missing beside unit or propensity".into()) } else { Ok(None) };
    };
    let experiment = experiments
        .iter()
        .find(|one| one.spec.id == *id)
        .ok_or_else(|| format!("experiment: {id:?} is not configured"))?;
    let unit = posted.unit.as_ref().filter(|unit| !unit.is_empty() && unit.len() <= 512);
    let unit = unit.ok_or("unit: is missing, empty or longer than 512 bytes; it says whose request it was")?;
    let arm = experiment.arm_called(&posted.variant).ok_or_else(|| {
        let (control, treatment) = (&experiment.control.name, &experiment.treatment.name);
        format!("variant: {:?} is neither {control:?} nor {treatment:?} of experiment {id:?}", posted.variant)
    })?;
    let Split::Outside { propensity: weight, .. } = experiment.split else {
        return Err(format!("experiment: the tap splits {id:?} itself; only split: outside takes posted exchanges"));
    };
    let propensity = posted.propensity.or(Some(weight)).filter(|p| *p > 0.0 && *p < 1.0);
    let propensity = propensity.ok_or("propensity: the probability of the treatment is needed, above 0 and below 1")?;
    let unit = unit_hash(id, Phase::Split, unit.as_bytes());
    Ok(Some(Assignment { experiment: id.as_str().into(), unit, arm, propensity, phase: Phase::Split, first: false }))
}

fn text_of(
    prompt: Option<String>,
    response: Option<String>,
    masker: &Masker,
    most: usize,
) -> Option<Arc<ExchangeText>> {
    if prompt.is_none() && response.is_none() {
        return None;
    }
    let masked = |text: Option<String>| text.map(|text| MaskedText::of_cut(masker, &text, most)).unzip();
    let ((prompt, prompt_cut), (response, response_cut)) = (masked(prompt), masked(response));
    Some(Arc::new(ExchangeText {
        prompt,
        response,
        prompt_truncated: prompt_cut.unwrap_or(false),
        response_truncated: response_cut.unwrap_or(false),
    }))
}

#[cfg(test)]
mod tests {
    use plimsoll_rules::mask::MaskOptions;

    use super::*;

    fn masker() -> Masker {
        Masker::new(b"salt of the tests", &MaskOptions::default()).unwrap()
    }

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

    #[tokio::test]
    async fn text_is_masked_at_the_door_and_so_is_what_a_mistake_quotes() {
        let (mail, masker) = ("ann@example.org", masker());
        let item = json!({"id": "a", "model": "m", "duration_seconds": 1, "prompt": mail, "response": "x".repeat(50)});
        let text = parse_exchange(&item, &masker, 40, &[]).unwrap().text.unwrap();
        assert!(text.prompt.as_ref().unwrap().as_str().starts_with("<EMAIL:"));
        assert_eq!(text.response.as_ref().unwrap().as_str(), "x".repeat(40));
        assert_eq!((text.prompt_truncated, text.response_truncated), (false, true));
        for bad in
            [json!({"id": "a", "outcome": mail}), json!({mail: 1}), json!({"id": "a", "stream": mail}), json!(mail)]
        {
            let answer = every(&[bad], &masker, |item| parse_exchange(item, &masker, 8, &[])).unwrap_err();
            let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert!(body.contains("<EMAIL:") && !body.contains("ann@"), "{body}");
        }
    }

    #[test]
    fn exchanges_are_checked() {
        let parse_exchange = |item: &Value| parse_exchange(item, &masker(), 100, &[]);
        let good = json!({"id": "a", "model": "m", "duration_seconds": 1.5, "input_tokens": 3});
        assert_eq!(parse_exchange(&good).unwrap().input_tokens, TokenCount::Reported(3));
        for (bad, said) in [
            (json!({"id": "a", "model": "m"}), "duration_seconds"),
            (json!({"id": "", "model": "m", "duration_seconds": 1}), "id: 0 bytes"),
            (json!({"id": "a", "model": "m", "duration_seconds": -1}), "duration_seconds: -1"),
            (json!({"id": "a", "model": "m", "duration_seconds": 1, "prompts": "x"}), "unknown field `prompts`"),
            (
                json!({"id": "a", "model": "m", "duration_seconds": 1, "prompt": ["x"]}),
                "prompt: invalid type: sequence, expected a string",
            ),
            (
                json!({"id": "a", "model": "m", "duration_seconds": 1, "outcome": "meh"}),
                "outcome: unknown variant `meh`",
            ),
            (json!({"id": "a", "model": "m", "duration_seconds": 1, "unit": "u"}), "experiment: is missing"),
            (json!({"id": "a", "model": "m", "duration_seconds": 1, "experiment": "e"}), "\"e\" is not configured"),
            (json!({"id": "a", "model": "m", "duration_seconds": "1"}), "duration_seconds: invalid type"),
            (
                json!({"id": "a", "model": "m", "duration_seconds": 1, "started": 1.7e12}),
                "started: 1700000000000 lies in the future",
            ),
        ] {
            let wrong = parse_exchange(&bad).unwrap_err().join(" ");
            assert!(wrong.contains(said), "{wrong}");
        }
    }
}
