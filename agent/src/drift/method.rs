//! What the course of a signal needs of a detector, whatever its values are.

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{Change, DetectorConfig};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::finding::Finding;
use super::ring::Ring;
use super::signal::Signal;
use crate::config::HourOfWeek;

/// How a detector is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MethodConfig {
    pub(super) detector: DetectorConfig,
    /// The least acceptable mean, of ratios.
    pub(super) floor: f64,
    /// Whether numbers are compared by hour of the week once that is known.
    pub(super) hours: HourOfWeek,
}

/// A detector of one kind of value.
pub(super) trait Method: Sized + Serialize + DeserializeOwned + Send {
    /// What is observed.
    type Value: Clone + Serialize + DeserializeOwned + Send;
    /// What is usual.
    type Reference: Serialize + DeserializeOwned + Send;

    /// The fewest observations to learn from.
    const LEAST: usize;

    /// Learns what is usual from values in the order in which they came.
    fn learn(values: &[&Self::Value], config: &MethodConfig) -> Result<Self::Reference, String>;

    /// Watches against a reference.
    fn start(reference: &Self::Reference, config: &MethodConfig, now: Timestamp) -> Result<Self, String>;

    /// Whether what was read back can go on.
    fn is_sound(&self) -> bool {
        true
    }

    /// Takes what is not saved with it from the reference, after it was read back.
    fn attach(&mut self, _reference: &Self::Reference, _config: &MethodConfig) {}

    /// A value that a reference by hour of the week can be learned from.
    fn number(_value: &Self::Value) -> Option<f64> {
        None
    }

    /// What is usual by hour of the week; `None` where that does not exist, or while too few hours are known.
    fn learn_hours(_weeks: &[(Timestamp, f64)], _config: &MethodConfig) -> Option<Self::Reference> {
        None
    }

    /// Whether a reference is one by hour of the week.
    fn knows_hours(_reference: &Self::Reference) -> bool {
        false
    }

    /// Whether an alarm stands, of methods that learn by hour.
    fn alarmed(&self) -> bool {
        false
    }

    /// Takes one value.
    fn observe(&mut self, now: Timestamp, value: &Self::Value) -> Change;

    /// Sets the average run length anew.
    fn set_arl(&mut self, arl: f64);

    /// Where it stands and why.
    fn finding(&self, signal: Signal, recent: &Ring<Self::Value>) -> Finding;

    /// What is usual, for people and programs.
    fn describe(reference: &Self::Reference) -> Value;

    /// How far two references lie apart.
    fn compare(before: &Self::Reference, after: &Self::Reference) -> Value;
}
