//! What the judge has said of each experiment's mirrored requests, read from the records now and then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plimsoll_exporters::{Metric, Reading};
use plimsoll_rules::verdict::{JudgeHealth, JudgeReport, judge_report};

use crate::config::{Experiment, Split};
use crate::records::{Records, Refused};

/// How often they are read.
const EVERY: Duration = Duration::from_secs(5);

/// The last report of each experiment.
#[derive(Debug, Default)]
pub(super) struct Reports {
    known: BTreeMap<String, JudgeReport>,
    read: BTreeMap<String, Instant>,
}

impl Reports {
    /// Of an experiment; `None` where the judge is not asked, or has said nothing yet.
    pub(super) fn of(&self, id: &str) -> Option<&JudgeReport> {
        self.known.get(id)
    }

    /// Forgets experiments that are not configured any more.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.known.retain(|id, _| is_there(id));
        self.read.retain(|id, _| is_there(id));
    }

    /// Reads the comparisons of a mirror, if the last time is long ago.
    pub(super) async fn refresh(&mut self, experiment: &Experiment, records: &Records) -> Result<(), Refused> {
        let id = &experiment.spec.id;
        let fresh = self.read.get(id).is_some_and(|read| read.elapsed() < EVERY);
        if fresh || experiment.split != Split::Mirror || !experiment.judge.enabled {
            return Ok(());
        }
        self.read.insert(id.clone(), Instant::now());
        let pairs = records.judgements(id, &experiment.treatment.name).await?;
        if pairs.is_empty() {
            self.known.remove(id);
        } else {
            self.known.insert(id.clone(), judge_report(&pairs, experiment.spec.alpha));
        }
        Ok(())
    }
}

/// A report as series.
pub(super) fn readings(id: &str, report: &JudgeReport) -> Vec<Reading> {
    let mut all: Vec<Reading> = JudgeHealth::WORDS
        .iter()
        .map(|word| {
            let is = if *word == report.health.as_str() { 1.0 } else { 0.0 };
            Reading::scalar(Metric::ExperimentJudgeHealth, &[id, word], is)
        })
        .collect();
    let scalars = [
        (Metric::ExperimentJudgePositionGap, report.position_gap),
        (Metric::ExperimentJudgeFlips, report.flips),
        (Metric::ExperimentJudgeTemperature, report.temperature),
    ];
    all.extend(scalars.into_iter().filter_map(|(metric, value)| Some(Reading::scalar(metric, &[id], value?))));
    let rates = [("judge", report.win_rate), ("judge_equal_length", report.win_rate_at_equal_length)];
    let single = rates.into_iter().filter_map(|(by, rate)| Some((by, "estimate", rate?)));
    let bounds = [("labels", report.labelled), ("labels_and_judge", report.assisted)];
    let wide = bounds.into_iter().flat_map(|(by, found)| {
        let ends = found.into_iter().flat_map(|ends| ["estimate", "lower", "upper"].into_iter().zip(ends));
        ends.map(move |(bound, value)| (by, bound, value))
    });
    all.extend(
        single
            .chain(wide)
            .map(|(by, bound, value)| Reading::scalar(Metric::ExperimentWinRate, &[id, by, bound], value)),
    );
    for (side, log_e) in [("better", report.log_e_better), ("worse", report.log_e_worse)] {
        all.push(Reading::scalar(Metric::ExperimentJudgeEvidence, &[id, side], log_e));
    }
    all
}
