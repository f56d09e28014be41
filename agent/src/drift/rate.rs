//! How often a signal is seen: turns false alarms in a month into observations between them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is older than about this is forgotten: a day has its busy and its quiet hours.
const MEMORY_SECONDS: f64 = 86_400.0;

/// Observations and seconds, both fading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rate {
    observations: f64,
    seconds: f64,
}

impl Rate {
    /// One more observation.
    pub(super) fn count(&mut self) {
        self.observations += 1.0;
    }

    /// Time has passed; only while the agent runs.
    pub(super) fn pass(&mut self, elapsed: Duration) {
        let elapsed = elapsed.as_secs_f64();
        let kept = (-elapsed / MEMORY_SECONDS).exp();
        self.observations *= kept;
        self.seconds = self.seconds * kept + elapsed;
    }

    /// Observations a second; of less than a second, as if it had been one.
    pub(super) fn per_second(&self) -> f64 {
        self.observations / self.seconds.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_observations_over_time_and_follows_a_change() {
        let mut rate = Rate::default();
        for _ in 0..600 {
            rate.count();
            rate.count();
            rate.pass(Duration::from_secs(1));
        }
        assert!((rate.per_second() - 2.0).abs() < 0.01, "{rate:?}");
        for _ in 0..10 * 24 * 60 {
            (0..30).for_each(|_| rate.count());
            rate.pass(Duration::from_secs(60));
        }
        assert!((rate.per_second() - 0.5).abs() < 0.01, "{rate:?}");
    }
}
