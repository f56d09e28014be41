//! `plimsoll promql --stdio`: PromQL over standard input and output, one JSON object a line, for conformance judges and
//! programs that want our answers without an agent.

use std::io::{BufRead as _, Read as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use plimsoll_rules::promql::{EvalOptions, parse, query, query_range};
use plimsoll_rules::{Append, Labels, STALE_NAN_BITS, Store, StoreLimits, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::complain;
use crate::http::query::body;

/// Longest line that is read: 64 MiB of samples are some millions.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// Arguments of `promql`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Read one request a line from standard input, answer one line each on standard output.
    #[arg(long, required = true)]
    stdio: bool,
}

/// Shown below `--help`.
pub const HELP: &str = r#"Example:
  printf '%s\n' '{"op":"load","series":[{"labels":{"__name__":"x"},"samples":[[0,"1.5"],[5000,"stale"]]}]}' \
    '{"op":"query","q":"sum(x)","time":1000}' | plimsoll promql --stdio

Requests (times in milliseconds, samples as text: a number, "NaN", "+Inf" or "stale"):
  {"op":"clear"}
  {"op":"load","series":[{"labels":{..},"samples":[[ms,"1.5"],..]}]}
  {"op":"query","q":"..","time":ms}
  {"op":"query_range","q":"..","start":ms,"end":ms,"step":ms}
Queries are answered with the body of Prometheus' /api/v1/query and /api/v1/query_range."#;

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

/// Answers until standard input ends.
pub fn main(_args: &Args) -> ExitCode {
    match converse(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // a reader that has gone away has seen what it wanted
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("plimsoll promql: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn converse(mut input: impl std::io::BufRead, mut output: impl Write) -> std::io::Result<()> {
    let (mut store, mut line) = (empty(), Vec::new());
    loop {
        line.clear();
        if input.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 > LONGEST_LINE {
            return Err(std::io::Error::other(format!("a line of more than {LONGEST_LINE} bytes")));
        }
        let reply = answer(&mut store, &line);
        let reply = reply.unwrap_or_else(|why| json!({"status": "error", "error": why}).to_string());
        writeln!(output, "{reply}")?;
        output.flush()?;
    }
}

fn answer(store: &mut Store, line: &[u8]) -> Result<String, String> {
    let millis = Timestamp::from_millis;
    match serde_json::from_slice(line).map_err(|why| why.to_string())? {
        Request::Clear => *store = empty(),
        Request::Load { series } => load(store, &series)?,
        Request::Query { q, time } => {
            let expr = parse(&q).map_err(|why| why.to_string())?;
            let answer = query(&expr, store, millis(time), &EvalOptions::default());
            return answer.map(|answer| body(answer, millis(time))).map_err(|why| why.to_string());
        }
        Request::QueryRange { q, start, end, step } => {
            let expr = parse(&q).map_err(|why| why.to_string())?;
            let (range, step) = ((millis(start), millis(end)), Duration::from_millis(step));
            let answer = query_range(&expr, store, range, step, &EvalOptions::default());
            return answer.map(|answer| body(answer, millis(end))).map_err(|why| why.to_string());
        }
    }
    Ok(json!({"status": "success"}).to_string())
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

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    #[test]
    fn a_conversation_answers_line_for_line() {
        let said = concat!(
            r#"{"op":"load","series":[{"labels":{"__name__":"x","a":"b"},"samples":[[0,"1.5"],[5000,"+Inf"],[9000,"stale"]]}]}"#,
            "\n",
            r#"{"op":"query","q":"x","time":1000}"#,
            "\n",
            r#"{"op":"query_range","q":"-x","start":0,"end":10000,"step":5000}"#,
            "\n",
            r#"{"op":"query","q":"sum(x","time":1000}"#,
            "\nnonsense\n",
            r#"{"op":"clear"}"#,
            "\n",
            r#"{"op":"query","q":"x","time":1000}"#,
        );
        let mut heard = Vec::new();
        converse(said.as_bytes(), &mut heard).unwrap();
        let heard: Vec<Json> = heard.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect();
        let data = |answer: &Json| answer["data"]["result"].to_string();
        assert_eq!(heard.len(), 7);
        assert_eq!(heard[0], json!({"status": "success"}));
        assert_eq!(data(&heard[1]), r#"[{"metric":{"__name__":"x","a":"b"},"value":[1,"1.5"]}]"#);
        assert_eq!(data(&heard[2]), r#"[{"metric":{"a":"b"},"values":[[0,"-1.5"],[5,"-Inf"]]}]"#);
        for (refused, part) in [(&heard[3], "1:6"), (&heard[4], "line 1")] {
            assert_eq!(refused["status"], "error");
            assert!(refused["error"].as_str().is_some_and(|why| why.contains(part)), "{refused}");
        }
        assert_eq!(data(&heard[6]), "[]", "cleared");
    }
}
