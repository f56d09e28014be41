//! The threshold that a rule's expression names, for people: `> 0.85` of `avg_over_time(x[5m]) > 0.85`.

/// The first comparison with a number outside all brackets, as written. `None` when there is none, or when an `or`
/// leaves open which side gave the value.
pub(crate) fn of(expr: &str) -> Option<String> {
    let mut expr = expr.trim();
    while let Some(inner) = expr.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
        && closes_at_end(expr)
    {
        expr = inner.trim();
    }
    let top = top_level(expr);
    let is_or = |at: usize| top[at..].starts_with(" or ") || top[at..].starts_with(" OR ");
    if (0..top.len()).any(|at| top.is_char_boundary(at) && is_or(at)) {
        return None;
    }
    let (at, operator) = (0..top.len()).filter(|at| top.is_char_boundary(*at)).find_map(|at| {
        let found = ["==", "!=", ">=", "<=", ">", "<"].into_iter().find(|operator| top[at..].starts_with(operator));
        found.map(|operator| (at, operator))
    })?;
    let after = top[at + operator.len()..].trim_start();
    let after = after.strip_prefix("bool ").unwrap_or(after).trim_start();
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || "+-._".contains(c))).unwrap_or(after.len());
    let number = &after[..end];
    let rest = after[end..].trim_start();
    // `> 0.5 * scalar(limit)` names no number that could be shown alone.
    let alone = rest.is_empty() || ["and", "unless", "AND", "UNLESS"].iter().any(|word| rest.starts_with(word));
    (alone && number.parse::<f64>().is_ok()).then(|| format!("{operator} {number}"))
}

/// Whether the bracket that opens `expr` closes with its last character.
fn closes_at_end(expr: &str) -> bool {
    let blank = top_level(&expr[1..]);
    !blank[..blank.len().saturating_sub(1)].contains(')')
}

/// `expr` with everything inside brackets and quotes replaced by spaces, byte for byte.
fn top_level(expr: &str) -> String {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    let blanked = expr.chars().flat_map(|c| {
        let outside = depth == 0 && quote.is_none();
        match (quote, c) {
            (Some(open), _) if c == open && !escaped => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        escaped = c == '\\' && !escaped;
        let shown = if outside { c } else { ' ' };
        std::iter::repeat_n(shown, if outside { 1 } else { c.len_utf8() })
    });
    blanked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_what_the_value_was_compared_with() {
        for (why, expr, expected) in [
            ("plain", "plimsoll_cpu_utilization_ratio > 0.85", Some("> 0.85")),
            ("no spaces", "up==0", Some("== 0")),
            ("negative", "x < -1.5e3", Some("< -1.5e3")),
            ("inside a function first", "avg(x > bool 5) >= 0.9", Some(">= 0.9")),
            ("a filter on the side", "ratio < 0.9 and on() count > 20", Some("< 0.9")),
            ("in brackets", "((ratio < 0.9))", Some("< 0.9")),
            ("brackets on both sides", "(a) > 1 and (b)", Some("> 1")),
            ("bool", "x > bool 3", Some("> 3")),
            ("in a label", "x{path=\"a > 5\"} > 7", Some("> 7")),
            ("an escaped quote", "x{a=\"\\\" > 5\"} > 7", Some("> 7")),
            ("two series", "a > b", None),
            ("computed", "a > 2 * b", None),
            ("either side", "a > 1 or b > 2", None),
            ("none", "vector(1)", None),
            ("empty", "", None),
            ("one bracket", "(", None),
            ("unicode", "x{a=\"é\"} > 1", Some("> 1")),
        ] {
            assert_eq!(of(expr).as_deref(), expected, "{why}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(expr in "(\\(|\\)|\"|'|\\\\|>|<|=|!| |or|and|1|é|x|\\[|\\]){0,30}") {
            let _ = of(&expr);
        }
    }
}
