//! The beta-binomial mixture: how much likelier counts are under shares spread around `p` than under `p` itself.
//!
//! Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
//! arXiv 1810.08240, which writes it in sums and variance: with counts it is a ratio of beta functions.

use super::estimate_error::{EstimateError, inside, level};
use super::special::ln_beta;

/// A Beta(p·w, (1-p)·w) mixture over the share, for whichever `p` is asked about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BetaBinomial {
    /// w, trials that the prior counts for: `max(t* / (L + ln(1 + L)) - 1, 0.001)`, L = -2 ln alpha.
    weight: f64,
}

impl BetaBinomial {
    /// Narrowest near `tuned_for` trials at level `alpha`.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] for a level outside of (0, 1) or a count that is not positive and finite.
    pub(super) fn new(tuned_for: f64, alpha: f64) -> Result<Self, EstimateError> {
        let tuned_for = inside("tuned_for", "positive and finite", (0.0, f64::INFINITY), tuned_for)?;
        let doubled = -2.0 * level(alpha)?.ln();
        Ok(Self { weight: (tuned_for / (doubled + doubled.ln_1p()) - 1.0).max(1e-3) })
    }

    /// ln of the mixture's likelihood over that of the share `p` in (0, 1), after `successes` of `trials`:
    /// `ln B(pw + k, (1-p)w + n - k) - ln B(pw, (1-p)w) - k ln p - (n-k) ln(1-p)`. Convex in the successes, which need
    /// not be whole.
    pub(super) fn log_e(&self, p: f64, successes: f64, trials: f64) -> f64 {
        let (failures, rest) = (trials - successes, 1.0 - p);
        let (up, down) = (p * self.weight, rest * self.weight);
        ln_beta(up + successes, down + failures) - ln_beta(up, down) - successes * p.ln() - failures * (-p).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::BetaBinomial;

    #[test]
    fn nothing_seen_is_no_evidence_and_its_mean_under_p_is_one() {
        let mixture = BetaBinomial::new(100.0, 0.05).unwrap();
        for p in [0.01_f64, 0.3, 0.9] {
            assert!(mixture.log_e(p, 0.0, 0.0).abs() < 1e-12);
            // one trial: E[e] = p e(1) + (1-p) e(0)
            let mean = p * mixture.log_e(p, 1.0, 1.0).exp() + (1.0 - p) * mixture.log_e(p, 0.0, 1.0).exp();
            assert!((mean - 1.0).abs() < 1e-10, "{p} {mean}");
        }
        for (tuned_for, alpha) in [(0.0, 0.05), (f64::NAN, 0.05), (100.0, 1.0), (f64::INFINITY, 0.05)] {
            assert!(BetaBinomial::new(tuned_for, alpha).is_err());
        }
    }
}
