//! Where observed exchanges go, and how their text is masked on the way.

use std::sync::Arc;

use plimsoll_rules::Exchange;
use plimsoll_rules::mask::Masker;
use tokio::sync::mpsc;

use crate::feed::Feeds;
use crate::pairs::PairPost;

/// The observer's way out.
#[derive(Clone, Debug)]
pub struct Outlets {
    /// To the records; when it is full the newest is dropped (`plimsoll_dropped_total{what="exchanges"}`).
    pub records: mpsc::Sender<Exchange>,
    /// To those that look more closely.
    pub feeds: Feeds,
    /// To whoever compares the answers to mirrored requests; nobody when absent.
    pub pairs: Option<PairPost>,
    /// Masks text before it goes anywhere.
    pub masker: Arc<Masker>,
}
