//! One metric of a running experiment: evidence of harm, evidence of being no worse, and how large the effect seems.

use serde::{Deserialize, Serialize};

use super::spec::{Arm, Direction, MetricKind, MetricSpec};
use crate::verdict::randomisation::{Randomisation, Side, Unit};
use crate::verdict::{AsymptoticSequence, Moments, log_mean_exp, too_few};

/// Values of control from which a quantile's limit is learnt.
pub const LEARN: usize = 200;
/// Units at which the interval of an effect is narrowest.
const NARROWEST: f64 = 1000.0;

/// Everything gathered of one metric; a few hundred bytes, or 2 KiB while a quantile is being learnt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    harm: Randomisation,
    no_worse: Randomisation,
    /// Largest ln e so far: what has been shown once stays shown (Ville).
    harm_most: f64,
    no_worse_most: f64,
    /// Outcomes of each arm, in the metric's unit.
    arms: [Moments; 2],
    /// (Y - m̂)(G - π)/(π(1 - π)): its mean is the effect, whatever the ramp does.
    effect: Moments,
    /// Mean of all outcomes that went before, the centre of `effect`.
    past: Moments,
    /// A quantile's limit: given, or learnt.
    limit: Option<f64>,
    learning: Vec<f64>,
}

/// Where an effect (treatment minus control) lies, in the metric's own unit, valid at all times at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Estimate.
    pub effect: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

impl Metric {
    /// Of a metric that nothing is known of.
    #[must_use]
    pub fn new(spec: &MetricSpec) -> Self {
        let limit = if let MetricKind::Quantile { limit, .. } = spec.kind { limit } else { None };
        Self {
            harm: Randomisation::new(Side::Lower, 0.0),
            no_worse: Randomisation::new(Side::Higher, spec.margin),
            harm_most: 0.0,
            no_worse_most: 0.0,
            arms: [Moments::default(); 2],
            effect: Moments::default(),
            past: Moments::default(),
            limit,
            learning: Vec::new(),
        }
    }

    /// Takes a unit's value, finite, in the metric's unit. `alpha` is the level of the decision by interval (means).
    pub fn add(&mut self, spec: &MetricSpec, arm: Arm, propensity: f64, value: f64, alpha: (f64, f64)) {
        let Some(outcome) = self.outcome(spec, arm, value) else { return };
        let treated = arm == Arm::Treatment;
        let drawn = if treated { 1.0 } else { 0.0 };
        let residual = outcome - self.past.mean();
        self.effect.add(residual * (drawn - propensity) / (propensity * (1.0 - propensity)));
        self.past.add(outcome);
        self.arms[arm.index()].add(outcome);
        if spec.kind == MetricKind::Mean {
            self.decide_by_interval(spec, alpha);
            return;
        }
        let unit = Unit { outcome: better_is_more(spec, outcome), treated, propensity };
        self.harm.add(&unit);
        self.no_worse.add(&unit);
        self.harm_most = self.harm_most.max(self.harm.log_e());
        self.no_worse_most = self.no_worse_most.max(self.no_worse.log_e());
    }

    /// The value as the metric counts it: of a quantile, whether it is above the limit; `None` while that is being learnt.
    fn outcome(&mut self, spec: &MetricSpec, arm: Arm, value: f64) -> Option<f64> {
        match spec.kind {
            MetricKind::Binary => Some(value.clamp(0.0, 1.0)),
            MetricKind::Bounded { low, high } => Some((value.clamp(low, high) - low) / (high - low)),
            MetricKind::Mean => Some(value),
            MetricKind::Quantile { quantile, .. } => match self.limit {
                Some(limit) => Some(if value > limit { 1.0 } else { 0.0 }),
                None => {
                    self.learn(quantile, arm, value);
                    None
                }
            },
        }
    }

    /// A value from which a quantile's limit may be learnt; used before the ramp too.
    pub fn learn(&mut self, quantile: f64, arm: Arm, value: f64) {
        if self.limit.is_some() || arm == Arm::Treatment {
            return;
        }
        self.learning.push(value);
        if self.learning.len() >= LEARN {
            let mut values = std::mem::take(&mut self.learning);
            values.sort_by(f64::total_cmp);
            let at = ((LEARN - 1) as f64 * quantile).round() as usize;
            self.limit = values.get(at).copied();
        }
    }

    /// Means have no bound to bet with: the interval itself decides, and its evidence is shown as 0 or as enough.
    fn decide_by_interval(&mut self, spec: &MetricSpec, (harm, promote): (f64, f64)) {
        let sign = if spec.direction == Direction::Increase { 1.0 } else { -1.0 };
        if let Some(interval) = self.interval(spec, harm)
            && (sign * interval.lower).max(sign * interval.upper) < 0.0
        {
            self.harm_most = -harm.ln();
        }
        if let Some(interval) = self.interval(spec, promote)
            && (sign * interval.lower).min(sign * interval.upper) > -spec.margin
        {
            self.no_worse_most = -promote.ln();
        }
    }

    /// Largest ln e-value so far that the treatment is worse.
    #[must_use]
    pub fn log_e_harm(&self) -> f64 {
        self.harm_most
    }

    /// ln of the e-value that the treatment is worse as it stands: what a step over many metrics takes (e-BH), which the
    /// largest so far is not for. 0 of a mean, which is decided by its interval.
    #[must_use]
    pub fn log_e_harm_now(&self) -> f64 {
        self.harm.log_e()
    }

    /// Whether values of control have come from which a quantile's limit is being learnt.
    #[must_use]
    pub fn is_learning(&self) -> bool {
        !self.learning.is_empty()
    }

    /// Largest ln e-value so far that the treatment is at most the margin worse.
    #[must_use]
    pub fn log_e_no_worse(&self) -> f64 {
        self.no_worse_most
    }

    /// Outcomes of `arm`, as the metric counts them.
    #[must_use]
    pub fn arm(&self, arm: Arm) -> &Moments {
        &self.arms[arm.index()]
    }

    /// A quantile's limit, once there is one.
    #[must_use]
    pub fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// The asymptotic confidence sequence of the effect at level `alpha`, in the metric's unit (shares for binary and
    /// quantile); `None` while there are too few units for it to hold.
    #[must_use]
    pub fn interval(&self, spec: &MetricSpec, alpha: f64) -> Option<Interval> {
        if too_few(&self.arms.map(|arm| arm.count()), self.minority(spec)).is_some() {
            return None;
        }
        let scale = if let MetricKind::Bounded { low, high } = spec.kind { high - low } else { 1.0 };
        let room = scale
            * AsymptoticSequence::new(alpha, NARROWEST)?.half_width(self.effect.count(), self.effect.variance())?;
        let effect = scale * self.effect.mean();
        Some(Interval { effect, lower: effect - room, upper: effect + room })
    }

    /// Units with the rarer outcome in both arms together, where outcomes are 0 or 1.
    fn minority(&self, spec: &MetricSpec) -> Option<u64> {
        let (share, count) = (self.past.mean(), self.past.count() as f64);
        let counts_events = matches!(spec.kind, MetricKind::Binary | MetricKind::Quantile { .. });
        counts_events.then(|| (share.min(1.0 - share) * count).round() as u64)
    }
}

/// The outcome in [0, 1], so that more is better.
fn better_is_more(spec: &MetricSpec, outcome: f64) -> f64 {
    match spec.direction {
        Direction::Increase => outcome,
        Direction::Decrease => 1.0 - outcome,
    }
}

/// Two halves that got the same: is either side better? ln of the e-value of both questions together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SameTwice {
    lower: Randomisation,
    higher: Randomisation,
    most: f64,
}

impl Default for SameTwice {
    fn default() -> Self {
        Self { lower: Randomisation::new(Side::Lower, 0.0), higher: Randomisation::new(Side::Higher, 0.0), most: 0.0 }
    }
}

impl SameTwice {
    /// Takes a unit whose outcome is in [0, 1].
    pub fn add(&mut self, unit: &Unit) {
        self.lower.add(unit);
        self.higher.add(unit);
        self.most = self.most.max(log_mean_exp(&[self.lower.log_e(), self.higher.log_e()]));
    }

    /// Largest so far.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        self.most
    }
}
