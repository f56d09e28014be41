//! The agent's one clock: wall time that never goes backwards.
//!
//! A wall clock that is set back would make every new sample older than the last one. We then go on counting from where
//! we were on the monotonic clock until the wall has caught up; a wall clock that jumps ahead (a suspended machine) is
//! followed at once.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use plimsoll_rules::Timestamp;

/// Steps back of the wall clock up to this are ordinary slewing and only hold time still.
const SLEW: Duration = Duration::from_secs(1);

/// Wall time that never goes backwards.
#[derive(Debug)]
pub struct Clock {
    anchor: (Timestamp, Instant),
    last: Timestamp,
    set_back: Option<Duration>,
}

impl Clock {
    /// Starts at the wall clock's time.
    pub fn start() -> Self {
        Self::anchored(wall(), Instant::now())
    }

    fn anchored(wall: Timestamp, now: Instant) -> Self {
        Self { anchor: (wall, now), last: wall, set_back: None }
    }

    /// The time now.
    pub fn now(&mut self) -> Timestamp {
        self.advance(wall(), Instant::now())
    }

    /// By how much the wall clock is behind us, if it was set back.
    pub fn set_back(&self) -> Option<Duration> {
        self.set_back
    }

    fn advance(&mut self, wall: Timestamp, now: Instant) -> Timestamp {
        let counted = self.anchor.0 + now.saturating_duration_since(self.anchor.1);
        let behind = counted.since(wall);
        if behind > SLEW {
            self.set_back = Some(behind);
            self.last = self.last.max(counted);
        } else {
            self.set_back = None;
            self.anchor = (wall, now);
            self.last = self.last.max(wall);
        }
        self.last
    }
}

/// The wall clock.
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(0) + since
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_backwards_and_follows_a_jump_ahead() {
        let (start, at) = (Instant::now(), |s: u64| Timestamp::from_millis(i64::try_from(s * 1000).unwrap()));
        let mut clock = Clock::anchored(at(1000), start);
        for (why, wall, elapsed, expected, set_back) in [
            ("ordinary", 1001, 1, 1001, false),
            ("set back an hour", 1001 - 600, 2, 1002, true),
            ("still behind", 1001 - 599, 3, 1003, true),
            ("set right again", 1004, 4, 1004, false),
            ("woken from suspend", 5000, 5, 5000, false),
            ("a small step back holds still", 4999, 5, 5000, false),
        ] {
            let now = clock.advance(at(wall), start + Duration::from_secs(elapsed));
            assert_eq!((now, clock.set_back().is_some()), (at(expected), set_back), "{why}");
        }
    }
}
