//! Time and samples: `time`, `timestamp`, `vector`, `scalar`, the last sample and when it was.

use super::super::EvalError;
use super::super::ast::{Call, Node};
use super::{Evaluator, Sample, Val, Window};
use crate::Labels;

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

pub(in crate::promql) fn time(_: &mut Evaluator<'_>, _: &Call, now: i64) -> Result<Val, EvalError> {
    Ok(Val::Scalar(seconds(now)))
}

pub(in crate::promql) fn vector(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let value = evaluator.scalar(&call.args[0], now)?;
    Ok(Val::Vector(vec![Sample { labels: Labels::default(), drop_name: false, value }]))
}

/// The only sample's value; NaN where there are none or several.
pub(in crate::promql) fn scalar(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    match evaluator.vector(&call.args[0], now)?.as_slice() {
        [only] => Ok(Val::Scalar(only.value)),
        _ => Ok(Val::Scalar(f64::NAN)),
    }
}

/// When each sample was taken; anything calculated was taken now.
pub(in crate::promql) fn timestamp(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let Node::Selector(selector, shift) = call.args[0].bare() else {
        return evaluator.each(&call.args[0], now, |_| seconds(now));
    };
    let mut vector = Vec::new();
    evaluator.instants(selector, *shift, now, &mut |labels, at, _| {
        vector.push(Sample { labels: labels.clone(), drop_name: true, value: seconds(at) });
    })?;
    Ok(Val::Vector(vector))
}

/// The only function of a range that keeps the metric's name: the value still means what it meant.
pub(in crate::promql) fn last_over_time(
    evaluator: &mut Evaluator<'_>,
    call: &Call,
    now: i64,
) -> Result<Val, EvalError> {
    let mut vector = Vec::new();
    evaluator.windows(&call.args[0], now, &mut |labels, drop_name, window| {
        let last = window.values().last();
        vector.extend(last.map(|value| Sample { labels: labels.clone(), drop_name, value }));
    })?;
    Ok(Val::Vector(vector))
}

pub(in crate::promql) fn ts_of_last(window: &Window<'_>) -> Option<f64> {
    window.points.last().map(|(at, _)| seconds(*at))
}

/// The latest of equal ones.
pub(in crate::promql) fn ts_of_max(window: &Window<'_>) -> Option<f64> {
    ts_of(window, |value, best| value >= best)
}

pub(in crate::promql) fn ts_of_min(window: &Window<'_>) -> Option<f64> {
    ts_of(window, |value, best| value <= best)
}

fn ts_of(window: &Window<'_>, better: impl Fn(f64, f64) -> bool) -> Option<f64> {
    let mut points = window.points.iter();
    let first = points.next()?;
    let best = points.fold(first, |best, point| if better(point.1, best.1) || best.1.is_nan() { point } else { best });
    Some(seconds(best.0))
}
