//! Functions that read or write labels.

use super::VectorSample;
use super::ast::{Expr, MatchOp, Selector};
use super::check::anchored;
use super::eval::{Result, fail};
use crate::Labels;
use crate::labels::{LabelsBuilder, METRIC_NAME};

/// One element of value 1 when `expr` gave nothing, labelled with what its selector fixes.
pub(super) fn absent(expr: &Expr, empty: bool) -> Vec<VectorSample> {
    if !empty {
        return Vec::new();
    }
    let mut plain = expr;
    while let Expr::Paren(inner) = plain {
        plain = inner;
    }
    let labels = match plain {
        Expr::Vector(selector) | Expr::Matrix { selector, .. } => fixed(selector),
        _ => Labels::default(),
    };
    vec![VectorSample { labels, value: 1.0 }]
}

fn fixed(selector: &Selector) -> Labels {
    let mut builder = LabelsBuilder::default();
    let mut seen = Vec::new();
    for matcher in selector.matchers.iter().filter(|matcher| matcher.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && !seen.contains(&matcher.name.as_str()) {
            builder.set(&matcher.name, &matcher.value);
        } else {
            builder.remove(&matcher.name);
        }
        seen.push(&matcher.name);
    }
    builder.build()
}

/// `label_replace(v, destination, replacement, source, pattern)`
pub(super) fn replace(samples: Vec<VectorSample>, texts: &[&str]) -> Result<Vec<VectorSample>> {
    let [destination, replacement, source, pattern] = texts else { return fail("label_replace takes four texts") };
    let regex = anchored(pattern).or_else(fail)?;
    if destination.is_empty() {
        return fail("label_replace: the destination label is empty");
    }
    let one = |sample: VectorSample| {
        let Some(found) = regex.captures(sample.labels.get(source).unwrap_or("")) else { return sample };
        let mut value = String::new();
        found.expand(replacement, &mut value);
        let mut builder = sample.labels.to_builder();
        builder.set(destination, &value);
        VectorSample { labels: builder.build(), value: sample.value }
    };
    Ok(samples.into_iter().map(one).collect())
}

/// `label_join(v, destination, separator, source...)`
pub(super) fn join(samples: Vec<VectorSample>, texts: &[&str]) -> Result<Vec<VectorSample>> {
    let [destination, separator, sources @ ..] = texts else { return fail("label_join takes at least two texts") };
    if destination.is_empty() {
        return fail("label_join: the destination label is empty");
    }
    let one = |sample: VectorSample| {
        let parts: Vec<&str> = sources.iter().map(|source| sample.labels.get(source).unwrap_or("")).collect();
        let mut builder = sample.labels.to_builder();
        builder.set(destination, &parts.join(separator));
        VectorSample { labels: builder.build(), value: sample.value }
    };
    Ok(samples.into_iter().map(one).collect())
}
