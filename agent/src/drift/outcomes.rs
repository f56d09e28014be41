//! What came of tasks, on its way to the drift detectors.

use plimsoll_exporters::Registry;
use tokio::sync::mpsc;

use super::signal::Signal;
use crate::feed::Post;

/// Outcomes that may wait for the detectors.
const QUEUE: usize = 1024;

/// What came of one task, or what one user said.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// [`Signal::TaskCompletion`] or [`Signal::UserSatisfaction`].
    pub signal: Signal,
    /// Model name as served; `""` when the exchange is not known.
    pub model: String,
    /// Variant.
    pub variant: String,
    /// 0 to 1.
    pub score: f64,
}

/// The records' end.
pub type OutcomeFeed = Post<Outcome>;

/// An empty queue and its two ends; what is dropped is counted as `drift_outcomes`.
pub fn outcome_feed(registry: Registry) -> (OutcomeFeed, mpsc::Receiver<Outcome>) {
    Post::new(registry, QUEUE, "drift_outcomes")
}
