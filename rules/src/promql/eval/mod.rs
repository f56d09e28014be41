//! A checked expression and a store to an answer.
//!
//! An expression is evaluated at one moment at a time; a range query and a subquery evaluate step after step. Work is
//! counted and bounded, so that no expression can hold the agent up.

pub(super) mod absence;
mod aggregate;
mod binary;
pub(super) mod dates;
pub(super) mod histogram;
pub(super) mod labels;
pub(super) mod math;
pub(super) mod ordering;
pub(super) mod over_time;
pub(super) mod rates;
pub(super) mod regression;
mod select;
mod subset;
#[cfg(test)]
mod tests;
pub(super) mod timing;
mod tracks;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::over_time::Fold;
use self::tracks::{Track, Tracks};
use super::ast::{Call, Expr, Node, Sign, Type};
use super::functions::Run;
use super::{EvalError, Value, VectorSample};
use crate::{Labels, Store, Timestamp};

pub(super) use self::dates::Civil;
pub(super) use self::select::Window;

/// Series with their samples over time, oldest first.
pub type Matrix = Vec<(Labels, Vec<(Timestamp, f64)>)>;

/// Ends evaluations from outside; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// What is being evaluated ends soon, with an error.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How to evaluate; the defaults are those of Prometheus.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// How old a sample may be to count as current: it must be younger than this.
    pub lookback: Duration,
    /// Step of a subquery that names none.
    pub default_step: Duration,
    /// Most samples read in one evaluation (a step over any part of the expression counts as 16); beyond is an error.
    pub max_samples: u64,
    /// Most samples held at once in range vectors and in the answer to a range query; beyond is an error.
    pub max_points: u64,
    /// Ends the evaluation when raised.
    pub interrupt: Interrupt,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            default_step: Duration::from_secs(60),
            max_samples: 50_000_000,
            max_points: 50_000_000,
            interrupt: Interrupt::default(),
        }
    }
}

/// What evaluating one node costs, in samples: a subquery over nothing takes time as well.
const NODE_COST: usize = 16;

/// A value and what Prometheus would remark about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// The result may be wrong: a quantile outside 0..1, a bucket without a bound...
    pub warnings: Vec<String>,
    /// The result may not be what was meant: `rate` of something that is no counter...
    pub infos: Vec<String>,
}

/// Evaluates `expr` at `now` with the default options.
///
/// # Errors
/// [`EvalError`]; also when a selected metric's source is unavailable ([`Store::set_unavailable`]).
pub fn evaluate(expr: &Expr, store: &Store, now: Timestamp) -> Result<Value, EvalError> {
    query(expr, store, now, &EvalOptions::default()).map(|answer| answer.value)
}

/// Evaluates `expr` at `start`, `start + step`, ... up to `end`, with the default options.
///
/// # Errors
/// As [`evaluate`]; also where the expression is a string or range vector, or the step is zero.
pub fn evaluate_range(
    expr: &Expr,
    store: &Store,
    start: Timestamp,
    end: Timestamp,
    step: Duration,
) -> Result<Matrix, EvalError> {
    match query_range(expr, store, (start, end), step, &EvalOptions::default())?.value {
        Value::Matrix(matrix) => Ok(matrix),
        _ => fail("a range query gives a range vector"),
    }
}

/// Evaluates `expr` at `now`; warnings included.
///
/// # Errors
/// As [`evaluate`].
pub fn query(expr: &Expr, store: &Store, now: Timestamp, options: &EvalOptions) -> Result<Answer, EvalError> {
    let mut evaluator = Evaluator::new(store, options, now.millis(), now.millis());
    let value = match evaluator.value(&expr.0, now.millis())? {
        Val::Scalar(number) => Value::Scalar(number),
        Val::Text(text) => Value::String(text),
        Val::Vector(vector) => Value::Vector(without_dropped_names(vector)?),
        Val::Matrix(tracks) => Value::Matrix(tracks.into_iter().map(Track::finish).collect()),
    };
    Ok(evaluator.notes.with(value))
}

/// Evaluates `expr` at every step of `range` (both ends included); warnings included.
///
/// # Errors
/// As [`evaluate_range`].
pub fn query_range(
    expr: &Expr,
    store: &Store,
    range: (Timestamp, Timestamp),
    step: Duration,
    options: &EvalOptions,
) -> Result<Answer, EvalError> {
    let kind = expr.0.kind();
    if !matches!(kind, Type::Scalar | Type::Vector) {
        return fail(format!("a range query takes a scalar or an instant vector, not a {kind}"));
    }
    let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    if step == 0 {
        return fail("the step must be at least one millisecond");
    }
    let (start, end) = (range.0.millis(), range.1.millis());
    let mut evaluator = Evaluator::new(store, options, start, end);
    let mut tracks = Tracks::default();
    let mut at = Some(start);
    while let Some(now) = at.filter(|now| *now <= end) {
        match evaluator.value(&expr.0, now)? {
            Val::Scalar(value) => {
                evaluator.hold(1)?;
                tracks.push(now, Sample { labels: Labels::default(), drop_name: false, value });
            }
            Val::Vector(vector) => {
                evaluator.hold(vector.len())?;
                for VectorSample { labels, value } in without_dropped_names(vector)? {
                    tracks.push(now, Sample { labels, drop_name: false, value });
                }
            }
            Val::Text(_) | Val::Matrix(_) => {}
        }
        tracks.end_step();
        at = now.checked_add(step);
    }
    let value = Value::Matrix(tracks.into_iter().map(Track::finish).collect());
    Ok(evaluator.notes.with(value))
}

/// What a node yields while names are still there.
#[derive(Debug)]
pub(in crate::promql) enum Val {
    Scalar(f64),
    Text(String),
    Vector(Vec<Sample>),
    Matrix(Vec<Track>),
}

/// One element of an instant vector.
#[derive(Clone, Debug)]
pub(in crate::promql) struct Sample {
    pub(super) labels: Labels,
    /// The metric name is to be dropped when all is done.
    pub(super) drop_name: bool,
    pub(super) value: f64,
}

/// An error with `message`.
pub(in crate::promql) fn fail<T>(message: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError { message: message.into(), over_budget: false })
}

/// An error for what takes too much.
fn give_up<T>(message: String) -> Result<T, EvalError> {
    Err(EvalError { message, over_budget: true })
}

/// Drops what was marked; two series of the same labels are an error then.
fn without_dropped_names(vector: Vec<Sample>) -> Result<Vec<VectorSample>, EvalError> {
    let mut any_dropped = false;
    let done: Vec<VectorSample> = vector
        .into_iter()
        .map(|sample| {
            any_dropped |= sample.drop_name;
            let labels = if sample.drop_name { labels::without_metadata(&sample.labels) } else { sample.labels };
            VectorSample { labels, value: sample.value }
        })
        .collect();
    if any_dropped {
        labels::refuse_duplicates(done.iter().map(|sample| &sample.labels))?;
    }
    Ok(done)
}

/// Remarks on an evaluation, each once.
#[derive(Debug, Default)]
pub(super) struct Notes {
    warnings: BTreeSet<String>,
    infos: BTreeSet<String>,
}

impl Notes {
    /// More of one sort are not kept.
    const MOST: usize = 10;

    pub(super) fn warn(&mut self, message: String) {
        if self.warnings.len() < Self::MOST {
            self.warnings.insert(message);
        }
    }

    pub(super) fn inform(&mut self, message: String) {
        if self.infos.len() < Self::MOST {
            self.infos.insert(message);
        }
    }

    fn with(self, value: Value) -> Answer {
        Answer { value, warnings: self.warnings.into_iter().collect(), infos: self.infos.into_iter().collect() }
    }
}

/// One evaluation under way.
#[derive(Debug)]
pub(in crate::promql) struct Evaluator<'s> {
    store: &'s Store,
    lookback_ms: i64,
    default_step_ms: i64,
    /// What `start()` and `end()` mean.
    start_ms: i64,
    end_ms: i64,
    samples_left: u64,
    max_samples: u64,
    /// Samples held at present.
    held: u64,
    max_points: u64,
    interrupt: Interrupt,
    pub(super) notes: Notes,
    /// Reused for one window after another.
    points: Vec<(i64, f64)>,
}

impl<'s> Evaluator<'s> {
    fn new(store: &'s Store, options: &EvalOptions, start_ms: i64, end_ms: i64) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4).max(1);
        Self {
            store,
            lookback_ms: millis(options.lookback),
            default_step_ms: millis(options.default_step),
            start_ms,
            end_ms,
            samples_left: options.max_samples,
            max_samples: options.max_samples,
            held: 0,
            max_points: options.max_points,
            interrupt: options.interrupt.clone(),
            notes: Notes::default(),
            points: Vec::new(),
        }
    }

    /// Counts work done.
    fn spend(&mut self, samples: usize) -> Result<(), EvalError> {
        if self.interrupt.is_raised() {
            return give_up("the evaluation was interrupted: its time is up".to_owned());
        }
        match self.samples_left.checked_sub(samples as u64) {
            Some(left) => self.samples_left = left,
            None => {
                let most = self.max_samples;
                return give_up(format!(
                    "this takes more than {most} samples; shorten its ranges or select fewer series"
                ));
            }
        }
        Ok(())
    }

    /// Counts samples that are kept until the answer, or a subquery, is done.
    fn hold(&mut self, samples: usize) -> Result<(), EvalError> {
        self.held = self.held.saturating_add(samples as u64);
        if self.held > self.max_points {
            let most = self.max_points;
            return give_up(format!(
                "this holds more than {most} samples at once; take fewer series, steps or a shorter range"
            ));
        }
        Ok(())
    }

    /// The value of `node` at `now`.
    fn value(&mut self, node: &Node, now: i64) -> Result<Val, EvalError> {
        self.spend(NODE_COST)?;
        match node {
            Node::Number(number) => Ok(Val::Scalar(number.value)),
            Node::Text(text) => Ok(Val::Text(text.clone())),
            Node::Selector(selector, shift) => self.instant(selector, *shift, now).map(Val::Vector),
            Node::Range(..) | Node::Subquery(_) => self.matrix(node, now).map(Val::Matrix),
            Node::Paren(inner) => self.value(inner, now),
            Node::Unary(sign, inner) => self.signed(*sign, inner, now),
            Node::Binary(binary) => self.binary(binary, now),
            Node::Aggregate(aggregate) => self.aggregate(aggregate, now).map(Val::Vector),
            Node::Call(call) => self.call(call, now),
        }
    }

    pub(super) fn vector(&mut self, node: &Node, now: i64) -> Result<Vec<Sample>, EvalError> {
        match self.value(node, now)? {
            Val::Vector(vector) => Ok(vector),
            _ => fail("an instant vector was expected here"),
        }
    }

    pub(super) fn scalar(&mut self, node: &Node, now: i64) -> Result<f64, EvalError> {
        match self.value(node, now)? {
            Val::Scalar(number) => Ok(number),
            _ => fail("a scalar was expected here"),
        }
    }

    fn signed(&mut self, sign: Sign, inner: &Node, now: i64) -> Result<Val, EvalError> {
        let mut value = self.value(inner, now)?;
        match (&mut value, sign) {
            (Val::Scalar(number), Sign::Minus) => *number = -*number,
            (Val::Vector(vector), Sign::Minus) => {
                for sample in vector {
                    (sample.value, sample.drop_name) = (-sample.value, true);
                }
            }
            _ => {}
        }
        Ok(value)
    }

    fn call(&mut self, call: &Call, now: i64) -> Result<Val, EvalError> {
        match call.function.run {
            Run::Each(run) => self.each(&call.args[0], now, run),
            Run::Over(run) => self.over(&call.args[0], now, run).map(Val::Vector),
            Run::Fold(run) => run(self, &call.args[0], now).map(Val::Vector),
            Run::OverCounter(run) => {
                let vector = self.over(&call.args[0], now, run)?;
                vector.iter().for_each(|sample| rates::check_name(&sample.labels, &mut self.notes));
                Ok(Val::Vector(vector))
            }
            Run::Date(run) => dates::run(self, call, now, run),
            Run::Own(run) => run(self, call, now),
        }
    }

    /// Applies `run` to every sample of an instant vector.
    pub(super) fn each(&mut self, arg: &Node, now: i64, run: impl Fn(f64) -> f64) -> Result<Val, EvalError> {
        let mut vector = self.vector(arg, now)?;
        for sample in &mut vector {
            (sample.value, sample.drop_name) = (run(sample.value), true);
        }
        Ok(Val::Vector(vector))
    }

    /// Folds the samples of every series of a range vector into one.
    pub(super) fn fold<F: Fold>(&mut self, arg: &Node, now: i64) -> Result<Vec<Sample>, EvalError> {
        let mut vector = Vec::new();
        self.folds::<F>(arg, now, &mut |labels, fold| {
            vector.extend(fold.result().map(|value| Sample { labels: labels.clone(), drop_name: true, value }));
        })?;
        Ok(vector)
    }

    /// Applies `run` to every series of a range vector.
    pub(super) fn over(
        &mut self,
        arg: &Node,
        now: i64,
        run: impl Fn(&Window<'_>) -> Option<f64>,
    ) -> Result<Vec<Sample>, EvalError> {
        let mut vector = Vec::new();
        self.windows(arg, now, &mut |labels, _, window| {
            vector.extend(run(window).map(|value| Sample { labels: labels.clone(), drop_name: true, value }));
        })?;
        Ok(vector)
    }
}
