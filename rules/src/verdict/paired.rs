//! Two answers to the same question: is one better? An e-process over the differences of pairs.
//!
//! H0: whatever has been seen, the next difference D in [-1, 1] (treatment minus control, over the range of the scores) has
//! mean at most 0. Betting a stake λ multiplies the wealth by 1 + λD; both directions are asked at once (each at half).

use serde::{Deserialize, Serialize};

use super::bets::Wealth;
use super::special::log_sum_exp;

/// Evidence in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    better: Wealth,
    worse: Wealth,
    count: f64,
    squares: f64,
}

impl Paired {
    /// Takes a difference in [-1, 1]; one outside is cut, NaN is left out.
    pub fn add(&mut self, difference: f64) {
        if difference.is_nan() {
            return;
        }
        let difference = difference.clamp(-1.0, 1.0);
        // The mean square so far, with one imagined difference of a half: known before this one.
        let variance = (self.squares + 0.25) / (self.count + 1.0);
        self.better.bet(difference, variance, 1.0);
        self.worse.bet(-difference, variance, 1.0);
        self.count += 1.0;
        self.squares += difference * difference;
    }

    /// ln of the e-value that the treatment is better.
    #[must_use]
    pub fn log_e_better(&self) -> f64 {
        self.better.log_e()
    }

    /// ln of the e-value that it is worse.
    #[must_use]
    pub fn log_e_worse(&self) -> f64 {
        self.worse.log_e()
    }

    /// ln of the e-value that the two differ.
    #[must_use]
    pub fn log_e_differ(&self) -> f64 {
        log_sum_exp(&[self.log_e_better(), self.log_e_worse()]) - 2_f64.ln()
    }

    /// Takes other pairs of the same comparison.
    pub fn merge(&mut self, other: &Self) {
        self.better.merge(&other.better);
        self.worse.merge(&other.worse);
        self.count += other.count;
        self.squares += other.squares;
    }
}

#[cfg(test)]
mod tests {
    use super::Paired;

    #[test]
    fn it_hardly_ever_errs_and_sees_what_is_there() {
        let enough = 20_f64.ln();
        let ever = |seed: u64, shift: f64| {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut pairs = Paired::default();
            (0..1000).any(|_| {
                pairs.add(0.6 * (rng.f64() - rng.f64()) + shift);
                pairs.log_e_differ() >= enough
            })
        };
        let wrong = (0..1000).filter(|seed| ever(*seed, 0.0)).count();
        assert!(wrong <= 60, "{wrong} of 1000 at 5 %");
        assert!((0..100).all(|seed| ever(seed, 0.08)));
    }

    #[test]
    fn odd_differences_do_no_harm() {
        let mut pairs = Paired::default();
        [f64::NAN, 5.0, -5.0, f64::INFINITY].into_iter().for_each(|difference| pairs.add(difference));
        assert!(pairs.log_e_differ().is_finite());
    }
}
