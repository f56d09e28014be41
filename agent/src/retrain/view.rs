//! How the loop is shown: as JSON and as series.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use plimsoll_exporters::{Metric, Reading};
use plimsoll_rules::retrain::Hold;
use serde::Serialize;
use serde_json::Value;

use super::run::{Route, Run, Stage, Version, Wanted};
use super::task::Task;
use super::work::Places;

/// Bytes at the end of `progress.jsonl` that hold the last steps.
const TAIL: u64 = 4096;

/// The loop as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct View {
    /// How far it goes by itself.
    pub mode: Option<crate::config::Mode>,
    /// The version that serves; the base model when absent.
    pub live: Option<u32>,
    /// Nothing begins until somebody has looked.
    pub circuit_open: bool,
    /// What is in the way of a run, in words.
    pub holds: Vec<String>,
    /// The same as names.
    #[serde(skip)]
    pub(super) hold_names: Vec<&'static str>,
    /// What kept it from going on last.
    pub trouble: Option<String>,
    /// What a person wants to serve, until it does.
    pub wanted: Option<Wanted>,
    /// Versions that requests are sent to and that the engine does not have.
    pub missing: Vec<String>,
    /// Who serves.
    pub route: Option<Route>,
    /// Runs, oldest first.
    pub runs: Vec<Run>,
    /// Versions, oldest first.
    pub versions: Vec<Version>,
}

impl View {
    pub(super) fn of(task: &Task) -> Self {
        Self {
            mode: Some(task.settings.mode),
            live: task.standing.live,
            circuit_open: task.standing.circuit_open,
            holds: task.holds.iter().map(ToString::to_string).collect(),
            hold_names: task.holds.iter().map(Hold::as_str).collect(),
            trouble: task.trouble.clone(),
            wanted: task.wanted.clone(),
            missing: task.missing.iter().cloned().collect(),
            route: task.standing.route.clone(),
            runs: task.runs.clone(),
            versions: task.versions.clone(),
        }
    }

    /// The series of it.
    pub(super) fn readings(&self, places: &Places) -> Vec<Reading> {
        let flag = |on: bool| if on { 1.0 } else { 0.0 };
        let last = self.runs.last();
        let mut all = vec![Reading::scalar(Metric::FinetuneCircuitOpen, &[], flag(self.circuit_open))];
        for stage in Stage::ALL {
            let on = last.is_some_and(|run| run.stage == stage);
            all.push(Reading::scalar(Metric::FinetuneStage, &[stage.as_str()], flag(on)));
        }
        let holds = self.hold_names.iter().map(|name| Reading::scalar(Metric::FinetuneHold, &[name], 1.0));
        all.extend(holds);
        let missing = self.missing.iter().map(|name| Reading::scalar(Metric::FinetuneVersionMissing, &[name], 1.0));
        all.extend(missing);
        for version in &self.versions {
            let labels = [version.name.as_str(), version.status.as_str()];
            all.push(Reading::scalar(Metric::ModelVersion, &labels, 1.0));
        }
        if let Some(run) = last.filter(|run| run.stage == Stage::Training) {
            let steps = progress(&places.adapter(run.id).join("progress.jsonl"));
            let newest = |key: &str| steps.iter().rev().find_map(|step| step[key].as_f64());
            for (metric, key) in [
                (Metric::FinetuneStep, "step"),
                (Metric::FinetuneLoss, "loss"),
                (Metric::FinetuneHoldoutLoss, "holdout_loss"),
                (Metric::FinetuneTokens, "tokens_per_second"),
            ] {
                all.extend(newest(key).map(|value| Reading::scalar(metric, &[], value)));
            }
        }
        all
    }
}

/// The last lines of a training's progress; none where there is no such file.
fn progress(path: &Path) -> Vec<Value> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let begin = file.metadata()?.len().saturating_sub(TAIL);
        file.seek(SeekFrom::Start(begin))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        Ok(tail)
    };
    let tail = read().unwrap_or_default();
    String::from_utf8_lossy(&tail).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
