//! `/api/v1/query`, `/api/v1/query_range` and `/api/v1/format_query`.

use std::time::Duration;

use axum::extract::State;
use plimsoll_rules::Timestamp;
use plimsoll_rules::promql::{self, Answer, Type, Value};
use serde_json::json;

use super::desk::{QueryDesk, Terms, now};
use super::encode;
use super::envelope::{Failure, Kind, Success, TRUNCATED};
use super::params::Params;

/// Most steps of a range query, as in Prometheus.
const STEPS: i64 = 11_000;

/// Shortest step and longest time are those of a duration in milliseconds.
fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

/// `timeout` and `lookback_delta`.
fn terms(params: &Params) -> Result<Terms, Failure> {
    let timeout = params.seconds("timeout")?;
    let lookback = params.seconds("lookback_delta")?;
    let positive = |seconds: f64| Duration::from_millis(millis(seconds.max(0.0)));
    Ok(Terms { timeout: timeout.map(positive), lookback: lookback.filter(|s| *s > 0.0).map(positive) })
}

/// One moment.
pub(super) async fn instant(State(desk): State<QueryDesk>, params: Params) -> Result<Success, Failure> {
    let limit = params.count("limit")?;
    let at = params.time("time", now())?;
    let terms = terms(&params)?;
    let expr = params.expression()?;
    let run = move |expr: &_, store: &_, options: &_| promql::query(expr, store, at, options);
    desk.evaluate(expr, terms, run, move |answer| render(answer, at, limit)).await
}

/// Step after step.
pub(super) async fn range(State(desk): State<QueryDesk>, params: Params) -> Result<Success, Failure> {
    let limit = params.count("limit")?;
    let (start, end) = (params.needed_time("start")?, params.needed_time("end")?);
    if end < start {
        return Err(Failure::parameter("end", "end timestamp must not be before start time"));
    }
    let Some(step) = params.seconds("step")? else {
        return Err(Failure::parameter("step", "cannot parse \"\" to a valid duration"));
    };
    let step = step_of(step, start, end)?;
    let terms = terms(&params)?;
    let expr = params.expression()?;
    if !matches!(expr.kind(), Type::Scalar | Type::Vector) {
        let kind = expr.kind();
        let why = format!("invalid expression type {kind:?} for range query, must be Scalar or instant Vector");
        return Err(Failure::parameter("query", why));
    }
    let run = move |expr: &_, store: &_, options: &_| promql::query_range(expr, store, (start, end), step, options);
    desk.evaluate(expr, terms, run, move |answer| render(answer, end, limit)).await
}

fn step_of(seconds: f64, start: Timestamp, end: Timestamp) -> Result<Duration, Failure> {
    if seconds <= 0.0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(Failure::parameter("step", why));
    }
    let step = millis(seconds).max(1);
    let span = end.millis().saturating_sub(start.millis());
    if span / i64::try_from(step).unwrap_or(i64::MAX) > STEPS {
        let why = "exceeded maximum resolution of 11,000 points per timeseries. \
                   Try decreasing the query resolution (?step=XX)";
        return Err(Failure::new(Kind::BadData, why));
    }
    Ok(Duration::from_millis(step))
}

/// The expression printed back.
pub(super) async fn format(params: Params) -> Result<Success, Failure> {
    Ok(Success::of(&json!(params.expression()?.to_string())))
}

/// The body of an answer, for those who ask elsewhere than over HTTP. An instant value carries `at`.
pub fn body(answer: Answer, at: Timestamp) -> String {
    render(answer, at, 0).body()
}

fn render(answer: Answer, at: Timestamp, limit: usize) -> Success {
    let Answer { mut value, mut warnings, infos } = answer;
    if let Value::Matrix(series) = &mut value {
        series.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let cut = match &mut value {
        Value::Vector(samples) => cut(samples, limit),
        Value::Matrix(series) => cut(series, limit),
        Value::Scalar(_) | Value::String(_) => false,
    };
    if cut {
        warnings.push(TRUNCATED.to_owned());
    }
    Success { data: encode::value(&value, at), warnings, infos }
}

/// Whether anything was cut off.
fn cut<T>(list: &mut Vec<T>, limit: usize) -> bool {
    let over = limit > 0 && list.len() > limit;
    if over {
        list.truncate(limit);
    }
    over
}
