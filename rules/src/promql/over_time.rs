//! `*_over_time`: each takes one series' samples of a range.

use super::functions::Window;

/// Sum that carries its rounding error along (Kahan, with Neumaier's order).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    total: f64,
    error: f64,
}

impl Sum {
    pub(super) fn add(&mut self, value: f64) {
        let next = self.total + value;
        if !next.is_finite() {
            self.error = 0.0;
        } else if self.total.abs() >= value.abs() {
            self.error += (self.total - next) + value;
        } else {
            self.error += (value - next) + self.total;
        }
        self.total = next;
    }

    pub(super) fn value(self) -> f64 {
        if self.total.is_infinite() { self.total } else { self.total + self.error }
    }
}

fn values(w: Window<'_>) -> impl Iterator<Item = f64> + Clone + '_ {
    w.samples.iter().map(|(_, value)| *value)
}

fn some(w: Window<'_>) -> Option<f64> {
    (!w.samples.is_empty()).then_some(w.samples.len() as f64)
}

pub(super) fn sum(w: Window<'_>) -> Option<f64> {
    some(w)?;
    let mut sum = Sum::default();
    values(w).for_each(|value| sum.add(value));
    Some(sum.value())
}

pub(super) fn avg(w: Window<'_>) -> Option<f64> {
    some(w)?;
    Some(mean(values(w)))
}

/// Arithmetic mean; where the sum would overflow, an incremental one.
pub(super) fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let (mut sum, mut count) = (Sum::default(), 0.0);
    for value in values.clone() {
        sum.add(value);
        count += 1.0;
    }
    if sum.value().is_finite() {
        return sum.value() / count;
    }
    let (mut mean, mut seen) = (0.0_f64, 0.0);
    for value in values {
        seen += 1.0;
        if mean.is_infinite() && (value.is_finite() || value.signum() == mean.signum() && value.is_infinite()) {
            continue;
        }
        mean += value / seen - mean / seen;
    }
    mean
}

pub(super) fn count(w: Window<'_>) -> Option<f64> {
    some(w)
}

pub(super) fn present(w: Window<'_>) -> Option<f64> {
    some(w).map(|_| 1.0)
}

pub(super) fn first(w: Window<'_>) -> Option<f64> {
    values(w).next()
}

pub(super) fn last(w: Window<'_>) -> Option<f64> {
    values(w).last()
}

pub(super) fn max(w: Window<'_>) -> Option<f64> {
    values(w).reduce(|best, value| if value > best || best.is_nan() { value } else { best })
}

pub(super) fn min(w: Window<'_>) -> Option<f64> {
    values(w).reduce(|best, value| if value < best || best.is_nan() { value } else { best })
}

pub(super) fn stdvar(w: Window<'_>) -> Option<f64> {
    some(w)?;
    Some(variance(values(w)))
}

pub(super) fn stddev(w: Window<'_>) -> Option<f64> {
    stdvar(w).map(f64::sqrt)
}

/// Population variance (Welford, 1962, with compensated sums).
pub(super) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, Sum::default(), Sum::default());
    for value in values {
        count += 1.0;
        let delta = value - mean.value();
        mean.add(delta / count);
        squares.add(delta * (value - mean.value()));
    }
    squares.value() / count
}

pub(super) fn changes(w: Window<'_>) -> Option<f64> {
    some(w)?;
    let differ = |pair: &[(i64, f64)]| pair[0].1 != pair[1].1 && !(pair[0].1.is_nan() && pair[1].1.is_nan());
    Some(w.samples.windows(2).filter(|pair| differ(pair)).count() as f64)
}

pub(super) fn resets(w: Window<'_>) -> Option<f64> {
    some(w)?;
    Some(w.samples.windows(2).filter(|pair| pair[1].1 < pair[0].1).count() as f64)
}

pub(super) fn quantile(w: Window<'_>) -> Option<f64> {
    some(w)?;
    Some(quantile_of(w.numbers[0], values(w).collect()))
}

/// Median of the absolute distances from the median.
pub(super) fn mad(w: Window<'_>) -> Option<f64> {
    some(w)?;
    let median = quantile_of(0.5, values(w).collect());
    Some(quantile_of(0.5, values(w).map(|value| (value - median).abs()).collect()))
}

/// The `q`-quantile with linear interpolation (R type 7); NaN without values, infinite outside 0..1.
pub(super) fn quantile_of(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b))); // NaN is smallest
    let rank = q * (values.len() - 1) as f64;
    let (low, high) = (rank.floor() as usize, rank.ceil() as usize);
    let weight = rank - rank.floor();
    values[low] * (1.0 - weight) + values[high] * weight
}
