//! Where observed exchanges go, and how their text is masked on the way.

use std::fmt;
use std::sync::Arc;

use plimsoll_rules::{Exchange, Masker};
use tokio::sync::mpsc;

use crate::feed::DriftFeed;

/// The observer's way out.
#[derive(Clone)]
pub struct Outlets {
    /// To the records; when it is full the newest is dropped (`plimsoll_dropped_total{what="exchanges"}`).
    pub records: mpsc::Sender<Exchange>,
    /// To the drift detectors, if anybody listens.
    pub drift: Option<DriftFeed>,
    /// Masks text before it goes anywhere.
    pub masker: Arc<Masker>,
}

impl fmt::Debug for Outlets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlets").field("drift", &self.drift).finish_non_exhaustive()
    }
}
