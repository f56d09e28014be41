//! Sorting samples by value or by labels.

use std::cmp::Ordering;

use super::super::EvalError;
use super::super::ast::Call;
use super::labels::text;
use super::{Evaluator, Sample, Val};

/// Smallest first, NaN last.
pub(super) fn ascending(a: f64, b: f64) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then(a.partial_cmp(&b).unwrap_or(Ordering::Equal))
}

/// Largest first, NaN last.
pub(super) fn descending(a: f64, b: f64) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(&a).unwrap_or(Ordering::Equal))
}

pub(in crate::promql) fn sort(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let mut vector = evaluator.vector(&call.args[0], now)?;
    vector.sort_by(|a, b| ascending(a.value, b.value));
    Ok(Val::Vector(vector))
}

pub(in crate::promql) fn sort_desc(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let mut vector = evaluator.vector(&call.args[0], now)?;
    vector.sort_by(|a, b| descending(a.value, b.value));
    Ok(Val::Vector(vector))
}

pub(in crate::promql) fn sort_by_label(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let mut vector = evaluator.vector(&call.args[0], now)?;
    let names = call.args[1..].iter().map(text).collect::<Result<Vec<_>, _>>()?;
    vector.sort_by(|a, b| by_labels(a, b, &names));
    Ok(Val::Vector(vector))
}

pub(in crate::promql) fn sort_by_label_desc(
    evaluator: &mut Evaluator<'_>,
    call: &Call,
    now: i64,
) -> Result<Val, EvalError> {
    let mut vector = evaluator.vector(&call.args[0], now)?;
    let names = call.args[1..].iter().map(text).collect::<Result<Vec<_>, _>>()?;
    vector.sort_by(|a, b| by_labels(b, a, &names));
    Ok(Val::Vector(vector))
}

/// By the labels named, then by all of them.
fn by_labels(a: &Sample, b: &Sample, names: &[&str]) -> Ordering {
    let value = |sample: &Sample, name: &str| sample.labels.get(name).unwrap_or("").to_owned();
    let named = names.iter().map(|name| natural(&value(a, name), &value(b, name)));
    named.fold(Ordering::Equal, Ordering::then).then_with(|| a.labels.cmp(&b.labels))
}

/// Runs of digits compare as numbers, so that `cpu10` follows `cpu9`.
fn natural(mut a: &str, mut b: &str) -> Ordering {
    while let (Some(x), Some(y)) = (chunk(a), chunk(b)) {
        let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits(x) && digits(y) {
            let (n, m) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            n.len().cmp(&m.len()).then(n.cmp(m))
        } else {
            x.cmp(y)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (&a[x.len()..], &b[y.len()..]);
    }
    a.len().cmp(&b.len())
}

/// The run of digits or of other characters at the front.
fn chunk(text: &str) -> Option<&str> {
    let digits = text.chars().next()?.is_ascii_digit();
    let length = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    Some(&text[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_within_text_count_as_numbers() {
        for (less, more) in
            [("a9", "a10"), ("a", "b"), ("1.2.3", "1.11.3"), ("a", "a1"), ("4m600", "4m1000"), ("", "x")]
        {
            assert_eq!(natural(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(natural(more, less), Ordering::Greater, "{more} {less}");
        }
        assert_eq!(natural("a10", "a10"), Ordering::Equal);
    }
}
