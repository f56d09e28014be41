//! E3: the asymptotic confidence sequence, an interval for a mean that may be looked at after every unit.
//!
//! Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
//! sequences", arXiv 2103.06476. The raw formula is [`AsymptoticSequence::half_width`]; [`AsymptoticSequence::interval`]
//! says "too few" where the limit theorem does not yet hold.

use serde::{Deserialize, Serialize};

use super::Moments;

/// Fewest units an arm for an interval to be shown.
pub const FEWEST_UNITS: u64 = 200;

/// Fewest units with the rarer outcome, over all arms, for an interval of a metric of 0s and 1s to be shown.
pub const FEWEST_MINORITY: u64 = 20;

/// How a confidence sequence is tuned: level and the count at which it is narrowest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AsymptoticSequence {
    alpha: f64,
    rho_squared: f64,
}

/// Bounds of a mean; unit: that of the values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
}

/// An interval, or why there is none yet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Covers the mean at all times together with probability about 1 - alpha.
    Interval(Interval),
    /// An arm has fewer units than the limit theorem needs.
    TooFewUnits {
        /// Units of the arm.
        have: u64,
        /// Units it needs.
        need: u64,
    },
    /// Of 0s and 1s, too few units have the rarer outcome for the limit theorem.
    TooFewMinority {
        /// Units with the rarer outcome, over all arms.
        have: u64,
        /// Units there must be.
        need: u64,
    },
}

/// What is missing for an interval: an arm of [`FEWEST_UNITS`] or, for a metric of 0s and 1s, `minority`: the units with
/// the rarer outcome over all arms, [`FEWEST_MINORITY`]. `None` where nothing is.
#[must_use]
pub fn too_few(arms: &[u64], minority: Option<u64>) -> Option<Answer> {
    if let Some(have) = arms.iter().copied().min().filter(|least| *least < FEWEST_UNITS) {
        return Some(Answer::TooFewUnits { have, need: FEWEST_UNITS });
    }
    minority.filter(|have| *have < FEWEST_MINORITY).map(|have| Answer::TooFewMinority { have, need: FEWEST_MINORITY })
}

impl AsymptoticSequence {
    /// Level `alpha` in (0, 1), narrowest near `tuned_for` > 0 units: rho² = (L + ln(1 + L)) / t\*, L = -2 ln alpha.
    /// `None` for arguments out of range or NaN.
    #[must_use]
    pub fn new(alpha: f64, tuned_for: f64) -> Option<Self> {
        let fits = alpha > 0.0 && alpha < 1.0 && tuned_for > 0.0 && tuned_for.is_finite();
        let doubled = -2.0 * alpha.ln();
        fits.then(|| Self { alpha, rho_squared: (doubled + doubled.ln_1p()) / tuned_for })
    }

    /// Half the width at `count` units of population `variance`; the raw formula, whatever the count:
    /// sqrt(variance · 2 (tρ² + 1) / (t²ρ²) · ln(sqrt(tρ² + 1) / alpha)). `None` without units or for a variance that
    /// is negative or not finite.
    #[must_use]
    pub fn half_width(&self, count: u64, variance: f64) -> Option<f64> {
        if count == 0 || !(variance >= 0.0 && variance.is_finite()) {
            return None;
        }
        let t = count as f64;
        let grown = t * self.rho_squared + 1.0;
        let log = 0.5 * grown.ln() - self.alpha.ln();
        Some((variance * 2.0 * grown / (t * t * self.rho_squared) * log).sqrt())
    }

    /// ln of the e-value that the parameter is 0, after `count` units, where the estimate over its standard error squared
    /// is `z_squared`: `z²·tρ²/(2(tρ² + 1)) - ½ ln(tρ² + 1)`. The interval leaves 0 out when it
    /// exceeds -ln alpha.
    #[must_use]
    pub fn log_e(&self, count: u64, z_squared: f64) -> f64 {
        let grown = count as f64 * self.rho_squared;
        0.5 * (z_squared * grown / (grown + 1.0) - grown.ln_1p())
    }

    /// The level.
    #[must_use]
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// The interval of the mean of what `moments` has seen.
    #[must_use]
    pub fn interval(&self, moments: &Moments) -> Answer {
        let few = Answer::TooFewUnits { have: moments.count(), need: FEWEST_UNITS };
        if let Some(missing) = too_few(&[moments.count()], None) {
            return missing;
        }
        self.half_width(moments.count(), moments.variance()).map_or(few, |half| {
            Answer::Interval(Interval { lower: moments.mean() - half, upper: moments.mean() + half })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, AsymptoticSequence, Moments, too_few};

    #[test]
    fn too_few_units_are_told_before_too_few_outcomes() {
        assert_eq!(too_few(&[500, 199], Some(3)), Some(Answer::TooFewUnits { have: 199, need: 200 }));
        assert_eq!(too_few(&[500, 200], Some(19)), Some(Answer::TooFewMinority { have: 19, need: 20 }));
        assert_eq!(too_few(&[500, 200], Some(20)), None);
        assert_eq!(too_few(&[500, 200], None), None);
    }

    #[test]
    fn the_e_value_reaches_the_level_where_the_interval_reaches_zero() {
        let sequence = AsymptoticSequence::new(0.05, 1000.0).unwrap();
        let half = sequence.half_width(700, 2.5).unwrap();
        let z_squared = half * half / (2.5 / 700.0);
        assert!((sequence.log_e(700, z_squared) - 20.0_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn arguments_out_of_range_have_no_sequence() {
        for (alpha, tuned_for) in [(0.0, 9.0), (1.0, 9.0), (f64::NAN, 9.0), (0.05, 0.0), (0.05, f64::NAN)] {
            assert_eq!(AsymptoticSequence::new(alpha, tuned_for), None);
        }
    }

    #[test]
    fn few_units_have_no_interval() {
        let sequence = AsymptoticSequence::new(0.05, 1000.0).unwrap();
        assert_eq!(sequence.half_width(0, 1.0), None);
        assert_eq!(sequence.half_width(1, f64::NAN), None);
        let of = |count: u32| sequence.interval(&Moments::of((0..count).map(|i| f64::from(i % 2))));
        for count in [0, 1, 199] {
            assert_eq!(of(count), Answer::TooFewUnits { have: u64::from(count), need: 200 });
        }
        assert!(matches!(of(200), Answer::Interval(_)));
    }
}
