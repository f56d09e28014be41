//! PromQL (3.x semantics) over float samples: parse, evaluate, print back.

use std::time::Duration;

use crate::{Labels, Store, Timestamp};

/// A parsed expression; `Display` prints it back as PromQL.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {}

/// Why an expression was refused, and where (both 1-based, counted in characters).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct ParseError {
    /// 1-based line within the expression.
    pub line: usize,
    /// 1-based column within the line.
    pub column: usize,
    /// What was found and what would be right.
    pub message: String,
}

/// Why an evaluation failed: many-to-many matching, an unavailable source, too many samples...
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What happened and what would be right.
    pub message: String,
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// Its labels (the metric name included where semantics keep it).
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// What an instant query gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// A string literal.
    String(String),
    /// Instant vector.
    Vector(Vec<VectorSample>),
    /// Range vector.
    Matrix(Vec<(Labels, Vec<(Timestamp, f64)>)>),
}

impl Expr {
    /// Every metric name that a selector of this expression names exactly.
    pub fn metric_names(&self) -> Vec<&str> {
        todo!()
    }

    /// The same expression with every range, offset and subquery step multiplied by `factor` (the demo plays the
    /// built-in rules in fast motion).
    pub fn scale_durations(&mut self, _factor: f64) {
        todo!()
    }
}

/// Parses one expression.
///
/// # Errors
/// [`ParseError`] with the position; syntax we do not evaluate is refused here, never evaluated differently.
pub fn parse(_text: &str) -> Result<Expr, ParseError> {
    todo!()
}

/// Parses a Prometheus duration such as `5m` or `1h30m`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn parse_duration(_text: &str) -> Result<Duration, String> {
    todo!()
}

/// Evaluates `expr` at `now`.
///
/// # Errors
/// [`EvalError`]; also when a selected metric's source is unavailable ([`Store::set_unavailable`]).
pub fn evaluate(_expr: &Expr, _store: &Store, _now: Timestamp) -> Result<Value, EvalError> {
    todo!()
}
