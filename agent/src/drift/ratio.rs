//! Business ratios: has the mean of outcomes fallen below its floor? Nothing is learned; the floor is the baseline.

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{Change, RatioBets, RatioConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::finding::{Finding, percent};
use super::hold::Hold;
use super::method::{Method, MethodConfig};
use super::ring::Ring;
use super::signal::Signal;

/// Weight of a new outcome in the recent mean.
const RECENT: f64 = 0.02;

/// The least mean that is acceptable, between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Floor(f64);

/// Tells when the mean of outcomes in 0..1 has fallen below its floor: a Shiryaev-Roberts e-detector.
#[derive(Serialize, Deserialize)]
pub(super) struct RatioWatch {
    floor: f64,
    bets: RatioBets,
    /// `ln` of the run length: `R >= ARL` is an alarm.
    level: f64,
    hold: Hold,
    mean: Option<f64>,
    since: Timestamp,
}

impl Method for RatioWatch {
    type Value = f64;
    type Reference = Floor;

    const LEAST: usize = 1;

    fn learn(_values: &[&f64], config: &MethodConfig) -> Result<Floor, String> {
        Ok(Floor(config.floor))
    }

    fn start(reference: &Floor, config: &MethodConfig, now: Timestamp) -> Result<Self, String> {
        let bets = RatioBets::new(&RatioConfig::new(reference.0, config.detector.arl), now);
        Ok(Self {
            floor: reference.0,
            bets: bets.map_err(|why| why.to_string())?,
            level: config.detector.arl.ln(),
            hold: Hold::new(config.detector.calm),
            mean: None,
            since: now,
        })
    }

    fn observe(&mut self, now: Timestamp, outcome: &f64) -> Change {
        if self.bets.observe(now, *outcome).is_err() {
            return Change::Refused;
        }
        self.mean = Some(self.mean.map_or(*outcome, |mean| mean + RECENT * (outcome - mean)));
        if self.hold.standing().is_none() && self.bets.log_cusum() <= 0.0 {
            self.since = now;
        }
        self.hold.judge(now, self.bets.log_sr() >= self.level)
    }

    fn set_arl(&mut self, arl: f64) {
        self.level = arl.ln();
    }

    fn finding(&self, _signal: Signal, _recent: &Ring<f64>) -> Finding {
        let evidence = self.bets.log_sr();
        let mean = self.mean.unwrap_or(self.floor);
        Finding {
            alarm: self.hold.standing(),
            threshold_ratio: (evidence / self.level).max(0.0),
            evidence: Some(evidence).filter(|evidence| evidence.is_finite()),
            threshold: Some(self.level),
            direction: "below its floor".into(),
            size: format!("{} of about the last 50 outcomes, the floor is {}", percent(mean), percent(self.floor)),
            since: Some(self.since),
            statistics: vec![("floor", self.floor), ("recent_mean", mean)],
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
