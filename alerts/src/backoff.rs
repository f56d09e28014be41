//! How long to wait before the next try.

use std::time::Duration;

/// Exponential waiting: doubles from `base` to `cap`, then is drawn at random from the upper `jitter` part of that span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// The span after the first failure.
    pub(crate) base: Duration,
    /// The longest span.
    pub(crate) cap: Duration,
    /// Which part of the span is random: 1 is full jitter (from zero), 0.5 never waits less than half.
    pub(crate) jitter: f64,
}

/// For a sink that does not answer or asks for patience. Full jitter, so that a thousand pods do not come back at once.
pub(crate) const RETRY: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(300), jitter: 1.0 };

/// For a sink that says we are not welcome: it takes a person to mend, so we only look in now and then.
pub(crate) const PROBE: Backoff =
    Backoff { base: Duration::from_secs(60), cap: Duration::from_secs(3600), jitter: 0.5 };

impl Backoff {
    /// The wait after `failures` failures in a row; `dice` is a random number in [0, 1).
    pub(crate) fn wait(self, failures: u32, dice: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let span = self.base.saturating_mul(1 << doublings).min(self.cap);
        span.mul_f64(1.0 - self.jitter * (1.0 - dice.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_double_up_to_the_cap() {
        for (why, backoff, failures, dice, seconds) in [
            ("first", RETRY, 1, 1.0, 1.0),
            ("second", RETRY, 2, 1.0, 2.0),
            ("ninth", RETRY, 9, 1.0, 256.0),
            ("tenth is capped", RETRY, 10, 1.0, 300.0),
            ("no overflow", RETRY, u32::MAX, 1.0, 300.0),
            ("full jitter starts at zero", RETRY, 10, 0.0, 0.0),
            ("half jitter keeps half", PROBE, 1, 0.0, 30.0),
            ("probe cap", PROBE, 20, 1.0, 3600.0),
        ] {
            assert_eq!(backoff.wait(failures, dice), Duration::from_secs_f64(seconds), "{why}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_its_span(failures in 0_u32..100, dice in 0.0..1.0_f64) {
            let full = RETRY.wait(failures, dice);
            prop_assert!(full <= RETRY.cap && full <= RETRY.wait(failures, 1.0));
            let half = PROBE.wait(failures, dice);
            prop_assert!(half >= PROBE.base / 2 && half <= PROBE.cap);
        }
    }
}
