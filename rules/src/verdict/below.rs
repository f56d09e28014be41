//! E2: is a mean below what it must be? Daily as an e-process, continuously as an e-detector.
//!
//! H0: whatever has been seen, the next outcome in [0, 1] has mean at least m0. Each stake multiplies by
//! 1 + λ(m0 - Y); the mixture over stakes is an e-process. The e-detector sums it over all possible starts of a change,
//! R <- (R + 1)·(1 + λ(m0 - Y)) (Shin, Ramdas, Rinaldo, "E-detectors", 2023): alarming at R >= A keeps the mean time
//! between false alarms at A outcomes or more, whenever the fall begins.

use serde::{Deserialize, Serialize};

use super::bets::{GRID, LEAST_VARIANCE, MOST_LOST, STAKES};
use super::special::log_mean_exp;

/// ln of 0 as JSON can hold it.
const NOTHING: f64 = f64::MIN;

/// What three ways of watching say of the same outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Below {
    least: f64,
    /// ln of the e-process, of the e-SR and of the e-CUSUM statistic, for each stake.
    product: [f64; STAKES],
    sum: [f64; STAKES],
    largest: [f64; STAKES],
}

impl Below {
    /// Watches for a mean under `least`, in (0, 1).
    #[must_use]
    pub fn new(least: f64) -> Self {
        Self { least, product: [0.0; STAKES], sum: [NOTHING; STAKES], largest: [NOTHING; STAKES] }
    }

    /// Takes an outcome in [0, 1].
    #[inline]
    pub fn add(&mut self, outcome: f64) {
        let score = self.least - outcome;
        let scale = 1.0 / (self.least * (1.0 - self.least)).max(LEAST_VARIANCE);
        let most = MOST_LOST / (1.0 - self.least);
        for (at, stake) in GRID.into_iter().enumerate() {
            let won = ((stake * scale).min(most) * score).ln_1p();
            self.product[at] += won;
            self.sum[at] = ln_plus_one(self.sum[at]) + won;
            self.largest[at] = self.largest[at].max(0.0) + won;
        }
    }

    /// ln of the e-value since the start: act at ln(1/alpha).
    #[must_use]
    pub fn log_e(&self) -> f64 {
        log_mean_exp(&self.product)
    }

    /// ln of the e-SR statistic: alarm at ln of the mean run length wanted, in outcomes. Far below 0 before the first.
    #[must_use]
    pub fn log_sr(&self) -> f64 {
        log_mean_exp(&self.sum)
    }

    /// ln of the e-CUSUM statistic, never above [`Self::log_sr`]. Far below 0 before the first.
    #[must_use]
    pub fn log_cusum(&self) -> f64 {
        log_mean_exp(&self.largest)
    }

    /// Takes the e-process of another pod over other outcomes. The detectors have an order in time and are not merged.
    pub fn merge(&mut self, other: &Self) {
        self.product.iter_mut().zip(other.product).for_each(|(own, theirs)| *own += theirs);
    }
}

/// ln(exp(log) + 1).
#[inline]
fn ln_plus_one(log: f64) -> f64 {
    if log > 0.0 { log + (-log).exp().ln_1p() } else { log.exp().ln_1p() }
}
