//! `plimsoll baselines`: what a running agent holds for usual, and what an operator may do about it.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::running::Running;
use super::{Format, block_on, print, visible};
use crate::http::drift::{CLIENT, USER};

/// Arguments of `baselines`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// List every watched signal: where it stands and which baseline is in force.
    #[command(after_help = "Example:\n  plimsoll baselines list\n  plimsoll baselines list --format json")]
    List(List),
    /// Show every version of a signal's baseline.
    #[command(after_help = "Example:\n  plimsoll baselines show --signal input_tokens")]
    Show(One),
    /// Keep the baseline in force, or the one given, until it is unpinned.
    #[command(after_help = "Example:\n  plimsoll baselines pin --signal latency --id 1")]
    Pin(Maybe),
    /// Let the baseline be replaced again.
    #[command(after_help = "Example:\n  plimsoll baselines unpin --signal latency")]
    Unpin(One),
    /// Make what has been seen since the change the new baseline: the alarm falls.
    #[command(after_help = "Example:\n  plimsoll baselines accept --signal embedding --model llama-3.1-8b")]
    Accept(One),
    /// Put an earlier baseline in force again.
    #[command(after_help = "Example:\n  plimsoll baselines rollback --signal latency --id 1")]
    Rollback(Version),
    /// Say how far two baselines lie apart.
    #[command(after_help = "Example:\n  plimsoll baselines compare --signal input_tokens --a 1 --b 2")]
    Compare(Pair),
    /// List what was done to baselines: learned, accepted, pinned, rolled back; when, by whom, through which door.
    #[command(after_help = "Example:\n  plimsoll baselines log --limit 20")]
    Log(Log),
}

#[derive(Clone, Debug, clap::Args)]
struct Log {
    #[command(flatten)]
    agent: Running,
    /// So many of the newest acts; the agent keeps 10 000.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
}

#[derive(Clone, Debug, clap::Args)]
struct List {
    #[command(flatten)]
    agent: Running,
}

#[derive(Clone, Debug, clap::Args)]
struct One {
    #[command(flatten)]
    agent: Running,
    /// Which signal, such as input_tokens, latency or embedding.
    #[arg(long, value_name = "NAME")]
    signal: String,
    /// Which model; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Which variant; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
struct Maybe {
    #[command(flatten)]
    one: One,
    /// Which baseline; the one in force when left out.
    #[arg(long, value_name = "NUMBER")]
    id: Option<u64>,
}

#[derive(Clone, Debug, clap::Args)]
struct Version {
    #[command(flatten)]
    one: One,
    /// Which baseline.
    #[arg(long, value_name = "NUMBER")]
    id: u64,
}

#[derive(Clone, Debug, clap::Args)]
struct Pair {
    #[command(flatten)]
    one: One,
    /// The older baseline.
    #[arg(long, value_name = "NUMBER")]
    a: u64,
    /// The newer baseline.
    #[arg(long, value_name = "NUMBER")]
    b: u64,
}

/// Asks the agent; exit code 1 when it cannot be reached or refuses.
pub fn main(args: &Args) -> ExitCode {
    block_on(async {
        Ok(match &args.what {
            What::List(list) => {
                let answer = list.agent.get("/api/v1/drift").await?;
                let signals = &answer["data"]["signals"];
                shown(list.agent.format, signals, |signals| table(&HEADER, rows(signals)))
            }
            What::Show(one) => {
                let answer = one.ask(Method::GET, "baselines", &[]).await?;
                shown(one.agent.format, &answer["data"], |data| table(&VERSIONS, versions(&data["baselines"])))
            }
            What::Compare(Pair { one, a, b }) => {
                let answer = one.ask(Method::GET, "compare", &[("a", *a), ("b", *b)]).await?;
                shown(one.agent.format, &answer["data"], difference)
            }
            What::Log(Log { agent, limit }) => {
                let answer = agent.get(&format!("/api/v1/drift/log?limit={limit}")).await?;
                shown(agent.format, &answer["data"]["acts"], |acts| table(&ACTS, done(acts)))
            }
            What::Accept(one) => act(one, "accept", None).await?,
            What::Unpin(one) => act(one, "unpin", None).await?,
            What::Pin(Maybe { one, id }) => act(one, "pin", *id).await?,
            What::Rollback(Version { one, id }) => act(one, "rollback", Some(*id)).await?,
        })
    })
}

async fn act(one: &One, act: &str, id: Option<u64>) -> anyhow::Result<ExitCode> {
    let id = id.map(|id| ("id", id));
    let answer = one.ask(Method::POST, act, id.as_slice()).await?;
    Ok(shown(one.agent.format, &answer["data"], |data| {
        let kept = if data["durable"] == true { "" } else { " (NOT saved: the disk refuses)" };
        let (model, learned) = (text(&data["model"]), learned(&data["learned"]));
        format!("{} of {model}: baseline {} is in force{learned}{kept}\n", one.signal, data["baseline"])
    }))
}

/// From how much a baseline was learned, and how old that is.
fn learned(learned: &Value) -> String {
    match (learned["observations"].as_u64(), learned["age_seconds"].as_f64()) {
        (Some(count), Some(age)) => {
            let unit = if count == 1 { "observation" } else { "observations" };
            let age = Duration::from_secs(age.max(0.0) as u64);
            format!(", learned from {count} {unit}, the newest {age:?} old")
        }
        _ => String::new(),
    }
}

fn shown(format: Format, data: &Value, table: impl Fn(&Value) -> String) -> ExitCode {
    match format {
        Format::Json => print(&visible(&format!("{data:#}\n"), "\n")),
        Format::Table => print(&table(data)),
    }
}

impl One {
    async fn ask(&self, method: Method, what: &str, numbers: &[(&str, u64)]) -> anyhow::Result<Value> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("model", &self.model), ("variant", &self.variant)] {
            query.extend_pairs(value.as_ref().map(|value| (name, value)));
        }
        query.extend_pairs(numbers.iter().map(|(name, value)| (name, value.to_string())));
        let signal: String = form_urlencoded::byte_serialize(self.signal.as_bytes()).collect();
        let path = format!("/api/v1/drift/{signal}/{what}?{}", query.finish());
        let user: String = user().chars().filter(char::is_ascii_graphic).collect();
        self.agent.ask(method, &path, |request| request.header(CLIENT, "cli").header(USER, user)).await
    }
}

/// Who runs the verb, for the log of acts.
#[expect(clippy::disallowed_methods, reason = "the user's name is no configuration")]
fn user() -> String {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default()
}

const HEADER: [&str; 8] = ["SIGNAL", "MODEL", "VARIANT", "STATE", "SCORE", "BASELINE", "LEARNED FROM", "SINCE"];

fn rows(signals: &Value) -> Vec<[String; 8]> {
    let row = |signal: &Value| {
        [
            text(&signal["signal"]),
            text(&signal["model"]),
            text(&signal["variant"]),
            text(&signal["state"]),
            signal["score"].as_f64().map_or_else(|| "-".into(), |score| format!("{score:.2}")),
            text(&signal["baseline"]),
            text(&signal["reference_observations"]),
            text(&signal["since"]),
        ]
    };
    signals.as_array().into_iter().flatten().map(row).collect()
}

const ACTS: [&str; 8] = ["AT", "SIGNAL", "MODEL", "VARIANT", "ACT", "BASELINE", "DOOR", "WHO"];

fn done(acts: &Value) -> Vec<[String; 8]> {
    let row = |act: &Value| {
        ["at", "signal", "model", "variant", "act", "baseline", "door", "who"].map(|column| text(&act[column]))
    };
    acts.as_array().into_iter().flatten().map(row).collect()
}

const VERSIONS: [&str; 6] = ["ID", "STATE", "KIND", "OBSERVATIONS", "FROM", "UNTIL"];

fn versions(baselines: &Value) -> Vec<[String; 6]> {
    let row = |baseline: &Value| {
        let state = match (&baseline["current"], &baseline["pinned"]) {
            (Value::Bool(true), Value::Bool(true)) => "in force, pinned",
            (Value::Bool(true), _) => "in force",
            _ => "kept",
        };
        [
            text(&baseline["id"]),
            state.into(),
            text(&baseline["kind"]),
            text(&baseline["observations"]),
            text(&baseline["from"]),
            text(&baseline["until"]),
        ]
    };
    baselines.as_array().into_iter().flatten().map(row).collect()
}

/// One figure a line, by its path.
fn difference(data: &Value) -> String {
    let mut out = format!("baseline {} -> {}\n", data["comparison"]["a"], data["comparison"]["b"]);
    figures(&mut out, "", &data["comparison"]["difference"]);
    out
}

fn figures(out: &mut String, path: &str, value: &Value) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| figures(out, &format!("{path} {key}"), value)),
        Value::Array(list) => list.iter().for_each(|value| figures(out, path, value)),
        Value::Null => {}
        _ => drop(writeln!(out, " {path}: {}", text(value))),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => visible(text, "").into_owned(),
        other => other.to_string(),
    }
}

fn table<const N: usize>(header: &[&str; N], body: Vec<[String; N]>) -> String {
    if body.is_empty() {
        return "nothing has been observed yet\n".into();
    }
    let rows: Vec<[String; N]> = std::iter::once(header.map(str::to_owned)).chain(body).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_have_a_row_a_signal_and_a_row_a_version() {
        let signals = json!([
            {"signal": "latency", "model": "m", "variant": "", "state": "learning", "reference_observations": 12},
            {"signal": "input_tokens", "model": "m", "variant": "b", "state": "alarm", "score": 0.25, "baseline": 2,
             "reference_observations": 300, "since": "2026-08-04T10:00:00.000Z"},
        ]);
        assert_eq!(
            table(&HEADER, rows(&signals)),
            "SIGNAL        MODEL  VARIANT  STATE     SCORE  BASELINE  LEARNED FROM  SINCE\n\
             latency       m      -        learning  -      -         12            -\n\
             input_tokens  m      b        alarm     0.25   2         300           2026-08-04T10:00:00.000Z\n"
        );
        let baselines = json!([{"id": 1, "current": true, "pinned": true, "kind": "first", "observations": 300,
            "from": "a", "until": "b"}]);
        assert_eq!(
            table(&VERSIONS, versions(&baselines)),
            "ID  STATE             KIND   OBSERVATIONS  FROM  UNTIL\n1   in force, pinned  first  300           a     b\n"
        );
        let from = json!({"observations": 150, "age_seconds": 3.7});
        assert_eq!(learned(&from), ", learned from 150 observations, the newest 3s old");
        let sly = json!([{"signal": "latency", "model": "a\u{1b}[2J\u{9b}b\u{202e}c"}]);
        let shown = table(&HEADER, rows(&sly));
        assert!(shown.contains("a\\u{1b}[2J\\u{9b}b\\u{202e}c") && !shown.contains('\u{1b}'), "{shown}");
        assert_eq!(table(&HEADER, Vec::new()), "nothing has been observed yet\n");
        let data = json!({"comparison": {"a": 1, "b": 2, "difference": {"psi": 0.5, "before": {"p50": 3.0}}}});
        assert_eq!(difference(&data), "baseline 1 -> 2\n  psi: 0.5\n  before p50: 3.0\n");
    }
}
