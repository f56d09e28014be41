//! Is completion below 90 %? Evidence of it, beside the literal rule: of today, and of a fall at any time.

use plimsoll_exporters::{Metric, Reading};
use plimsoll_rules::Timestamp;
use plimsoll_rules::verdict::Below;

/// The share of tasks that must be completed.
const LEAST: f64 = 0.90;
const DAY_MILLIS: i64 = 86_400_000;

/// The evidence of one model and variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quality {
    /// Days since 1970, UTC.
    day: i64,
    daily: Below,
    detector: Below,
}

impl Default for Quality {
    fn default() -> Self {
        Self { day: i64::MIN, daily: Below::new(LEAST), detector: Below::new(LEAST) }
    }
}

impl Quality {
    /// Takes a task's score, 0 to 1.
    pub(super) fn add(&mut self, at: Timestamp, score: f64) {
        let day = at.millis().div_euclid(DAY_MILLIS);
        if day != self.day {
            (self.day, self.daily) = (day, Below::new(LEAST));
        }
        self.daily.add(score);
        self.detector.add(score);
    }

    /// Its series; yesterday's evidence is none today.
    pub(super) fn readings(&self, model: &str, variant: &str, now: Timestamp) -> [Reading; 2] {
        let today = now.millis().div_euclid(DAY_MILLIS) == self.day;
        let daily = if today { self.daily.log_e() } else { 0.0 };
        [("daily", daily), ("detector", self.detector.log_sr())]
            .map(|(method, log_e)| Reading::scalar(Metric::CompletionEvidence, &[model, variant, method], log_e))
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_exporters::ReadingValue;

    use super::*;

    #[test]
    fn evidence_begins_anew_each_day_and_a_fall_is_seen() {
        let mut quality = Quality::default();
        let read = |quality: &Quality, at| {
            quality.readings("m", "", Timestamp::from_millis(at)).map(|r| match r.value {
                ReadingValue::Scalar(value) => value,
                ReadingValue::Histogram { .. } => f64::NAN,
            })
        };
        for at in 0..400 {
            quality.add(Timestamp::from_millis(at), if at % 4 == 0 { 0.0 } else { 1.0 });
        }
        let [daily, detector] = read(&quality, 400);
        assert!(daily > 20_f64.ln() && detector > 10_000_f64.ln(), "75 % is well below: {daily} {detector}");
        assert_eq!(read(&quality, DAY_MILLIS)[0], 0.0, "nothing is known of the next day");
        quality.add(Timestamp::from_millis(DAY_MILLIS), 1.0);
        assert!(read(&quality, DAY_MILLIS)[0] < 0.0);
    }
}
