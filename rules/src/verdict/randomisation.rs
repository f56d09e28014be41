//! E1: did the assignment itself matter? An e-process that only trusts the coin.
//!
//! A unit's outcome Y in [0, 1], its arm G in {0, 1}, and the logged probability π of the treatment. With a centre m̂ that is
//! known before G is drawn (the mean of Y + Δ·G so far), S = (Y + Δ·G - m̂)(G - π) has mean π(1 - π)(effect + Δ), whatever Y
//! does over time: ramps, drift and order cannot fool it, for π is known and G is drawn afresh. Betting against S (Δ = 0) gathers evidence of harm,
//! betting on it (Δ = margin) evidence that the treatment is at most the margin worse. In the manner of Waudby-Smith and
//! Ramdas, "Estimating means of bounded random variables by betting" (2023), with the score of a randomisation test.

use serde::{Deserialize, Serialize};

use super::bets::Wealth;

/// Which of the two questions is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The treatment's outcomes are lower.
    Lower,
    /// The treatment's outcomes are higher than minus the margin.
    Higher,
}

/// One unit, as the process sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// Its outcome, in [0, 1].
    pub outcome: f64,
    /// Whether it had the treatment.
    pub treated: bool,
    /// The probability that it would have, in (0, 1), fixed before the draw.
    pub propensity: f64,
}

/// The process of one question.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Randomisation {
    side: Side,
    margin: f64,
    centre: Centre,
    wealth: Wealth,
}

impl Randomisation {
    /// Asks for `side` with a margin Δ >= 0 in the outcome's unit. The centre is the mean of the past.
    #[must_use]
    pub fn new(side: Side, margin: f64) -> Self {
        Self { side, margin, centre: Centre::default(), wealth: Wealth::default() }
    }

    /// Takes a unit; the caller keeps outcomes and propensities out of range away.
    #[inline]
    pub fn add(&mut self, unit: &Unit) {
        self.add_around(unit, self.centre.get());
        self.centre.add(self.shifted(unit));
    }

    /// Takes a unit around a `centre` of the caller's: a guess of its outcome made without knowing its arm or the
    /// outcome, from a judge for one.
    #[inline]
    pub fn add_around(&mut self, unit: &Unit, centre: f64) {
        let Unit { treated, propensity, .. } = *unit;
        let score = (self.shifted(unit) - centre) * (if treated { 1.0 } else { 0.0 } - propensity);
        let variance = centre * (1.0 - centre);
        let other = 1.0 - propensity;
        match self.side {
            Side::Lower => {
                let worst = ((1.0 + self.margin - centre) * other).max(centre * propensity);
                self.wealth.bet(-score, variance, worst);
            }
            Side::Higher => {
                let worst = (centre * other).max((1.0 - centre) * propensity);
                self.wealth.bet(score, variance, worst);
            }
        }
    }

    /// The outcome with the margin granted to the treatment.
    #[inline]
    fn shifted(&self, unit: &Unit) -> f64 {
        if unit.treated { unit.outcome + self.margin } else { unit.outcome }
    }

    /// ln of the e-value; at least ln(1/alpha) with probability at most alpha where the answer is no.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        self.wealth.log_e()
    }

    /// Takes what the same question has gathered elsewhere from other units.
    pub fn merge(&mut self, other: &Self) {
        self.wealth.merge(&other.wealth);
        self.centre.merge(&other.centre);
    }
}

/// The mean of the past with one imagined success and one imagined failure, so 1/2 at first (Laplace).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Centre {
    sum: f64,
    count: f64,
}

impl Default for Centre {
    fn default() -> Self {
        Self { sum: 1.0, count: 2.0 }
    }
}

impl Centre {
    #[inline]
    fn get(&self) -> f64 {
        self.sum / self.count
    }

    #[inline]
    fn add(&mut self, outcome: f64) {
        self.sum += outcome;
        self.count += 1.0;
    }

    fn merge(&mut self, other: &Self) {
        let start = Self::default();
        self.sum += other.sum - start.sum;
        self.count += other.count - start.count;
    }
}

#[cfg(test)]
mod tests {
    use super::{Randomisation, Side, Unit};

    fn unit(at: u32) -> Unit {
        let outcome = if at.is_multiple_of(7) { 0.0 } else { 1.0 };
        Unit { outcome, treated: at.is_multiple_of(3), propensity: 1.0 / 3.0 }
    }

    #[test]
    fn pods_put_together_have_won_what_each_has() {
        let (mut one, mut other) = (Randomisation::new(Side::Lower, 0.0), Randomisation::new(Side::Lower, 0.0));
        (0..500).for_each(|at| if at < 200 { one.add(&unit(at)) } else { other.add(&unit(at)) });
        let (first, second) = (*one.wealth.logs(), *other.wealth.logs());
        one.merge(&other);
        for (at, log) in one.wealth.logs().iter().enumerate() {
            assert!((log - first[at] - second[at]).abs() < 1e-12);
        }
        assert_eq!(one.centre.count, 502.0);
    }

    #[test]
    fn no_sequence_of_outcomes_ruins_a_process() {
        for (outcome, treated) in [(0.0, true), (0.0, false), (1.0, true), (1.0, false)] {
            for side in [Side::Lower, Side::Higher] {
                for propensity in [0.001, 0.05, 0.5, 0.999] {
                    let mut process = Randomisation::new(side, 0.03);
                    (0..1000).for_each(|_| process.add(&Unit { outcome, treated, propensity }));
                    assert!(process.log_e().is_finite(), "{outcome} {treated} {side:?} {propensity}");
                }
            }
        }
    }
}
