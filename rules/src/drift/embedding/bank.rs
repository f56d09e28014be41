//! A bank of exponentially weighted means of the features, from quick to slow.

use serde::{Deserialize, Serialize};

/// Weights of the newest observation: 16, 64 and 256 observations of memory.
pub(crate) const LAMBDAS: [f64; 3] = [1.0 / 16.0, 1.0 / 64.0, 1.0 / 256.0];

/// One mean per weight; all start at the reference's, which is zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bank {
    means: [Vec<f64>; 3],
}

impl Bank {
    pub(crate) fn new(features: usize) -> Self {
        Self { means: std::array::from_fn(|_| vec![0.0; features]) }
    }

    /// Takes `count` observations whose features sum to `sum`, as if each had been their mean:
    /// `m <- (1-λ)ⁿ·m + (1-(1-λ)ⁿ)·mean`. So their order does not matter.
    pub(crate) fn advance(&mut self, sum: &[f64], count: u64) {
        if count == 0 {
            return;
        }
        let share = 1.0 / count as f64;
        for (means, lambda) in self.means.iter_mut().zip(LAMBDAS) {
            let step = if count == 1 { lambda } else { -(count as f64 * (-lambda).ln_1p()).exp_m1() };
            for (mean, sum) in means.iter_mut().zip(sum) {
                *mean += step * (sum * share - *mean);
            }
        }
    }

    /// Squared length of each mean.
    pub(crate) fn lengths(&self) -> [f64; 3] {
        std::array::from_fn(|at| self.means[at].iter().map(|mean| mean * mean).sum())
    }

    /// How many features.
    pub(crate) fn features(&self) -> usize {
        self.means[0].len()
    }

    /// Whether all is finite and of one size: what was read back may be damaged.
    pub(crate) fn is_sound(&self) -> bool {
        self.means.iter().all(|means| means.len() == self.features() && means.iter().all(|mean| mean.is_finite()))
    }
}
