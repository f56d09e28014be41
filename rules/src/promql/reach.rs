//! How far back an expression looks.

use std::time::Duration;

use super::ast::{At, Expr, Node, Shift};

impl Expr {
    /// How much older than the evaluation a sample may be and still count; `None` where `@` names a fixed time, so that
    /// it may be of any age. `lookback` and `default_step` as in [`super::EvalOptions`].
    pub fn reach(&self, lookback: Duration, default_step: Duration) -> Option<Duration> {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4);
        let reach = reach(&self.0, millis(lookback), millis(default_step))?;
        Some(Duration::from_millis(u64::try_from(reach).unwrap_or(0)))
    }
}

fn reach(node: &Node, lookback: i64, default_step: i64) -> Option<i64> {
    let own = match node {
        Node::Selector(_, shift) => shifted(*shift, lookback)?,
        Node::Range(_, shift, range_ms) => shifted(*shift, *range_ms)?,
        Node::Subquery(subquery) => {
            let step = subquery.step_ms.unwrap_or(default_step);
            let inner = reach(&subquery.inner, lookback, default_step)?;
            // steps lie on multiples of the step: the first may lie up to one before the range
            return Some(shifted(subquery.shift, subquery.range_ms)?.saturating_add(inner).saturating_add(step));
        }
        _ => 0,
    };
    let children = node.children().into_iter();
    children.map(|child| reach(child, lookback, default_step)).try_fold(own, |most, reach| Some(most.max(reach?)))
}

fn shifted(shift: Shift, span: i64) -> Option<i64> {
    match shift.at {
        Some(At::Millis(_)) => None,
        Some(At::Start | At::End) | None => Some(span.saturating_add(shift.offset_ms.max(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn the_oldest_sample_that_counts() {
        for (text, expected) in [
            ("1", Some(0)),
            ("up", Some(300)),
            ("up offset 1h", Some(3900)),
            ("up offset -1h", Some(300)),
            ("rate(up[10m]) > 0.5 * rate(up[10m] offset 1d)", Some(87_000)),
            ("max_over_time(rate(up[5m])[1h:1m])", Some(3600 + 300 + 60)),
            ("max_over_time(sum(up)[1h:] offset 1h)", Some(7200 + 300 + 60)),
            ("up @ 1000", None),
            ("sum(up @ end()) + up", Some(300)),
        ] {
            let reach = parse(text).unwrap().reach(Duration::from_secs(300), Duration::from_secs(60));
            assert_eq!(reach.map(|span| span.as_secs()), expected, "{text}");
        }
    }
}
