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
