//! What an operator may do to a baseline, and why it may not be done.

use plimsoll_rules::drift::DriftError;

/// Something to do to the baseline of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The present becomes the new baseline.
    Accept,
    /// The baseline in force, or this version, stays until it is unpinned.
    Pin(Option<u64>),
    /// It may be replaced again.
    Unpin,
    /// An earlier version is in force again.
    RollBack(u64),
}

/// Why it was not done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ActError {
    /// There is no baseline yet.
    #[error("the first baseline is still being learned")]
    Learning,
    /// Nothing has changed that could be accepted.
    #[error(
        "no alarm stands, so there is no change to accept: baseline {version} stays in force; to go back, roll back"
    )]
    NoAlarm {
        /// The version in force.
        version: u64,
    },
    /// Too little has been seen since the change.
    #[error("only {have} observations since the change; {need} are needed to learn from: try again later")]
    TooFew {
        /// Seen.
        have: usize,
        /// Needed.
        need: usize,
    },
    /// There is no such version.
    #[error("there is no baseline {version}; known: {versions:?}")]
    NoSuchVersion {
        /// Asked for.
        version: u64,
        /// All there are.
        versions: Vec<u64>,
    },
    /// The rules refuse.
    #[error(transparent)]
    Refused(#[from] DriftError),
    /// The values cannot be learned from.
    #[error("the recent observations cannot be learned from: {0}")]
    Failed(String),
}
