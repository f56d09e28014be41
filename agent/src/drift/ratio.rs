//! Business ratios: has the mean of outcomes fallen below its floor? Nothing is learned; the floor is the baseline.

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{Change, RatioConfig, RatioDetector};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::finding::{Finding, percent};
use super::method::{Method, MethodConfig};
use super::ring::Ring;
use super::signal::Signal;

/// The least mean that is acceptable, between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Floor(f64);

impl Method for RatioDetector {
    type Value = f64;
    type Reference = Floor;

    const LEAST: usize = 1;

    fn learn(_values: &[&f64], config: &MethodConfig) -> Result<Floor, String> {
        Ok(Floor(config.floor))
    }

    fn start(reference: &Floor, config: &MethodConfig, now: Timestamp) -> Result<Self, String> {
        let calm = config.detector.calm;
        let config = RatioConfig { calm, ..RatioConfig::new(reference.0, config.detector.arl) };
        Self::new(config, now).map_err(|why| why.to_string())
    }

    fn observe(&mut self, now: Timestamp, outcome: &f64) -> Change {
        Self::observe(self, now, *outcome)
    }

    fn set_arl(&mut self, arl: f64) {
        Self::set_arl(self, arl);
    }

    fn finding(&self, _signal: Signal, _recent: &Ring<f64>) -> Finding {
        let (evidence, (floor, mean)) = (self.evidence(), self.floor_and_recent());
        let mean = mean.unwrap_or(floor);
        Finding {
            alarm: self.alarm().map(Into::into),
            threshold_ratio: (evidence / self.level()).max(0.0),
            evidence: Some(evidence).filter(|evidence| evidence.is_finite()),
            threshold: Some(self.level()),
            direction: "below its floor".into(),
            size: format!("{} of about the last 50 outcomes, the floor is {}", percent(mean), percent(floor)),
            since: self.alarm().map(|alarm| alarm.since),
            statistics: vec![("floor", floor), ("recent_mean", mean)],
            ..Finding::default()
        }
    }

    fn describe(reference: &Floor) -> Value {
        json!({"floor": reference.0})
    }

    fn compare(before: &Floor, after: &Floor) -> Value {
        json!({"before": before.0, "after": after.0})
    }
}
