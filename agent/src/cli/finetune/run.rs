//! A training from the arguments to the files that it leaves.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use plimsoll_shadow_model::train::{self, Data, Reader, Recipe, Trainer};
use plimsoll_shadow_model::{Folder, write_gguf};
use serde_json::{Value, json};

use super::data::{self, Examples};
use super::folder::{self, Lock};
use super::out::{self, Progress};
use super::{Args, html};
use crate::cli::drift::words::{percent, short};
use crate::cli::{Format, complain, print};

/// What was read.
struct Read {
    new: Examples,
    old: Option<Examples>,
    held: Option<Examples>,
}

impl Read {
    fn open(args: &Args, recipe: &Recipe) -> anyhow::Result<Self> {
        let reader = Reader::open(&Folder::open(&args.model)?, recipe.batch_tokens)?;
        let some = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| data::read(path, &reader)).transpose();
        Ok(Self { new: data::read(&args.data, &reader)?, old: some(&args.replay)?, held: some(&args.eval)? })
    }

    fn data(&self) -> Data {
        let all = |part: &Option<Examples>| part.as_ref().map_or_else(Vec::new, |part| part.all.clone());
        Data { new: self.new.all.clone(), old: all(&self.old), held: all(&self.held) }
    }

    fn facts(&self) -> Value {
        let of = |examples: &Option<Examples>| examples.as_ref().map(|examples| examples.file.clone());
        json!({"train": self.new.file, "replay": of(&self.old), "holdout": of(&self.held)})
    }
}

/// Trains, or tells what would be trained.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let recipe = args.recipe();
    recipe.check()?;
    let read = Read::open(args, &recipe)?;
    let told = if args.dry_run { dry(args, &recipe, &read)? } else { train(args, &recipe, &read)? };
    Ok(print(&match args.format {
        Format::Json => format!("{told:#}\n"),
        Format::Table => table(&told),
    }))
}

fn dry(args: &Args, recipe: &Recipe, read: &Read) -> anyhow::Result<Value> {
    let (size, bytes) = train::size(&args.model, &args.options(), recipe)?;
    Ok(json!({
        "parameters": size.parameters,
        "trained_parameters": size.trained,
        "trained_share": size.trained as f64 / size.parameters as f64,
        "memory_bytes": bytes,
        "memory_bytes_least": size.least,
        "steps": train::steps(&read.data(), recipe),
        "data": read.facts(),
    }))
}

fn train(args: &Args, recipe: &Recipe, read: &Read) -> anyhow::Result<Value> {
    folder::free(args)?;
    folder::fresh(args)?;
    let taken = Lock::again(&args.out)?;
    let mut trainer = Trainer::open(&args.model, &args.options(), recipe, read.data(), args.from.as_deref())?;
    // nothing is made for what cannot be trained
    let _taken = taken.map_or_else(|| Lock::take(&args.out), Ok)?;
    folder::fresh(args)?; // another one may have ended meanwhile
    let checkpoints = args.out.join("checkpoints");
    if args.resume {
        trainer.resume(&checkpoints)?.iter().for_each(|damaged| complain(&format!("plimsoll: left out: {damaged}")));
    }
    let spent = steps(args, &mut trainer, &checkpoints)?;
    let base = args.model.file_name().map_or_else(|| args.model.display().to_string(), |n| n.display().to_string());
    trainer.write(&args.out, &base)?;
    if args.what.full {
        copy_settings(&args.model, &args.out)?;
    }
    if let Some(gguf) = &args.gguf {
        let name = args.out.file_name().unwrap_or_default().display().to_string();
        write_gguf(&args.out, &args.model, &name, gguf)?;
    }
    let told = out::summary(args, &trainer, &read.facts(), spent);
    let whole = out::with_losses(&told, trainer.course());
    train::write_whole(&args.out.join("training.json"), &mut |file| writeln!(file, "{whole:#}"))?;
    let page = html::page(&told, trainer.course());
    train::write_whole(&args.out.join("report.html"), &mut |file| file.write_all(page.as_bytes()))?;
    Ok(told)
}

/// All steps that are left; the seconds of those and the tokens that they read.
fn steps(args: &Args, trainer: &mut Trainer, checkpoints: &Path) -> anyhow::Result<(f64, usize)> {
    let mut progress = Progress::open(&args.out.join("progress.jsonl"), trainer.course())?;
    let bar = bar(trainer);
    let (mut seconds, mut tokens) = (0.0, 0);
    if trainer.course().held.is_empty()
        && let Some(held) = trainer.hold()?
    {
        progress.held(&held)?;
    }
    loop {
        let begin = Instant::now();
        let Some(point) = trainer.step()? else { break };
        let own = begin.elapsed().as_secs_f64();
        (seconds, tokens) = (seconds + own, tokens + point.tokens);
        progress.step(&point, own)?;
        bar.set_position(point.step as u64);
        bar.set_message(format!("loss {}", point.loss.map_or("not finite".to_owned(), short)));
        if (point.step as u64).is_multiple_of(args.checkpoint_every) || point.step == trainer.steps() {
            if let Some(held) = trainer.hold()? {
                progress.held(&held)?;
            }
            trainer.save(checkpoints)?;
        }
    }
    bar.finish_and_clear();
    Ok((seconds, tokens))
}

/// On a terminal only.
fn bar(trainer: &Trainer) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(trainer.steps() as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {msg}, {elapsed} of {duration}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.with_position(trainer.course().step as u64)
}

/// A whole model needs what the weights do not tell.
fn copy_settings(from: &Path, to: &Path) -> anyhow::Result<()> {
    for name in folder::SETTINGS.into_iter().filter(|name| from.join(name).exists()) {
        std::fs::copy(from.join(name), to.join(name)).with_context(|| format!("{name} cannot be copied"))?;
    }
    Ok(())
}

fn table(told: &Value) -> String {
    let mut out = Vec::new();
    let number = |key: &str| told.pointer(key).and_then(Value::as_f64);
    let mut say = |name: &str, text: Option<String>| {
        if let Some(text) = text {
            let _ = writeln!(out, "{name:<22}{text}");
        }
    };
    let count = |key: &str| number(key).map(|count| format!("{count:.0}"));
    let gigabytes = |key: &str| number(key).map(|bytes| format!("{:.2} GB", bytes / 1e9));
    say("parameters", count("/parameters"));
    let share = number("/trained_share").map(percent).unwrap_or_default();
    say("trained", count("/trained_parameters").map(|trained| format!("{trained} ({share})")));
    say("memory, expected", gigabytes("/memory_bytes"));
    say("memory, at least", gigabytes("/memory_bytes_least"));
    say("memory, peak", gigabytes("/peak_memory_bytes"));
    say("examples", count("/data/train/examples"));
    say("tokens", count("/data/train/tokens"));
    say("of answers", count("/data/train/answer_tokens"));
    say("cut off", count("/data/train/truncated"));
    say("replayed from", count("/data/replay/examples"));
    say("steps", count("/steps"));
    say("steps skipped", count("/skipped_steps"));
    let change = |from: &str, to: &str| Some(format!("{} -> {}", short(number(from)?), short(number(to)?)));
    say("loss", change("/first_loss", "/last_loss"));
    say("loss on the holdout", change("/first_holdout_loss", "/last_holdout_loss"));
    say("tokens a second", number("/tokens_per_second").map(short));
    say("written to", told.get("out").and_then(Value::as_str).map(str::to_owned));
    String::from_utf8_lossy(&out).into_owned()
}
