//! Predictable plug-in confidence sequences of a mean in [0, 1]: Hoeffding's and the empirical Bernstein one.
//!
//! Waudby-Smith, Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024; arXiv 2010.09686),
//! theorems 1 and 2. The bet of a unit is set by the units before it; each side has half of alpha.

use super::super::asymptotic::Interval;
use super::super::estimate_error::{EstimateError, inside, level};
use super::bounded::{all_shares, both_sides};

/// The bets of the empirical Bernstein sequence, `sqrt(2 ln(2/alpha) / (t ln(1 + t) σ²))`, σ² from the values before with
/// one imagined value of mean 1/2 and variance 1/4.
#[derive(Clone, Copy, Debug)]
pub(super) struct EmpiricalBets {
    doubled: f64,
    seen: f64,
    sum: f64,
    squares: f64,
}

impl EmpiricalBets {
    /// Of a level in (0, 1) of both sides together, which the caller checks.
    pub(super) fn new(alpha: f64) -> Self {
        Self { doubled: -2.0 * (alpha / 2.0).ln(), seen: 0.0, sum: 0.5, squares: 0.25 }
    }

    /// The bet on the next value, from those before it.
    pub(super) fn next(&self) -> f64 {
        let t = self.seen + 1.0;
        (self.doubled / (t * t.ln_1p() * (self.squares / t))).sqrt()
    }

    /// Takes a value in [0, 1].
    pub(super) fn learn(&mut self, value: f64) {
        self.seen += 1.0;
        self.sum += value;
        let apart = value - (self.sum / (self.seen + 1.0)).min(1.0);
        self.squares += apart * apart;
    }
}

/// What the lower bound is made of: `(Σ λx - ln(1/alpha) - Σ penalty) / Σ λ`.
struct Plugged {
    won: f64,
    staked: f64,
    price: f64,
}

impl Plugged {
    fn new(alpha: f64) -> Self {
        Self { won: 0.0, staked: 0.0, price: -alpha.ln() }
    }

    fn lower(&mut self, bet: f64, value: f64, penalty: f64) -> f64 {
        self.won += bet * value;
        self.staked += bet;
        self.price += penalty;
        (self.won - self.price) / self.staked
    }
}

/// Hoeffding's sequence after each of `values`: bets `min(sqrt(8 ln(2/alpha) / (t ln(1 + t))), 1)`, half width
/// `(ln(2/alpha) + Σ λ²/8) / Σ λ` around `Σ λx / Σ λ`. Not yet intersected over time.
///
/// # Errors
/// [`EstimateError::Refused`] for a value outside of [0, 1], an `alpha` outside of (0, 1).
pub fn predmix_hoeffding(values: &[f64], alpha: f64) -> Result<Vec<Interval>, EstimateError> {
    all_shares("an outcome", values)?;
    let alpha = level(alpha)? / 2.0;
    both_sides(values, |values| {
        let mut bound = Plugged::new(alpha);
        let steps = values.iter().enumerate().map(|(at, value)| {
            let t = at as f64 + 1.0;
            let bet = (-8.0 * alpha.ln() / (t * t.ln_1p())).sqrt().min(1.0);
            bound.lower(bet, *value, bet * bet / 8.0)
        });
        Ok(steps.collect())
    })
}

/// The empirical Bernstein sequence after each of `values`: bets of at most `most` in (0, 1), half width
/// `(ln(2/alpha) + Σ (x - μ)² (-ln(1 - λ) - λ)) / Σ λ` around `Σ λx / Σ λ`, μ the mean of the values before, 0 at first.
/// Not yet intersected over time.
///
/// # Errors
/// [`EstimateError::Refused`] for a value outside of [0, 1], an `alpha` or `most` outside of (0, 1).
pub fn predmix_empirical_bernstein(values: &[f64], alpha: f64, most: f64) -> Result<Vec<Interval>, EstimateError> {
    all_shares("an outcome", values)?;
    let alpha = level(alpha)?;
    let most = inside("the largest bet", "in (0, 1)", (0.0, 1.0), most)?;
    both_sides(values, |values| {
        let (mut bound, mut bets) = (Plugged::new(alpha / 2.0), EmpiricalBets::new(alpha));
        let (mut sum, mut mean) = (0.0, 0.0);
        let steps = values.iter().enumerate().map(|(at, value)| {
            let bet = bets.next().min(most);
            let apart = value - mean;
            let lower = bound.lower(bet, *value, apart * apart * (-(-bet).ln_1p() - bet));
            bets.learn(*value);
            sum += value;
            mean = sum / (at as f64 + 1.0);
            lower
        });
        Ok(steps.collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::comparators::running_intersection;

    #[test]
    fn edges() {
        assert_eq!(predmix_hoeffding(&[], 0.05), Ok(vec![]));
        for (values, alpha) in [([1.5], 0.05), ([f64::NAN], 0.05), ([0.5], 1.0), ([0.5], f64::NAN)] {
            assert!(predmix_hoeffding(&values, alpha).is_err());
            assert!(predmix_empirical_bernstein(&values, alpha, 0.5).is_err());
        }
        assert!(predmix_empirical_bernstein(&[0.5], 0.05, 1.0).is_err());
    }

    #[test]
    fn a_mirrored_stream_has_the_mirrored_sequence_and_an_intersection_never_widens() {
        let values: Vec<f64> = (0..300).map(|at| f64::from(at * at % 11) / 10.0).collect();
        let plain = running_intersection(predmix_empirical_bernstein(&values, 0.05, 0.5).unwrap());
        let mirror: Vec<f64> = values.iter().map(|value| 1.0 - value).collect();
        let other = running_intersection(predmix_empirical_bernstein(&mirror, 0.05, 0.5).unwrap());
        for (one, two) in plain.iter().zip(&other) {
            assert!((one.lower + two.upper - 1.0).abs() < 1e-9);
        }
        assert!(plain.windows(2).all(|pair| pair[1].lower >= pair[0].lower && pair[1].upper <= pair[0].upper));
    }
}
