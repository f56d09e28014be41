//! Drift with a stated false-alarm rate: has the distribution of a signal left its baseline, since when, and how?
//!
//! One detector a file: [`ScalarDetector`] for numbers (tokens, latencies, likelihoods), [`CategoricalDetector`] for
//! finish reasons, languages, routes and the like, [`RatioDetector`] for a business ratio that must not fall below a
//! floor. All are Shiryaev-Roberts e-detectors (Shin, Ramdas and Rinaldo, arXiv 2203.03532): they start a bet against
//! "nothing has changed" at every observation, and alarm when the bets together have earned too much. "Average run
//! length" (ARL) is the mean number of observations between two false alarms; [`FalseAlarms`] turns a user's
//! `1 per 30d` into it. [`Combination`] spends one such budget over several signals.
//!
//! Everything here is plain data: it serialises with serde and goes on to the same bits after a restart, random
//! numbers come from a stored seed, and `now` is an argument.

mod alarm;
mod bank;
mod baseline;
mod budget;
mod burst;
mod categorical;
pub mod clusters;
mod combination;
mod comparison;
pub mod embedding;
mod explanation;
mod hours;
mod learner;
mod pit;
mod ratio;
mod ratio_bets;
mod recent;
mod scalar;
mod share_bank;
mod thresholds;

pub use alarm::{Alarm, Calm, Change};
pub use bank::{Alternative, BINS, DeadZone};
pub use baseline::{Baseline, BaselineKind, Baselines, Learned};
pub use budget::FalseAlarms;
pub use burst::Burst;
pub use categorical::{CategoricalDetector, CategoricalExplanation, CategoricalReference, CategoryCounts};
pub use combination::{Combination, reference_margin};
pub use comparison::Comparison;
pub use explanation::{Direction, Explanation, MovedQuantile, Quantiles, ShareShift};
pub use hours::{HourOfWeek, HourlyReference};
pub use learner::{Learner, Span};
pub use pit::{MIN_REFERENCE, ScalarReference, Whitener};
pub use ratio::{RatioConfig, RatioDetector};
pub use ratio_bets::RatioBets;
pub use scalar::{DetectorConfig, ScalarDetector, TickCounts};
pub use thresholds::{arl_of, threshold};

/// Why a detector or a baseline cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DriftError {
    /// The reference is too small to say what is usual.
    #[error("a baseline needs at least {need} finite values; {have} given")]
    TooFew {
        /// Values that could be used.
        have: usize,
        /// The least that will do.
        need: usize,
    },
    /// A setting that makes no sense.
    #[error("{what} must be {should}; found {found}")]
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// What would be right.
        should: &'static str,
        /// What was found.
        found: f64,
    },
    /// There is no such version of the baseline.
    #[error("the baseline has no version {version}; it has {oldest} to {newest}")]
    NoSuchVersion {
        /// Asked for.
        version: u64,
        /// Oldest one kept.
        oldest: u64,
        /// Newest one.
        newest: u64,
    },
    /// A pinned baseline is not replaced.
    #[error("baseline version {version} is pinned; unpin it first")]
    Pinned {
        /// The version in force.
        version: u64,
    },
}

/// Refuses `found` unless `fine`.
fn within(fine: bool, what: &'static str, should: &'static str, found: f64) -> Result<(), DriftError> {
    if fine { Ok(()) } else { Err(DriftError::OutOfRange { what, should, found }) }
}
