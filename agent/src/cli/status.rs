//! `plimsoll status`: asks a running agent how it is.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use super::running::Running;
use super::{Format, block_on, print, visible};

/// Arguments of `status`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    agent: Running,
}

/// Prints the status; exit code 1 when the agent cannot be reached.
pub fn main(args: &Args) -> ExitCode {
    block_on(async {
        let status = args.agent.get("/api/v1/status").await?;
        let alerts = args.agent.get("/api/v1/alerts").await?;
        let rules = args.agent.get("/api/v1/rules?exclude_alerts=true").await?;
        let failing = failing(&rules["data"]["groups"]);
        Ok(match args.agent.format {
            Format::Json => {
                let alerts = &alerts["data"]["alerts"];
                let all = serde_json::json!({"status": status, "alerts": alerts, "failing_rules": failing});
                print(&format!("{all:#}\n"))
            }
            Format::Table => print(&visible(&table(&status, &alerts["data"]["alerts"], &failing), "\n")),
        })
    })
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
    let _ = writeln!(out, "  drift    {}", drift(&status["drift"]));
    if let Some(told) = finetune(&status["finetune"]) {
        let _ = writeln!(out, "  loop     {told}");
    }
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
            "  {:<8} {} since {}{}",
            text(&alert["state"]),
            text(&alert["labels"]["alertname"]),
            text(&alert["activeAt"]),
            alert["annotations"]["summary"].as_str().map(|summary| format!(": {summary}")).unwrap_or_default()
        );
    }
    out
}

fn drift(drift: &Value) -> String {
    if drift["enabled"] != true {
        return "off".into();
    }
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let of = |model: &Value| Some(text(model)).filter(|name| !name.is_empty()).unwrap_or("an unnamed model".into());
    let alarm = |alarm: &Value| format!("{} of {}", text(&alarm["signal"]), of(&alarm["model"]));
    let alarms: Vec<String> = drift["alarms"].as_array().into_iter().flatten().map(alarm).collect();
    let drifted =
        if alarms.is_empty() { "none has drifted".to_owned() } else { format!("DRIFTED: {}", alarms.join(", ")) };
    format!("{} signals, {} learning; {drifted}", drift["signals"], drift["learning"])
}

/// The loop: its mode, who serves, the newest run, and what is in the way; `None` where there is no loop.
fn finetune(told: &Value) -> Option<String> {
    let mode = told["mode"].as_str()?;
    let live = told["live"].as_u64().map_or_else(|| "the base model".to_owned(), |number| format!("v{number}"));
    let run = match &told["run"] {
        Value::Null => "no run yet".to_owned(),
        run => format!("run {}: {}", run["id"], run["stage"].as_str().unwrap_or_default()),
    };
    let mut line = format!("{mode}, {live} serves; {run}");
    let holds: Vec<&str> = told["holds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(why) = told["trouble"].as_str() {
        let _ = write!(line, "; TROUBLE: {why}");
    } else if !holds.is_empty() {
        let _ = write!(line, "; not now: {}", holds.join("; "));
    } else if told["circuit_open"] == true {
        line += "; the circuit is OPEN";
    }
    Some(line)
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
        let alert = json!({"state": "firing", "labels": {"alertname": "Own"}, "activeAt": "then", "annotations": {}});
        let shown = table(&json!({"version": "1", "upstream": "x"}), &json!([alert]), &found);
        let expected = "  FAILING  Broken (g): many-to-many\n  firing   Own since then\n";
        assert!(shown.ends_with(expected), "{shown}");
    }

    #[test]
    fn drift_and_the_loop_are_told_in_a_line_each() {
        let alarms = json!([{"signal": "task_completion", "model": ""}, {"signal": "latency", "model": "base"}]);
        let said = drift(&json!({"enabled": true, "signals": 5, "learning": 1, "alarms": alarms}));
        let expected = "5 signals, 1 learning; DRIFTED: task_completion of an unnamed model, latency of base";
        assert_eq!(said, expected);
        for (told, expected) in [
            (json!(null), None),
            (json!({"mode": "auto", "holds": []}), Some("auto, the base model serves; no run yet")),
            (
                json!({"mode": "propose", "live": 3, "run": {"id": 4, "stage": "refused"}, "holds": ["calm", "too soon"]}),
                Some("propose, v3 serves; run 4: refused; not now: calm; too soon"),
            ),
            (
                json!({"mode": "auto", "run": {"id": 1, "stage": "training"}, "holds": ["calm"], "trouble": "no disk"}),
                Some("auto, the base model serves; run 1: training; TROUBLE: no disk"),
            ),
            (
                json!({"mode": "off", "circuit_open": true}),
                Some("off, the base model serves; no run yet; the circuit is OPEN"),
            ),
        ] {
            assert_eq!(finetune(&told).as_deref(), expected, "{told}");
        }
    }
}
