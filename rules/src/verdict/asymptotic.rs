//! E3: the asymptotic confidence sequence, an interval for a mean that may be looked at after every unit.
//!
//! Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
//! sequences", arXiv 2103.06476. The raw formula is [`AsymptoticSequence::half_width`]; [`AsymptoticSequence::interval`]
//! says "too few" where the limit theorem does not yet hold.

use serde::{Deserialize, Serialize};

use super::Moments;

/// Fewest units an arm for an interval to be shown.
pub const FEWEST_UNITS: u64 = 200;

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

    /// The interval of the mean of what `moments` has seen.
    #[must_use]
    pub fn interval(&self, moments: &Moments) -> Answer {
        let few = Answer::TooFewUnits { have: moments.count(), need: FEWEST_UNITS };
        if moments.count() < FEWEST_UNITS {
            return few;
        }
        self.half_width(moments.count(), moments.variance()).map_or(few, |half| {
            Answer::Interval(Interval { lower: moments.mean() - half, upper: moments.mean() + half })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, AsymptoticSequence, Moments};

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
