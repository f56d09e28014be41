//! A bank of exponentially weighted means of the features, from quick to slow.

use serde::{Deserialize, Serialize};

use super::linear::squared_length;

/// Weights of the newest observation: 16, 64 and 256 observations of memory, where observations are independent.
const LAMBDAS: [f64; 3] = [1.0 / 16.0, 1.0 / 64.0, 1.0 / 256.0];

/// The weights where a mean remembers `stretch` times as much.
pub(crate) fn lambdas(stretch: u32) -> [f64; 3] {
    LAMBDAS.map(|lambda| lambda / f64::from(stretch.max(1)))
}

/// How far one mean of the bank is from the reference's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shift {
    /// Squared length of the mean of all features but the last.
    pub(crate) length: f64,
    /// The mean of the last: the distance from what is usual.
    pub(crate) distance: f64,
}

/// One mean per weight; all start at the reference's, which is zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bank {
    lambdas: [f64; 3],
    means: [Vec<f64>; 3],
}

impl Bank {
    pub(crate) fn new(features: usize, lambdas: [f64; 3]) -> Self {
        Self { lambdas, means: std::array::from_fn(|_| vec![0.0; features]) }
    }

    /// All means at the reference's again.
    pub(crate) fn restart(&mut self) {
        self.means.iter_mut().for_each(|means| means.fill(0.0));
    }

    /// Takes `count` observations whose features sum to `sum`, as if each had been their mean:
    /// `m <- (1-λ)ⁿ·m + (1-(1-λ)ⁿ)·mean`. So their order does not matter.
    pub(crate) fn advance(&mut self, sum: &[f64], count: u64) {
        if count == 0 {
            return;
        }
        let share = 1.0 / count as f64;
        for (means, lambda) in self.means.iter_mut().zip(self.lambdas) {
            let step = if count == 1 { lambda } else { -(count as f64 * (-lambda).ln_1p()).exp_m1() };
            for (mean, sum) in means.iter_mut().zip(sum) {
                *mean += step * (sum * share - *mean);
            }
        }
    }

    /// Where each mean is.
    pub(crate) fn shifts(&self) -> [Shift; 3] {
        std::array::from_fn(|at| {
            let (distance, others) = self.means[at].split_last().unwrap_or((&0.0, &[]));
            Shift { length: squared_length(others), distance: *distance }
        })
    }

    /// Memory of a mean in observations.
    pub(crate) fn memory(&self, at: usize) -> u32 {
        (1.0 / self.lambdas[at]).round() as u32
    }

    /// How many features.
    pub(crate) fn features(&self) -> usize {
        self.means[0].len()
    }

    /// Whether all is finite and of one size: what was read back may be damaged.
    pub(crate) fn is_sound(&self) -> bool {
        let weights = self.lambdas.iter().all(|lambda| (1e-6..=1.0).contains(lambda));
        let fits = |means: &Vec<f64>| means.len() == self.features() && means.iter().all(|mean| mean.is_finite());
        weights && self.means.iter().all(fits)
    }
}
