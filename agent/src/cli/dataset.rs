//! `plimsoll dataset`: examples to learn, from the records.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use plimsoll_rules::Timestamp;
use serde_json::json;

use super::backtest::aligned;
use super::{Format, block_on, complain, print};
use crate::dataset::{self, Counts, Manifest, Out, Settings, Source};

/// Shown below `--help`.
pub(super) const HELP: &str = "Examples:
  plimsoll dataset build --config plimsoll.yaml --since 2026-11-20 --out data
  plimsoll dataset build --from ./export --since 2026-11-20T10:00:00Z --anchors first/anchors.jsonl --out data
  plimsoll dataset verify data --config plimsoll.yaml
  plimsoll finetune --model Qwen2.5-0.5B --data data/train.jsonl --eval data/holdout.jsonl --replay data/replay.jsonl --out adapter

Needs records.store_text: masked. The same records and settings give the same bytes. See docs/dataset.md";

/// Arguments of `dataset`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Choose examples and write them into a folder, with a manifest. Exit code 1, and nothing written, where there is none.
    Build(Box<Build>),
    /// Check the files of a folder against its manifest; with records whether they give it again, settings and counts too. Exit
    /// code 1 where something differs.
    Verify(Verify),
    /// Print what is in a folder, and what was left out.
    Show(Show),
    /// A child of the agent: what it wants comes on standard input.
    #[command(hide = true)]
    Child,
}

/// Which records.
#[derive(Clone, Debug, clap::Args)]
#[group(multiple = false)]
struct From {
    /// The agent's configuration, for its `records.url` and `limits.data`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// `sqlite://PATH` or `postgres://...`; `file:PATH` reads it from a file.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// What `plimsoll records export` wrote: a folder or an object store.
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
struct Build {
    #[command(flatten)]
    from: From,
    /// Parts new from old: when quality fell, or when the last training ended.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Timestamp,
    /// Exchanges and feedback from then on are not looked at; now when absent.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// The folder to write into.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Anchors that were drawn before: kept as they are, and what is like them is kept out of the rest.
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    #[command(flatten)]
    how: How,
    /// Write over a dataset that is there.
    #[arg(long)]
    replace: bool,
    /// Say what would be chosen and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How it is chosen.
#[derive(Clone, Debug, clap::Args)]
struct How {
    /// The share of new examples that is held out, the newest ones.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    holdout_share: f64,
    /// Anchors to draw where none are given.
    #[arg(long, value_name = "N", default_value_t = 200)]
    anchor_count: usize,
    /// The share of old examples in what there is to learn, at most.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    replay_share: f64,
    /// Jaccard index from which on two prompts are nearly the same.
    #[arg(long, value_name = "INDEX", default_value_t = 0.8)]
    near_duplicate: f64,
    /// How much likelier among new prompts one has to be to be over-weighted.
    #[arg(long, value_name = "ODDS", default_value_t = 2.0)]
    drift_odds: f64,
    /// How often such an example is learnt; 1 turns it off.
    #[arg(long, value_name = "N", default_value_t = 2)]
    drift_weight: u32,
    /// What the choice by lot follows from.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Only exchanges of this model.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Only exchanges of this variant.
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
struct Verify {
    /// The folder of a dataset.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    from: From,
}

#[derive(Clone, Debug, clap::Args)]
struct Show {
    /// The folder of a dataset.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn time(text: &str) -> Result<Timestamp, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let day = text.get(..10).unwrap_or(text);
    // no 30th of February: what is read has to be printed again
    let midnight = Timestamp::from_rfc3339(&format!("{day}T00:00:00Z")).filter(|at| at.rfc3339().starts_with(day));
    let at = midnight.and_then(|_| Timestamp::from_rfc3339(&whole));
    at.ok_or_else(|| format!("{text:?} is no time; write 2026-11-30 or 2026-11-30T10:00:00Z"))
}

impl From {
    async fn source(&self) -> anyhow::Result<Option<Source>> {
        if let Some(place) = &self.from {
            return Source::export(place).map(Some);
        }
        if self.config.is_none() && self.url.is_none() {
            return Ok(None);
        }
        Source::open(&super::records::location(self.config.as_deref(), self.url.as_deref())?).await.map(Some)
    }
}

impl Build {
    fn settings(&self) -> Settings {
        let how = self.how.clone();
        Settings {
            holdout_share: how.holdout_share,
            anchors: how.anchor_count,
            replay_share: how.replay_share,
            near_duplicate: how.near_duplicate,
            drift_odds: how.drift_odds,
            drift_weight: how.drift_weight,
            seed: how.seed,
            model: how.model,
            variant: how.variant,
            ..Settings::between(self.since, self.until.unwrap_or_else(crate::clock::wall))
        }
    }
}

/// Exit code 1 where records or files cannot be used, and where `verify` finds a difference.
pub fn main(args: &Args) -> ExitCode {
    block_on(async {
        match &args.what {
            What::Build(build) => write(build).await,
            What::Verify(check) => verify(check).await,
            What::Show(what) => show(what),
            What::Child => obey().await,
        }
    })
}

async fn write(build: &Build) -> anyhow::Result<ExitCode> {
    let Some(source) = build.from.source().await? else {
        bail!("which records? Name --config, --url or --from");
    };
    let (settings, bar) = (build.settings(), bar());
    let tell = &mut |read| bar.set_position(read);
    let Some(out) = build.out.as_deref().filter(|_| !build.dry_run) else {
        let dataset = dataset::preview(&source, &settings, build.anchors.as_deref(), tell).await?;
        bar.finish_and_clear();
        if let Err(why) = something(&dataset.counts) {
            complain(&format!("plimsoll: {why}"));
        }
        let sizes = [&dataset.train, &dataset.holdout, &dataset.anchors, &dataset.replay].map(|part| part.len() as u64);
        return Ok(planned(build.format, &dataset.counts, sizes));
    };
    let out = if build.replace { Out::Over(out) } else { Out::New(out) };
    let manifest = dataset::build(&source, &settings, build.anchors.as_deref(), out, &something, tell).await?;
    bar.finish_and_clear();
    told(build.format, &manifest)
}

/// Refuses a dataset without any example, and says what became of all exchanges.
fn something(counts: &Counts) -> anyhow::Result<()> {
    if counts.kept() > 0 {
        return Ok(());
    }
    let left_out = counts.left_out.rows().into_iter().filter(|(_, count)| *count > 0);
    let reasons: Vec<String> = left_out.map(|(why, count)| format!("{why}: {count}")).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    bail!("no example among {} exchanges{reasons}: there is no dataset to write", counts.read)
}

async fn verify(check: &Verify) -> anyhow::Result<ExitCode> {
    let source = check.from.source().await?;
    let bar = bar();
    let wrong = dataset::verify(&check.folder, source.as_ref(), &mut |read| bar.set_position(read)).await?;
    bar.finish_and_clear();
    for one in &wrong {
        complain(&format!("{}: {one}", check.folder.display()));
    }
    if !wrong.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    let told = match source {
        Some(_) => "whole, and the records give it again",
        None => {
            "each file is what manifest.json says; whether its settings and counts are right, only the records can tell \
             (--config, --url or --from)"
        }
    };
    Ok(print(&format!("{}: {told}\n", check.folder.display())))
}

async fn obey() -> anyhow::Result<ExitCode> {
    super::child::yield_to_others();
    let order = serde_json::from_str(&std::io::read_to_string(std::io::stdin())?)?;
    Ok(print(&dataset::child(&order).await?.to_string()))
}

fn show(what: &Show) -> anyhow::Result<ExitCode> {
    told(what.format, &Manifest::read(&what.folder)?)
}

/// On a terminal only.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} exchanges read, {per_sec}, {elapsed}");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

fn planned(format: Format, counts: &Counts, [train, holdout, anchors, replay]: [u64; 4]) -> ExitCode {
    let sizes = json!({"train": train, "holdout": holdout, "anchors": anchors, "replay": replay});
    if format == Format::Json {
        return print(&format!("{:#}\n", json!({"examples": sizes, "counts": counts})));
    }
    let mut out = format!("{train} to train on, {holdout} held out, {anchors} anchors, {replay} to replay\n\n");
    counted(counts, &mut out);
    print(&out)
}

fn told(format: Format, manifest: &Manifest) -> anyhow::Result<ExitCode> {
    if format == Format::Json {
        return Ok(print(&format!("{}\n", serde_json::to_string_pretty(manifest)?)));
    }
    let settings = &manifest.settings;
    let (since, until) = (settings.since.rfc3339(), settings.until.rfc3339());
    let mut out = format!("dataset {}\nnew from {since} to {until}, seed {}\n\n", manifest.sha256, settings.seed);
    let mut rows = vec![["file", "examples", "lines", "bytes", "sha256"].map(ToOwned::to_owned)];
    for file in &manifest.files {
        let [examples, lines, bytes] = [file.examples, file.lines, file.bytes].map(|number| number.to_string());
        rows.push([file.name.clone(), examples, lines, bytes, file.sha256.chars().take(16).collect()]);
    }
    aligned(&rows, &mut out);
    out.push('\n');
    counted(&manifest.counts, &mut out);
    let auc = manifest.drift.auc.map_or(String::new(), |auc| format!(", told apart with an AUC of {auc:.3}"));
    let state = serde_json::to_value(manifest.drift.state)?;
    out += &format!("\ndrift of prompts: {}{auc}\n", state.as_str().unwrap_or_default());
    Ok(print(&out))
}

/// What became of all exchanges.
fn counted(counts: &Counts, out: &mut String) {
    let kept = [
        ("read", counts.read),
        ("new, good", counts.new_good),
        ("new, corrected", counts.new_corrected),
        ("learnt more than once", counts.over_weighted),
        ("old, drawn as anchors", counts.anchors_drawn),
        ("old, to replay", counts.replay),
    ];
    let left_out = counts.left_out.rows().into_iter().filter(|(_, count)| *count > 0);
    let left_out = left_out.map(|(why, count)| [format!("left out: {}", why.replace('_', " ")), count.to_string()]);
    let rows: Vec<[String; 2]> =
        kept.into_iter().map(|(what, count)| [what.to_owned(), count.to_string()]).chain(left_out).collect();
    aligned(&rows, out);
}
