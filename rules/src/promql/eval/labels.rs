//! Functions that change labels, and the dropping of metric names.

use std::collections::HashSet;

use super::super::EvalError;
use super::super::ast::{Call, Node};
use super::super::regex_dialect;
use super::{Evaluator, Sample, Val, fail};
use crate::Labels;
use crate::labels::METRIC_NAME;

/// `labels` without what describes the metric rather than the series: name, type and unit.
pub(super) fn without_metadata(labels: &Labels) -> Labels {
    labels.filtered(|name| !matches!(name, METRIC_NAME | "__type__" | "__unit__"))
}

/// # Errors
/// When two series have the same labels.
pub(super) fn refuse_duplicates<'l>(all: impl Iterator<Item = &'l Labels>) -> Result<(), EvalError> {
    let mut seen = HashSet::new();
    for labels in all {
        if !seen.insert(labels) {
            return fail(format!("vector cannot contain metrics with the same labelset: {labels} comes twice"));
        }
    }
    Ok(())
}

/// The text of a string argument.
pub(super) fn text(node: &Node) -> Result<&str, EvalError> {
    match node.bare() {
        Node::Text(text) => Ok(text),
        _ => fail("a string was expected here"),
    }
}

fn set(sample: &mut Sample, label: &str, value: &str) {
    let mut builder = sample.labels.to_builder();
    builder.set(label, value);
    sample.labels = builder.build();
    if label == METRIC_NAME {
        sample.drop_name = false;
    }
}

/// `label_replace(vector, destination, replacement, source, regex)`
pub(in crate::promql) fn replace(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let destination = text(&call.args[1])?;
    let replacement = text(&call.args[2])?;
    let source = text(&call.args[3])?;
    let regex = regex_dialect::anchored(text(&call.args[4])?).or_else(|why| fail(format!("label_replace: {why}")))?;
    if destination.is_empty() {
        return fail("label_replace: the destination label needs a name");
    }
    let mut vector = evaluator.vector(&call.args[0], now)?;
    for sample in &mut vector {
        let labels = sample.labels.clone();
        if let Some(captures) = regex.captures(labels.get(source).unwrap_or("")) {
            let mut value = String::new();
            captures.expand(replacement, &mut value);
            set(sample, destination, &value);
        }
    }
    refuse_duplicates(vector.iter().map(|sample| &sample.labels))?;
    Ok(Val::Vector(vector))
}

/// `label_join(vector, destination, separator, source...)`
pub(in crate::promql) fn join(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let destination = text(&call.args[1])?;
    let separator = text(&call.args[2])?;
    let sources = call.args[3..].iter().map(text).collect::<Result<Vec<_>, _>>()?;
    if destination.is_empty() || sources.contains(&"") {
        return fail("label_join: a label needs a name");
    }
    let mut vector = evaluator.vector(&call.args[0], now)?;
    for sample in &mut vector {
        let labels = sample.labels.clone();
        let parts: Vec<&str> = sources.iter().map(|source| labels.get(source).unwrap_or("")).collect();
        set(sample, destination, &parts.join(separator));
    }
    refuse_duplicates(vector.iter().map(|sample| &sample.labels))?;
    Ok(Val::Vector(vector))
}
