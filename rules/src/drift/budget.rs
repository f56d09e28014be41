//! `1 per 30d`: how many false alarms a user will bear, and what that means in observations.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DriftError, within};

/// At most `count` false alarms in each `per`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FalseAlarms {
    count: f64,
    per: Duration,
}

/// The least and the most a threshold is calibrated for.
pub(super) const ARL_RANGE: (f64, f64) = (50.0, 1e9);

impl FalseAlarms {
    /// `count` false alarms in each `per`.
    ///
    /// # Errors
    /// [`DriftError::OutOfRange`] unless `count` is finite and above 0, and `per` is not zero.
    pub fn new(count: f64, per: Duration) -> Result<Self, DriftError> {
        within(count > 0.0 && count.is_finite(), "false alarms", "a finite number above 0", count)?;
        within(!per.is_zero(), "the period of false alarms", "longer than 0 s", 0.0)?;
        Ok(Self { count, per })
    }

    /// Mean time between two false alarms.
    pub fn period(self) -> Duration {
        Duration::try_from_secs_f64(self.per.as_secs_f64() / self.count).unwrap_or(Duration::MAX)
    }

    /// The same as an average run length in observations, for a signal seen `rate` times a second.
    ///
    /// Kept within 50 and 1e9: a rate that is not known yet (0, NaN) gives 50 observations, the most sensitive
    /// setting there is, so ask again when it is known.
    pub fn arl(self, rate: f64) -> f64 {
        let observations = self.period().as_secs_f64() * rate;
        if observations.is_nan() { ARL_RANGE.0 } else { observations.clamp(ARL_RANGE.0, ARL_RANGE.1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_becomes_observations() {
        let month = Duration::from_secs(30 * 86_400);
        for (why, count, per, rate, arl) in [
            ("one a second", 1.0, month, 1.0, 2_592_000.0),
            ("twice the alarms, half the length", 2.0, month, 1.0, 1_296_000.0),
            ("a slow signal", 1.0, month, 1.0 / 60.0, 43_200.0),
            ("no rate yet", 1.0, month, 0.0, 50.0),
            ("a rate that is not a number", 1.0, month, f64::NAN, 50.0),
            ("a very fast one", 1.0, month, 1e6, 1e9),
        ] {
            assert!((FalseAlarms::new(count, per).unwrap().arl(rate) - arl).abs() < 1e-6 * arl, "{why}");
        }
        assert!(FalseAlarms::new(0.0, month).is_err());
        assert!(FalseAlarms::new(f64::NAN, month).is_err());
        assert!(FalseAlarms::new(1.0, Duration::ZERO).is_err());
    }
}
