//! What the confidence sequences of bounded means share: checks, intersections over time, sets over a grid of means.

use super::super::asymptotic::Interval;
use super::super::estimate_error::EstimateError;

/// What is known before anything is seen.
pub(super) const EVERYTHING: Interval = Interval { lower: 0.0, upper: 1.0 };

/// Refuses a value, called `what`, outside of [0, 1] and NaN.
pub(super) fn all_shares(what: &'static str, values: &[f64]) -> Result<(), EstimateError> {
    match values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
        Some(found) => Err(EstimateError::Refused { what, must: "in [0, 1]", found: *found }),
        None => Ok(()),
    }
}

/// Each value from 1.
pub(super) fn mirrored(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| 1.0 - value).collect()
}

/// The two-sided sequence of a one-sided lower one: of the values, and from 1 of the mirrored ones; inside [0, 1].
pub(super) fn both_sides(
    values: &[f64],
    lower: impl Fn(&[f64]) -> Result<Vec<f64>, EstimateError>,
) -> Result<Vec<Interval>, EstimateError> {
    let pairs = lower(values)?.into_iter().zip(lower(&mirrored(values))?);
    Ok(pairs.map(|(low, high)| Interval { lower: low.max(0.0), upper: (1.0 - high).min(1.0) }).collect())
}

/// Each interval cut down to what all before it allow: no wider, and as valid where all hold together.
#[must_use]
pub fn running_intersection(mut intervals: Vec<Interval>) -> Vec<Interval> {
    let mut kept = EVERYTHING;
    for interval in &mut intervals {
        kept = Interval { lower: kept.lower.max(interval.lower), upper: kept.upper.min(interval.upper) };
        *interval = kept;
    }
    intervals
}

/// The means on a grid of `breaks` steps over [0, 1] that evidence leaves at each of `times`: `log_wealth` says what a bet
/// against a mean has won after each value. The set's hull is widened by one step; where no mean is left, all of [0, 1].
///
/// # Errors
/// [`EstimateError::TooFew`] for no breaks, and what `log_wealth` says.
pub(super) fn means_left(
    breaks: usize,
    times: usize,
    threshold: f64,
    log_wealth: impl Fn(f64) -> Result<Vec<f64>, EstimateError>,
) -> Result<Vec<Interval>, EstimateError> {
    if breaks == 0 {
        return Err(EstimateError::TooFew { what: "breaks of the grid", have: 0, need: 1 });
    }
    let step = 1.0 / breaks as f64;
    let mut hulls: Vec<Option<(f64, f64)>> = vec![None; times];
    for at in 0..=breaks {
        let mean = at as f64 * step;
        for (hull, log) in hulls.iter_mut().zip(log_wealth(mean)?) {
            if log <= threshold {
                *hull = Some((hull.map_or(mean, |(low, _)| low), mean));
            }
        }
    }
    let widened = |(low, high): (f64, f64)| Interval { lower: (low - step).max(0.0), upper: (high + step).min(1.0) };
    Ok(hulls.into_iter().map(|hull| hull.map_or(EVERYTHING, widened)).collect())
}
