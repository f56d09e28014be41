//! How an experiment is shown: as JSON, as series, and as the answer that Argo Rollouts asks for.

use plimsoll_exporters::{Metric, Reading, Registry};
use plimsoll_rules::verdict::experiment::{
    Arm, Decision, Direction, Experiment as Machine, Interval, Metric as Measured, MetricKind, MetricSpec, Reason,
    Role, State,
};
use plimsoll_rules::verdict::{JudgeReport, e_bh};
use serde::Serialize;

use super::judged;
use crate::config::{Experiment, Split};
use crate::records;

/// Units after which a metric without any outcome is worth a word.
const SILENT: u64 = 100;

/// One metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricView {
    /// Its name.
    pub name: String,
    /// Which way is better.
    pub direction: Direction,
    /// What it may decide.
    pub role: Role,
    /// How much worse is still no worse.
    pub margin: f64,
    /// Units with a value and their mean, of control and of the treatment, as the metric counts them.
    pub units: [u64; 2],
    /// Their means, in the metric's unit; shares for binary ones and quantiles.
    pub means: [f64; 2],
    /// The effect, once there are enough units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Interval>,
    /// Worse or not, among all metrics, signals too: on average at most `alpha` of those that are called so are not (e-BH).
    pub is_worse: bool,
    /// ln of the evidence of harm, and of being no worse.
    pub log_e_harm: f64,
    /// The same of being no worse.
    pub log_e_no_worse: f64,
    /// A quantile's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

/// One experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// Names of control and treatment.
    pub variants: [String; 2],
    /// Share of new units that get the treatment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Level.
    pub alpha: f64,
    /// Units that are in.
    pub units: [u64; 2],
    /// After so many control is kept.
    pub max_units: u64,
    /// ln of the Bayes factor against the configured split.
    pub log_e_split: f64,
    /// ln of the evidence that outcomes are missing more often in one arm.
    pub log_e_missing: f64,
    /// What is measured.
    pub metrics: Vec<MetricView>,
    /// What the judge says of mirrored requests: a signal, which decides nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeReport>,
    /// What will keep it from ever deciding, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What was decided last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<Decision>,
    /// Hash of the state: equal after a replay of the records.
    pub state_hash: String,
}

impl View {
    pub(super) fn of(
        experiment: &Experiment,
        machine: &Machine,
        last: Option<&Decision>,
        judge: Option<&JudgeReport>,
    ) -> Self {
        let worse = worse(machine);
        let metrics = machine.metrics().enumerate().map(|(at, (spec, metric))| MetricView {
            name: spec.name.clone(),
            direction: spec.direction,
            role: spec.role,
            margin: spec.margin,
            units: [metric.arm(Arm::Control).count(), metric.arm(Arm::Treatment).count()],
            means: [Arm::Control, Arm::Treatment].map(|arm| in_own_unit(spec, metric.arm(arm).mean())),
            effect: machine.interval(at),
            is_worse: worse.contains(&at),
            log_e_harm: metric.log_e_harm(),
            log_e_no_worse: metric.log_e_no_worse(),
            limit: metric.limit(),
        });
        Self {
            id: experiment.spec.id.clone(),
            state: machine.state(),
            variants: [experiment.control.name.to_string(), experiment.treatment.name.to_string()],
            share: machine.propensity().map(|share| match experiment.split {
                Split::Outside { propensity, .. } => propensity,
                _ => share,
            }),
            alpha: experiment.spec.alpha,
            units: machine.units(),
            max_units: experiment.spec.max_units,
            log_e_split: machine.log_e_split(),
            log_e_missing: machine.log_e_missing(),
            metrics: metrics.collect(),
            judge: judge.cloned(),
            warnings: warnings(machine),
            last_decision: last.cloned(),
            state_hash: machine.hash(),
        }
    }

    /// What an Argo Rollouts web metric reads: `Successful`, `Failed`, `Inconclusive` (hold, kept without a verdict), or
    /// `Running`.
    #[must_use]
    pub fn argo(&self) -> &'static str {
        match self.state {
            State::Promoted => "Successful",
            State::RolledBack => "Failed",
            State::KeptControl | State::Hold(_) => "Inconclusive",
            State::AaCheck | State::Ramp(_) => "Running",
        }
    }

    /// Its series.
    pub(super) fn readings(&self) -> Vec<Reading> {
        let id = self.id.as_str();
        let mut all: Vec<Reading> = State::WORDS
            .iter()
            .map(|word| {
                Reading::scalar(
                    Metric::ExperimentState,
                    &[id, word],
                    if *word == self.state.as_str() { 1.0 } else { 0.0 },
                )
            })
            .collect();
        all.push(Reading::scalar(Metric::ExperimentShare, &[id], self.share.unwrap_or(0.0)));
        all.push(Reading::scalar(Metric::ExperimentSplitEvidence, &[id], self.log_e_split));
        all.push(Reading::scalar(Metric::ExperimentMissingEvidence, &[id], self.log_e_missing));
        for (arm, units) in [Arm::Control, Arm::Treatment].into_iter().zip(self.units) {
            all.push(Reading::scalar(Metric::ExperimentOutcomes, &[id, arm.as_str()], units as f64));
        }
        for metric in &self.metrics {
            let name = metric.name.as_str();
            all.push(Reading::scalar(Metric::ExperimentEvidence, &[id, name, "harm"], metric.log_e_harm));
            all.push(Reading::scalar(Metric::ExperimentEvidence, &[id, name, "no_worse"], metric.log_e_no_worse));
            for (bound, value) in metric
                .effect
                .iter()
                .flat_map(|effect| [("estimate", effect.effect), ("lower", effect.lower), ("upper", effect.upper)])
            {
                all.push(Reading::scalar(Metric::ExperimentEffect, &[id, name, bound], value));
            }
        }
        all.extend(self.judge.iter().flat_map(|report| judged::readings(id, report)));
        if let Some(last) = &self.last_decision {
            let labels = [id, last.from.as_str(), last.to.as_str(), last.reason.as_str()];
            let labels = [&labels[..], &[last.metric.as_deref().unwrap_or("")]].concat();
            all.push(Reading::scalar(Metric::ExperimentDecided, &labels, last.at.secs_f64()));
        }
        all
    }
}

/// Places of the metrics that are worse by e-BH on the evidence as it stands now.
fn worse(machine: &Machine) -> Vec<usize> {
    let evidence: Vec<f64> = machine.metrics().map(|(_, metric)| metric.log_e_harm_now()).collect();
    e_bh(&evidence, machine.spec().alpha).unwrap_or_default()
}

fn in_own_unit(spec: &MetricSpec, mean: f64) -> f64 {
    if let MetricKind::Bounded { low, high } = spec.kind { low + mean * (high - low) } else { mean }
}

/// Metrics that decide and have no outcome at all: a name that feedback does not use, most often.
fn warnings(machine: &Machine) -> Vec<String> {
    let units: u64 = machine.units().iter().sum();
    let silent = |(spec, metric): &(&MetricSpec, &Measured)| {
        let count = metric.arm(Arm::Control).count() + metric.arm(Arm::Treatment).count();
        spec.role != Role::Signal && units >= SILENT && count == 0 && !metric.is_learning()
    };
    let all = machine.metrics().filter(silent);
    all.map(|(spec, _)| format!("{}: {units} units, and none has an outcome; is it posted by this name?", spec.name))
        .collect()
}

/// What a decision does.
pub(super) fn action(decision: &Decision) -> &'static str {
    match (decision.to, decision.reason) {
        (State::Promoted, _) => "promote",
        (State::RolledBack, _) => "roll_back",
        (State::KeptControl, _) => "keep_control",
        (State::Hold(_), _) => "hold",
        (_, Reason::Operator) => "resume",
        _ => "advance",
    }
}

/// Counts a decision that is durable.
pub(super) fn count(registry: &Registry, id: &str, decision: &records::Decision) {
    registry.add(Metric::ExperimentDecisions, &[id, &decision.action, &decision.reason], 1.0);
}
