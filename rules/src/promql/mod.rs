//! PromQL (3.x semantics) over float samples: parse, evaluate, print back.
//!
//! Text becomes tokens (`lexer`), tokens a checked tree (`parser`, `ast`), the tree an answer (`eval`). Every function
//! of the language is one row of the table in `functions`. What we do not evaluate is refused by the parser with its
//! place; nothing is evaluated differently from Prometheus. Metric names are dropped at the very end of an evaluation
//! ("delayed name removal").

mod ast;
mod duration;
mod eval;
mod functions;
mod lexer;
mod matcher;
mod parser;
mod print;
mod reach;
mod regex_dialect;
mod selection;

use crate::{Labels, Timestamp};

pub use ast::{Expr, Type};
pub use duration::parse_duration;
pub use eval::{Answer, EvalOptions, Interrupt, Matrix, evaluate, evaluate_range, query, query_range};
pub(crate) use lexer::parse_number;
pub use parser::{parse, parse_series};
pub use print::format_float;
pub use selection::{Selection, parse_selection};

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
    /// It was given up because it takes more than [`EvalOptions`] allow.
    pub over_budget: bool,
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
