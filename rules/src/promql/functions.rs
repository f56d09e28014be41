//! Every function of the language: one row each, with its arguments and what runs it.

use super::EvalError;
use super::ast::{Call, Node, Type};
use super::eval::{
    Civil, Evaluator, Sample, Val, Window, absence, histogram, labels, math, ordering, over_time, rates, regression,
    timing,
};
use crate::kahan::Mean;

/// One function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    args: &'static [Type],
    last: Last,
    pub(super) returns: Type,
    pub(super) run: Run,
}

/// How often the last argument stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Once,
    MayMiss,
    /// Any number of times, none included.
    Repeats,
}

/// What evaluates a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Run {
    /// Each sample of an instant vector by itself.
    Each(fn(f64) -> f64),
    /// Each series of a range vector by itself; nothing where it gives nothing.
    Over(fn(&Window<'_>) -> Option<f64>),
    /// As `Over`, where whole chunks need not be read.
    Fold(fn(&mut Evaluator<'_>, &Node, i64) -> Result<Vec<Sample>, EvalError>),
    /// As `Over`, on counters: says so where the metric's name does not look like one.
    OverCounter(fn(&Window<'_>) -> Option<f64>),
    /// The moment that each sample's value (seconds since the epoch) names, or that of the evaluation.
    Date(fn(Civil) -> i64),
    /// Anything else.
    Own(fn(&mut Evaluator<'_>, &Call, i64) -> Result<Val, EvalError>),
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Function {
    /// Least and most arguments; no most where the last repeats.
    pub(super) fn arity(&self) -> (usize, Option<usize>) {
        let all = self.args.len();
        match self.last {
            Last::Once => (all, Some(all)),
            Last::MayMiss => (all - 1, Some(all)),
            Last::Repeats => (all - 1, None),
        }
    }

    /// What argument `index` must be.
    pub(super) fn arg(&self, index: usize) -> Type {
        self.args[index.min(self.args.len() - 1)]
    }
}

/// The function of that name; names are case-sensitive.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// The function whose name differs least from `name`, if it differs little.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let (distance, near) = FUNCTIONS.iter().map(|f| (edits(name, f.name), f.name)).min()?;
    (distance <= 2 && name.len() < 64).then_some(near)
}

/// Levenshtein's distance; long names are not worth the time.
fn edits(a: &str, b: &str) -> usize {
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

const fn row(name: &'static str, args: &'static [Type], returns: Type, run: Run) -> Function {
    Function { name, args, last: Last::Once, returns, run }
}

const fn each(name: &'static str, run: fn(f64) -> f64) -> Function {
    row(name, &[Type::Vector], Type::Vector, Run::Each(run))
}

const fn over(name: &'static str, run: fn(&Window<'_>) -> Option<f64>) -> Function {
    row(name, &[Type::Matrix], Type::Vector, Run::Over(run))
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method itself is not general enough in its lifetimes"
)]
const fn fold<F: over_time::Fold>(name: &'static str) -> Function {
    row(name, &[Type::Matrix], Type::Vector, Run::Fold(|evaluator, arg, now| evaluator.fold::<F>(arg, now)))
}

const fn counter(name: &'static str, run: fn(&Window<'_>) -> Option<f64>) -> Function {
    row(name, &[Type::Matrix], Type::Vector, Run::OverCounter(run))
}

const fn date(name: &'static str, run: fn(Civil) -> i64) -> Function {
    Function { name, args: &[Type::Vector], last: Last::MayMiss, returns: Type::Vector, run: Run::Date(run) }
}

type OwnRun = fn(&mut Evaluator<'_>, &Call, i64) -> Result<Val, EvalError>;

const fn own(name: &'static str, args: &'static [Type], run: OwnRun) -> Function {
    row(name, args, Type::Vector, Run::Own(run))
}

const fn own_last(name: &'static str, args: &'static [Type], last: Last, run: OwnRun) -> Function {
    Function { name, args, last, returns: Type::Vector, run: Run::Own(run) }
}

use Type::{Matrix, Scalar, Vector};

static FUNCTIONS: [Function; 74] = [
    each("abs", f64::abs),
    own("absent", &[Vector], absence::absent),
    own("absent_over_time", &[Matrix], absence::absent_over_time),
    each("acos", f64::acos),
    each("acosh", f64::acosh),
    each("asin", f64::asin),
    each("asinh", f64::asinh),
    each("atan", f64::atan),
    each("atanh", f64::atanh),
    fold::<Mean>("avg_over_time"),
    each("ceil", f64::ceil),
    over("changes", over_time::changes),
    own("clamp", &[Vector, Scalar, Scalar], math::clamp),
    own("clamp_max", &[Vector, Scalar], math::clamp_max),
    own("clamp_min", &[Vector, Scalar], math::clamp_min),
    each("cos", f64::cos),
    each("cosh", f64::cosh),
    fold::<over_time::Count>("count_over_time"),
    date("day_of_month", |at| at.day),
    date("day_of_week", |at| at.weekday),
    date("day_of_year", Civil::day_of_year),
    date("days_in_month", Civil::days_in_month),
    each("deg", f64::to_degrees),
    over("delta", rates::delta),
    over("deriv", regression::deriv),
    own("double_exponential_smoothing", &[Matrix, Scalar, Scalar], regression::double_exponential_smoothing),
    each("exp", f64::exp),
    each("floor", f64::floor),
    own("histogram_fraction", &[Scalar, Scalar, Vector], histogram::fraction),
    own("histogram_quantile", &[Scalar, Vector], histogram::quantile),
    date("hour", |at| at.hour),
    over("idelta", rates::idelta),
    counter("increase", rates::increase),
    counter("irate", rates::irate),
    own_last("label_join", &[Vector, Type::String, Type::String, Type::String], Last::Repeats, labels::join),
    own("label_replace", &[Vector, Type::String, Type::String, Type::String, Type::String], labels::replace),
    own("last_over_time", &[Matrix], timing::last_over_time),
    each("ln", f64::ln),
    each("log10", f64::log10),
    each("log2", f64::log2),
    over("mad_over_time", over_time::mad),
    fold::<over_time::Max>("max_over_time"),
    fold::<over_time::Min>("min_over_time"),
    date("minute", |at| at.minute),
    date("month", |at| at.month),
    row("pi", &[], Scalar, Run::Own(|_, _, _| Ok(Val::Scalar(std::f64::consts::PI)))),
    own("predict_linear", &[Matrix, Scalar], regression::predict_linear),
    fold::<over_time::Present>("present_over_time"),
    own("quantile_over_time", &[Scalar, Matrix], over_time::quantile),
    each("rad", f64::to_radians),
    counter("rate", rates::rate),
    over("resets", over_time::resets),
    own_last("round", &[Vector, Scalar], Last::MayMiss, math::round),
    row("scalar", &[Vector], Scalar, Run::Own(timing::scalar)),
    each("sgn", math::sgn),
    each("sin", f64::sin),
    each("sinh", f64::sinh),
    own("sort", &[Vector], ordering::sort),
    own_last("sort_by_label", &[Vector, Type::String], Last::Repeats, ordering::sort_by_label),
    own_last("sort_by_label_desc", &[Vector, Type::String], Last::Repeats, ordering::sort_by_label_desc),
    own("sort_desc", &[Vector], ordering::sort_desc),
    each("sqrt", f64::sqrt),
    fold::<over_time::Deviation>("stddev_over_time"),
    fold::<over_time::Variance>("stdvar_over_time"),
    fold::<over_time::Total>("sum_over_time"),
    each("tan", f64::tan),
    each("tanh", f64::tanh),
    row("time", &[], Scalar, Run::Own(timing::time)),
    own("timestamp", &[Vector], timing::timestamp),
    over("ts_of_last_over_time", timing::ts_of_last),
    over("ts_of_max_over_time", timing::ts_of_max),
    over("ts_of_min_over_time", timing::ts_of_min),
    own("vector", &[Scalar], timing::vector),
    date("year", |at| at.year),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_without_repeats() {
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn misspelt_names_get_a_hint() {
        for (name, expected) in [("rates", Some("rate")), ("avg_over_tim", Some("avg_over_time")), ("zzzzzz", None)] {
            assert_eq!(nearest(name), expected);
        }
    }
}
