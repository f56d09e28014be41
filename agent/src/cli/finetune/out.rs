//! What a training leaves beside the adapter: a line a step as it goes, and all of it at the end.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use plimsoll_shadow_model::train::{Course, Held, Point, Trainer};
use serde_json::{Value, json};

use super::Args;

/// `progress.jsonl`: a line a step, whole and there for others as soon as the step is done.
pub(super) struct Progress {
    file: File,
}

impl Progress {
    /// Begins the file with what has happened: after a kill it may tell of steps that are to be done again.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn open(path: &Path, course: &Course) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut progress = Self { file };
        // a reading of the holdout stands behind the step that it was made after
        let mut held = course.held.iter().peekable();
        while let Some(first) = held.next_if(|held| held.step == 0) {
            progress.held(first)?;
        }
        for point in &course.points {
            progress.line(&json!(point))?;
            while let Some(next) = held.next_if(|held| held.step <= point.step) {
                progress.held(next)?;
            }
        }
        Ok(progress)
    }

    /// A step that took so many seconds.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn step(&mut self, point: &Point, seconds: f64) -> anyhow::Result<()> {
        let mut line = json!(point);
        line["tokens_per_second"] = json!(point.tokens as f64 / seconds.max(1e-9));
        self.line(&line)
    }

    /// A reading of the holdout.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn held(&mut self, held: &Held) -> anyhow::Result<()> {
        self.line(&json!({"step": held.step, "holdout_loss": held.loss}))
    }

    fn line(&mut self, line: &Value) -> anyhow::Result<()> {
        Ok(self.file.write_all(format!("{line}\n").as_bytes())?)
    }
}

/// What `training.json` says but for the losses; `spent` are the seconds of this process's steps and their tokens.
pub(super) fn summary(args: &Args, trainer: &Trainer, data: &Value, spent: (f64, usize)) -> Value {
    let (size, course, origin) = (trainer.size(), trainer.course(), trainer.origin());
    let loss = |point: Option<&Point>| point.and_then(|point| point.loss);
    // single steps differ by their examples: the mean of a tenth, at most of fifty
    let tenth = (course.points.len() / 10).clamp(1, 50);
    let losses: Vec<f64> = course.points.iter().filter_map(|point| point.loss).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let last = losses.get(losses.len().saturating_sub(tenth)..).filter(|part| !part.is_empty()).map(mean);
    let rate = (spent.0 > 0.0).then(|| spent.1 as f64 / spent.0);
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "stage": args.stage,
        "model": args.model,
        "model_sha256": origin.base,
        "from": args.from,
        "from_sha256": origin.adapter,
        "data": data,
        "examples_sha256": origin.data,
        "recipe": origin.recipe,
        "parameters": size.parameters,
        "trained_parameters": size.trained,
        "trained_share": size.trained as f64 / size.parameters as f64,
        "steps": course.step,
        "skipped_steps": course.skipped,
        "first_loss": loss(course.points.first()),
        "last_loss": last,
        "first_holdout_loss": course.held.first().map(|held| held.loss),
        "last_holdout_loss": course.held.last().map(|held| held.loss),
        "tokens_per_second": rate,
        "peak_memory_bytes": peak_bytes(),
        "out": args.out,
    })
}

/// The same with every step and every reading of the holdout.
pub(super) fn with_losses(told: &Value, course: &Course) -> Value {
    let mut whole = told.clone();
    whole["losses"] = json!(course.points);
    whole["holdout_losses"] = json!(course.held);
    whole
}

/// The most memory that this process has had; not that of a GPU.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}
