//! The expression tree.

use std::fmt;

use super::functions::Function;

/// Milliseconds, possibly negative.
pub type Millis = i64;

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends.
    Matches,
    /// `!~`, anchored at both ends.
    NotMatches,
}

/// One label matcher, its regular expression compiled.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Label name.
    pub name: String,
    /// Comparison.
    pub op: MatchOp,
    /// Right side, as written.
    pub value: String,
    /// The right side compiled, for the two regular-expression comparisons.
    pub(super) regex: Option<regex::Regex>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Matcher {
    /// Whether a label of this value (empty when absent) matches.
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => self.value == value,
            (MatchOp::NotEqual, _) => self.value != value,
            (MatchOp::Matches, Some(regex)) => regex.is_match(value),
            (MatchOp::NotMatches, Some(regex)) => !regex.is_match(value),
            (_, None) => false,
        }
    }
}

/// `@`: a fixed evaluation time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// `@ 1609746000`
    Time(Millis),
    /// `@ start()`
    Start,
    /// `@ end()`
    End,
}

/// What shifts a selector or subquery in time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shift {
    /// `offset`, positive into the past.
    pub offset: Millis,
    /// `@`
    pub at: Option<At>,
}

/// `name{matchers}` with its shift.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The metric name when written before the braces.
    pub name: Option<String>,
    /// All matchers, that of the name included.
    pub matchers: Vec<Matcher>,
    /// Offset and `@`.
    pub shift: Shift,
}

/// Aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in PromQL")]
pub enum AggregateOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    Quantile,
    CountValues,
    Limitk,
    LimitRatio,
}

/// `by (...)` or `without (...)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grouping {
    /// `without` instead of `by`.
    pub without: bool,
    /// The label names.
    pub labels: Vec<String>,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in PromQL")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    And,
    Or,
    Unless,
}

/// Which side of a vector match may have many elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cardinality {
    /// One on both sides.
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
}

/// How the two sides of a vector operation are matched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching {
    /// `on (...)` when true, else `ignoring (...)`.
    pub on: bool,
    /// The label names.
    pub labels: Vec<String>,
    /// Which side may be many.
    pub cardinality: Cardinality,
    /// Labels copied from the one side.
    pub include: Vec<String>,
}

/// A parsed expression; `Display` prints it back as PromQL.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are the parts of the syntax")]
pub enum Expr {
    /// `1.5`, `5m` (as seconds)
    Number(f64),
    /// `"text"`
    String(String),
    /// `up{job="x"}`
    Vector(Selector),
    /// `up[5m]`
    Matrix { selector: Selector, range: Millis },
    /// `expr[1h:5m]`
    Subquery { expr: Box<Self>, range: Millis, step: Option<Millis>, shift: Shift },
    /// `-expr`
    Negate(Box<Self>),
    /// `(expr)`
    Paren(Box<Self>),
    /// `left op right`
    Binary { op: BinaryOp, bool_modifier: bool, matching: Option<Matching>, left: Box<Self>, right: Box<Self> },
    /// `sum by (x) (expr)`
    Aggregate { op: AggregateOp, parameter: Option<Box<Self>>, grouping: Option<Grouping>, expr: Box<Self> },
    /// `rate(x[5m])`
    Call { function: &'static Function, arguments: Vec<Self> },
}

/// What an expression yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// One number.
    Scalar,
    /// A text.
    String,
    /// Instant vector.
    Vector,
    /// Range vector.
    Matrix,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        })
    }
}

impl Expr {
    /// What it yields.
    pub fn kind(&self) -> Type {
        match self {
            Self::Number(_) => Type::Scalar,
            Self::String(_) => Type::String,
            Self::Vector(_) | Self::Aggregate { .. } => Type::Vector,
            Self::Matrix { .. } | Self::Subquery { .. } => Type::Matrix,
            Self::Negate(inner) | Self::Paren(inner) => inner.kind(),
            Self::Binary { left, right, .. } => match (left.kind(), right.kind()) {
                (Type::Scalar, Type::Scalar) => Type::Scalar,
                _ => Type::Vector,
            },
            Self::Call { function, .. } => function.returns,
        }
    }

    /// Calls `visit` on this expression and everything below it.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        match self {
            Self::Subquery { expr, .. } | Self::Negate(expr) | Self::Paren(expr) => expr.walk(visit),
            Self::Binary { left, right, .. } => {
                left.walk(visit);
                right.walk(visit);
            }
            Self::Aggregate { parameter, expr, .. } => {
                if let Some(parameter) = parameter {
                    parameter.walk(visit);
                }
                expr.walk(visit);
            }
            Self::Call { arguments, .. } => arguments.iter().for_each(|argument| argument.walk(visit)),
            Self::Number(_) | Self::String(_) | Self::Vector(_) | Self::Matrix { .. } => {}
        }
    }

    /// Every metric name that a selector of this expression names exactly.
    pub fn metric_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.walk(&mut |expr| {
            if let Self::Vector(selector) | Self::Matrix { selector, .. } = expr {
                names.extend(selector.exact_name());
            }
        });
        names
    }

    /// The same expression with every range, offset and subquery step multiplied by `factor` (the demo plays the
    /// built-in rules in fast motion). Spans stay at least a millisecond.
    pub fn scale_durations(&mut self, factor: f64) {
        let scale = |span: &mut Millis| {
            let scaled = (*span as f64 * factor).round() as Millis;
            *span = if *span > 0 { scaled.max(1) } else { scaled };
        };
        match self {
            Self::Vector(selector) => scale(&mut selector.shift.offset),
            Self::Matrix { selector, range } => {
                scale(&mut selector.shift.offset);
                scale(range);
            }
            Self::Subquery { expr, range, step, shift } => {
                scale(range);
                scale(&mut shift.offset);
                step.iter_mut().for_each(scale);
                expr.scale_durations(factor);
            }
            Self::Negate(expr) | Self::Paren(expr) => expr.scale_durations(factor),
            Self::Binary { left, right, .. } => {
                left.scale_durations(factor);
                right.scale_durations(factor);
            }
            Self::Aggregate { parameter, expr, .. } => {
                if let Some(parameter) = parameter {
                    parameter.scale_durations(factor);
                }
                expr.scale_durations(factor);
            }
            Self::Call { arguments, .. } => arguments.iter_mut().for_each(|a| a.scale_durations(factor)),
            Self::Number(_) | Self::String(_) => {}
        }
    }
}

impl Selector {
    /// The metric name if the matchers fix it.
    pub fn exact_name(&self) -> Option<&str> {
        let fixed = |m: &&Matcher| m.name == crate::METRIC_NAME && m.op == MatchOp::Equal;
        self.matchers.iter().find(fixed).map(|m| m.value.as_str())
    }
}
