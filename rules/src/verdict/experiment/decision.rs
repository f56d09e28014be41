//! What an experiment can be in, and what was decided when and why.

use serde::{Deserialize, Serialize};

use super::metric::Interval;
use crate::units::Timestamp;

/// Where an experiment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Both halves get control: can the set-up tell apart what is the same?
    AaCheck,
    /// This step of the ramp, from 0.
    Ramp(usize),
    /// Something is wrong with the data; at this step, or in the A/A check (`None`).
    Hold(Option<usize>),
    /// The treatment is served to all.
    Promoted,
    /// Control is served to all: the treatment does harm.
    RolledBack,
    /// Control is served to all: no verdict within the units given, or an operator's wish.
    KeptControl,
}

impl State {
    /// Whether nothing can change any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Promoted | Self::RolledBack | Self::KeptControl)
    }

    /// A word for it, a label of the series.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AaCheck => "aa_check",
            Self::Ramp(_) => "ramp",
            Self::Hold(_) => "hold",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
            Self::KeptControl => "kept_control",
        }
    }

    /// All words.
    pub const WORDS: [&'static str; 6] = ["aa_check", "ramp", "hold", "promoted", "rolled_back", "kept_control"];
}

/// What led to a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The A/A check found nothing.
    AaPassed,
    /// The A/A check found a difference where there is none.
    AaFailed,
    /// Enough units and time at this step.
    StepDone,
    /// The arms' sizes are not what the propensities say.
    SampleRatioMismatch,
    /// Outcomes are missing more often in one arm.
    MissingDiffers,
    /// Every deciding metric is shown to be no worse than its margin.
    NoWorse,
    /// A metric is shown to be worse.
    Harm,
    /// The units given are used up.
    OutOfUnits,
    /// Somebody wished it.
    Operator,
}

impl Reason {
    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AaPassed => "aa_passed",
            Self::AaFailed => "aa_failed",
            Self::StepDone => "step_done",
            Self::SampleRatioMismatch => "sample_ratio_mismatch",
            Self::MissingDiffers => "missing_differs",
            Self::NoWorse => "no_worse",
            Self::Harm => "harm",
            Self::OutOfUnits => "out_of_units",
            Self::Operator => "operator",
        }
    }
}

/// A change of state; is never taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When, by the event that brought it.
    pub at: Timestamp,
    /// What it was.
    pub from: State,
    /// What it became.
    pub to: State,
    /// Why.
    pub reason: Reason,
    /// The metric that decided, if one did.
    pub metric: Option<String>,
    /// ln of the evidence that decided, where there is some.
    pub log_e: Option<f64>,
    /// The metric's effect, treatment minus control, at the experiment's level.
    pub interval: Option<Interval>,
    /// Units of control and of the treatment so far.
    pub units: [u64; 2],
}
