//! One number for all samples of a range: the `*_over_time` family, `changes`, `resets`.

use std::cell::RefCell;

use super::super::EvalError;
use super::super::ast::Call;
use super::{Evaluator, Val, Window};
use crate::kahan::{Mean, Sum};
use crate::summary::{Spread, Summary};

/// One number that samples are folded into, one by one or a chunk at a time.
pub(in crate::promql) trait Fold: Default {
    fn add(&mut self, value: f64);
    fn merge(&mut self, chunk: &Summary);
    /// `None` of nothing.
    fn result(self) -> Option<f64>;
}

impl Fold for Mean {
    fn add(&mut self, value: f64) {
        self.add(value);
    }

    fn merge(&mut self, chunk: &Summary) {
        self.merge(chunk);
    }

    fn result(self) -> Option<f64> {
        (self.count() > 0.0).then(|| self.value())
    }
}

#[derive(Debug, Default)]
pub(in crate::promql) struct Total {
    any: bool,
    sum: Sum,
}

impl Fold for Total {
    fn add(&mut self, value: f64) {
        self.any = true;
        self.sum.add(value);
    }

    fn merge(&mut self, chunk: &Summary) {
        self.add(chunk.sum.sum);
        if self.sum.sum.is_finite() {
            self.sum.lost += chunk.sum.lost;
        }
    }

    fn result(self) -> Option<f64> {
        self.any.then(|| self.sum.total())
    }
}

#[derive(Debug, Default)]
pub(in crate::promql) struct Count(u64);

impl Fold for Count {
    fn add(&mut self, _: f64) {
        self.0 += 1;
    }

    fn merge(&mut self, chunk: &Summary) {
        self.0 += u64::from(chunk.count.get());
    }

    fn result(self) -> Option<f64> {
        (self.0 > 0).then_some(self.0 as f64)
    }
}

#[derive(Debug, Default)]
pub(in crate::promql) struct Present(bool);

impl Fold for Present {
    fn add(&mut self, _: f64) {
        self.0 = true;
    }

    fn merge(&mut self, _: &Summary) {
        self.0 = true;
    }

    fn result(self) -> Option<f64> {
        self.0.then_some(1.0)
    }
}

/// NaN only where all are.
#[derive(Debug, Default)]
pub(in crate::promql) struct Max(Option<f64>);

impl Fold for Max {
    fn add(&mut self, value: f64) {
        if self.0.is_none_or(|best| value > best || best.is_nan()) {
            self.0 = Some(value);
        }
    }

    fn merge(&mut self, chunk: &Summary) {
        self.add(chunk.max);
    }

    fn result(self) -> Option<f64> {
        self.0
    }
}

/// NaN only where all are.
#[derive(Debug, Default)]
pub(in crate::promql) struct Min(Option<f64>);

impl Fold for Min {
    fn add(&mut self, value: f64) {
        if self.0.is_none_or(|best| value < best || best.is_nan()) {
            self.0 = Some(value);
        }
    }

    fn merge(&mut self, chunk: &Summary) {
        self.add(chunk.min);
    }

    fn result(self) -> Option<f64> {
        self.0
    }
}

/// Population variance.
pub(in crate::promql) type Variance = Spread;

impl Fold for Spread {
    fn add(&mut self, value: f64) {
        self.add(value);
    }

    fn merge(&mut self, chunk: &Summary) {
        self.merge(chunk);
    }

    fn result(self) -> Option<f64> {
        self.variance()
    }
}

/// Population standard deviation.
#[derive(Debug, Default)]
pub(in crate::promql) struct Deviation(Spread);

impl Fold for Deviation {
    fn add(&mut self, value: f64) {
        self.0.add(value);
    }

    fn merge(&mut self, chunk: &Summary) {
        self.0.merge(chunk);
    }

    fn result(self) -> Option<f64> {
        self.0.variance().map(f64::sqrt)
    }
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
    let values = RefCell::new(Vec::new());
    let run = |window: &Window<'_>| {
        let mut values = values.borrow_mut();
        values.clear();
        values.extend(window.values());
        Some(quantile_of(q, &mut values))
    };
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
    // In the total order a NaN of negative sign is the smallest, and two values compare without a branch.
    values.iter_mut().filter(|value| value.is_nan()).for_each(|nan| *nan = f64::NAN.copysign(-1.0));
    // Selecting is linear where sorting is not.
    let (_, low, above) = values.select_nth_unstable_by(lower, f64::total_cmp);
    let low = *low;
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
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
