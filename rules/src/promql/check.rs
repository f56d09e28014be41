//! What the grammar allows but the semantics do not.

use super::ast::*;
use super::functions::Function;

/// The operator that `word` (in lower case) names.
pub(super) fn aggregate_named(word: &str) -> Option<AggregateOp> {
    AGGREGATES.iter().find(|(name, _)| *name == word).map(|(_, op)| *op)
}

/// How `op` is written.
pub(super) fn name_of(op: AggregateOp) -> &'static str {
    AGGREGATES.iter().find(|(_, other)| *other == op).map_or("", |(name, _)| name)
}

const AGGREGATES: [(&str, AggregateOp); 14] = [
    ("sum", AggregateOp::Sum),
    ("avg", AggregateOp::Avg),
    ("min", AggregateOp::Min),
    ("max", AggregateOp::Max),
    ("count", AggregateOp::Count),
    ("group", AggregateOp::Group),
    ("stddev", AggregateOp::Stddev),
    ("stdvar", AggregateOp::Stdvar),
    ("topk", AggregateOp::Topk),
    ("bottomk", AggregateOp::Bottomk),
    ("quantile", AggregateOp::Quantile),
    ("count_values", AggregateOp::CountValues),
    ("limitk", AggregateOp::Limitk),
    ("limit_ratio", AggregateOp::LimitRatio),
];

/// What kind of parameter `op` takes, if any.
pub(super) fn parameter_of(op: AggregateOp) -> Option<Type> {
    use AggregateOp::*;
    match op {
        Topk | Bottomk | Quantile | Limitk | LimitRatio => Some(Type::Scalar),
        CountValues => Some(Type::String),
        _ => None,
    }
}

pub(super) fn is_comparison(op: BinaryOp) -> bool {
    use BinaryOp::*;
    matches!(op, Eq | Ne | Gt | Lt | Ge | Le)
}

pub(super) fn is_set(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
}

/// Whether `left op right` means anything.
pub(super) fn binary(
    op: BinaryOp,
    bool_modifier: bool,
    matching: Option<&Matching>,
    left: &Expr,
    right: &Expr,
) -> Result<(), String> {
    let (l, r) = (left.kind(), right.kind());
    let arithmetic = |kind| matches!(kind, Type::Scalar | Type::Vector);
    if !arithmetic(l) || !arithmetic(r) {
        return Err(format!("an operator between a {l} and a {r}; scalars and instant vectors have operators"));
    }
    let scalars = (l, r) == (Type::Scalar, Type::Scalar);
    if bool_modifier && !is_comparison(op) {
        return Err("bool belongs to a comparison".into());
    }
    if is_comparison(op) && scalars && !bool_modifier {
        return Err("a comparison between two scalars must use bool".into());
    }
    if is_set(op) && (l, r) != (Type::Vector, Type::Vector) {
        return Err(format!("a set operator between a {l} and a {r}; both must be instant vectors"));
    }
    match matching {
        Some(_) if (l, r) != (Type::Vector, Type::Vector) => Err("on and ignoring match two instant vectors".into()),
        Some(m) if is_set(op) && m.cardinality != Cardinality::OneToOne => {
            Err("set operators take no group_left or group_right".into())
        }
        _ => Ok(()),
    }
}

/// Whether `function` can be called so.
pub(super) fn call(function: &Function, arguments: &[Expr]) -> Result<(), String> {
    let (least, most) = (function.required, function.takes.len());
    let count = arguments.len();
    if count < least || (count > most && !function.repeats) {
        let wanted = if function.repeats {
            format!("at least {least}")
        } else if least == most {
            format!("{most}")
        } else {
            format!("{least} to {most}")
        };
        return Err(format!("{} takes {wanted} arguments; {count} are given", function.name));
    }
    for (i, argument) in arguments.iter().enumerate() {
        let wanted = function.takes[i.min(most.saturating_sub(1))];
        if argument.kind() != wanted {
            let given = argument.kind();
            return Err(format!("argument {} of {} is a {given}; a {wanted} is expected", i + 1, function.name));
        }
    }
    Ok(())
}

/// A matcher with its regular expression compiled, of bounded size.
pub(super) fn matcher(name: &str, op: MatchOp, value: &str) -> Result<Matcher, String> {
    let regex = match op {
        MatchOp::Equal | MatchOp::NotEqual => None,
        MatchOp::Matches | MatchOp::NotMatches => Some(anchored(value)?),
    };
    Ok(Matcher { name: name.to_owned(), op, value: value.to_owned(), regex })
}

/// `^(?s:...)$`, as Prometheus anchors; at most a mebibyte compiled.
pub(super) fn anchored(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|e| format!("{pattern:?} is not a regular expression: {}", e.to_string().lines().last().unwrap_or("")))
}
