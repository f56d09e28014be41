//! The beta-binomial confidence sequence of a share, asked at one time: valid at all times together.

use super::super::beta_binomial::BetaBinomial;
use super::super::estimate_error::{EstimateError, level};
use super::Proportion;

/// The level that the mixture is tuned for, whatever level is asked for.
const TUNED_LEVEL: f64 = 0.05;

/// Shares whose mixture has not reached `1/alpha` after these trials: narrowest near `tuned_for` trials.
///
/// Robbins 1970; Howard et al., arXiv 1810.08240.
///
/// # Errors
/// [`EstimateError`] for no trials, more successes than trials, a level outside of (0, 1), a `tuned_for` that is not
/// positive and finite.
pub fn bernoulli_sequence(proportion: Proportion, alpha: f64, tuned_for: f64) -> Result<[f64; 2], EstimateError> {
    let share = proportion.share()?;
    let enough = -level(alpha)?.ln();
    let mixture = BetaBinomial::new(tuned_for, TUNED_LEVEL)?;
    let (successes, trials) = (proportion.successes as f64, proportion.trials as f64);
    let excluded = |p: f64| mixture.log_e(p, successes, trials) > enough;
    let none = proportion.successes == 0;
    let all = proportion.successes == proportion.trials;
    let lower = if none { 0.0 } else { edge(0.0, share, excluded) };
    let upper = if all { 1.0 } else { edge(1.0, share, excluded) };
    Ok([lower, upper])
}

/// Where `excluded` changes between `outside` and `within`.
fn edge(mut outside: f64, mut within: f64, excluded: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = 0.5 * (outside + within);
        if middle == outside || middle == within {
            break;
        }
        if excluded(middle) { outside = middle } else { within = middle }
    }
    within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        let of = |successes, trials| Proportion { successes, trials };
        assert!(bernoulli_sequence(of(0, 0), 0.05, 100.0).is_err());
        assert!(bernoulli_sequence(of(2, 1), 0.05, 100.0).is_err());
        assert!(bernoulli_sequence(of(1, 2), f64::NAN, 100.0).is_err());
        assert!(bernoulli_sequence(of(1, 2), 0.05, 0.0).is_err());
        assert_eq!(bernoulli_sequence(of(0, 50), 0.05, 100.0).unwrap()[0], 0.0);
        assert_eq!(bernoulli_sequence(of(50, 50), 0.05, 100.0).unwrap()[1], 1.0);
        let [lower, upper] = bernoulli_sequence(of(1, 1), 0.05, 100.0).unwrap();
        assert!((0.0..0.1).contains(&lower) && upper == 1.0, "{lower} {upper}");
    }
}
