//! `plimsoll versions`: the versions of the served model in a running agent, and the runs that made them.

use std::fmt::Write as _;
use std::process::ExitCode;

use plimsoll_rules::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::running::Running;
use super::{Format, block_on, print, visible};

/// Shown below `--help`.
pub(super) const HELP: &str = "Examples:
  plimsoll versions list
  plimsoll versions show 3
  plimsoll versions promote 2 --dry-run
  plimsoll versions rollback --token-file /etc/plimsoll/admin
  plimsoll versions runs
  plimsoll versions train --since 2026-11-30T08:00:00Z

A version is its number, or base for the model without an adapter. promote and rollback serve a version without an experiment.
See docs/versions.md";

/// Arguments of `versions`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// List the versions that are kept, and which one serves.
    List(Asked),
    /// Show all that is known of a version.
    Show(One),
    /// Serve a version from now on.
    Promote(Act),
    /// Serve what was served before.
    Rollback(Plain),
    /// Keep a version whatever comes.
    Pin(One),
    /// Let a version go when newer ones come.
    Unpin(One),
    /// List the runs, and what is in the way of the next one.
    Runs(Asked),
    /// Begin a run now, whatever the trigger says.
    Train(Train),
    /// Let a proposed run begin.
    Approve(Run),
    /// End a run.
    Cancel(Run),
    /// Let runs begin again after two gates in a row have refused.
    CloseCircuit(Plain),
}

#[derive(Clone, Debug, clap::Args)]
struct Asked {
    #[command(flatten)]
    agent: Running,
}

#[derive(Clone, Debug, clap::Args)]
struct Plain {
    #[command(flatten)]
    agent: Running,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct One {
    #[command(flatten)]
    agent: Running,
    /// Its number.
    version: String,
}

#[derive(Clone, Debug, clap::Args)]
struct Act {
    #[command(flatten)]
    agent: Running,
    /// Its number, or base.
    version: String,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct Train {
    #[command(flatten)]
    agent: Running,
    /// Examples that began at this moment or later are new, RFC 3339; since the last promotion when absent.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Say what is in the way of a run, and begin none.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct Run {
    #[command(flatten)]
    agent: Running,
    /// Its number.
    run: u32,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_rfc3339(text).ok_or_else(|| format!("{text:?} is no time; write one such as 2026-11-30T08:00:00Z"))
}

/// Asks or tells the agent; exit code 1 when it does not answer or refuses.
pub fn main(args: &Args) -> ExitCode {
    block_on(run(args.what.clone()))
}

async fn run(what: What) -> anyhow::Result<ExitCode> {
    match what {
        What::List(one) => list(&one.agent).await,
        What::Show(one) => {
            let found = one.agent.get(&format!("/api/v1/versions/{}", one.version)).await?;
            Ok(print(&format!("{:#}\n", found["data"])))
        }
        What::Promote(one) => {
            let path = format!("/api/v1/versions/{}/promote", one.version);
            act(&one.agent, &path, one.dry_run, None).await
        }
        What::Rollback(one) => act(&one.agent, "/api/v1/versions/live/rollback", one.dry_run, None).await,
        What::Pin(one) => act(&one.agent, &format!("/api/v1/versions/{}/pin", one.version), false, None).await,
        What::Unpin(one) => act(&one.agent, &format!("/api/v1/versions/{}/unpin", one.version), false, None).await,
        What::Runs(one) => runs(&one.agent).await,
        What::Train(one) => {
            let body = one.since.map(|since| json!({"since": since.millis() as f64 / 1000.0}));
            act(&one.agent, "/api/v1/finetunes", one.dry_run, body).await
        }
        What::Approve(one) => act(&one.agent, &format!("/api/v1/finetunes/{}/approve", one.run), false, None).await,
        What::Cancel(one) => act(&one.agent, &format!("/api/v1/finetunes/{}/cancel", one.run), false, None).await,
        What::CloseCircuit(one) => act(&one.agent, "/api/v1/finetunes/circuit/close", one.dry_run, None).await,
    }
}

async fn act(agent: &Running, path: &str, dry_run: bool, body: Option<Value>) -> anyhow::Result<ExitCode> {
    if dry_run {
        let standing = agent.get("/api/v1/versions").await?;
        let runs = agent.get("/api/v1/finetunes").await?;
        let told = json!({
            "would": format!("POST {path}"), "live": standing["data"]["live"], "holds": runs["data"]["holds"],
            "open_run": runs["data"]["runs"].as_array().and_then(|all| all.iter().rev().find(|run| is_open(run))),
        });
        return Ok(print(&format!("{told:#}\n")));
    }
    let answer = agent.ask(Method::POST, path, |request| match body {
        Some(body) => request.json(&body),
        None => request,
    });
    let answer = answer.await?;
    Ok(print(&match agent.format {
        Format::Json => format!("{answer:#}\n"),
        Format::Table => "done; plimsoll versions list and runs show what follows\n".to_owned(),
    }))
}

fn is_open(run: &Value) -> bool {
    ["proposed", "curating", "training", "gating", "loading", "mirroring", "trying"].iter().any(|stage| run["stage"] == *stage)
}

async fn list(agent: &Running) -> anyhow::Result<ExitCode> {
    let found = agent.get("/api/v1/versions").await?;
    let data = &found["data"];
    if agent.format == Format::Json {
        return Ok(print(&format!("{data:#}\n")));
    }
    let mut out = format!("{:<14}{:<13}{:<8}{:<22}{}\n", "VERSION", "STATUS", "RUN", "MADE", "WHY");
    for version in data["versions"].as_array().into_iter().flatten() {
        let pinned = if version["pinned"] == true { " (pinned)" } else { "" };
        let _ = writeln!(
            out,
            "{:<14}{:<13}{:<8}{:<22}{}{pinned}",
            text(version, "name"),
            text(version, "status"),
            version["run"],
            time(&version["made_ms"]),
            visible(&why(version), "")
        );
    }
    if data["live"].is_null() {
        out.push_str("the base model serves\n");
    }
    Ok(print(&out))
}

/// What was decided about it, or what the gate said.
fn why(version: &Value) -> String {
    if let Some(decision) = version["decision"].as_str() {
        return decision.to_owned();
    }
    let [now, then] =
        ["0", "1"].map(|at| version.pointer(&format!("/gate/failures_loss/{at}")).and_then(Value::as_f64));
    match (now, then) {
        (Some(now), Some(then)) => format!("loss on failures {now:.3} -> {then:.3} nats a token"),
        _ => String::new(),
    }
}

async fn runs(agent: &Running) -> anyhow::Result<ExitCode> {
    let found = agent.get("/api/v1/finetunes").await?;
    let data = &found["data"];
    if agent.format == Format::Json {
        return Ok(print(&format!("{data:#}\n")));
    }
    let mut out = format!("{:<6}{:<13}{:<22}{:<28}{}\n", "RUN", "STAGE", "SINCE", "REASON", "WHY");
    for run in data["runs"].as_array().into_iter().flatten() {
        let stages = run["stages"].as_array();
        let since = stages.and_then(|all| all.last()).map(|last| time(&last["at_ms"])).unwrap_or_default();
        let reason = run["reason"]["alert"].as_str().unwrap_or("by hand");
        let _ = writeln!(
            out,
            "{:<6}{:<13}{since:<22}{:<28}{}",
            run["id"],
            text(run, "stage"),
            visible(reason, ""),
            visible(text(run, "why"), "")
        );
    }
    for hold in data["holds"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "in the way of a run: {}", visible(hold.as_str().unwrap_or_default(), ""));
    }
    if let Some(trouble) = data["trouble"].as_str() {
        let _ = writeln!(out, "it does not go on: {}", visible(trouble, ""));
    }
    Ok(print(&out))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn time(millis: &Value) -> String {
    Timestamp::from_millis(millis.as_i64().unwrap_or(0)).rfc3339()
}
