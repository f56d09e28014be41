//! Functions of one value that take further numbers.

use super::super::EvalError;
use super::super::ast::Call;
use super::{Evaluator, Val};

pub(in crate::promql) fn sgn(value: f64) -> f64 {
    match value {
        v if v > 0.0 => 1.0,
        v if v < 0.0 => -1.0,
        v => v,
    }
}

/// Unlike `f64::max`, NaN on either side gives NaN.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

pub(in crate::promql) fn clamp(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let least = evaluator.scalar(&call.args[1], now)?;
    let most = evaluator.scalar(&call.args[2], now)?;
    if most < least {
        return Ok(Val::Vector(Vec::new()));
    }
    evaluator.each(&call.args[0], now, |value| larger(least, smaller(most, value)))
}

pub(in crate::promql) fn clamp_min(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let least = evaluator.scalar(&call.args[1], now)?;
    evaluator.each(&call.args[0], now, |value| larger(least, value))
}

pub(in crate::promql) fn clamp_max(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let most = evaluator.scalar(&call.args[1], now)?;
    evaluator.each(&call.args[0], now, |value| smaller(most, value))
}

/// To the nearest multiple, halves upwards.
pub(in crate::promql) fn round(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let nearest = match call.args.get(1) {
        Some(arg) => evaluator.scalar(arg, now)?,
        None => 1.0,
    };
    // Multiplying by the inverse avoids most of the rounding errors of dividing by a fraction.
    let inverse = 1.0 / nearest;
    evaluator.each(&call.args[0], now, |value| (value * inverse + 0.5).floor() / inverse)
}
