//! Has a ratio (task completion, satisfaction) fallen below its floor? E2 and its e-SR of the design.
//!
//! The mean number of outcomes to an alarm at `R >= ARL` is at least `ARL`, whatever the distribution of the outcomes
//! and however their mean moves above the floor (see [`RatioBets`]).

use serde::{Deserialize, Serialize};

use super::alarm::{Crossing, Latch};
use super::budget::ARL_RANGE;
use super::{Alarm, Calm, Change, DriftError, RatioBets, within};
use crate::Timestamp;

/// Settings of a ratio detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RatioConfig {
    /// The mean that must be held, between 0 and 1 (both excluded).
    pub floor: f64,
    /// Mean number of outcomes between two false alarms, at least.
    pub arl: f64,
    /// Falls of the mean that bets are placed on.
    pub grid: Vec<f64>,
    /// The largest bet, as a share of what could be lost at once; above 0 and below 1.
    pub cap: f64,
    /// When a standing alarm falls.
    pub calm: Calm,
}

impl RatioConfig {
    /// For this floor and average run length, with the usual bets.
    pub fn new(floor: f64, arl: f64) -> Self {
        Self { floor, arl, grid: vec![0.005, 0.01, 0.02, 0.04, 0.08, 0.16], cap: 0.9, calm: Calm::default() }
    }

    pub(super) fn check(&self) -> Result<(), DriftError> {
        let (least, most) = ARL_RANGE;
        within(self.floor > 0.0 && self.floor < 1.0, "the floor of a ratio", "between 0 and 1", self.floor)?;
        within(self.arl >= least && self.arl <= most, "the average run length", "between 50 and 1e9", self.arl)?;
        within(self.cap > 0.0 && self.cap < 1.0, "the cap of a bet", "between 0 and 1", self.cap)?;
        within((1..=64).contains(&self.grid.len()), "the number of bets", "between 1 and 64", self.grid.len() as f64)?;
        let bad = self.grid.iter().copied().find(|fall| !(*fall > 0.0 && *fall < 1.0));
        within(bad.is_none(), "a fall to bet on", "between 0 and 1", bad.unwrap_or_default())
    }
}

/// Tells when the mean of outcomes in 0..1 has fallen below its floor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RatioDetector {
    config: RatioConfig,
    bets: RatioBets,
    latch: Latch,
    observations: u64,
    refused: u64,
    recent_mean: Option<f64>,
}

/// Weight of a new outcome in the recent mean.
const RECENT: f64 = 0.02;

impl RatioDetector {
    /// Starts to watch.
    ///
    /// # Errors
    /// [`DriftError::OutOfRange`] for settings outside their range.
    pub fn new(config: RatioConfig, now: Timestamp) -> Result<Self, DriftError> {
        let (bets, latch) = (RatioBets::new(&config, now)?, Latch::new(config.calm));
        Ok(Self { config, bets, latch, observations: 0, refused: 0, recent_mean: None })
    }

    /// Takes one outcome; anything outside 0..1 is counted and refused.
    pub fn observe(&mut self, now: Timestamp, outcome: f64) -> Change {
        if self.bets.observe(now, outcome).is_err() {
            self.refused += 1;
            return Change::Refused;
        }
        self.observations += 1;
        self.recent_mean = Some(self.recent_mean.map_or(outcome, |mean| mean + RECENT * (outcome - mean)));
        let evidence = self.evidence();
        if evidence < self.level() {
            return self.latch.quiet(now, 1);
        }
        let (alternative, since) = self.bets.leader();
        self.bets.restart(now);
        self.latch.crossed(now, &Crossing { evidence, since, alternative })
    }

    /// Log of the Shiryaev-Roberts statistic: `drift_evidence`; minus infinity before the first outcome.
    pub fn evidence(&self) -> f64 {
        self.bets.log_sr()
    }

    /// The evidence at which an alarm is raised.
    pub fn level(&self) -> f64 {
        self.config.arl.ln()
    }

    /// Sets the average run length anew, for a signal whose rate has become known; evidence and alarm stay.
    pub fn set_arl(&mut self, arl: f64) {
        let arl = if arl.is_nan() { self.config.arl } else { arl };
        self.config.arl = arl.clamp(ARL_RANGE.0, ARL_RANGE.1);
    }

    /// The bets themselves, with the e-process of the day.
    pub fn bets(&self) -> &RatioBets {
        &self.bets
    }

    /// Starts the e-process of a new day.
    pub fn fresh_day(&mut self) {
        self.bets.fresh_day();
    }

    /// The alarm that stands.
    pub fn alarm(&self) -> Option<&Alarm> {
        self.latch.standing()
    }

    /// How long, in outcomes and at least, one waits for evidence like this while the floor holds.
    pub fn run_length(&self) -> f64 {
        self.evidence().min(600.0).exp()
    }

    /// The floor, and the mean of about the last 50 outcomes.
    pub fn floor_and_recent(&self) -> (f64, Option<f64>) {
        (self.config.floor, self.recent_mean)
    }

    /// Outcomes taken and refused.
    pub fn seen(&self) -> (u64, u64) {
        (self.observations, self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_length_is_set_anew_and_evidence_stays() {
        let now = Timestamp::from_millis(0);
        let mut detector = RatioDetector::new(RatioConfig::new(0.9, 1e6), now).unwrap();
        (0..6).for_each(|at| _ = detector.observe(now, f64::from(u8::from(at % 3 == 0))));
        let before = detector.evidence();
        for (why, arl, level) in [
            ("a rate", 5000.0, 5000_f64),
            ("not a number: as it was", f64::NAN, 5000.0),
            ("too short", 0.0, 50.0),
            ("too long", f64::INFINITY, 1e9),
        ] {
            detector.set_arl(arl);
            assert!((detector.level() - level.ln()).abs() < 1e-12, "{why}");
            assert_eq!(detector.evidence(), before, "{why}");
        }
        detector.set_arl(50.0);
        let raised = (0..20).find(|_| detector.observe(now, 0.0) == Change::Raised);
        assert!(raised.is_some(), "it alarms at the new level");
    }
}
