//! Stops asking a worker that does not answer, and tries again with one request after a while.

use std::time::Duration;

/// Failures in a row after which nobody asks any more.
const MOST_FAILURES: u32 = 3;
/// How long nobody asks: doubled after every trial that fails.
const LEAST_REST: Duration = Duration::from_secs(1);
const MOST_REST: Duration = Duration::from_secs(60);

/// A circuit breaker; times are spans since any fixed moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    rest: Duration,
    until: Duration,
}

impl Breaker {
    /// Whether a request may be sent.
    pub(super) fn allows(&self, now: Duration) -> bool {
        self.failures < MOST_FAILURES || now >= self.until
    }

    /// A request was answered; gives whether the breaker was open before.
    pub(super) fn succeeded(&mut self) -> bool {
        let was_open = self.failures >= MOST_FAILURES;
        *self = Self::default();
        was_open
    }

    /// A request failed; gives whether the breaker opens now, for the first time since one was answered.
    pub(super) fn failed(&mut self, now: Duration) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MOST_FAILURES {
            self.rest = (self.rest * 2).clamp(LEAST_REST, MOST_REST);
            self.until = now + self.rest;
        }
        self.failures == MOST_FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn it_opens_after_failures_in_a_row_and_tries_ever_more_seldom() {
        let mut breaker = Breaker::default();
        assert!(!breaker.failed(S) && !breaker.failed(S) && breaker.allows(S));
        assert!(!breaker.succeeded(), "two failures are no pattern");
        assert_eq!([breaker.failed(S), breaker.failed(S), breaker.failed(S)], [false, false, true]);
        assert!(!breaker.allows(S) && breaker.allows(2 * S));
        assert!(!breaker.failed(2 * S), "said once");
        assert!(!breaker.allows(3 * S) && breaker.allows(4 * S), "twice as long");
        for _ in 0..40 {
            breaker.failed(4 * S);
        }
        assert!(!breaker.allows(63 * S) && breaker.allows(64 * S), "but no longer than a minute");
        assert!(breaker.succeeded() && breaker.allows(4 * S));
    }
}
