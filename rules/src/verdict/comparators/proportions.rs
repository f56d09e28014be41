//! Two proportions at a count fixed before: z test, Wilson's and Clopper and Pearson's intervals. They do not hold when one
//! looks often: comparators only.

use std::f64::consts::SQRT_2;

use statrs::function::erf::erfc;

use super::super::estimate_error::{EstimateError, level};
use super::super::special::{beta_quantile, normal_quantile};
use crate::two_sample::Outcome;

/// Successes of trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proportion {
    /// Successes.
    pub successes: u64,
    /// Trials.
    pub trials: u64,
}

impl Proportion {
    /// Successes over trials.
    pub(super) fn share(self) -> Result<f64, EstimateError> {
        if self.trials == 0 {
            return Err(EstimateError::TooFew { what: "trials", have: 0, need: 1 });
        }
        if self.successes > self.trials {
            let found = self.successes as f64;
            return Err(EstimateError::Refused { what: "successes", must: "at most the trials", found });
        }
        Ok(self.successes as f64 / self.trials as f64)
    }
}

/// The z test of `treatment - control` with the pooled variance, two-sided.
///
/// # Errors
/// [`EstimateError`] for no trials, more successes than trials; [`EstimateError::Constant`] where all or none succeeded.
pub fn pooled_z(control: Proportion, treatment: Proportion) -> Result<Outcome, EstimateError> {
    let (p1, p2) = (control.share()?, treatment.share()?);
    let (n1, n2) = (control.trials as f64, treatment.trials as f64);
    let pooled = (control.successes as f64 + treatment.successes as f64) / (n1 + n2);
    let variance = pooled * (1.0 - pooled) * (1.0 / n1 + 1.0 / n2);
    if variance <= 0.0 {
        return Err(EstimateError::Constant("the outcomes"));
    }
    let statistic = (p2 - p1) / variance.sqrt();
    Ok(Outcome { statistic, p_value: two_sided(statistic) })
}

/// P(|N(0, 1)| >= |z|).
pub(super) fn two_sided(z: f64) -> f64 {
    erfc(z.abs() / SQRT_2).min(1.0)
}

/// Wilson's score interval (1927) of confidence `1 - alpha`.
///
/// # Errors
/// [`EstimateError`] for no trials, more successes than trials, an `alpha` outside of (0, 1).
pub fn wilson(proportion: Proportion, alpha: f64) -> Result<[f64; 2], EstimateError> {
    let (p, n) = (proportion.share()?, proportion.trials as f64);
    let z = normal_quantile(1.0 - level(alpha)? / 2.0);
    let shrunk = 1.0 + z * z / n;
    let middle = (p + z * z / (2.0 * n)) / shrunk;
    let reach = z / shrunk * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Ok([(middle - reach).max(0.0), (middle + reach).min(1.0)])
}

/// Clopper and Pearson's exact interval (1934) of confidence `1 - alpha`, by quantiles of the beta distribution.
///
/// # Errors
/// As [`wilson`].
pub fn clopper_pearson(proportion: Proportion, alpha: f64) -> Result<[f64; 2], EstimateError> {
    proportion.share()?;
    let alpha = level(alpha)?;
    let (k, n) = (proportion.successes as f64, proportion.trials as f64);
    let low = if proportion.successes == 0 { 0.0 } else { beta_quantile(k, n - k + 1.0, alpha / 2.0) };
    let all = proportion.successes == proportion.trials;
    let high = if all { 1.0 } else { beta_quantile(k + 1.0, n - k, 1.0 - alpha / 2.0) };
    Ok([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        let of = |successes, trials| Proportion { successes, trials };
        for broken in [of(0, 0), of(2, 1)] {
            assert!(pooled_z(broken, of(1, 2)).is_err() && wilson(broken, 0.05).is_err());
            assert!(clopper_pearson(broken, 0.05).is_err());
        }
        assert!(pooled_z(of(3, 3), of(2, 2)).is_err() && pooled_z(of(0, 3), of(0, 2)).is_err());
        assert!(wilson(of(1, 2), 1.0).is_err() && clopper_pearson(of(1, 2), f64::NAN).is_err());
        assert_eq!(clopper_pearson(of(0, 1), 0.05).unwrap()[0], 0.0);
        assert_eq!(clopper_pearson(of(1, 1), 0.05).unwrap()[1], 1.0);
        assert!((clopper_pearson(of(1, 1), 0.05).unwrap()[0] - 0.025).abs() < 1e-12);
        assert!(wilson(of(0, 5), 0.05).unwrap()[0] < 1e-15);
    }
}
