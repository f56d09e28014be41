//! PromQL over standard input and output, one JSON object a line, for conformance judges:
//!
//! ```text
//! cargo run -p plimsoll-rules --example promql_stdio
//! {"op":"clear"}
//! {"op":"load","series":[{"labels":{"__name__":"x"},"samples":[[0,"1.5"],[5000,"NaN"],[10000,"stale"]]}]}
//! {"op":"query","q":"sum(x)","time":5000}
//! {"op":"query_range","q":"x","start":0,"end":10000,"step":5000}
//! ```
//!
//! Queries are answered with the body of Prometheus' `/api/v1/query` and `/api/v1/query_range`; times are milliseconds.

use std::io::{BufRead, Write};
use std::time::Duration;

use plimsoll_rules::promql::{Answer, EvalOptions, Value, parse, query, query_range};
use plimsoll_rules::{Append, Labels, STALE_NAN_BITS, Store, StoreLimits, Timestamp};
use serde::Deserialize;
use serde_json::{Value as Json, json};

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Request {
    Clear,
    Load { series: Vec<Loaded> },
    Query { q: String, time: i64 },
    QueryRange { q: String, start: i64, end: i64, step: u64 },
}

#[derive(Deserialize)]
struct Loaded {
    labels: Labels,
    samples: Vec<(i64, String)>,
}

fn empty() -> Store {
    Store::new(StoreLimits { series: 1_000_000, retention: Duration::from_secs(u64::from(u32::MAX)) })
}

fn main() -> std::io::Result<()> {
    let mut store = empty();
    for line in std::io::stdin().lock().lines() {
        let reply = answer(&mut store, &line?).unwrap_or_else(|why| json!({"status": "error", "error": why}));
        writeln!(std::io::stdout(), "{reply}")?;
    }
    Ok(())
}

fn answer(store: &mut Store, line: &str) -> Result<Json, String> {
    let millis = Timestamp::from_millis;
    match serde_json::from_str(line).map_err(|why| why.to_string())? {
        Request::Clear => *store = empty(),
        Request::Load { series } => load(store, &series)?,
        Request::Query { q, time } => {
            let expr = parse(&q).map_err(|why| why.to_string())?;
            let answer = query(&expr, store, millis(time), &EvalOptions::default());
            return answer.map(|answer| body(&answer, time)).map_err(|why| why.to_string());
        }
        Request::QueryRange { q, start, end, step } => {
            let expr = parse(&q).map_err(|why| why.to_string())?;
            let (range, step) = ((millis(start), millis(end)), Duration::from_millis(step));
            let answer = query_range(&expr, store, range, step, &EvalOptions::default());
            return answer.map(|answer| body(&answer, end)).map_err(|why| why.to_string());
        }
    }
    Ok(json!({"status": "success"}))
}

fn load(store: &mut Store, series: &[Loaded]) -> Result<(), String> {
    for Loaded { labels, samples } in series {
        for (at, text) in samples {
            let value = match text.as_str() {
                "stale" => f64::from_bits(STALE_NAN_BITS),
                number => number.parse().map_err(|_| format!("{number:?} is no number"))?,
            };
            let append = store.append(labels, Timestamp::from_millis(*at), value);
            if append != Append::Stored {
                return Err(format!("{labels} at {at}: {append:?}"));
            }
        }
    }
    Ok(())
}

fn body(answer: &Answer, at: i64) -> Json {
    let point = |at: i64, value: f64| json!([at as f64 / 1000.0, number(value)]);
    let (kind, result) = match &answer.value {
        Value::Scalar(value) => ("scalar", point(at, *value)),
        Value::String(text) => ("string", json!([at as f64 / 1000.0, text])),
        Value::Vector(vector) => {
            let samples = vector.iter().map(|s| json!({"metric": s.labels, "value": point(at, s.value)}));
            ("vector", samples.collect())
        }
        Value::Matrix(matrix) => {
            let values = |points: &[(Timestamp, f64)]| points.iter().map(|(t, v)| point(t.millis(), *v)).collect();
            let series = matrix.iter().map(|(labels, points)| {
                let values: Vec<Json> = values(points);
                json!({"metric": labels, "values": values})
            });
            ("matrix", series.collect())
        }
    };
    let mut body = json!({"status": "success", "data": {"resultType": kind, "result": result}});
    for (name, notes) in [("warnings", &answer.warnings), ("infos", &answer.infos)] {
        if !notes.is_empty() {
            body[name] = json!(notes);
        }
    }
    body
}

/// As Prometheus writes numbers.
fn number(value: f64) -> String {
    match value {
        v if v == f64::INFINITY => "+Inf".into(),
        v if v == f64::NEG_INFINITY => "-Inf".into(),
        v => v.to_string(),
    }
}
