//! The way of what came of tasks to the drift detectors: never waits, bounded.

use plimsoll_exporters::{Metric, Registry};
use tokio::sync::mpsc;

use super::signal::Signal;

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

/// The records' end; clones share one queue.
#[derive(Clone, Debug)]
pub struct OutcomeFeed {
    queue: mpsc::Sender<Outcome>,
    registry: Registry,
}

impl OutcomeFeed {
    /// An empty queue and its two ends.
    pub fn new(registry: Registry) -> (Self, mpsc::Receiver<Outcome>) {
        let (queue, inbox) = mpsc::channel(QUEUE);
        (Self { queue, registry }, inbox)
    }

    /// Hands on an outcome, or drops it and counts that (`plimsoll_dropped_total{what="drift_outcomes"}`) when too many
    /// are waiting. Does nothing when nobody listens any more.
    pub fn offer(&self, outcome: Outcome) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(outcome) {
            self.registry.add(Metric::Dropped, &["drift_outcomes"], 1.0);
        }
    }
}
