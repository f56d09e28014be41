//! Unit tests of rules: promtool's test files, judged by the engine that runs in production, on a virtual clock.
//!
//! `file` reads and checks a test file (`words` its numbers, `notation` its series), `run` plays it. Time begins at the epoch. As promtool does,
//! every group is evaluated at every step of `evaluation_interval`, whatever its own interval; samples are there up to
//! the step; `alert_rule_test` sees the alerts of the last step that is not after its `eval_time`.

mod file;
mod notation;
mod run;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use super::yaml::Place;
use crate::promql::Expr;
use crate::{Labels, Timestamp};

pub use file::load_tests;

/// A checked test file.
#[derive(Clone, Debug, Default)]
pub struct UnitTests {
    /// Patterns of rule files, relative to the test file.
    pub rule_files: Vec<String>,
    interval: Duration,
    /// Where a group stands in the order of evaluation, and where in the file that is said.
    order: BTreeMap<String, (usize, Place)>,
    fuzzy: bool,
    tests: Vec<Test>,
    remarks: Vec<Remark>,
}

/// Something that changes no verdict and is probably not what was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// 1-based line in the test file.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// What was found, and what became of it.
    pub message: String,
}

impl Remark {
    fn at(place: Place, message: String) -> Self {
        Self { line: place.line, column: place.column, message }
    }
}

/// One of `tests`.
#[derive(Clone, Debug)]
struct Test {
    name: String,
    place: Place,
    interval: Duration,
    series: Vec<(Labels, notation::Values)>,
    alerts: Vec<AlertTest>,
    exprs: Vec<ExprTest>,
    external_labels: Labels,
    external_url: String,
}

#[derive(Clone, Debug)]
struct AlertTest {
    place: Place,
    at: Timestamp,
    name: String,
    expected: Vec<(Labels, BTreeMap<String, String>)>,
}

#[derive(Clone, Debug)]
struct ExprTest {
    place: Place,
    at: Timestamp,
    expr: Expr,
    expected: Vec<(Labels, f64)>,
}

/// An expectation that was not met.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// 1-based line of the expectation in the test file.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// Name of the test; empty when it has none.
    pub test: String,
    /// What was asked, and when.
    pub message: String,
    /// What the file expects, sorted; an alert's annotations are on lines of their own.
    pub expected: Vec<String>,
    /// What was found instead, likewise.
    pub got: Vec<String>,
}

#[cfg(test)]
mod tests;
