//! The table of functions: names, argument types, what each does with them.

use super::ast::Type;
use super::ast::Type::{Matrix, Scalar, String, Vector};
use super::{calendar, over_time, rate};

/// One function of the language.
#[derive(Debug)]
pub struct Function {
    /// Name.
    pub name: &'static str,
    /// Argument types; the last one repeats where `repeats` is set.
    pub takes: &'static [Type],
    /// How many arguments must be given.
    pub required: usize,
    /// Whether the last argument may be given any number of times.
    pub repeats: bool,
    /// What it yields.
    pub returns: Type,
    pub(super) body: Body,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A range of one series, and the window that it was cut from, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    pub(super) samples: &'a [(i64, f64)],
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    /// Scalar arguments, in order.
    pub(super) numbers: &'a [f64],
}

/// How a function is carried out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// Over each range on its own; `None` when the range has too few samples.
    Range(fn(Window<'_>) -> Option<f64>),
    /// Over each range; the metric name is kept.
    RangeKeepingName(fn(Window<'_>) -> Option<f64>),
    /// On each element's value, with the scalar arguments.
    Map(fn(f64, &[f64]) -> f64),
    /// On each element's value taken as a time; over `time()` when no argument is given.
    Calendar(fn(i64) -> f64),
    /// Has its own arm in the evaluator.
    Special,
}

const fn function(name: &'static str, takes: &'static [Type], required: usize, returns: Type, body: Body) -> Function {
    Function { name, takes, required, repeats: false, returns, body }
}

const fn range(name: &'static str, body: fn(Window<'_>) -> Option<f64>) -> Function {
    function(name, &[Matrix], 1, Vector, Body::Range(body))
}

const fn map(name: &'static str, body: fn(f64, &[f64]) -> f64) -> Function {
    function(name, &[Vector], 1, Vector, Body::Map(body))
}

const fn calendar(name: &'static str, body: fn(i64) -> f64) -> Function {
    function(name, &[Vector], 0, Vector, Body::Calendar(body))
}

/// The function of this name.
pub(super) fn named(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

static FUNCTIONS: &[Function] = &[
    map("abs", |v, _| v.abs()),
    function("absent", &[Vector], 1, Vector, Body::Special),
    function("absent_over_time", &[Matrix], 1, Vector, Body::Special),
    map("acos", |v, _| v.acos()),
    map("acosh", |v, _| v.acosh()),
    map("asin", |v, _| v.asin()),
    map("asinh", |v, _| v.asinh()),
    map("atan", |v, _| v.atan()),
    map("atanh", |v, _| v.atanh()),
    range("avg_over_time", over_time::avg),
    map("ceil", |v, _| v.ceil()),
    range("changes", over_time::changes),
    function("clamp", &[Vector, Scalar, Scalar], 3, Vector, Body::Special),
    function(
        "clamp_max",
        &[Vector, Scalar],
        2,
        Vector,
        Body::Map(|v, n| if n[0].is_nan() { n[0] } else { v.min(n[0]) }),
    ),
    function(
        "clamp_min",
        &[Vector, Scalar],
        2,
        Vector,
        Body::Map(|v, n| if n[0].is_nan() { n[0] } else { v.max(n[0]) }),
    ),
    map("cos", |v, _| v.cos()),
    map("cosh", |v, _| v.cosh()),
    range("count_over_time", over_time::count),
    calendar("day_of_month", calendar::day_of_month),
    calendar("day_of_week", calendar::day_of_week),
    calendar("day_of_year", calendar::day_of_year),
    calendar("days_in_month", calendar::days_in_month),
    map("deg", |v, _| v.to_degrees()),
    range("delta", rate::delta),
    range("deriv", rate::deriv),
    map("exp", |v, _| v.exp()),
    range("first_over_time", over_time::first),
    map("floor", |v, _| v.floor()),
    function("histogram_quantile", &[Scalar, Vector], 2, Vector, Body::Special),
    calendar("hour", calendar::hour),
    range("idelta", rate::idelta),
    range("increase", rate::increase),
    range("irate", rate::irate),
    Function { repeats: true, ..function("label_join", &[Vector, String, String, String], 3, Vector, Body::Special) },
    function("label_replace", &[Vector, String, String, String, String], 5, Vector, Body::Special),
    function("last_over_time", &[Matrix], 1, Vector, Body::RangeKeepingName(over_time::last)),
    map("ln", |v, _| v.ln()),
    map("log10", |v, _| v.log10()),
    map("log2", |v, _| v.log2()),
    range("mad_over_time", over_time::mad),
    range("max_over_time", over_time::max),
    range("min_over_time", over_time::min),
    calendar("minute", calendar::minute),
    calendar("month", calendar::month),
    function("pi", &[], 0, Scalar, Body::Special),
    function("predict_linear", &[Matrix, Scalar], 2, Vector, Body::Range(rate::predict_linear)),
    range("present_over_time", over_time::present),
    function("quantile_over_time", &[Scalar, Matrix], 2, Vector, Body::Range(over_time::quantile)),
    map("rad", |v, _| v.to_radians()),
    range("rate", rate::rate),
    range("resets", over_time::resets),
    function("round", &[Vector, Scalar], 1, Vector, Body::Map(round)),
    function("scalar", &[Vector], 1, Scalar, Body::Special),
    map("sgn", |v, _| {
        if v > 0.0 {
            1.0
        } else if v < 0.0 {
            -1.0
        } else {
            v
        }
    }),
    map("sin", |v, _| v.sin()),
    map("sinh", |v, _| v.sinh()),
    function("sort", &[Vector], 1, Vector, Body::Special),
    function("sort_desc", &[Vector], 1, Vector, Body::Special),
    map("sqrt", |v, _| v.sqrt()),
    range("stddev_over_time", over_time::stddev),
    range("stdvar_over_time", over_time::stdvar),
    range("sum_over_time", over_time::sum),
    map("tan", |v, _| v.tan()),
    map("tanh", |v, _| v.tanh()),
    function("time", &[], 0, Scalar, Body::Special),
    function("timestamp", &[Vector], 1, Vector, Body::Special),
    range("ts_of_last_over_time", |w| w.samples.last().map(|(at, _)| *at as f64 / 1000.0)),
    function("vector", &[Scalar], 1, Vector, Body::Special),
    calendar("year", calendar::year),
];

/// Half away from zero in units of the second argument, as Prometheus: `floor(v / n + 0.5) * n`.
fn round(value: f64, numbers: &[f64]) -> f64 {
    let inverse = 1.0 / numbers.first().copied().unwrap_or(1.0);
    (value * inverse + 0.5).floor() / inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_no_name_twice() {
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
