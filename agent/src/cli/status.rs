//! `plimsoll status`: asks a running agent how it is.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::{Format, block_on, print};

/// Arguments of `status`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The agent's API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9465")]
    api: String,
    /// File that holds a viewer's or admin's token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints the status; exit code 1 when the agent cannot be reached.
pub fn main(args: &Args) -> ExitCode {
    block_on(async {
        let status = fetch(args, "/api/v1/status").await?;
        let alerts = fetch(args, "/api/v1/alerts").await?;
        let rules = fetch(args, "/api/v1/rules?exclude_alerts=true").await?;
        let failing = failing(&rules["data"]["groups"]);
        Ok(match args.format {
            Format::Json => {
                let alerts = &alerts["data"]["alerts"];
                let all = serde_json::json!({"status": status, "alerts": alerts, "failing_rules": failing});
                print(&format!("{all:#}\n"))
            }
            Format::Table => print(&table(&status, &alerts["data"]["alerts"], &failing)),
        })
    })
}

async fn fetch(args: &Args, path: &str) -> anyhow::Result<Value> {
    let url = format!("{}{path}", args.api.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let mut request = client.get(&url);
    if let Some(file) = &args.token_file {
        let token = std::fs::read_to_string(file).with_context(|| format!("token file {}", file.display()))?;
        request = request.bearer_auth(token.trim());
    }
    let response = request.send().await.with_context(|| format!("no agent answers at {url}"))?;
    let (status, body) = (response.status(), response.text().await?);
    anyhow::ensure!(status.is_success(), "{url} answered {status}: {}", body.trim());
    serde_json::from_str(&body).with_context(|| format!("{url} did not answer with JSON; is it a plimsoll agent?"))
}

/// Rules whose last evaluation failed, each with its group and why.
fn failing(groups: &Value) -> Vec<Value> {
    let mut failing = Vec::new();
    for group in groups.as_array().into_iter().flatten() {
        for rule in group["rules"].as_array().into_iter().flatten().filter(|rule| rule["health"] == "err") {
            failing.push(serde_json::json!({"group": group["name"], "rule": rule["name"], "why": rule["lastError"]}));
        }
    }
    failing
}

fn table(status: &Value, alerts: &Value, failing: &[Value]) -> String {
    let mut out = String::new();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let _ = writeln!(
        out,
        "plimsoll {} up {:.0} s, watching {}",
        text(&status["version"]),
        status["uptime_seconds"].as_f64().unwrap_or(0.0),
        text(&status["upstream"])
    );
    for (name, source) in status["sources"].as_object().into_iter().flatten() {
        let state = if source["up"] == true { "up".to_owned() } else { format!("DOWN: {}", text(&source["why"])) };
        let _ = writeln!(out, "  source   {name:<12} {state}");
    }
    for receiver in status["receivers"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "  receiver {:<12} {} sent, {} waiting, {} given up",
            text(&receiver["name"]),
            receiver["sent"],
            receiver["pending"],
            receiver["dead_letters"]
        );
    }
    let _ = writeln!(
        out,
        "  store    {} series, {} samples, {} bytes",
        status["store"]["series"], status["store"]["samples"], status["store"]["bytes"]
    );
    let _ = writeln!(
        out,
        "  rules    {} groups, {} failing; {} alerts firing, {} pending",
        status["rule_groups"], status["rule_failures"], status["alerts"]["firing"], status["alerts"]["pending"]
    );
    for rule in failing {
        let _ = writeln!(out, "  FAILING  {} ({}): {}", text(&rule["rule"]), text(&rule["group"]), text(&rule["why"]));
    }
    for alert in alerts.as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "  {:<8} {} since {}: {}",
            text(&alert["state"]),
            text(&alert["labels"]["alertname"]),
            text(&alert["activeAt"]),
            text(&alert["annotations"]["summary"])
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failing_rules_are_named() {
        let rules = json!([
            {"name": "g", "rules": [
                {"name": "Fine", "health": "ok"},
                {"name": "Broken", "health": "err", "lastError": "many-to-many"},
            ]},
            {"name": "h", "rules": [{"name": "New", "health": "unknown"}]},
        ]);
        let found = failing(&rules);
        assert_eq!(found, [json!({"group": "g", "rule": "Broken", "why": "many-to-many"})]);
        let shown = table(&json!({"version": "1", "upstream": "x"}), &json!([]), &found);
        assert!(shown.ends_with("  FAILING  Broken (g): many-to-many\n"), "{shown}");
    }
}
