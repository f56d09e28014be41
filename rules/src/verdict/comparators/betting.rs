//! The hedged capital process: bets that a mean in [0, 1] is higher and that it is lower, and the means it leaves.
//!
//! Waudby-Smith, Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024; arXiv 2010.09686),
//! section 4.

use super::super::asymptotic::Interval;
use super::super::estimate_error::{EstimateError, inside, level};
use super::bounded::{all_shares, means_left};
use super::predmix::EmpiricalBets;

/// How the capital is split and staked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedge {
    /// Level in (0, 1) that the bets are tuned for.
    pub alpha: f64,
    /// Share in [0, 1] of the capital that bets on a higher mean.
    pub theta: f64,
    /// Most of the capital in (0, 1] that one bet may lose.
    pub most_lost: f64,
}

impl Hedge {
    /// ln of `max(θ Π (1 + λ(x - m)), (1 - θ) Π (1 - λ(x - m)))` after each of `values`; bets λ of the empirical Bernstein
    /// sequence at level alpha, at most `most_lost/m` above and `most_lost/(1 - m)` below. It reaches `ln(1/alpha)` with
    /// probability at most alpha where the mean is `mean`.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] for a value or `mean` outside of [0, 1], settings out of range.
    pub fn log_wealth(&self, values: &[f64], mean: f64) -> Result<Vec<f64>, EstimateError> {
        all_shares("the mean", &[mean])?;
        all_shares("an outcome", values)?;
        self.check()?;
        let bets = bets(values, self.alpha);
        Ok(self.wealth(values, &bets, mean))
    }

    /// The means on a grid of `breaks` steps against which the hedge has won at most `1/alpha`, after each of `values`, the
    /// hull widened by one step; [0, 1] where no mean is left. Not yet intersected over time.
    ///
    /// # Errors
    /// As [`Self::log_wealth`], and for no breaks.
    pub fn sequence(&self, values: &[f64], breaks: usize) -> Result<Vec<Interval>, EstimateError> {
        all_shares("an outcome", values)?;
        self.check()?;
        let bets = bets(values, self.alpha);
        let wealth = |mean| Ok(self.wealth(values, &bets, mean));
        means_left(breaks, values.len(), -self.alpha.ln(), wealth)
    }

    fn check(&self) -> Result<(), EstimateError> {
        level(self.alpha)?;
        all_shares("theta", &[self.theta])?;
        inside("the most lost", "in (0, 1]", (0.0, 1.0 + f64::EPSILON), self.most_lost)?;
        Ok(())
    }

    fn wealth(&self, values: &[f64], bets: &[f64], mean: f64) -> Vec<f64> {
        // A share of nothing has the logarithm minus infinity; a division by 0 leaves a bet as it is.
        let (mut higher, mut lower) = (self.theta.ln(), (1.0 - self.theta).ln());
        let most = [self.most_lost / mean, self.most_lost / (1.0 - mean)];
        let steps = values.iter().zip(bets).map(|(value, bet)| {
            higher += (bet.min(most[0]) * (value - mean)).ln_1p();
            lower += (-bet.min(most[1]) * (value - mean)).ln_1p();
            higher.max(lower)
        });
        steps.collect()
    }
}

/// The bet on each of `values`, from those before it.
fn bets(values: &[f64], alpha: f64) -> Vec<f64> {
    let mut bets = EmpiricalBets::new(alpha);
    let steps = values.iter().map(|value| {
        let bet = bets.next();
        bets.learn(*value);
        bet
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Hedge = Hedge { alpha: 0.05, theta: 0.5, most_lost: 0.5 };

    #[test]
    fn edges() {
        assert_eq!(USUAL.sequence(&[], 10), Ok(vec![]));
        assert!(USUAL.sequence(&[0.5], 0).is_err() && USUAL.sequence(&[-0.5], 10).is_err());
        assert!(USUAL.log_wealth(&[0.5], 1.5).is_err() && USUAL.log_wealth(&[f64::NAN], 0.5).is_err());
        for broken in [
            Hedge { alpha: 0.0, ..USUAL },
            Hedge { theta: f64::NAN, ..USUAL },
            Hedge { most_lost: 0.0, ..USUAL },
            Hedge { most_lost: 1.5, ..USUAL },
        ] {
            assert!(broken.log_wealth(&[0.5], 0.5).is_err() && broken.sequence(&[0.5], 10).is_err());
        }
        assert!(Hedge { theta: 1.0, most_lost: 1.0, ..USUAL }.log_wealth(&[0.0], 1.0).is_ok());
    }

    #[test]
    fn no_wealth_is_nan_at_any_mean_and_the_mean_of_the_values_is_left() {
        let values: Vec<f64> = (0..400).map(|at| f64::from(at * 7 % 5) / 4.0).collect();
        for mean in [0.0, 0.25, 1.0] {
            for most_lost in [0.5, 1.0] {
                let hedge = Hedge { most_lost, ..USUAL };
                assert!(hedge.log_wealth(&values, mean).unwrap().iter().all(|log| !log.is_nan()));
            }
        }
        let last = *USUAL.sequence(&values, 200).unwrap().last().unwrap();
        assert!(last.lower < 0.5 && last.upper > 0.5 && last.upper - last.lower < 0.3, "{last:?}");
    }
}
