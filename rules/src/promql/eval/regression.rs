//! Straight lines through a range (`deriv`, `predict_linear`) and smoothing.

use super::super::EvalError;
use super::super::ast::Call;
use super::{Evaluator, Val, Window, fail};
use crate::kahan::Sum;

/// Least squares: slope per second, and the value at `origin_ms`.
fn line(points: &[(i64, f64)], origin_ms: i64) -> (f64, f64) {
    let first = points.first().map_or(f64::NAN, |(_, value)| *value);
    if points.iter().all(|(_, value)| *value == first) {
        // Exactly flat, without the rounding errors of the sums below.
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let [mut x_sum, mut y_sum, mut xy_sum, mut xx_sum] = [Sum::default(); 4];
    for (at, y) in points {
        let x = (at - origin_ms) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(*y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    let n = points.len() as f64;
    let [x, y, xy, xx] = [x_sum, y_sum, xy_sum, xx_sum].map(|sum| sum.sum + sum.lost);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

pub(in crate::promql) fn deriv(window: &Window<'_>) -> Option<f64> {
    let [first, _, ..] = window.points else { return None };
    Some(line(window.points, first.0).0)
}

pub(in crate::promql) fn predict_linear(
    evaluator: &mut Evaluator<'_>,
    call: &Call,
    now: i64,
) -> Result<Val, EvalError> {
    let ahead = evaluator.scalar(&call.args[1], now)?;
    let predicted = |window: &Window<'_>| {
        let (slope, here) = line(window.points, now);
        (window.points.len() > 1).then_some(slope * ahead + here)
    };
    evaluator.over(&call.args[0], now, predicted).map(Val::Vector)
}

/// Holt's linear trend: `smoothing` and `trend` weigh the newest against what was.
pub(in crate::promql) fn double_exponential_smoothing(
    evaluator: &mut Evaluator<'_>,
    call: &Call,
    now: i64,
) -> Result<Val, EvalError> {
    let smoothing = evaluator.scalar(&call.args[1], now)?;
    let trend = evaluator.scalar(&call.args[2], now)?;
    for (name, factor) in [("smoothing", smoothing), ("trend", trend)] {
        if !(factor > 0.0 && factor < 1.0) {
            return fail(format!("invalid {name} factor {factor}: it must lie between 0 and 1"));
        }
    }
    evaluator.over(&call.args[0], now, |window| smoothed(window, smoothing, trend)).map(Val::Vector)
}

fn smoothed(window: &Window<'_>, smoothing: f64, trend: f64) -> Option<f64> {
    let [first, second, ..] = window.points else { return None };
    let (mut level, mut slope) = (first.1, second.1 - first.1);
    for value in window.values().skip(1) {
        let before = level;
        level = smoothing * value + (1.0 - smoothing) * (level + slope);
        slope = trend * (level - before) + (1.0 - trend) * slope;
    }
    Some(level)
}
