//! `absent` and `absent_over_time`: one sample where there is nothing.

use super::super::EvalError;
use super::super::ast::{Call, Node};
use super::super::matcher::MatchOp;
use super::{Evaluator, Sample, Val};
use crate::labels::METRIC_NAME;
use crate::{Labels, LabelsBuilder};

pub(in crate::promql) fn absent(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let found = !evaluator.vector(&call.args[0], now)?.is_empty();
    Ok(Val::Vector(if found { Vec::new() } else { vec![missing(&call.args[0])] }))
}

pub(in crate::promql) fn absent_over_time(
    evaluator: &mut Evaluator<'_>,
    call: &Call,
    now: i64,
) -> Result<Val, EvalError> {
    let mut found = false;
    evaluator.windows(&call.args[0], now, &mut |_, _, _| found = true)?;
    Ok(Val::Vector(if found { Vec::new() } else { vec![missing(&call.args[0])] }))
}

/// One, with the labels that a selector fixes to a value.
fn missing(node: &Node) -> Sample {
    let mut builder = LabelsBuilder::default();
    if let Node::Selector(selector, _) | Node::Range(selector, _, _) = node {
        let mut seen = Vec::new();
        for matcher in selector.matchers.iter().filter(|matcher| matcher.label != METRIC_NAME) {
            if matcher.op == MatchOp::Equal && !seen.contains(&&matcher.label) {
                builder.set(&matcher.label, &matcher.value);
                seen.push(&matcher.label);
            } else {
                builder.remove(&matcher.label);
            }
        }
    }
    let labels: Labels = builder.build();
    Sample { labels, drop_name: false, value: 1.0 }
}
