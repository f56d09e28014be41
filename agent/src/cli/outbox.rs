//! `plimsoll outbox`: what a running agent could not deliver, and another try.

use std::fmt::Write as _;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::running::Running;
use super::{Format, block_on, print};

/// Arguments of `outbox`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// List what waits, what is parked because its receiver does not want us, and what was given up.
    #[command(after_help = "Example:\n  plimsoll outbox list\n  plimsoll outbox list --sink ops --format json")]
    List(List),
    /// Try again what was given up or is parked.
    #[command(after_help = "Example:\n  plimsoll outbox retry\n  plimsoll outbox retry --sink ops --id msg_0a1b2c")]
    Retry(Retry),
}

#[derive(Clone, Debug, clap::Args)]
struct List {
    #[command(flatten)]
    agent: Running,
    /// Only of this receiver.
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
struct Retry {
    #[command(flatten)]
    agent: Running,
    /// Only of this receiver.
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// Only this message.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

/// Lists or retries; exit code 1 when the agent cannot be reached or refuses.
pub fn main(args: &Args) -> ExitCode {
    block_on(async {
        Ok(match &args.what {
            What::List(list) => {
                let answer = list.agent.get(&path(list.sink.as_deref())).await?;
                let entries = &answer["data"]["outbox"];
                match list.agent.format {
                    Format::Json => print(&format!("{entries:#}\n")),
                    Format::Table => print(&table(entries.as_array().map_or(&[], Vec::as_slice))),
                }
            }
            What::Retry(retry) => {
                let mut wanted = serde_json::Map::new();
                for (key, value) in [("sink", &retry.sink), ("id", &retry.id)] {
                    if let Some(value) = value {
                        wanted.insert(key.into(), json!(value));
                    }
                }
                let path = "/api/v1/outbox/retry";
                let answer = retry.agent.ask(Method::POST, path, |request| request.json(&wanted)).await?;
                if let Some(id) = retry.id.as_deref().filter(|_| answer["data"]["retried"] == 0) {
                    anyhow::bail!("{}", not_there(id, retry.sink.as_deref()));
                }
                match retry.agent.format {
                    Format::Json => print(&format!("{:#}\n", answer["data"])),
                    Format::Table => print(&format!("{} alerts are tried again\n", answer["data"]["retried"])),
                }
            }
        })
    })
}

fn not_there(id: &str, sink: Option<&str>) -> String {
    let of = sink.map_or_else(String::new, |sink| format!(" of receiver {sink:?}"));
    format!("no message {id:?}{of} is parked or was given up; plimsoll outbox list shows those that are")
}

fn path(sink: Option<&str>) -> String {
    let mut path = "/api/v1/outbox".to_owned();
    if let Some(sink) = sink {
        let wanted = form_urlencoded::Serializer::new(String::new()).append_pair("sink", sink).finish();
        path = format!("{path}?{wanted}");
    }
    path
}

fn table(entries: &[Value]) -> String {
    if entries.is_empty() {
        return "nothing waits, nothing was given up\n".into();
    }
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let header = ["SINK", "STANDING", "STATUS", "ALERT", "SINCE", "TRIES", "NEXT TRY", "ID", "LAST ERROR"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(entries.iter().map(|entry| {
        [
            text(&entry["sink"]),
            text(&entry["standing"]),
            text(&entry["status"]),
            text(&entry["labels"]["alertname"]),
            text(&entry["queuedAt"]),
            entry["attempts"].to_string(),
            text(&entry["nextAttemptAt"]),
            text(&entry["id"]),
            text(&entry["lastError"]),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
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
    use super::*;

    #[test]
    fn a_message_that_is_not_there_is_named() {
        let said = not_there("msg_1", Some("hook"));
        assert_eq!(
            said,
            "no message \"msg_1\" of receiver \"hook\" is parked or was given up; plimsoll outbox list shows those that are"
        );
    }

    #[test]
    fn the_table_has_a_row_an_alert() {
        let entry = json!({
            "sink": "ops", "standing": "dead", "id": "msg_1", "status": "firing", "labels": {"alertname": "Hot"},
            "queuedAt": "2026-08-04T10:00:00.000Z", "attempts": 0, "nextAttemptAt": null, "lastError": "HTTP 400: no",
        });
        assert_eq!(
            table(&[entry]),
            "SINK  STANDING  STATUS  ALERT  SINCE                     TRIES  NEXT TRY  ID     LAST ERROR\n\
             ops   dead      firing  Hot    2026-08-04T10:00:00.000Z  0      -         msg_1  HTTP 400: no\n"
        );
        assert_eq!(table(&[]), "nothing waits, nothing was given up\n");
    }
}
