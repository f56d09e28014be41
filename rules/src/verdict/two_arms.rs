//! The difference of two arms from sums: shares, means, ratios, quantiles, means adjusted by what was known before.
//!
//! The confidence sequence of arXiv 2103.06476 ([`AsymptoticSequence`]) on the difference, and the test of Welch (1947)
//! for a count fixed before. Formulas are those of GrowthBook's `gbstats` 0.8, of which this gives the same numbers.

use serde::{Deserialize, Serialize};

use super::asymptotic::too_few;
use super::cluster_robust::ArmSums;
use super::estimate_error::{EstimateError, finite, inside, level};
use super::special::{normal_quantile, student_quantile, student_two_sided};
use super::{Answer, AsymptoticSequence, Interval, Moments};

/// Smallest variance of a quantile taken as found, from [`MANY`] values on: rounded values can have none.
const LEAST_QUANTILE_VARIANCE: f64 = 1e-5;
/// Values from which a quantile's variance is not let fall to 0.
const MANY: u64 = 100;
/// Values from which a quantile whose bounds are equal is believed.
const MANY_EQUAL: u64 = 1000;
/// Level of the bounds that a quantile's variance is read from.
const BOUNDS_LEVEL: f64 = 0.05;

/// A sum and the sum of squares of one arm's values; units: the values', and their square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

/// A sample quantile with its order-statistic bounds at level 0.05 (normal approximation of the ranks).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantileBounds {
    /// Values of the arm.
    pub count: u64,
    /// Values that the bounds were taken from.
    pub bounds_count: u64,
    /// Which quantile, in (0, 1).
    pub quantile: f64,
    /// Its value.
    pub value: f64,
    /// Its lower bound.
    pub lower: f64,
    /// Its upper bound.
    pub upper: f64,
}

/// What one arm's units say of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmEstimate {
    units: u64,
    value: f64,
    /// Of one unit; that of the estimate is `variance / units`.
    variance: f64,
    /// The estimate before adjusting, which relative differences are relative to.
    raw: f64,
    /// Units with outcome 1, for a share.
    successes: Option<u64>,
}

/// What the difference is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Treatment less control, in the metric's unit.
    Absolute,
    /// That over the control's value: 0.1 is a tenth more.
    Relative,
}

/// The difference of treatment and control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoArms {
    units: [u64; 2],
    minority: Option<u64>,
    difference: f64,
    /// Of the difference.
    variance: f64,
    degrees: f64,
}

/// A test that holds at one look, planned before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedTest {
    /// Bounds of the difference at confidence 1 - alpha.
    pub interval: Interval,
    /// Two-sided, of no difference.
    pub p_value: f64,
}

impl Sums {
    fn checked(self) -> Result<Self, EstimateError> {
        at_least_two(self.count)?;
        finite("a sum", self.sum)?;
        finite("a sum of squares", self.squares)?;
        Ok(self)
    }

    fn mean(self) -> f64 {
        self.sum / self.count as f64
    }

    /// With divisor n - 1.
    fn variance(self) -> f64 {
        let count = self.count as f64;
        (self.squares - self.sum * self.sum / count) / (count - 1.0)
    }

    fn add(self, other: Self) -> Self {
        Self { count: self.count + other.count, sum: self.sum + other.sum, squares: self.squares + other.squares }
    }
}

/// Numerator and denominator of `arm`, each with its squares.
fn halves(arm: &ArmSums) -> Result<[Sums; 2], EstimateError> {
    finite("a sum of products", arm.products)?;
    let of = |sum, squares| Sums { count: arm.rows, sum, squares }.checked();
    Ok([of(arm.numerator, arm.numerator_squares)?, of(arm.denominator, arm.denominator_squares)?])
}

/// Covariance of the two, with divisor n - 1.
fn covariance([first, second]: [Sums; 2], products: f64) -> f64 {
    let count = first.count as f64;
    (products - first.sum * second.sum / count) / (count - 1.0)
}

fn at_least_two(units: u64) -> Result<u64, EstimateError> {
    if units < 2 { Err(EstimateError::TooFew { what: "units", have: units, need: 2 }) } else { Ok(units) }
}

impl ArmEstimate {
    /// With `variance` of one unit, refused unless both are finite and it is positive.
    fn of(units: u64, value: f64, variance: f64) -> Result<Self, EstimateError> {
        at_least_two(units)?;
        finite("the value", value)?;
        if finite("the variance", variance)? <= 0.0 {
            return Err(EstimateError::Constant("an arm's values"));
        }
        Ok(Self { units, value, variance, raw: value, successes: None })
    }

    /// A share: variance p(1 - p) of one unit.
    ///
    /// # Errors
    /// [`EstimateError`] for under two units, more successes than units; [`EstimateError::Constant`] for none or all.
    pub fn proportion(successes: u64, units: u64) -> Result<Self, EstimateError> {
        if successes > units {
            let found = successes as f64;
            return Err(EstimateError::Refused { what: "successes", must: "at most the units", found });
        }
        let share = successes as f64 / at_least_two(units)? as f64;
        Ok(Self { successes: Some(successes), ..Self::of(units, share, share * (1.0 - share))? })
    }

    /// A mean, from sums.
    ///
    /// # Errors
    /// [`EstimateError`] for under two units, a sum that is not finite, values that do not differ.
    pub fn mean(sums: Sums) -> Result<Self, EstimateError> {
        let sums = sums.checked()?;
        Self::of(sums.count, sums.mean(), sums.variance())
    }

    /// A mean, from moments: exacter than sums where the mean is large beside the spread.
    ///
    /// # Errors
    /// As [`ArmEstimate::mean`].
    pub fn moments(moments: &Moments) -> Result<Self, EstimateError> {
        let none = EstimateError::TooFew { what: "units", have: moments.count(), need: 2 };
        Self::of(moments.count(), moments.mean(), moments.sample_variance().ok_or(none)?)
    }

    /// A ratio of sums, one row a unit, by the delta method: `(σ²_y - 2Rσ_yd + R²σ²_d) / d̄²` of one unit.
    ///
    /// # Errors
    /// As [`ArmEstimate::mean`], and for a denominator of 0.
    pub fn ratio(arm: &ArmSums) -> Result<Self, EstimateError> {
        let [numerator, denominator] = halves(arm)?;
        if denominator.sum == 0.0 {
            return Err(EstimateError::Refused { what: "the denominator", must: "other than 0", found: 0.0 });
        }
        let ratio = numerator.sum / denominator.sum;
        let shared = covariance([numerator, denominator], arm.products);
        let variance = numerator.variance() + ratio * (ratio * denominator.variance() - 2.0 * shared);
        Self::of(arm.rows, ratio, variance / (denominator.mean() * denominator.mean()))
    }

    /// A quantile: one unit's variance is read back from the bounds, `(n* / n)(n - 1)((upper - lower) / 2z)²`.
    ///
    /// # Errors
    /// [`EstimateError`] for a quantile outside of (0, 1), numbers that are not finite, so few values that a bound would
    /// be beyond the least or the greatest, bounds that are equal under 1000 values.
    pub fn quantile(bounds: &QuantileBounds) -> Result<Self, EstimateError> {
        let count = at_least_two(bounds.count)? as f64;
        let quantile = inside("the quantile", "in (0, 1)", (0.0, 1.0), bounds.quantile)?;
        let z = normal_quantile(1.0 - BOUNDS_LEVEL / 2.0);
        let odds = quantile / (1.0 - quantile);
        let need = z * z * odds.max(1.0 / odds);
        if count <= need {
            return Err(EstimateError::TooFew { what: "values", have: bounds.count, need: need.floor() as u64 + 1 });
        }
        let spread = (bounds.upper - bounds.lower) / (2.0 * z);
        let found = bounds.bounds_count as f64 / count * (count - 1.0) * spread * spread;
        if found <= 0.0 && bounds.count < MANY_EQUAL {
            return Err(EstimateError::Constant("a quantile's bounds"));
        }
        let least = if bounds.count < MANY { 0.0 } else { LEAST_QUANTILE_VARIANCE };
        Self::of(bounds.count, bounds.value, finite("the variance", found)?.max(least))
    }
}

/// `[control, treatment]` means of `numerator` less θ times those of `denominator`, what each unit had before the
/// experiment (CUPED: Deng, Xu, Kohavi, Walker 2013); θ by least squares over the units of both, also returned.
///
/// # Errors
/// As [`ArmEstimate::mean`]; [`EstimateError::Constant`] where what was before does not differ.
pub fn cuped(arms: [&ArmSums; 2]) -> Result<([ArmEstimate; 2], f64), EstimateError> {
    let [control, treatment] = [halves(arms[0])?, halves(arms[1])?];
    let both = [control[0].add(treatment[0]), control[1].add(treatment[1])];
    let before = both[1].variance();
    if finite("the variance", before)? <= 0.0 {
        return Err(EstimateError::Constant("the values before the experiment"));
    }
    let theta = covariance(both, arms[0].products + arms[1].products) / before;
    let adjusted = |[after, before]: [Sums; 2], products: f64| {
        let shared = covariance([after, before], products);
        let variance = after.variance() + theta * (theta * before.variance() - 2.0 * shared);
        let estimate = ArmEstimate::of(after.count, after.mean() - theta * before.mean(), variance)?;
        Ok(ArmEstimate { raw: after.mean(), ..estimate })
    };
    Ok(([adjusted(control, arms[0].products)?, adjusted(treatment, arms[1].products)?], theta))
}

impl TwoArms {
    /// `[control, treatment]`'s difference. A relative one has the delta method's variance,
    /// `(σ²_b / n_b + (b/a)² σ²_a / n_a) / a²`, `a` and `b` the values before adjusting; of adjusted means it leaves out
    /// that the control's adjusted value and `a` go together.
    ///
    /// # Errors
    /// [`EstimateError`] where the relative difference is to 0 or a result is not finite.
    pub fn new([control, treatment]: [&ArmEstimate; 2], scale: Scale) -> Result<Self, EstimateError> {
        let of_mean = |arm: &ArmEstimate| arm.variance / arm.units as f64;
        let [spread_a, spread_b] = [of_mean(control), of_mean(treatment)];
        let apart = treatment.value - control.value;
        let (difference, variance) = match scale {
            Scale::Absolute => (apart, spread_a + spread_b),
            Scale::Relative if control.raw == 0.0 => {
                return Err(EstimateError::Refused { what: "the control's value", must: "other than 0", found: 0.0 });
            }
            Scale::Relative => {
                let (base, times) = (control.raw, treatment.raw / control.raw);
                (apart / base, (spread_b + times * times * spread_a) / (base * base))
            }
        };
        let own = |arm: &ArmEstimate| of_mean(arm) * of_mean(arm) / (arm.units - 1) as f64;
        let minority = control.successes.zip(treatment.successes).map(|(a, b)| {
            let (successes, units) = (a + b, control.units + treatment.units);
            successes.min(units - successes)
        });
        Ok(Self {
            units: [control.units, treatment.units],
            minority,
            difference: finite("the difference", difference)?,
            variance: inside("its variance", "positive and finite", (0.0, f64::INFINITY), variance)?,
            degrees: (spread_a + spread_b) * (spread_a + spread_b) / (own(control) + own(treatment)),
        })
    }

    /// The difference, in its [`Scale`].
    #[must_use]
    pub fn difference(&self) -> f64 {
        self.difference
    }

    /// Its standard error.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        self.variance.sqrt()
    }

    fn count(&self) -> u64 {
        self.units[0] + self.units[1]
    }

    fn within(&self, half: f64) -> Interval {
        Interval { lower: self.difference - half, upper: self.difference + half }
    }

    /// The interval valid at all times, whatever the counts: [`AsymptoticSequence::half_width`] at the units of both
    /// arms, with that many times the difference's variance. `None` where it is not finite.
    #[must_use]
    pub fn raw_interval(&self, sequence: &AsymptoticSequence) -> Option<Interval> {
        let half = sequence.half_width(self.count(), self.variance * self.count() as f64)?;
        Some(self.within(half))
    }

    /// The interval valid at all times, or what it still needs: see [`too_few`].
    #[must_use]
    pub fn interval(&self, sequence: &AsymptoticSequence) -> Answer {
        let missing = || Answer::TooFewUnits { have: self.units[0].min(self.units[1]), need: super::FEWEST_UNITS };
        too_few(&self.units, self.minority)
            .unwrap_or_else(|| self.raw_interval(sequence).map_or_else(missing, Answer::Interval))
    }

    /// ln of the e-value against no difference: see [`AsymptoticSequence::log_e`].
    #[must_use]
    pub fn log_e(&self, sequence: &AsymptoticSequence) -> f64 {
        sequence.log_e(self.count(), self.difference * self.difference / self.variance)
    }

    /// The p-value of no difference at this time, valid at all times: 1 over the e-value, at most 1.
    #[must_use]
    pub fn p_value(&self, sequence: &AsymptoticSequence) -> f64 {
        (-self.log_e(sequence)).exp().min(1.0)
    }

    /// Welch's test at level `alpha`, with Satterthwaite's degrees of freedom of the absolute difference: a comparator,
    /// for it does not hold when one looks often.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] for a level outside of (0, 1).
    pub fn fixed(&self, alpha: f64) -> Result<FixedTest, EstimateError> {
        let half = student_quantile(level(alpha)?, self.degrees) * self.standard_error();
        let p_value = student_two_sided(self.difference / self.standard_error(), self.degrees);
        Ok(FixedTest { interval: self.within(half), p_value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_estimated_is_refused() {
        for (successes, units) in [(0, 0), (1, 1), (2, 1), (0, 500), (500, 500)] {
            assert!(ArmEstimate::proportion(successes, units).is_err(), "{successes} {units}");
        }
        for (sum, squares) in [(f64::NAN, 1.0), (1.0, f64::INFINITY), (10.0, 10.0)] {
            assert!(ArmEstimate::mean(Sums { count: 10, sum, squares }).is_err());
        }
        assert!(ArmEstimate::moments(&Moments::of([1.0])).is_err());
        let mut arm = ArmSums::default();
        [-1.0, 1.0].into_iter().for_each(|denominator| arm.add(denominator * 2.0 + 1.0, denominator));
        assert!(ArmEstimate::ratio(&arm).is_err());
        arm.denominator_squares = f64::NAN;
        assert!(cuped([&arm, &arm]).is_err());
        let zero = ArmEstimate::moments(&Moments::of([-1.0, 1.0])).unwrap();
        assert!(TwoArms::new([&zero, &zero], Scale::Relative).is_err());
        assert!(TwoArms::new([&zero, &zero], Scale::Absolute).unwrap().fixed(1.0).is_err());
        let bounds = QuantileBounds { count: 74, bounds_count: 74, quantile: 0.95, value: 1.0, lower: 1.0, upper: 1.0 };
        assert!(matches!(ArmEstimate::quantile(&bounds), Err(EstimateError::Constant(_))));
        let few = ArmEstimate::quantile(&QuantileBounds { count: 72, ..bounds });
        assert!(matches!(few, Err(EstimateError::TooFew { need: 73, .. })), "{few:?}");
        assert!(ArmEstimate::quantile(&QuantileBounds { count: 1000, ..bounds }).is_ok());
        assert!(ArmEstimate::quantile(&QuantileBounds { lower: f64::NAN, ..bounds }).is_err());
    }

    #[test]
    fn too_few_is_said_and_the_raw_formula_is_still_there() {
        let sequence = AsymptoticSequence::new(0.05, 500.0).unwrap();
        let of = |a: (u64, u64), b: (u64, u64)| {
            let arms = [a, b].map(|(successes, units)| ArmEstimate::proportion(successes, units).unwrap());
            TwoArms::new([&arms[0], &arms[1]], Scale::Absolute).unwrap()
        };
        assert_eq!(of((9, 300), (10, 300)).interval(&sequence), Answer::TooFewMinority { have: 19, need: 20 });
        assert_eq!(of((90, 199), (10, 300)).interval(&sequence), Answer::TooFewUnits { have: 199, need: 200 });
        let enough = of((10, 300), (290, 300));
        assert_eq!(Answer::Interval(enough.raw_interval(&sequence).unwrap()), enough.interval(&sequence));
        assert!(enough.p_value(&sequence) < 1e-100 && enough.log_e(&sequence) > 200.0);
    }

    #[test]
    fn moments_and_sums_say_the_same() {
        let values = (0..50).map(|i| f64::from(i * i % 17));
        let sums = values
            .clone()
            .fold(Sums::default(), |sums, value| sums.add(Sums { count: 1, sum: value, squares: value * value }));
        let (by_sums, by_moments) = (ArmEstimate::mean(sums).unwrap(), ArmEstimate::moments(&Moments::of(values)));
        assert!((by_sums.variance - by_moments.unwrap().variance).abs() < 1e-12);
    }
}
