//! Conjugate mixture confidence sequences of a mean in [0, 1]: the empirical Bernstein one and the Bernoulli one.
//!
//! Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of
//! Statistics 49 (2021), theorem 4 and section 3.2; the tuning of `confseq`.

use super::super::asymptotic::Interval;
use super::super::estimate_error::{EstimateError, level};
use super::boundaries::{Family, Mixture};
use super::bounded::{all_shares, both_sides, means_left};

/// The lower empirical Bernstein sequence after each of `values`: their mean less the gamma-exponential boundary of scale 1
/// over t, at intrinsic time `Σ (x - μ)²`, μ the mean of the values before, 1/2 at first; at least 0. As in `confseq` the
/// boundary has half of `alpha`. Not yet intersected over time. `v_opt`: intrinsic time at which it is narrowest.
///
/// # Errors
/// [`EstimateError::Refused`] for a value outside of [0, 1], an `alpha` outside of (0, 1), a `v_opt` that is not positive.
pub fn conjmix_empirical_bernstein_lower(values: &[f64], v_opt: f64, alpha: f64) -> Result<Vec<f64>, EstimateError> {
    all_shares("an outcome", values)?;
    let half = alpha / 2.0;
    let boundary = Mixture::new(Family::GammaExponential { c: 1.0 }, v_opt, half)?;
    let (mut sum, mut mean, mut time) = (0.0, 0.5, 0.0);
    let mut lower = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        let t = at as f64 + 1.0;
        time += (value - mean) * (value - mean);
        sum += value;
        mean = sum / t;
        lower.push((mean - boundary.bound(time, half)? / t).max(0.0));
    }
    Ok(lower)
}

/// The two-sided empirical Bernstein sequence: the lower one of the values and of their mirror at half of `alpha` each, so
/// that as in `confseq` each boundary has a quarter. Not yet intersected over time.
///
/// # Errors
/// As [`conjmix_empirical_bernstein_lower`].
pub fn conjmix_empirical_bernstein(values: &[f64], v_opt: f64, alpha: f64) -> Result<Vec<Interval>, EstimateError> {
    both_sides(values, |values| conjmix_empirical_bernstein_lower(values, v_opt, alpha / 2.0))
}

/// The Bernoulli sequence after each of `values`: the means m on a grid of `breaks` steps against which the two-sided
/// beta-binomial mixture with `g = m`, `h = 1 - m`, tuned for count `t_opt` at `alpha/2`, is worth at most `1/alpha`; the
/// hull widened by one step. Holds for any values in [0, 1]. Not yet intersected over time.
///
/// # Errors
/// [`EstimateError::Refused`] for a value outside of [0, 1], an `alpha` outside of (0, 1), a `t_opt` that is not positive;
/// [`EstimateError::TooFew`] for no breaks.
pub fn conjmix_bernoulli(
    values: &[f64],
    t_opt: f64,
    alpha: f64,
    breaks: usize,
) -> Result<Vec<Interval>, EstimateError> {
    all_shares("an outcome", values)?;
    let alpha = level(alpha)?;
    means_left(breaks, values.len(), -alpha.ln(), |mean| log_against(values, mean, t_opt, alpha / 2.0))
}

/// ln of the mixture against `mean` after each of `values`. At 0 and 1 there is nothing to mix: one value apart from the
/// mean rules it out.
fn log_against(values: &[f64], mean: f64, t_opt: f64, alpha: f64) -> Result<Vec<f64>, EstimateError> {
    let (g, h) = (mean, 1.0 - mean);
    let mut sum = 0.0;
    if g <= 0.0 || h <= 0.0 {
        let steps = values.iter().map(|value| {
            sum += (value - mean).abs();
            if sum > 0.0 { f64::INFINITY } else { 0.0 }
        });
        return Ok(steps.collect());
    }
    let mixture = Mixture::new(Family::BetaBinomialTwoSided { g, h }, g * h * t_opt, alpha)?;
    let steps = values.iter().enumerate().map(|(at, value)| {
        sum += value - mean;
        mixture.log_value(sum, g * h * (at as f64 + 1.0))
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        assert_eq!(conjmix_empirical_bernstein(&[], 20.0, 0.05), Ok(vec![]));
        assert_eq!(conjmix_bernoulli(&[], 200.0, 0.05, 100), Ok(vec![]));
        for (values, tuned_for, alpha) in [
            ([1.5], 20.0, 0.05),
            ([f64::NAN], 20.0, 0.05),
            ([0.5], 0.0, 0.05),
            ([0.5], 20.0, 0.0),
            ([0.5], 20.0, f64::NAN),
        ] {
            assert!(conjmix_empirical_bernstein(&values, tuned_for, alpha).is_err());
            assert!(conjmix_bernoulli(&values, tuned_for, alpha, 100).is_err());
        }
        assert!(conjmix_bernoulli(&[0.5], 20.0, 0.05, 0).is_err());
    }

    #[test]
    fn constant_values_are_covered() {
        for value in [0.0, 0.5, 1.0] {
            let values = [value; 300];
            for sequence in [
                conjmix_empirical_bernstein(&values, 20.0, 0.05).unwrap(),
                conjmix_bernoulli(&values, 200.0, 0.05, 100).unwrap(),
            ] {
                assert!(sequence.iter().all(|interval| interval.lower <= value && value <= interval.upper));
                assert!(sequence[299].upper - sequence[299].lower < 0.3);
            }
        }
    }
}
