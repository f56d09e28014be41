//! Sample-ratio mismatch: do units fall on the arms as the weights say? Where they do not, no comparison can be trusted.
//!
//! [`srm_chi_squared`] is the test for one look at a count fixed before; [`SampleRatio`] may be read at every unit.

use serde::{Deserialize, Serialize};
use statrs::function::gamma::{gamma_ur, ln_gamma};

use super::estimate_error::{EstimateError, inside};

/// A fixed test alarms below this p-value, by custom.
pub const SRM_P_VALUE: f64 = 0.001;
/// A sequential test alarms at this Bayes factor: false for at most 1 in 1000 experiments, over all looks.
pub const SRM_BAYES_FACTOR: f64 = 1000.0;
/// Prior units: how firmly the weights are believed under the alternative; small for gross mismatches found fast.
pub const SRM_PRIOR: f64 = 100.0;

/// Pearson's test of counts against weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatioTest {
    /// `Σ (n_i - N w_i)² / (N w_i)`.
    pub chi2: f64,
    /// Upper tail of chi-squared with arms - 1 degrees of freedom.
    pub p_value: f64,
}

impl RatioTest {
    /// Whether the p-value is below [`SRM_P_VALUE`].
    #[must_use]
    pub fn alarm(&self) -> bool {
        self.p_value < SRM_P_VALUE
    }
}

/// Pearson's chi-squared of `counts` (units an arm) against `weights` (of any positive sum), for one look.
///
/// # Errors
/// [`EstimateError`] for fewer than two arms, no unit at all, unequal lengths or a weight that is not positive.
pub fn srm_chi_squared(counts: &[u64], weights: &[f64]) -> Result<RatioTest, EstimateError> {
    let shares = shares(weights)?;
    if counts.len() != shares.len() {
        return Err(EstimateError::Mismatch { what: "arms", left: counts.len(), right: shares.len() });
    }
    let total = counts.iter().map(|count| *count as f64).sum::<f64>();
    if total == 0.0 {
        return Err(EstimateError::TooFew { what: "units", have: 0, need: 1 });
    }
    let cell = |(count, share): (&u64, &f64)| (*count as f64 - total * share).powi(2) / (total * share);
    let chi2: f64 = counts.iter().zip(&shares).map(cell).sum();
    let p_value = if chi2 > 0.0 { gamma_ur((counts.len() - 1) as f64 / 2.0, chi2 / 2.0).clamp(0.0, 1.0) } else { 1.0 };
    Ok(RatioTest { chi2, p_value })
}

/// `weights` over their sum.
fn shares(weights: &[f64]) -> Result<Vec<f64>, EstimateError> {
    if weights.len() < 2 {
        return Err(EstimateError::TooFew { what: "arms", have: weights.len() as u64, need: 2 });
    }
    for weight in weights {
        inside("a weight", "positive and finite", (0.0, f64::INFINITY), *weight)?;
    }
    let sum = inside("the sum of weights", "finite", (0.0, f64::INFINITY), weights.iter().sum())?;
    weights.iter().map(|weight| inside("a share", "above 0", (0.0, 1.0), weight / sum)).collect()
}

/// The sequential test (Lindon and Malek 2022): the Bayes factor of a Dirichlet-multinomial against the weights.
///
/// The alternative's arms have probabilities from Dirichlet(k·w). Bayes factor
/// `B(k·w + n) / (B(k·w) · Π w_i^n_i)` with the multivariate beta function `B`; under the weights it is a martingale that
/// starts at 1. It depends on the counts alone, so pods' states merge by adding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRatio {
    shares: Vec<f64>,
    prior: f64,
    counts: Vec<u64>,
}

impl SampleRatio {
    /// A test that has seen nothing; `prior` in units, [`SRM_PRIOR`] unless there is a reason.
    ///
    /// # Errors
    /// [`EstimateError`] for fewer than two arms, or a weight or prior that is not positive and finite.
    pub fn new(weights: &[f64], prior: f64) -> Result<Self, EstimateError> {
        let prior = inside("the prior", "positive and finite", (0.0, f64::INFINITY), prior)?;
        let shares = shares(weights)?;
        Ok(Self { counts: vec![0; shares.len()], shares, prior })
    }

    /// Takes `units` more of the arm at `arm`; an arm that does not exist is not counted and answers `false`.
    pub fn add(&mut self, arm: usize, units: u64) -> bool {
        let Some(count) = self.counts.get_mut(arm) else { return false };
        *count = count.saturating_add(units);
        true
    }

    /// Takes what another pod has counted.
    ///
    /// # Errors
    /// [`EstimateError::Mismatch`] where the other has other arms.
    pub fn merge(&mut self, other: &Self) -> Result<(), EstimateError> {
        if self.counts.len() != other.counts.len() {
            return Err(EstimateError::Mismatch { what: "arms", left: self.counts.len(), right: other.counts.len() });
        }
        for (own, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *own = own.saturating_add(*theirs);
        }
        Ok(())
    }

    /// Units an arm.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The natural logarithm of the Bayes factor; 0 before the first unit.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        let total: f64 = self.counts.iter().map(|count| *count as f64).sum();
        let arms: f64 = self
            .counts
            .iter()
            .zip(&self.shares)
            .map(|(count, share)| rising(self.prior * share, *count as f64) - *count as f64 * share.ln())
            .sum();
        arms - rising(self.prior, total)
    }

    /// Whether the Bayes factor has reached `threshold` now; the caller holds on to an alarm.
    #[must_use]
    pub fn alarm(&self, threshold: f64) -> bool {
        self.log_e() >= threshold.ln()
    }
}

/// ln of Γ(a + n)/Γ(a), exactly 0 for n = 0.
fn rising(a: f64, n: f64) -> f64 {
    if n == 0.0 { 0.0 } else { ln_gamma(a + n) - ln_gamma(a) }
}

/// The p-value that holds at every look, from the largest log e-value so far: `min(1, 1/E)`.
#[must_use]
pub fn always_valid_p(most_log_e: f64) -> f64 {
    (-most_log_e.max(0.0)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_tested_is_refused() {
        for (why, counts, weights) in [
            ("no unit", &[0_u64, 0][..], &[0.5, 0.5][..]),
            ("one arm", &[3], &[1.0]),
            ("no arm", &[], &[]),
            ("lengths", &[1, 2, 3], &[0.5, 0.5]),
            ("an empty weight", &[1, 2], &[1.0, 0.0]),
            ("NaN", &[1, 2], &[1.0, f64::NAN]),
            ("infinite", &[1, 2], &[1.0, f64::INFINITY]),
            ("vanishing share", &[1, 2], &[1e300, 1e-300]),
        ] {
            assert!(srm_chi_squared(counts, weights).is_err(), "{why}");
        }
        assert!(SampleRatio::new(&[0.5, 0.5], f64::NAN).is_err());
        assert!(SampleRatio::new(&[0.5], 1.0).is_err());
    }

    #[test]
    fn counts_as_the_weights_say_are_no_alarm_and_a_gross_mismatch_is() {
        let even = srm_chi_squared(&[50, 50], &[1.0, 1.0]).unwrap();
        assert_eq!((even.chi2, even.p_value), (0.0, 1.0));
        assert!(srm_chi_squared(&[600, 400], &[1.0, 1.0]).unwrap().alarm());
        let huge = srm_chi_squared(&[u64::MAX, 1], &[1.0, 1.0]).unwrap();
        assert!(huge.p_value == 0.0 && huge.chi2.is_finite());
        let mut ratio = SampleRatio::new(&[1.0, 1.0], SRM_PRIOR).unwrap();
        assert_eq!(ratio.log_e(), 0.0);
        assert!(!ratio.add(2, 1));
        assert!(ratio.add(0, 600) && ratio.add(1, 400));
        assert!(ratio.alarm(SRM_BAYES_FACTOR));
    }

    #[test]
    fn merging_equals_one_pod_and_json_keeps_all() {
        let mut one = SampleRatio::new(&[0.9, 0.1], 10.0).unwrap();
        let mut parts = [one.clone(), one.clone()];
        for unit in 0..1000_usize {
            let arm = usize::from(unit % 7 == 0);
            one.add(arm, 1);
            parts[unit % 2].add(arm, 1);
        }
        let [mut merged, other] = parts;
        merged.merge(&other).unwrap();
        assert_eq!(merged, one);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<SampleRatio>(&text).unwrap(), one);
        assert!(merged.merge(&SampleRatio::new(&[1.0; 3], 1.0).unwrap()).is_err());
    }

    #[test]
    fn an_always_valid_p_is_never_above_one() {
        assert_eq!(always_valid_p(-3.0), 1.0);
        assert_eq!(always_valid_p(f64::INFINITY), 0.0);
        assert!((always_valid_p(20.0_f64.ln()) - 0.05).abs() < 1e-15);
    }
}
