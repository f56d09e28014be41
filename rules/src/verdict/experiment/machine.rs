//! The decision machine: completed units in, decisions out. The same units in the same order give the same decisions.

use serde::{Deserialize, Serialize};

use super::decision::{Decision, Reason, State};
use super::metric::{Interval, Metric, SameTwice};
use super::spec::{Arm, ExperimentSpec, MetricKind, MetricSpec, RampStep, Role, digest};
use crate::units::Timestamp;
use crate::verdict::randomisation::Unit;
use crate::verdict::srm::{SRM_PRIOR, SampleRatio};

/// ln of the evidence at which the split or the data is taken to be broken: one in a thousand by chance.
pub const BROKEN: f64 = 6.907_755_278_982_137;
/// The smallest evidence of the A/A check that fails it: one in a hundred by chance.
const AA_FAILS: f64 = 4.605_170_185_988_092;

/// A unit whose window has closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitResult {
    /// Its arm.
    pub arm: Arm,
    /// The probability of the treatment when it was drawn, in (0, 1).
    pub propensity: f64,
    /// One value for each metric of the spec, in its unit; `None` where it is missing.
    pub values: Vec<Option<f64>>,
    /// Whether its values were meant to be there: one that nobody asked for by chance is not missing.
    pub asked: bool,
}

impl UnitResult {
    fn was_drawn(&self) -> bool {
        self.propensity > 0.0 && self.propensity < 1.0
    }
}

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Go on after a hold; what was counted for it begins anew.
    Resume,
    /// Serve the treatment to all.
    Promote,
    /// Serve control to all.
    RollBack,
    /// End without a verdict.
    Keep,
}

/// An experiment under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    spec: ExperimentSpec,
    state: State,
    /// Units at this step, and since when it runs (`None` before the first).
    step_units: u64,
    step_since: Option<Timestamp>,
    units: [u64; 2],
    metrics: Vec<Metric>,
    /// For each metric, of the A/A check only.
    same: Vec<SameTwice>,
    /// Units by their propensity: the ramp changes it.
    splits: Vec<(f64, SampleRatio)>,
    missing: SameTwice,
}

impl Experiment {
    /// Begins.
    #[must_use]
    pub fn new(spec: ExperimentSpec) -> Self {
        let state = if spec.aa_units > 0 { State::AaCheck } else { State::Ramp(0) };
        Self {
            state,
            step_units: 0,
            step_since: None,
            units: [0; 2],
            metrics: spec.metrics.iter().map(Metric::new).collect(),
            same: vec![SameTwice::default(); spec.metrics.len()],
            splits: Vec::new(),
            missing: SameTwice::default(),
            spec,
        }
    }

    /// What it is.
    #[must_use]
    pub fn spec(&self) -> &ExperimentSpec {
        &self.spec
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Units of control and of the treatment that are in (of the ramp).
    #[must_use]
    pub fn units(&self) -> [u64; 2] {
        self.units
    }

    /// Each metric with what is known of it.
    pub fn metrics(&self) -> impl Iterator<Item = (&MetricSpec, &Metric)> {
        self.spec.metrics.iter().zip(&self.metrics)
    }

    /// The effect on a metric, at the experiment's level.
    #[must_use]
    pub fn interval(&self, metric: usize) -> Option<Interval> {
        self.metrics.get(metric)?.interval(self.spec.metrics.get(metric)?, self.spec.alpha)
    }

    /// ln of the evidence that the split is not what was configured.
    #[must_use]
    pub fn log_e_split(&self) -> f64 {
        self.splits.iter().map(|(_, test)| test.log_e()).sum::<f64>() + 0.0
    }

    /// ln of the evidence that outcomes are missing more often in one arm.
    #[must_use]
    pub fn log_e_missing(&self) -> f64 {
        self.missing.log_e()
    }

    /// How likely a new unit is to be drawn for the treatment; `None` when none is drawn any more.
    #[must_use]
    pub fn propensity(&self) -> Option<f64> {
        match self.state {
            State::AaCheck | State::Hold(None) => Some(0.5),
            State::Ramp(step) | State::Hold(Some(step)) => self.spec.ramp.get(step).map(|step| step.share),
            _ => None,
        }
    }

    /// SHA-256 of the whole state, in hexadecimal: equal states have equal ones, on every machine.
    #[must_use]
    pub fn hash(&self) -> String {
        digest(self)
    }

    /// Takes a unit whose window has closed at `now`; what is decided by it, if anything. Units that could not have
    /// been drawn either way, and units after the end, change nothing.
    pub fn close(&mut self, result: &UnitResult, now: Timestamp) -> Option<Decision> {
        if self.state.is_over() || !result.was_drawn() {
            return None;
        }
        self.observe(result);
        let since = *self.step_since.get_or_insert(now);
        self.decide(now, now.since(since))
    }

    /// Takes a unit and decides nothing.
    pub fn observe(&mut self, result: &UnitResult) {
        if !result.was_drawn() {
            return;
        }
        self.step_units += 1;
        self.count_split(result);
        self.count_missing(result);
        if matches!(self.state, State::AaCheck | State::Hold(None)) {
            self.check_same(result);
        } else {
            self.units[result.arm.index()] += 1;
            self.measure(result);
        }
    }

    /// An operator's wish at `now`; `None` where it changes nothing.
    pub fn act(&mut self, act: Act, now: Timestamp) -> Option<Decision> {
        let to = match (act, self.state) {
            (_, state) if state.is_over() => return None,
            (Act::Resume, State::Hold(None)) => State::AaCheck,
            (Act::Resume, State::Hold(Some(step))) => State::Ramp(step),
            (Act::Resume, _) => return None,
            (Act::Promote, _) => State::Promoted,
            (Act::RollBack, _) => State::RolledBack,
            (Act::Keep, _) => State::KeptControl,
        };
        if act == Act::Resume {
            self.splits.clear();
            self.missing = SameTwice::default();
            self.same.fill(SameTwice::default());
        }
        Some(self.go(to, Reason::Operator, None, None, now))
    }

    fn count_split(&mut self, result: &UnitResult) {
        let same = |(propensity, _): &(f64, SampleRatio)| *propensity == result.propensity;
        if !self.splits.iter().any(same)
            && let Ok(test) = SampleRatio::new(&[1.0 - result.propensity, result.propensity], SRM_PRIOR)
        {
            self.splits.push((result.propensity, test));
        }
        if let Some((_, test)) = self.splits.iter_mut().find(|split| same(split)) {
            test.add(result.arm.index(), 1);
        }
    }

    fn count_missing(&mut self, result: &UnitResult) {
        if !result.asked {
            return;
        }
        let mut deciding = self.spec.metrics.iter().zip(&result.values).filter(|(spec, _)| spec.role != Role::Signal);
        let outcome = if deciding.any(|(_, value)| value.is_none()) { 1.0 } else { 0.0 };
        self.missing.add(&Unit { outcome, treated: result.arm == Arm::Treatment, propensity: result.propensity });
    }

    fn check_same(&mut self, result: &UnitResult) {
        for (at, value) in result.values.iter().enumerate() {
            let (Some(spec), Some(value)) = (self.spec.metrics.get(at), finite(*value)) else { continue };
            let treated = result.arm == Arm::Treatment;
            let outcome = match spec.kind {
                MetricKind::Binary => value.clamp(0.0, 1.0),
                MetricKind::Bounded { low, high } => (value.clamp(low, high) - low) / (high - low),
                MetricKind::Quantile { quantile, .. } => {
                    // Both halves are control here.
                    self.metrics[at].learn(quantile, Arm::Control, value);
                    match self.metrics[at].limit() {
                        Some(limit) if value > limit => 1.0,
                        Some(_) => 0.0,
                        None => continue,
                    }
                }
                MetricKind::Mean => continue,
            };
            self.same[at].add(&Unit { outcome, treated, propensity: result.propensity });
        }
    }

    fn measure(&mut self, result: &UnitResult) {
        let alpha = (self.spec.alpha / self.deciding() as f64, self.spec.alpha);
        for (at, value) in result.values.iter().enumerate() {
            if let (Some(spec), Some(value)) = (self.spec.metrics.get(at), finite(*value)) {
                self.metrics[at].add(spec, result.arm, result.propensity, value, alpha);
            }
        }
    }

    /// How many metrics decide.
    fn deciding(&self) -> usize {
        self.spec.metrics.iter().filter(|spec| spec.role != Role::Signal).count().max(1)
    }

    fn decide(&mut self, now: Timestamp, at_step: std::time::Duration) -> Option<Decision> {
        if let Some(decision) = self.harm(now) {
            return Some(decision);
        }
        let step = match self.state {
            State::AaCheck => None,
            State::Ramp(step) => Some(step),
            _ => return self.out_of_units(now),
        };
        for (reason, log_e) in
            [(Reason::SampleRatioMismatch, self.log_e_split()), (Reason::MissingDiffers, self.missing.log_e())]
        {
            if log_e >= BROKEN {
                return Some(self.go(State::Hold(step), reason, None, Some(log_e), now));
            }
        }
        match step {
            None => self.end_of_aa(now),
            Some(step) => self.end_of_step(step, at_step, now).or_else(|| self.out_of_units(now)),
        }
    }

    fn harm(&mut self, now: Timestamp) -> Option<Decision> {
        let enough = (self.deciding() as f64 / self.spec.alpha).ln();
        let found = |(spec, metric): &(&MetricSpec, &Metric)| {
            spec.role != Role::Signal && metric.log_e_harm() >= enough * (1.0 - 1e-12)
        };
        let at = self.metrics().position(|metric| found(&metric))?;
        let log_e = self.metrics[at].log_e_harm();
        Some(self.go(State::RolledBack, Reason::Harm, Some(at), Some(log_e), now))
    }

    fn end_of_aa(&mut self, now: Timestamp) -> Option<Decision> {
        let failed = AA_FAILS + (self.same.len() as f64).ln();
        if let Some(at) = self.same.iter().position(|same| same.log_e() >= failed) {
            let log_e = self.same[at].log_e();
            return Some(self.go(State::Hold(None), Reason::AaFailed, Some(at), Some(log_e), now));
        }
        (self.step_units >= self.spec.aa_units).then(|| self.go(State::Ramp(0), Reason::AaPassed, None, None, now))
    }

    fn end_of_step(&mut self, step: usize, at_step: std::time::Duration, now: Timestamp) -> Option<Decision> {
        let RampStep { units, time, .. } = *self.spec.ramp.get(step)?;
        if self.step_units < units || at_step < time {
            return None;
        }
        if step + 1 < self.spec.ramp.len() {
            return Some(self.go(State::Ramp(step + 1), Reason::StepDone, None, None, now));
        }
        self.no_worse(now)
    }

    /// Promotes when every deciding metric has been shown to be no worse (intersection-union: each at alpha).
    fn no_worse(&mut self, now: Timestamp) -> Option<Decision> {
        let enough = -self.spec.alpha.ln() * (1.0 - 1e-12);
        let deciding = self.metrics().enumerate().filter(|(_, (spec, _))| spec.role != Role::Signal);
        let (at, least) = deciding
            .map(|(at, (_, metric))| (at, metric.log_e_no_worse()))
            .min_by(|(_, one), (_, other)| one.total_cmp(other))?;
        (self.spec.promotes && least >= enough)
            .then(|| self.go(State::Promoted, Reason::NoWorse, Some(at), Some(least), now))
    }

    fn out_of_units(&mut self, now: Timestamp) -> Option<Decision> {
        let used = self.units[0] + self.units[1];
        (used >= self.spec.max_units).then(|| self.go(State::KeptControl, Reason::OutOfUnits, None, None, now))
    }

    fn go(&mut self, to: State, reason: Reason, metric: Option<usize>, log_e: Option<f64>, now: Timestamp) -> Decision {
        let from = std::mem::replace(&mut self.state, to);
        self.step_units = 0;
        self.step_since = None;
        Decision {
            at: now,
            from,
            to,
            reason,
            metric: metric.and_then(|at| Some(self.spec.metrics.get(at)?.name.clone())),
            log_e,
            interval: metric.and_then(|at| self.interval(at)),
            units: self.units,
        }
    }
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}
