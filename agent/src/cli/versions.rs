//! `plimsoll versions`: the versions of the served model in a running agent, and the runs that made them.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use plimsoll_rules::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::backtest::aligned;
use super::running::Running;
use super::{Format, block_on, print, visible};
use crate::retrain::{name_of, number_of};

/// Shown below `--help`.
pub(super) const HELP: &str = "Examples:
  plimsoll versions list
  plimsoll versions show 3
  plimsoll versions promote 2 --dry-run
  plimsoll versions rollback --token-file /etc/plimsoll/admin
  plimsoll versions runs
  plimsoll versions train --since 2026-11-30T08:00:00Z

A version is its number, or base for the model without an adapter. promote and rollback serve a version without an experiment, and
wait until it serves: exit code 1 when the engine does not load it.
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
    /// Serve what was served before; while a promotion is being loaded, take it back.
    Rollback(Back),
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
    /// Say whether it would be done, and do nothing.
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
    /// Even one that the gate refused or that was rolled back.
    #[arg(long)]
    force: bool,
    /// Say whether it would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Seconds to wait until it serves; 0 does not wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
}

#[derive(Clone, Debug, clap::Args)]
struct Back {
    #[command(flatten)]
    agent: Running,
    /// Say whether it would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Seconds to wait until it serves; 0 does not wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
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
        What::Promote(one) => promote(&one).await,
        What::Rollback(one) => roll_back(&one).await,
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

async fn promote(one: &Act) -> anyhow::Result<ExitCode> {
    let number = number_of(&one.version).map_err(anyhow::Error::msg)?;
    let path = format!("/api/v1/versions/{}/promote?force={}&dry_run={}", one.version, one.force, one.dry_run);
    let answer = one.agent.ask(Method::POST, &path, |request| request).await?;
    if one.dry_run || one.wait == 0 {
        return Ok(granted(&one.agent, &answer, one.dry_run));
    }
    let serves = serves(&one.agent, one.wait).await?;
    if serves != number {
        bail!("version {} does not serve, {} does: somebody took it back", one.version, name(serves));
    }
    Ok(now_serves(&one.agent, serves))
}

async fn roll_back(one: &Back) -> anyhow::Result<ExitCode> {
    let path = format!("/api/v1/versions/live/rollback?dry_run={}", one.dry_run);
    let answer = one.agent.ask(Method::POST, &path, |request| request).await?;
    if one.dry_run || one.wait == 0 {
        return Ok(granted(&one.agent, &answer, one.dry_run));
    }
    Ok(now_serves(&one.agent, serves(&one.agent, one.wait).await?))
}

async fn act(agent: &Running, path: &str, dry_run: bool, body: Option<Value>) -> anyhow::Result<ExitCode> {
    let path = format!("{path}?dry_run={dry_run}");
    let answer = agent.ask(Method::POST, &path, |request| match body {
        Some(body) => request.json(&body),
        None => request,
    });
    Ok(granted(agent, &answer.await?, dry_run))
}

fn granted(agent: &Running, answer: &Value, dry_run: bool) -> ExitCode {
    print(&match agent.format {
        Format::Json => format!("{answer:#}\n"),
        Format::Table if dry_run => "nothing is in the way of it; nothing was done\n".to_owned(),
        Format::Table => "accepted; plimsoll versions list and runs show what follows\n".to_owned(),
    })
}

fn now_serves(agent: &Running, number: u32) -> ExitCode {
    let name = name(number);
    print(&match agent.format {
        Format::Json => format!("{:#}\n", json!({"status": "success", "serves": name})),
        Format::Table => format!("{name} serves\n"),
    })
}

fn name(number: u32) -> String {
    if number == 0 { "base".to_owned() } else { name_of(number) }
}

/// Waits until what was wanted serves, and says what does; 0 is the base model.
async fn serves(agent: &Running, seconds: u64) -> anyhow::Result<u32> {
    let begun = Instant::now();
    loop {
        let data = agent.get("/api/v1/versions").await?["data"].take();
        let Some(wanted) = data["wanted"]["version"].as_u64() else {
            return Ok(u32::try_from(data["live"].as_u64().unwrap_or(0))?);
        };
        if let Some(why) = data["wanted"]["failed"].as_str() {
            bail!("version {wanted} does not serve: {why}");
        }
        if begun.elapsed().as_secs() >= seconds {
            bail!("version {wanted} is still being loaded after {seconds} s; plimsoll versions rollback takes it back");
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn list(agent: &Running) -> anyhow::Result<ExitCode> {
    let found = agent.get("/api/v1/versions").await?;
    let data = &found["data"];
    if agent.format == Format::Json {
        return Ok(print(&format!("{data:#}\n")));
    }
    let mut rows = vec![["VERSION", "STATUS", "RUN", "MADE", "WHY"].map(ToOwned::to_owned)];
    for version in data["versions"].as_array().into_iter().flatten() {
        let pinned = if version["pinned"] == true { " (pinned)" } else { "" };
        rows.push([
            text(version, "name").to_owned(),
            text(version, "status").to_owned(),
            version["run"].to_string(),
            time(&version["made_ms"]),
            format!("{}{pinned}", visible(&why(version), "")),
        ]);
    }
    let mut out = String::new();
    aligned(&rows, &mut out);
    if data["live"].is_null() {
        out.push_str("the base model serves\n");
    }
    if let Some(wanted) = data["wanted"]["version"].as_u64() {
        let how = data["wanted"]["failed"]
            .as_str()
            .map_or("is being loaded".to_owned(), |why| format!("was to serve, and does not: {why}"));
        let _ = writeln!(out, "version {wanted} {}", visible(&how, ""));
    }
    missing(data, &mut out);
    Ok(print(&out))
}

fn missing(data: &Value, out: &mut String) {
    for name in data["missing"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let _ = writeln!(
            out,
            "the engine does not have {}; requests for it are answered by the model they name",
            visible(name, "")
        );
    }
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
    let mut rows = vec![["RUN", "STAGE", "SINCE", "REASON", "WHY"].map(ToOwned::to_owned)];
    for run in data["runs"].as_array().into_iter().flatten() {
        let stages = run["stages"].as_array();
        let words = text(run, "why").split_whitespace().collect::<Vec<_>>().join(" ");
        rows.push([
            run["id"].to_string(),
            text(run, "stage").to_owned(),
            stages.and_then(|all| all.last()).map(|last| time(&last["at_ms"])).unwrap_or_default(),
            visible(run["reason"]["alert"].as_str().unwrap_or("by hand"), "").into_owned(),
            visible(&words, "").into_owned(),
        ]);
    }
    let mut out = String::new();
    aligned(&rows, &mut out);
    for hold in data["holds"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "in the way of a run: {}", visible(hold.as_str().unwrap_or_default(), ""));
    }
    missing(data, &mut out);
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
