//! Bets against "the mean of these outcomes is at least the floor": e-process, Shiryaev-Roberts and CUSUM.
//!
//! Each bet `λ_j < 0` pays `1 + λ_j(Y − m0)` on an outcome `Y` in 0..1: on average nothing while the mean of `Y`, given
//! the past, is at least `m0`. e-process `E_j ← E_j·(...)`, Shiryaev-Roberts `R_j ← (R_j + 1)·(...)`, CUSUM
//! `C_j ← max(C_j, 1)·(...)`; each is averaged over the bets (Shin, Ramdas, Rinaldo, arXiv 2203.03532).

use serde::{Deserialize, Serialize};

use super::{DriftError, RatioConfig, within};
use crate::Timestamp;

/// One bet, in logarithms: what it earned since the start (e-process), since every start (SR), since the best (CUSUM).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Bet {
    lambda: f64,
    log_e: f64,
    log_sr: Option<f64>,
    log_cusum: Option<f64>,
    since: Timestamp,
}

/// Evidence that a mean is below its floor, without a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RatioBets {
    floor: f64,
    bets: Vec<Bet>,
}

impl RatioBets {
    /// With the bets of `config`: `λ_j = −min(d_j / max(m0(1 − m0), 0.01), cap / (1 − m0))`.
    ///
    /// # Errors
    /// [`DriftError::OutOfRange`] for settings outside their range.
    pub fn new(config: &RatioConfig, now: Timestamp) -> Result<Self, DriftError> {
        config.check()?;
        let spread = (config.floor * (1.0 - config.floor)).max(0.01);
        let most = config.cap / (1.0 - config.floor);
        let fresh = |fall: &f64| Bet {
            lambda: -(fall / spread).min(most),
            log_e: 0.0,
            log_sr: None,
            log_cusum: None,
            since: now,
        };
        Ok(Self { floor: config.floor, bets: config.grid.iter().map(fresh).collect() })
    }

    /// Takes one outcome.
    ///
    /// # Errors
    /// [`DriftError::OutOfRange`] for an outcome outside 0..1, which is left out.
    pub fn observe(&mut self, now: Timestamp, outcome: f64) -> Result<(), DriftError> {
        within((0.0..=1.0).contains(&outcome), "an outcome", "between 0 and 1", outcome)?;
        for bet in &mut self.bets {
            bet.take(now, (bet.lambda * (outcome - self.floor)).ln_1p());
        }
        Ok(())
    }

    /// Log of the Shiryaev-Roberts statistic; minus infinity before the first outcome.
    pub fn log_sr(&self) -> f64 {
        log_mean(self.bets.iter().map(|bet| bet.log_sr.unwrap_or(f64::NEG_INFINITY)))
    }

    /// Log of the CUSUM statistic; minus infinity before the first outcome.
    pub fn log_cusum(&self) -> f64 {
        log_mean(self.bets.iter().map(|bet| bet.log_cusum.unwrap_or(f64::NEG_INFINITY)))
    }

    /// Log of the e-process since the start or the last [`RatioBets::fresh_day`]: reject at `ln(1/α)`.
    pub fn log_e(&self) -> f64 {
        log_mean(self.bets.iter().map(|bet| bet.log_e))
    }

    /// Starts the e-process of a new day; Shiryaev-Roberts and CUSUM go on.
    pub fn fresh_day(&mut self) {
        self.bets.iter_mut().for_each(|bet| bet.log_e = 0.0);
    }

    /// Starts Shiryaev-Roberts and CUSUM afresh; the e-process goes on.
    pub(super) fn restart(&mut self, now: Timestamp) {
        self.bets.iter_mut().for_each(|bet| (bet.log_sr, bet.log_cusum, bet.since) = (None, None, now));
    }

    /// The bet that has earned most, and where the change it bets on most likely happened.
    pub(super) fn leader(&self) -> (usize, Timestamp) {
        let better = |best: usize, at: usize| if self.bets[at].log_sr > self.bets[best].log_sr { at } else { best };
        let best = (0..self.bets.len()).fold(0, better);
        (best, self.bets[best].since)
    }
}

impl Bet {
    fn take(&mut self, now: Timestamp, log: f64) {
        self.log_e += log;
        self.log_sr = Some(self.log_sr.map_or(0.0, |sr| log_add(sr, 0.0)) + log);
        let held = self.log_cusum.filter(|cusum| *cusum > 0.0);
        if held.is_none() {
            self.since = now;
        }
        self.log_cusum = Some(held.unwrap_or(0.0) + log);
    }
}

/// `ln(eᵃ + eᵇ)`.
fn log_add(a: f64, b: f64) -> f64 {
    let (more, less) = if a > b { (a, b) } else { (b, a) };
    more + (less - more).exp().ln_1p()
}

/// `ln` of the mean of exponentials.
fn log_mean(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    let (sum, count) = logs.fold((0.0, 0.0), |(sum, count), log| (sum + (log - most).exp(), count + 1.0));
    most + f64::ln(sum / count)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::drift::{Change, RatioDetector};

    #[derive(Deserialize)]
    struct Golden {
        tolerance: f64,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        y: Vec<f64>,
        m0: f64,
        grid: Vec<f64>,
        cap: f64,
        times: Vec<usize>,
        log_e: Vec<f64>,
        log_sr: Vec<f64>,
        log_cusum: Vec<f64>,
        max_log_sr: f64,
        max_log_cusum: f64,
    }

    const START: Timestamp = Timestamp::from_millis(0);

    #[expect(clippy::disallowed_methods, reason = "golden files lie outside the repository")]
    fn golden(name: &str) -> Option<Golden> {
        let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/golden");
        let folder = std::env::var("PLIMSOLL_GOLDEN").map_or_else(|_| beside(), PathBuf::from);
        let Ok(text) = std::fs::read_to_string(folder.join(name)) else {
            println!("SKIPPED: {name} is not in {}; set PLIMSOLL_GOLDEN", folder.display());
            return None;
        };
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Reference: `core.py` of the golden files (e-SR and e-CUSUM of Shin, Ramdas and Rinaldo, 2023).
    #[test]
    fn golden_drift_eprocess_edetector() {
        let Some(golden) = golden("drift_eprocess_edetector.json") else { return };
        for (number, case) in golden.cases.iter().enumerate() {
            let config = RatioConfig { grid: case.grid.clone(), cap: case.cap, ..RatioConfig::new(case.m0, 1000.0) };
            let mut bets = RatioBets::new(&config, START).unwrap();
            let (mut most_sr, mut most_cusum) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
            let near = |what: &str, found: f64, expected: f64| {
                let wrong = (found - expected).abs() > golden.tolerance * expected.abs().max(1.0);
                assert!(!wrong, "case {number} {what}: {found} instead of {expected}");
            };
            for (index, outcome) in case.y.iter().enumerate() {
                bets.observe(START, *outcome).unwrap();
                (most_sr, most_cusum) = (most_sr.max(bets.log_sr()), most_cusum.max(bets.log_cusum()));
                if let Some(at) = case.times.iter().position(|time| *time == index + 1) {
                    near("log_e", bets.log_e(), case.log_e[at]);
                    near("log_sr", bets.log_sr(), case.log_sr[at]);
                    near("log_cusum", bets.log_cusum(), case.log_cusum[at]);
                }
            }
            near("max_log_sr", most_sr, case.max_log_sr);
            near("max_log_cusum", most_cusum, case.max_log_cusum);
        }
    }

    #[test]
    fn a_ratio_below_its_floor_is_found_and_one_above_is_left_alone() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut run = |mean: f64, most: usize| {
            let mut detector = RatioDetector::new(RatioConfig::new(0.9, 10_000.0), START).unwrap();
            let outcome = |rng: &mut fastrand::Rng| if rng.f64() < mean { 1.0 } else { 0.0 };
            (0..most).find(|_| detector.observe(START, outcome(&mut rng)) == Change::Raised)
        };
        assert!((0..20).all(|_| run(0.8, 1000).is_some_and(|at| at < 500)));
        assert!((0..20).filter(|_| run(0.93, 5000).is_some()).count() <= 1);
    }

    #[test]
    fn senseless_settings_and_outcomes_are_refused() {
        for config in [
            RatioConfig::new(1.0, 1000.0),
            RatioConfig::new(f64::NAN, 1000.0),
            RatioConfig::new(0.9, 1.0),
            RatioConfig { grid: vec![], ..RatioConfig::new(0.9, 1000.0) },
            RatioConfig { grid: vec![f64::NAN], ..RatioConfig::new(0.9, 1000.0) },
            RatioConfig { cap: 1.0, ..RatioConfig::new(0.9, 1000.0) },
        ] {
            assert!(RatioDetector::new(config, START).is_err());
        }
        let mut detector = RatioDetector::new(RatioConfig::new(0.9, 1000.0), START).unwrap();
        for outcome in [f64::NAN, f64::INFINITY, -0.1, 1.1] {
            assert_eq!(detector.observe(START, outcome), Change::Refused);
        }
        assert_eq!(detector.seen(), (0, 4));
    }
}
