//! `plimsoll drift`: has the data changed, by how much, and which way?

mod collect;
pub(super) mod column;
mod histogram;
mod html;
mod json;
mod kind;
mod odd;
pub(super) mod read;
mod report;
mod signal;
mod table;
mod watch;
pub(super) mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use plimsoll_rules::mask::{MaskOptions, Masker};
use plimsoll_rules::two_sample::verdict::Floors;

use super::{ReportFormat, complain, print};
use kind::Kind;

pub(super) const HELP: &str = "Examples:
  plimsoll drift --reference last-week.parquet --current today.parquet
  plimsoll drift --reference a.csv --current b.jsonl.gz --columns status=categorical,request_id=skip
  plimsoll drift --reference a.csv --current b.csv --format html > report.html
  plimsoll drift --reference a.csv --current b.csv --html report.html --fail-on-drift

Files are CSV, JSONL (both also with gzip) or Parquet. Exit code 0: no drift, or --fail-on-drift was not asked for; 1: drift;
2: a file or an argument cannot be used. See docs/drift.md";

/// Exit code where no verdict could be reached, as `diff` and `grep` have it.
const EXIT_TROUBLE: u8 = 2;

/// Arguments of `drift`.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    files: Option<Files>,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Verb {
    /// Replay a file as a stream: the first rows are the baseline, each alarm of the rest is one JSON object.
    #[command(after_help = watch::HELP)]
    Watch(watch::Args),
}

/// Two files and how they are compared.
#[derive(Clone, Debug, clap::Args)]
struct Files {
    /// What is compared with.
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// What is judged.
    #[arg(long, value_name = "FILE")]
    current: PathBuf,
    /// What columns are, where that is not what their first rows say: NAME=numeric, categorical, text or skip.
    #[arg(long, value_name = "NAME=KIND", value_delimiter = ',', value_parser = named_kind)]
    columns: Vec<(String, Kind)>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Write a report with pictures as one HTML file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Exit with 1 when a column has drifted.
    #[arg(long)]
    fail_on_drift: bool,
    /// Largest adjusted p-value that is evidence.
    #[arg(long, value_name = "P", default_value_t = Floors::default().alpha, value_parser = share)]
    alpha: f64,
    /// Smallest effect on numbers: largest distance of the distribution functions.
    #[arg(long, value_name = "D", default_value_t = Floors::default().ks, value_parser = share)]
    min_ks: f64,
    /// Smallest effect on numbers and categories: PSI, less what chance gives.
    #[arg(long, value_name = "NATS", default_value_t = Floors::default().psi, value_parser = positive)]
    min_psi: f64,
    /// Smallest effect on numbers: Wasserstein distance in standard deviations of the reference.
    #[arg(long, value_name = "SD", default_value_t = Floors::default().wasserstein, value_parser = positive)]
    min_wasserstein: f64,
    /// Smallest effect on text: AUC of a classifier that tells the two apart.
    #[arg(long, value_name = "AUC", default_value_t = Floors::default().auc, value_parser = share)]
    min_auc: f64,
    /// Smallest change of the share of missing values.
    #[arg(long, value_name = "SHARE", default_value_t = Floors::default().missing, value_parser = share)]
    min_missing: f64,
}

fn named_kind(text: &str) -> Result<(String, Kind), String> {
    let wrong = || format!("{text:?}: write NAME=KIND, KIND one of numeric, categorical, text, skip");
    let (name, word) = text.rsplit_once('=').ok_or_else(wrong)?;
    Ok((name.to_owned(), Kind::parse(word).filter(|_| !name.is_empty()).ok_or_else(wrong)?))
}

fn share(text: &str) -> Result<f64, String> {
    positive(text)
        .ok()
        .filter(|value| *value <= 1.0)
        .ok_or_else(|| format!("{text:?}: a number between 0 and 1 is wanted"))
}

fn positive(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
    value.ok_or_else(|| format!("{text:?}: a number that is not negative is wanted"))
}

/// Compares; exit codes as [`HELP`] says.
pub fn main(args: &Args) -> ExitCode {
    let outcome = match (&args.verb, &args.files) {
        (Some(Verb::Watch(watch)), _) => watch::run(watch).map(|_| false),
        (None, Some(files)) => run(files).map(|drift| drift && files.fail_on_drift),
        (None, None) => Err(anyhow::anyhow!("give --reference FILE and --current FILE, or watch FILE")),
    };
    match outcome {
        Ok(true) => ExitCode::from(1),
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&format!("plimsoll: {why:#}"));
            ExitCode::from(EXIT_TROUBLE)
        }
    }
}

/// Whether a column has drifted.
fn run(args: &Files) -> anyhow::Result<bool> {
    if let Some(page) = &args.html {
        refuse_to_overwrite(page, [&args.reference, &args.current])?;
    }
    let told: BTreeMap<String, Kind> = args.columns.iter().cloned().collect();
    let collected = collect::collect([&args.reference, &args.current], &told)?;
    let floors = Floors {
        alpha: args.alpha,
        ks: args.min_ks,
        psi: args.min_psi,
        wasserstein: args.min_wasserstein,
        auc: args.min_auc,
        missing: args.min_missing,
    };
    let files = [&args.reference, &args.current].map(|path| path.display().to_string());
    let report = report::compare(collected, files, floors, &masker()?);
    report.odd().for_each(|said| complain(&format!("plimsoll: {said}")));
    if let Some(path) = &args.html {
        write(path, &html::page(&report, &now()))?;
    }
    print(&match args.format {
        ReportFormat::Table => table::text(&report),
        ReportFormat::Json => format!("{:#}\n", json::value(&report)),
        ReportFormat::Html => html::page(&report, &now()),
    });
    Ok(report.drift())
}

/// The page must not take the place of a file that is compared.
fn refuse_to_overwrite(page: &Path, read: [&PathBuf; 2]) -> anyhow::Result<()> {
    let Ok(target) = page.canonicalize() else { return Ok(()) };
    match read.iter().find(|file| file.canonicalize().is_ok_and(|file| file == target)) {
        Some(file) => {
            bail!("--html {}: {} is a file to read; write the page to another", page.display(), file.display())
        }
        None => Ok(()),
    }
}

/// `2026-11-25 09:30 UTC`.
fn now() -> String {
    let date = crate::clock::wall().rfc3339();
    format!("{} UTC", date.get(..16).unwrap_or_default().replace('T', " "))
}

/// Only kinds are shown (`<PHONE>`), so the salt is never seen.
fn masker() -> anyhow::Result<Masker> {
    Ok(Masker::new(uuid::Uuid::new_v4().simple().to_string().as_bytes(), &MaskOptions::default())?)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
