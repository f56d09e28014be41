//! `plimsoll records`: what is kept, out to Parquet files, and back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use plimsoll_rules::Timestamp;
use serde_json::json;

use super::backtest::aligned;
use super::{Format, block_on, print, visible};
use crate::config;
use crate::records::transfer::{Days, Files, Partition, TABLES, Table, Transfer};
use crate::records::{AuditEntry, Location};

/// Shown below `--help`.
pub(super) const HELP: &str = "Examples:
  plimsoll records stats --config plimsoll.yaml
  plimsoll records export --config plimsoll.yaml --to s3://bucket/plimsoll
  plimsoll records import --url postgres://plimsoll@db/plimsoll --from ./export
  plimsoll records audit --config plimsoll.yaml --limit 20

Files are TABLE/date=DAY/part-N.parquet, a day of UTC whole: hive partitions, as DuckDB, Spark and Athena read them.
What the agent keeps without text is exported without text; every export and import is written into the table audit.";

/// Arguments of `records`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Rows and times of each table.
    Stats(Stats),
    /// Write whole days as Parquet files. A day that is there already is left alone.
    Export(Export),
    /// Take Parquet files in; rows that are there already stay as they are.
    Import(Import),
    /// Who did what, and who looked at text: the newest first.
    Audit(Audit),
}

/// Which database.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("database").required(true).args(["config", "url"]))]
struct Source {
    /// The agent's configuration, for its `records.url` and `limits.data`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// `sqlite://PATH` or `postgres://...`; `file:PATH` reads it from a file.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Debug, clap::Args)]
struct Stats {
    #[command(flatten)]
    source: Source,
}

#[derive(Clone, Debug, clap::Args)]
struct Export {
    #[command(flatten)]
    source: Source,
    /// A folder, or `s3://BUCKET/PATH`, `gs://...`, `az://...` with the usual environment variables.
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// First day.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    since: Option<Timestamp>,
    /// The day after the last one; today, which is not over, when absent.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    until: Option<Timestamp>,
    /// Only these tables.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = table)]
    table: Vec<String>,
    /// Write days that are there already anew.
    #[arg(long)]
    replace: bool,
    /// Say what would be written.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct Import {
    #[command(flatten)]
    source: Source,
    /// A folder, or an object store, as `export` writes it.
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// Read the files and store nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct Audit {
    #[command(flatten)]
    source: Source,
    /// So many of the newest entries.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: u32,
}

fn day(text: &str) -> Result<Timestamp, String> {
    let at = (text.len() == 10).then(|| Timestamp::from_rfc3339(&format!("{text}T00:00:00Z"))).flatten();
    let at = at.filter(|at| at.rfc3339().starts_with(text)); // no 30th of February
    at.ok_or_else(|| format!("{text:?} is no day; write one such as 2026-11-30"))
}

fn table(text: &str) -> Result<String, String> {
    let known = || TABLES.iter().map(|table| table.name).collect::<Vec<_>>().join(", ");
    Table::named(text).map(|table| table.name.to_owned()).ok_or_else(|| format!("{text:?} is none of {}", known()))
}

impl Source {
    fn location(&self) -> anyhow::Result<Location> {
        location(self.config.as_deref(), self.url.as_deref())
    }
}

/// Where the records are that `--config` or `--url` names.
pub(super) fn location(config: Option<&Path>, url: Option<&str>) -> anyhow::Result<Location> {
    if let Some(file) = config {
        return Ok(config::load(Some(file), &Vec::new()).map_err(|why| anyhow::anyhow!("{why}"))?.records);
    }
    let written = url.unwrap_or_default();
    let url = match written.strip_prefix("file:") {
        Some(path) => std::fs::read_to_string(path).with_context(|| path.to_owned())?.trim().to_owned(),
        None => written.to_owned(),
    };
    Location::parse(&url).context("--url")
}

/// Exit code 1 where the database or a file cannot be used.
pub fn main(args: &Args) -> ExitCode {
    block_on(async {
        match &args.what {
            What::Stats(stats) => show(stats).await,
            What::Export(export) => write(export).await,
            What::Import(import) => read(import).await,
            What::Audit(audit) => list(audit).await,
        }
    })
}

async fn show(stats: &Stats) -> anyhow::Result<ExitCode> {
    let transfer = Transfer::look_at(&stats.source.location()?).await?;
    let (tables, bytes) = (transfer.stats().await?, transfer.bytes().await?);
    if stats.source.format == Format::Json {
        return Ok(print(&format!("{:#}\n", json!({"tables": tables, "bytes": bytes}))));
    }
    let mut rows = vec![["table", "rows", "oldest", "newest"].map(ToOwned::to_owned)];
    for one in tables {
        let time = |time: Option<String>| time.unwrap_or_else(|| "-".to_owned());
        rows.push([one.table.to_owned(), one.rows.to_string(), time(one.oldest), time(one.newest)]);
    }
    let mut out = String::new();
    aligned(&rows, &mut out);
    if let Some(bytes) = bytes {
        out += &format!("\n{:.1} MiB of data in the file\n", bytes as f64 / f64::from(1 << 20));
    }
    Ok(print(&out))
}

async fn list(audit: &Audit) -> anyhow::Result<ExitCode> {
    let entries = Transfer::look_at(&audit.source.location()?).await?.audit_log(audit.limit).await?;
    if audit.source.format == Format::Json {
        return Ok(print(&format!("{:#}\n", json!({"audit": entries}))));
    }
    let mut rows = vec![["at", "actor", "action", "detail"].map(ToOwned::to_owned)];
    rows.extend(entries.into_iter().map(|one| [one.at.rfc3339(), one.actor, one.action, one.detail.to_string()]));
    let mut out = String::new();
    aligned(&rows, &mut out);
    Ok(print(&visible(&out, "\n")))
}

async fn write(export: &Export) -> anyhow::Result<ExitCode> {
    let location = export.source.location()?;
    let mut transfer = Transfer::look_at(&location).await?;
    if !export.dry_run {
        transfer = Transfer::open(&location).await?; // an older one has no table for the audit
    }
    let files = if export.dry_run { Files::would_be(&export.to)? } else { Files::at(&export.to, true)? };
    let days = Days { since: export.since, until: export.until.unwrap_or_else(crate::clock::wall) };
    if days.since.is_some_and(|since| since >= days.until) {
        bail!("--since is not before --until: no day is between them");
    }
    let wanted = |table: &&Table| export.table.is_empty() || export.table.iter().any(|name| name == table.name);
    let (mut done, bar) = (Vec::new(), bar());
    let mut outcome = Ok(());
    for table in TABLES.iter().filter(wanted) {
        let flags = (export.replace, export.dry_run);
        let tell = |partition: &Partition| note(&mut done, &bar, partition);
        outcome = transfer.export(table, days, &files, flags, tell).await;
        if outcome.is_err() {
            break;
        }
    }
    bar.finish_and_clear();
    if !export.dry_run {
        audit(&transfer, "export", &export.to, &done, &outcome).await?;
    }
    outcome.with_context(|| so_far(&done, "written"))?;
    Ok(report(export.source.format, &done, if export.dry_run { "would be written" } else { "written" }))
}

async fn read(import: &Import) -> anyhow::Result<ExitCode> {
    let (location, files) = (import.source.location()?, Files::at(&import.from, false)?);
    let into = if import.dry_run { None } else { Some(Transfer::open(&location).await?) };
    let (mut done, bar) = (Vec::new(), bar());
    let outcome = Transfer::import(into.as_ref(), &files, |partition| note(&mut done, &bar, partition)).await;
    bar.finish_and_clear();
    if let Some(into) = &into {
        audit(into, "import", &import.from, &done, &outcome).await?;
    }
    outcome.with_context(|| so_far(&done, "stored"))?;
    Ok(report(import.source.format, &done, if import.dry_run { "could be read" } else { "read" }))
}

/// On standard error, where that is a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos} rows {msg} {elapsed}");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

fn note(done: &mut Vec<Partition>, bar: &ProgressBar, partition: &Partition) {
    bar.inc(partition.rows);
    bar.set_message(format!("{} {}", partition.table, partition.date));
    done.push(partition.clone());
}

/// What was done before it went wrong: it stays.
fn so_far(done: &[Partition], verb: &str) -> String {
    let rows: u64 = done.iter().map(|partition| partition.rows).sum();
    format!("ended early; {rows} rows of {} days were {verb} before and stay", done.len())
}

async fn audit(
    transfer: &Transfer,
    action: &str,
    place: &str,
    done: &[Partition],
    outcome: &anyhow::Result<()>,
) -> anyhow::Result<()> {
    let rows: u64 = done.iter().map(|partition| partition.rows).sum();
    let actor = format!("uid {}", rustix::process::getuid().as_raw());
    let end = outcome.as_ref().map_or_else(ToString::to_string, |()| "whole".to_owned());
    let detail = json!({"place": place, "rows": rows, "end": end});
    transfer.audit(&AuditEntry::now(&actor, action, detail)).await
}

fn report(format: Format, done: &[Partition], verb: &str) -> ExitCode {
    if format == Format::Json {
        return print(&format!("{:#}\n", json!({"partitions": done})));
    }
    let mut rows = vec![["table", "date", "rows", "known", "files", ""].map(ToOwned::to_owned)];
    for one in done {
        let note = if one.skipped { "there already; --replace writes it anew" } else { "" };
        let numbers = [one.rows, one.known, one.parts].map(|number| number.to_string());
        let [count, known, parts] = numbers;
        rows.push([one.table.to_owned(), one.date.clone(), count, known, parts, note.to_owned()]);
    }
    let mut out = String::new();
    aligned(&rows, &mut out);
    let total: u64 = done.iter().map(|one| one.rows).sum();
    let known: u64 = done.iter().map(|one| one.known).sum();
    out += &format!("\n{total} rows {verb}, {known} of them known before\n");
    print(&out)
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn a_database_has_to_be_named_in_one_of_two_ways() {
        let told = |words: &[&str]| {
            let command = Args::augment_args(clap::Command::new("records").no_binary_name(true));
            command.try_get_matches_from(words).err().map(|why| why.to_string()).unwrap_or_default()
        };
        for verb in [&["stats"][..], &["audit"], &["export", "--to", "x"], &["import", "--from", "x"]] {
            let missing = told(verb);
            assert!(missing.contains("--config <FILE>|--url <URL>"), "{verb:?}: {missing}");
            assert_eq!(told(&[verb, &["--config", "c"]].concat()), "", "{verb:?}");
            let both = told(&[verb, &["--config", "c", "--url", "u"]].concat());
            assert!(both.contains("cannot be used with"), "{verb:?}: {both}");
        }
    }
}
