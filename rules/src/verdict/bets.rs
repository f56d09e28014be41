//! The stakes that every e-process here plays at once: none knows the size of the effect, some stake fits.

use serde::{Deserialize, Serialize};

use super::special::log_mean_exp;

/// How many stakes are played.
pub const STAKES: usize = 6;
/// The stakes, in shares: each suits an effect of about its own size.
pub const GRID: [f64; STAKES] = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16];
/// No bet may lose more than this share of what is there.
pub const MOST_LOST: f64 = 0.9;
/// The least variance that a stake is divided by.
pub const LEAST_VARIANCE: f64 = 0.01;

/// The wealth of each stake, as natural logarithms; together they are worth their mean (a uniform mixture).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wealth([f64; STAKES]);

impl Wealth {
    /// Bets on `score`, whose mean is 0 or on the wrong side where nothing is the matter. Stakes are the grid's over
    /// `variance`; `worst` > 0 is the most that a unit of stake can lose. A positive `score` wins.
    #[inline]
    pub fn bet(&mut self, score: f64, variance: f64, worst: f64) {
        let scale = 1.0 / variance.max(LEAST_VARIANCE);
        let most = if worst > 0.0 { MOST_LOST / worst } else { f64::MAX };
        for (log, stake) in self.0.iter_mut().zip(GRID) {
            *log += ((stake * scale).min(most) * score).ln_1p();
        }
    }

    /// ln of the e-value.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        log_mean_exp(&self.0)
    }

    /// ln of the wealth of each stake.
    #[cfg(test)]
    pub fn logs(&self) -> &[f64; STAKES] {
        &self.0
    }

    /// Takes what another pod has won with other units: wealth multiplies, stake by stake.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, theirs)| *own += theirs);
    }
}
