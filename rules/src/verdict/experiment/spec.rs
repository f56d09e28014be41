//! What an experiment is: two variants, how units are split between them, what is measured, what is decided.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One of the two variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// What is served now.
    Control,
    /// What may replace it.
    Treatment,
}

impl Arm {
    /// 0 for control, 1 for treatment.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Control => 0,
            Self::Treatment => 1,
        }
    }

    /// `control` or `treatment`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Treatment => "treatment",
        }
    }
}

/// What kind of number a unit's outcome is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// 0 or 1 an event; a unit's outcome is the share of its events that were 1.
    Binary,
    /// Between two bounds; outside them it is cut.
    Bounded {
        /// Least value.
        low: f64,
        /// Largest value.
        high: f64,
    },
    /// Whether a unit's value is above what control's quantile was: decides on tails (latency) without assuming a shape.
    Quantile {
        /// Which quantile, in (0, 1).
        quantile: f64,
        /// The value to be above of, in the metric's own unit; learnt from control's first units where it is not given.
        limit: Option<f64>,
    },
    /// Any number (cost, tokens): decided by the asymptotic confidence sequence.
    Mean,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// More is better.
    Increase,
    /// Less is better.
    Decrease,
}

/// What a metric may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Must be no worse than the margin for a promotion; harm rolls back.
    Primary,
    /// The same; shown apart.
    Guardrail,
    /// Is shown, decides nothing (a judge's score, for one).
    Signal,
}

/// One thing that is measured of every unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricSpec {
    /// Its name: feedback's `metric_name`, or `error`, `duration_seconds`, `time_to_first_token_seconds`, `output_tokens`,
    /// which the traffic itself says.
    pub name: String,
    /// What its values are.
    pub kind: MetricKind,
    /// Which way is better.
    pub direction: Direction,
    /// What it may decide.
    pub role: Role,
    /// How much worse still counts as no worse, > 0: in the metric's unit for a mean, of the range for a bounded one, in
    /// shares of units for binary and quantile.
    pub margin: f64,
}

/// One step of the ramp.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RampStep {
    /// Share of new units that get the treatment, in (0, 1).
    pub share: f64,
    /// Units whose outcome must be in before the next step.
    pub units: u64,
    /// Least time at this step.
    pub time: Duration,
}

/// All that decides about an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentSpec {
    /// Its name; a label of its series.
    pub id: String,
    /// What is measured; at least one is primary.
    pub metrics: Vec<MetricSpec>,
    /// Largest probability that a treatment which harms nothing is rolled back, and that one worse than a margin is
    /// promoted, in (0, 1).
    pub alpha: f64,
    /// Shares of the treatment, in order; at least one step.
    pub ramp: Vec<RampStep>,
    /// Units of the A/A check before the ramp (both halves get control); 0 for none.
    pub aa_units: u64,
    /// After so many units without a decision control is kept.
    pub max_units: u64,
    /// Whether the treatment may be promoted: not where users never saw it (a mirror).
    pub promotes: bool,
    /// How long after its first request a unit's outcomes count; then it is complete, whatever is missing.
    pub window: Duration,
}

impl ExperimentSpec {
    /// SHA-256 of all that decides, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        digest(self)
    }
}

/// SHA-256 of `value` as JSON, in hexadecimal.
pub(super) fn digest(value: &impl Serialize) -> String {
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
