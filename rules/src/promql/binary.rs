//! Operators between scalars and vectors.

use std::collections::{HashMap, HashSet};

use super::VectorSample;
use super::ast::{BinaryOp, Cardinality, Matching};
use super::check::is_comparison;
use super::eval::{Result, fail};
use crate::Labels;
use crate::labels::METRIC_NAME;

/// On which side of the operator the scalar stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

fn arithmetic(op: BinaryOp, l: f64, r: f64) -> f64 {
    use BinaryOp::*;
    match op {
        Add => l + r,
        Sub => l - r,
        Mul => l * r,
        Div => l / r,
        Mod => l % r,
        Pow => l.powf(r),
        Atan2 => l.atan2(r),
        _ => f64::from(u8::from(holds(op, l, r))),
    }
}

fn holds(op: BinaryOp, l: f64, r: f64) -> bool {
    use BinaryOp::*;
    match op {
        Eq => l == r,
        Ne => l != r,
        Gt => l > r,
        Lt => l < r,
        Ge => l >= r,
        Le => l <= r,
        _ => false,
    }
}

pub(super) fn on_scalars(op: BinaryOp, l: f64, r: f64) -> f64 {
    arithmetic(op, l, r)
}

pub(super) fn with_scalar(
    op: BinaryOp,
    bool_modifier: bool,
    number: f64,
    side: Side,
    samples: Vec<VectorSample>,
) -> Vec<VectorSample> {
    let one = |sample: VectorSample| {
        let (l, r) = if side == Side::Left { (number, sample.value) } else { (sample.value, number) };
        if is_comparison(op) && !bool_modifier {
            return holds(op, l, r).then_some(sample);
        }
        Some(VectorSample { labels: sample.labels.without_name(), value: arithmetic(op, l, r) })
    };
    samples.into_iter().filter_map(one).collect()
}

/// The labels by which two elements are matched.
fn signature(labels: &Labels, matching: &Matching) -> Labels {
    let named = |name: &str| matching.labels.iter().any(|label| label == name);
    if matching.on {
        labels.iter().filter(|(name, _)| named(name)).collect()
    } else {
        labels.iter().filter(|(name, _)| *name != METRIC_NAME && !named(name)).collect()
    }
}

pub(super) fn on_vectors(
    op: BinaryOp,
    bool_modifier: bool,
    matching: &Matching,
    left: Vec<VectorSample>,
    right: Vec<VectorSample>,
) -> Result<Vec<VectorSample>> {
    let signatures = |samples: &[VectorSample]| -> HashSet<Labels> {
        samples.iter().map(|sample| signature(&sample.labels, matching)).collect()
    };
    match op {
        BinaryOp::And => {
            let there = signatures(&right);
            Ok(left.into_iter().filter(|s| there.contains(&signature(&s.labels, matching))).collect())
        }
        BinaryOp::Unless => {
            let there = signatures(&right);
            Ok(left.into_iter().filter(|s| !there.contains(&signature(&s.labels, matching))).collect())
        }
        BinaryOp::Or => {
            let there = signatures(&left);
            let more = right.into_iter().filter(|s| !there.contains(&signature(&s.labels, matching)));
            Ok(left.into_iter().chain(more).collect())
        }
        _ => matched(op, bool_modifier, matching, left, right),
    }
}

fn matched(
    op: BinaryOp,
    bool_modifier: bool,
    matching: &Matching,
    left: Vec<VectorSample>,
    right: Vec<VectorSample>,
) -> Result<Vec<VectorSample>> {
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let mut ones: HashMap<Labels, &VectorSample> = HashMap::with_capacity(one.len());
    for sample in &one {
        let key = signature(&sample.labels, matching);
        if let Some(other) = ones.insert(key.clone(), sample) {
            let side = if swapped { "left" } else { "right" };
            return fail(format!(
                "found duplicate series for the match group {key} on the {side} hand-side of the operation: {} and {}; \
                 many-to-many matching not allowed: matching labels must be unique on one side",
                other.labels, sample.labels
            ));
        }
    }
    let (mut out, mut used) = (Vec::new(), HashSet::new());
    for sample in &many {
        let key = signature(&sample.labels, matching);
        let Some(partner) = ones.get(&key) else { continue };
        let (l, r) = if swapped { (partner.value, sample.value) } else { (sample.value, partner.value) };
        let filter = is_comparison(op) && !bool_modifier;
        if matching.cardinality == Cardinality::OneToOne && !used.insert(key) {
            return fail("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)");
        }
        if filter && !holds(op, l, r) {
            continue;
        }
        let value = if filter { l } else { arithmetic(op, l, r) };
        out.push(VectorSample { labels: result_labels(sample, partner, matching, !filter), value });
    }
    Ok(out)
}

fn result_labels(many: &VectorSample, one: &VectorSample, matching: &Matching, drop_name: bool) -> Labels {
    let mut builder = many.labels.to_builder();
    if drop_name {
        builder.remove(METRIC_NAME);
    }
    if matching.cardinality == Cardinality::OneToOne {
        let named = |name: &str| matching.labels.iter().any(|label| label == name);
        for (name, _) in many.labels.iter().filter(|(name, _)| *name != METRIC_NAME && named(name) != matching.on) {
            builder.remove(name);
        }
        if matching.on && !named(METRIC_NAME) {
            builder.remove(METRIC_NAME);
        }
    }
    for name in &matching.include {
        builder.set(name, one.labels.get(name).unwrap_or(""));
    }
    builder.build()
}
