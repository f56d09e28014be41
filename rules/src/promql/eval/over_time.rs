//! One number for all samples of a range: the `*_over_time` family, `changes`, `resets`.

use super::super::EvalError;
use super::super::ast::Call;
use super::kahan::{Mean, Sum};
use super::ordering::ascending;
use super::{Evaluator, Val, Window};

pub(in crate::promql) fn avg(window: &Window<'_>) -> Option<f64> {
    let mut mean = Mean::default();
    window.values().for_each(|value| mean.add(value));
    Some(mean.value())
}

pub(in crate::promql) fn sum(window: &Window<'_>) -> Option<f64> {
    let mut sum = Sum::default();
    window.values().for_each(|value| sum.add(value));
    Some(sum.total())
}

pub(in crate::promql) fn count(window: &Window<'_>) -> Option<f64> {
    Some(window.points.len() as f64)
}

/// NaN only where all are.
pub(in crate::promql) fn max(window: &Window<'_>) -> Option<f64> {
    window.values().reduce(|best, value| if value > best || best.is_nan() { value } else { best })
}

pub(in crate::promql) fn min(window: &Window<'_>) -> Option<f64> {
    window.values().reduce(|best, value| if value < best || best.is_nan() { value } else { best })
}

/// Population variance by Welford's method, compensated.
pub(in crate::promql) fn variance(window: &Window<'_>) -> Option<f64> {
    let (mut mean, mut squares) = (Sum::default(), Sum::default());
    for (index, value) in window.values().enumerate() {
        let delta = value - (mean.sum + mean.lost);
        mean.add(delta / (index + 1) as f64);
        squares.add(delta * (value - (mean.sum + mean.lost)));
    }
    Some((squares.sum + squares.lost) / window.points.len() as f64)
}

/// Two NaN in a row are no change.
pub(in crate::promql) fn changes(window: &Window<'_>) -> Option<f64> {
    let changed = |pair: &&[(i64, f64)]| pair[0].1 != pair[1].1 && !(pair[0].1.is_nan() && pair[1].1.is_nan());
    Some(window.points.windows(2).filter(changed).count() as f64)
}

pub(in crate::promql) fn resets(window: &Window<'_>) -> Option<f64> {
    Some(window.points.windows(2).filter(|pair| pair[1].1 < pair[0].1).count() as f64)
}

/// Median of the absolute distances from the median.
pub(in crate::promql) fn mad(window: &Window<'_>) -> Option<f64> {
    let mut values: Vec<f64> = window.values().collect();
    let median = quantile_of(0.5, &mut values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    Some(quantile_of(0.5, &mut values))
}

pub(in crate::promql) fn quantile(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let q = evaluator.scalar(&call.args[0], now)?;
    evaluator.warn_of_quantile(q);
    let run = |window: &Window<'_>| Some(quantile_of(q, &mut window.values().collect::<Vec<_>>()));
    evaluator.over(&call.args[1], now, run).map(Val::Vector)
}

/// The `q`-quantile of `values` (reordered), linear between neighbours; -Inf and +Inf where `q` is outside 0..=1, NaN
/// of nothing. NaN counts as the smallest value.
pub(super) fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let rank = q * (values.len() - 1) as f64;
    let (lower, weight) = (rank.floor() as usize, rank - rank.floor());
    let nan_first = |a: &f64, b: &f64| b.is_nan().cmp(&a.is_nan()).then(ascending(*a, *b));
    // Selecting is linear where sorting is not.
    let (_, low, above) = values.select_nth_unstable_by(lower, nan_first);
    let low = *low;
    let high = above.iter().copied().min_by(nan_first).unwrap_or(low);
    low * (1.0 - weight) + high * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        for (q, values, expected) in [
            (0.5, vec![3.0, 1.0, 2.0], 2.0),
            (0.5, vec![4.0, 1.0, 2.0, 3.0], 2.5),
            (0.0, vec![2.0, 1.0], 1.0),
            (1.0, vec![2.0, 1.0], 2.0),
            (-0.1, vec![1.0], f64::NEG_INFINITY),
            (1.1, vec![1.0], f64::INFINITY),
            (1.0, vec![f64::NAN, 1.0], 1.0),
        ] {
            assert_eq!(quantile_of(q, &mut values.clone()), expected, "{q} of {values:?}");
        }
        assert!(quantile_of(0.5, &mut []).is_nan());
    }
}
