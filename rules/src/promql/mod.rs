//! PromQL (3.x semantics) over float samples: parse, evaluate, print back.

mod aggregate;
mod ast;
mod binary;
mod calendar;
mod check;
mod eval;
mod functions;
mod histogram;
mod labels;
mod lex;
mod over_time;
mod parse;
mod print;
mod rate;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use ast::{
    AggregateOp, At, BinaryOp, Cardinality, Expr, Grouping, MatchOp, Matcher, Matching, Selector, Shift, Type,
};
pub use functions::Function;
pub use parse::parse;

use crate::{Labels, Store, Timestamp};
use eval::Evaluation;

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

impl ParseError {
    /// An error at byte `at` of `text`.
    fn at(text: &str, at: usize, message: String) -> Self {
        let before = &text[..at];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1, message }
    }
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

/// Parses a Prometheus duration such as `5m` or `1h30m`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let millis = if text == "0" { Some(0) } else { lex::duration_millis(text) };
    millis
        .filter(|_| !text.is_empty())
        .and_then(|millis| u64::try_from(millis).ok())
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is not a duration; write a number and a unit, such as 30s, 5m or 1h30m"))
}

/// Evaluates `expr` at `now`.
///
/// # Errors
/// [`EvalError`]; also when a selected metric's source is unavailable ([`Store::set_unavailable`]).
pub fn evaluate(expr: &Expr, store: &Store, now: Timestamp) -> Result<Value, EvalError> {
    let now = now.millis();
    Evaluation { store, bounds: (now, now), touched: 0.into() }.value(expr, now)
}
