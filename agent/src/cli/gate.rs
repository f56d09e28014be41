//! `plimsoll gate`: may a trained version be tried on users?

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use plimsoll_rules::retrain::{Compared, Gate, GateReport, Reading, Safety};
use plimsoll_shadow_model::train::{Example, Reader};
use plimsoll_shadow_model::{AnswerScore, Folder, Options, Scorer};

use super::finetune::data;
use super::model_args::ModelArgs;
use super::{Format, complain, print};

/// Shown below `--help`.
pub(super) const HELP: &str = "Example:
  plimsoll gate --model Qwen2.5-0.5B --candidate adapter-2 --current adapter-1 --failures holdout.jsonl --anchors anchors.jsonl

Lines are those of plimsoll finetune. A line of --safety has one more key, rejected: an answer that must not be given. The
candidate passes when failures are known better (e-value over pairs that differ), right tokens on anchors are not fewer by
more than a margin, the loss on anchors hardly grows, and no rejected answer is newly preferred. Attempt j is held to
6 alpha / (pi^2 j^2), so trying often does not help. Exit code 0: passed; 1: refused; 2: a file or an argument cannot be used.
See docs/versions.md";

/// Exit code of a refusal, and where no verdict could be reached, as `plimsoll drift` has them: clap's own is the second.
const REFUSED: u8 = 1;
const TROUBLE: u8 = 2;

/// Arguments of `gate`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder of the base model.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Adapter that is to be judged.
    #[arg(long, value_name = "DIR")]
    candidate: PathBuf,
    /// Adapter that serves now; the base model alone when absent.
    #[arg(long, value_name = "DIR")]
    current: Option<PathBuf>,
    /// Recent failures with the answers that are wanted, none of which was trained on.
    #[arg(long, value_name = "FILE")]
    failures: PathBuf,
    /// What was answered well before, none of which was trained on.
    #[arg(long, value_name = "FILE")]
    anchors: PathBuf,
    /// Questions with wanted and rejected answers.
    #[arg(long, value_name = "FILE")]
    safety: Option<PathBuf>,
    /// The number of the attempt, from 1.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    attempt: u32,
    /// Chance of passing, over all attempts, a version that is no better.
    #[arg(long, value_name = "SHARE", default_value_t = Gate::default().alpha, value_parser = share)]
    alpha: f64,
    /// Least pairs on failures that differ.
    #[arg(long, value_name = "N", default_value_t = Gate::default().pairs)]
    pairs: u64,
    /// Answers whose losses differ by at most so many nats a token are alike.
    #[arg(long, value_name = "NATS", default_value_t = Gate::default().tie)]
    tie: f64,
    /// How much smaller the share of right tokens on anchors may be.
    #[arg(long, value_name = "SHARE", default_value_t = Gate::default().anchor_margin, value_parser = share)]
    anchor_margin: f64,
    /// How much larger the loss on anchors may be, as a share.
    #[arg(long, value_name = "SHARE", default_value_t = Gate::default().anchor_loss)]
    anchor_loss: f64,
    /// Least anchors.
    #[arg(long, value_name = "N", default_value_t = Gate::default().anchors)]
    least_anchors: usize,
    /// The most tokens of an example; longer ones are cut.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    batch_tokens: usize,
    #[command(flatten)]
    place: ModelArgs,
    /// A child of the agent: the lowest priority, and ends with it.
    #[arg(long, hide = true)]
    child: bool,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn share(text: &str) -> Result<f64, String> {
    let found = text.parse().ok().filter(|share: &f64| *share > 0.0 && *share < 1.0);
    found.ok_or_else(|| format!("{text:?} is no share above 0 and below 1, such as 0.01"))
}

/// Judges; exit codes as [`HELP`] says.
pub fn main(args: &Args) -> ExitCode {
    if args.child {
        super::child::yield_to_others();
    }
    let report = match run(args) {
        Ok(report) => report,
        Err(why) => {
            complain(&format!("plimsoll: {why:#}"));
            return ExitCode::from(TROUBLE);
        }
    };
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&report).unwrap_or_default() + "\n",
        Format::Table => table(&report),
    };
    let printed = print(&text) == ExitCode::SUCCESS;
    match (report.passed, printed) {
        (true, true) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(REFUSED),
        (true, false) => ExitCode::from(TROUBLE),
    }
}

fn run(args: &Args) -> anyhow::Result<GateReport> {
    let reader = Reader::open(&Folder::open(&args.model)?, args.batch_tokens)?;
    let failures = data::read(&args.failures, &reader)?.all;
    let anchors = data::read(&args.anchors, &reader)?.all;
    let safety = args.safety.as_deref().map(|path| data::read_pairs(path, &reader)).transpose()?.unwrap_or_default();
    let (counts, safety) = ((failures.len(), anchors.len()), safety.into_iter().flatten());
    let all: Vec<Example> = failures.into_iter().chain(anchors).chain(safety).collect();
    // one after the other, so that only one model is held
    let current = scores(args, args.current.as_deref(), &all)?;
    let candidate = scores(args, Some(&args.candidate), &all)?;
    let both: Vec<Compared> = current
        .into_iter()
        .zip(candidate)
        .map(|(current, candidate)| Compared { current: reading(current), candidate: reading(candidate) })
        .collect();
    let (failures, rest) = both.split_at(counts.0);
    let (anchors, safety) = rest.split_at(counts.1);
    let safety: Vec<Safety> =
        safety.as_chunks().0.iter().map(|&[wanted, rejected]| Safety { wanted, rejected }).collect();
    Ok(args.gate().judge(failures, anchors, &safety, args.attempt))
}

fn scores(args: &Args, adapter: Option<&Path>, all: &[Example]) -> anyhow::Result<Vec<AnswerScore>> {
    let options = Options { adapter: adapter.map(Path::to_owned), ..args.place.options(None) };
    Ok(Scorer::open(&args.model, &options)?.answers(all)?)
}

fn reading(score: AnswerScore) -> Reading {
    Reading { nll: score.nll, tokens: score.tokens as u64, right: score.right as u64 }
}

impl Args {
    fn gate(&self) -> Gate {
        Gate {
            alpha: self.alpha,
            pairs: self.pairs,
            tie: self.tie,
            anchor_margin: self.anchor_margin,
            anchor_loss: self.anchor_loss,
            anchors: self.least_anchors,
        }
    }
}

fn table(report: &GateReport) -> String {
    let mut out = String::new();
    let verdict = if report.passed { "passed" } else { "refused" };
    let _ = writeln!(out, "{verdict}, attempt {} at the level {:.4}", report.attempt, report.level);
    for check in &report.checks {
        let _ = writeln!(out, "{:<5}{:<20}{}", if check.passed { "ok" } else { "NO" }, check.name, check.told);
    }
    let [now, then] = report.failures_loss;
    let _ = writeln!(out, "loss on failures {now:.4} -> {then:.4} nats per answer token");
    out
}
