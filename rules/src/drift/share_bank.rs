//! What a categorical detector bets on: each category's share has risen.
//!
//! For category `c` with reference share `p_c` (smoothed) the alternative is `q = (1 − ρ)p + ρ·1{c}` for three `ρ`, and
//! the null it is held against has the same form with the dead zone `η < ρ`: a bet pays `(1 − ρ)/(1 − η)` on every
//! other category and `((1 − ρ)p_c + ρ)/((1 − η)p_c + η)`, at most `ρ/η`, on its own.

use serde::{Deserialize, Serialize};

/// Rises of a share beyond the dead zone, in parts of what is left.
pub(super) const RISES: [f64; 3] = [0.04, 0.12, 0.4];

/// Standard errors of a reference share that the dead zone spans: 2 up to an average run length of 10 000, 0.4 more with
/// each factor of ten, for the longer one watches the rarer must be the references that alarm by their own error.
fn zone_errors(arl: f64) -> f64 {
    2.0 + 0.4 * (arl.max(1.0).log10() - 4.0).max(0.0)
}

/// Bets of all categories; lane `3c + j` is rise `j` of category `c`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ShareBank {
    own: Vec<f64>,
    other: Vec<f64>,
    start: Vec<f64>,
}

impl ShareBank {
    /// For reference shares `p` of `observations`, with at least a rise by `zone` as dead zone, at this run length.
    pub(super) fn new(p: &[f64], observations: f64, zone: f64, arl: f64) -> Self {
        let mut bank = Self { own: vec![], other: vec![], start: vec![] };
        for share in p {
            let error = zone_errors(arl) * (share * (1.0 - share) / observations).sqrt();
            // a mixture with `η` of the category raises its share by `η(1 − p)`
            let edge = (zone.max(error) / (1.0 - share)).clamp(0.001, 0.9);
            for rise in RISES {
                let rho = edge + (1.0 - edge) * rise;
                let other = (1.0 - rho) / (1.0 - edge);
                let own = ((1.0 - rho) * share + rho) / ((1.0 - edge) * share + edge);
                let lost = -(share * own.ln() + (1.0 - share) * other.ln());
                bank.own.push(own);
                bank.other.push(other);
                bank.start.push(if lost > 0.0 { (1.0 / lost).min(60.0) } else { 60.0 });
            }
        }
        bank
    }

    pub(super) fn start(&self) -> &[f64] {
        &self.start
    }

    /// `R ← (R + 1)·(...)` for one observation of `category`; the mean over lanes.
    #[inline]
    pub(super) fn step(&self, earned: &mut [f64], category: usize) -> f64 {
        let first = category * RISES.len();
        let mut own = [0.0; RISES.len()];
        for (lane, kept) in own.iter_mut().enumerate() {
            *kept = (earned[first + lane] + 1.0) * self.own[first + lane];
        }
        for (earned, factor) in earned.iter_mut().zip(&self.other) {
            *earned = (*earned + 1.0) * factor;
        }
        earned[first..first + RISES.len()].copy_from_slice(&own);
        let most = 1e280;
        earned.iter_mut().fold(0.0, |sum, earned| {
            *earned = earned.min(most);
            sum + *earned
        }) / earned.len() as f64
    }

    /// Log of what lane `lane` pays on `count` observations of its own category and `others` of others.
    pub(super) fn log_paid(&self, lane: usize, count: f64, others: f64) -> f64 {
        count * self.own[lane].ln() + others * self.other[lane].ln()
    }
}
