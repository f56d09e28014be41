//! `plimsoll outbox`: what a running agent could not deliver, and another try.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

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

/// Where the agent is.
#[derive(Clone, Debug, clap::Args)]
struct Agent {
    /// The agent's API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9465")]
    api: String,
    /// File that holds a token: a viewer's to list, an admin's to retry.
    #[arg(long, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Debug, clap::Args)]
struct List {
    #[command(flatten)]
    agent: Agent,
    /// Only of this receiver.
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
struct Retry {
    #[command(flatten)]
    agent: Agent,
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
                let mut url = reqwest::Url::parse(&address(&list.agent, "/api/v1/outbox")).context("--api")?;
                if let Some(sink) = &list.sink {
                    url.query_pairs_mut().append_pair("sink", sink);
                }
                let answer = ask(&list.agent, client()?.get(url)).await?;
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
                let request = client()?.post(address(&retry.agent, "/api/v1/outbox/retry")).json(&wanted);
                let answer = ask(&retry.agent, request).await?;
                match retry.agent.format {
                    Format::Json => print(&format!("{:#}\n", answer["data"])),
                    Format::Table => print(&format!("{} alerts are tried again\n", answer["data"]["retried"])),
                }
            }
        })
    })
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().timeout(Duration::from_secs(10)).build()
}

fn address(agent: &Agent, path: &str) -> String {
    format!("{}{path}", agent.api.trim_end_matches('/'))
}

async fn ask(agent: &Agent, mut request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    if let Some(file) = &agent.token_file {
        let token = std::fs::read_to_string(file).with_context(|| format!("token file {}", file.display()))?;
        request = request.bearer_auth(token.trim());
    }
    let response = request.send().await.with_context(|| format!("no agent answers at {}", agent.api))?;
    let (status, body) = (response.status(), response.text().await?);
    anyhow::ensure!(status.is_success(), "{} answered {status}: {}", agent.api, body.trim());
    serde_json::from_str(&body).with_context(|| format!("{} is no plimsoll agent: it answered without JSON", agent.api))
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
