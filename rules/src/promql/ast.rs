//! The checked tree of an expression. Only the parser builds it, so evaluation may rely on its types.

use std::fmt;

use super::functions::Function;
use super::matcher::Selector;

/// A parsed expression; `Display` prints it back as PromQL.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr(pub(super) Node);

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

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Number(Number),
    Text(String),
    Selector(Selector, Shift),
    Range(Selector, Shift, i64),
    Subquery(Box<Subquery>),
    Paren(Box<Node>),
    Unary(Sign, Box<Node>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Call(Call),
}

/// A literal number; equal when the bits are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) value: f64,
    /// Written as a duration (its seconds are the value).
    pub(super) duration: bool,
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.value.to_bits() == other.value.to_bits() && self.duration == other.duration
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Plus,
    Minus,
}

/// `@ time` and `offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) at: Option<At>,
    pub(super) offset_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Millis(i64),
    Start,
    End,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Subquery {
    pub(super) inner: Node,
    pub(super) range_ms: i64,
    /// Absent: the evaluation's default step.
    pub(super) step_ms: Option<i64>,
    pub(super) shift: Shift,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BinaryOp {
    Or,
    And,
    Unless,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Atan2,
    Power,
}

impl BinaryOp {
    /// Every operator with its spelling and how tightly it binds.
    pub(super) const ALL: [(Self, &'static str, u8); 16] = [
        (Self::Or, "or", 1),
        (Self::And, "and", 2),
        (Self::Unless, "unless", 2),
        (Self::Equal, "==", 3),
        (Self::NotEqual, "!=", 3),
        (Self::Less, "<", 3),
        (Self::LessOrEqual, "<=", 3),
        (Self::Greater, ">", 3),
        (Self::GreaterOrEqual, ">=", 3),
        (Self::Add, "+", 4),
        (Self::Subtract, "-", 4),
        (Self::Multiply, "*", 5),
        (Self::Divide, "/", 5),
        (Self::Modulo, "%", 5),
        (Self::Atan2, "atan2", 5),
        (Self::Power, "^", 6),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(op, _, _)| *op == self).map_or("", |(_, name, _)| name)
    }

    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::Or | Self::And | Self::Unless)
    }

    pub(super) fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Binary {
    pub(super) op: BinaryOp,
    pub(super) left: Node,
    pub(super) right: Node,
    /// `bool`: a comparison gives 0 or 1 instead of filtering.
    pub(super) returns_bool: bool,
    pub(super) matching: Matching,
}

/// Which labels decide that two samples belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Matching {
    pub(super) labels: LabelChoice,
    pub(super) group: Option<Group>,
}

/// `on (...)` and `by (...)`, or `ignoring (...)` and `without (...)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LabelChoice {
    Only(Vec<String>),
    /// All but these; `written` is false where neither word was there.
    Except(Vec<String>, Written),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    No,
}

impl Default for LabelChoice {
    fn default() -> Self {
        Self::Except(Vec::new(), Written::No)
    }
}

/// `group_left (...)` or `group_right (...)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) many: Side,
    /// Labels taken over from the one side.
    pub(super) include: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AggregateOp {
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

impl AggregateOp {
    const ALL: [(Self, &'static str); 14] = [
        (Self::Sum, "sum"),
        (Self::Avg, "avg"),
        (Self::Min, "min"),
        (Self::Max, "max"),
        (Self::Count, "count"),
        (Self::Group, "group"),
        (Self::Stddev, "stddev"),
        (Self::Stdvar, "stdvar"),
        (Self::Topk, "topk"),
        (Self::Bottomk, "bottomk"),
        (Self::Quantile, "quantile"),
        (Self::CountValues, "count_values"),
        (Self::Limitk, "limitk"),
        (Self::LimitRatio, "limit_ratio"),
    ];

    /// Keywords are not case-sensitive.
    pub(super) fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(word)).map(|(op, _)| *op)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(op, _)| *op == self).map_or("", |(_, name)| name)
    }

    /// What its first argument is, where it takes two.
    pub(super) fn parameter(self) -> Option<Type> {
        match self {
            Self::Topk | Self::Bottomk | Self::Quantile | Self::Limitk | Self::LimitRatio => Some(Type::Scalar),
            Self::CountValues => Some(Type::String),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Aggregate {
    pub(super) op: AggregateOp,
    pub(super) parameter: Option<Node>,
    pub(super) inner: Node,
    /// `by ()` and no clause at all mean the same, but print differently.
    pub(super) grouping: Option<LabelChoice>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) function: &'static Function,
    pub(super) args: Vec<Node>,
}

impl Node {
    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Number(_) => Type::Scalar,
            Self::Text(_) => Type::String,
            Self::Selector(..) | Self::Aggregate(_) => Type::Vector,
            Self::Range(..) | Self::Subquery(_) => Type::Matrix,
            Self::Paren(inner) | Self::Unary(_, inner) => inner.kind(),
            Self::Binary(binary) => match (binary.left.kind(), binary.right.kind()) {
                (Type::Scalar, Type::Scalar) => Type::Scalar,
                _ => Type::Vector,
            },
            Self::Call(call) => call.function.returns,
        }
    }

    /// The expression inside any parentheses.
    pub(super) fn bare(&self) -> &Self {
        match self {
            Self::Paren(inner) => inner.bare(),
            other => other,
        }
    }

    pub(super) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Number(_) | Self::Text(_) | Self::Selector(..) | Self::Range(..) => Vec::new(),
            Self::Subquery(subquery) => vec![&subquery.inner],
            Self::Paren(inner) | Self::Unary(_, inner) => vec![inner],
            Self::Binary(binary) => vec![&binary.left, &binary.right],
            Self::Aggregate(aggregate) => aggregate.parameter.iter().chain([&aggregate.inner]).collect(),
            Self::Call(call) => call.args.iter().collect(),
        }
    }

    fn children_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Number(_) | Self::Text(_) | Self::Selector(..) | Self::Range(..) => Vec::new(),
            Self::Subquery(subquery) => vec![&mut subquery.inner],
            Self::Paren(inner) | Self::Unary(_, inner) => vec![inner],
            Self::Binary(binary) => vec![&mut binary.left, &mut binary.right],
            Self::Aggregate(aggregate) => aggregate.parameter.iter_mut().chain([&mut aggregate.inner]).collect(),
            Self::Call(call) => call.args.iter_mut().collect(),
        }
    }

    /// Every selector, in order of appearance.
    pub(super) fn selectors(&self) -> Vec<&Selector> {
        let mut found = Vec::new();
        self.collect_selectors(&mut found);
        found
    }

    fn collect_selectors<'a>(&'a self, found: &mut Vec<&'a Selector>) {
        if let Self::Selector(selector, _) | Self::Range(selector, _, _) = self {
            found.push(selector);
        }
        self.children().into_iter().for_each(|child| child.collect_selectors(found));
    }

    fn collect_names<'a>(&'a self, names: &mut Vec<&'a str>) {
        if let Self::Selector(selector, _) | Self::Range(selector, _, _) = self
            && let Some(name) = selector.exact_name()
            && !names.contains(&name)
        {
            names.push(name);
        }
        self.children().into_iter().for_each(|child| child.collect_names(names));
    }

    fn scale(&mut self, factor: f64) {
        let scaled = |millis: i64| (millis as f64 * factor).round() as i64;
        let at_least_one = |millis: i64| scaled(millis).max(1);
        match self {
            Self::Selector(_, shift) => shift.offset_ms = scaled(shift.offset_ms),
            Self::Range(_, shift, range_ms) => {
                (shift.offset_ms, *range_ms) = (scaled(shift.offset_ms), at_least_one(*range_ms));
            }
            Self::Subquery(subquery) => {
                subquery.shift.offset_ms = scaled(subquery.shift.offset_ms);
                subquery.range_ms = at_least_one(subquery.range_ms);
                subquery.step_ms = subquery.step_ms.map(at_least_one);
            }
            _ => {}
        }
        self.children_mut().into_iter().for_each(|child| child.scale(factor));
    }
}

impl Expr {
    /// What it yields.
    pub fn kind(&self) -> Type {
        self.0.kind()
    }

    /// Every metric name that a selector of this expression names exactly, in order of appearance, once each.
    pub fn metric_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.0.collect_names(&mut names);
        names
    }

    /// The same expression with every range, offset and subquery step multiplied by `factor` (the demo plays the
    /// built-in rules in fast motion). Spans are rounded to the millisecond; ranges and steps never become zero.
    pub fn scale_durations(&mut self, factor: f64) {
        self.0.scale(factor);
    }
}
