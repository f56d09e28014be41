//! Time for the outbox: starts at the wall clock and then only moves forward, so that no retry waits for a wall clock
//! that was set back.

use std::time::SystemTime;

use plimsoll_rules::Timestamp;
use tokio::time::Instant;

/// Steady time, in wall-clock terms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Timestamp,
    start: Instant,
}

impl Clock {
    /// Starts at the wall clock's time.
    pub(crate) fn start() -> Self {
        Self { wall: wall(), start: Instant::now() }
    }

    /// The time now.
    pub(crate) fn now(self) -> Timestamp {
        self.wall + self.start.elapsed()
    }

    /// `at` on tokio's clock: [`Self::now`] is not before `at` from then on.
    pub(crate) fn instant(self, at: Timestamp) -> Instant {
        self.start + at.since(self.wall)
    }
}

/// The wall clock, as receivers see it.
pub(crate) fn wall() -> Timestamp {
    Timestamp::default() + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
