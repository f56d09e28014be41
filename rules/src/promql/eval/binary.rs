//! Binary operators: between numbers, a vector and a number, and two vectors matched by labels.

use std::collections::HashSet;

use super::super::EvalError;
use super::super::ast::{Binary, BinaryOp, LabelChoice, Matching, Side};
use super::subset::{Added, Groups, Subset};
use super::{Evaluator, Sample, Val, fail, labels};
use crate::Labels;

impl Evaluator<'_> {
    pub(super) fn binary(&mut self, binary: &Binary, now: i64) -> Result<Val, EvalError> {
        let left = self.value(&binary.left, now)?;
        let right = self.value(&binary.right, now)?;
        match (left, right) {
            (Val::Scalar(left), Val::Scalar(right)) => Ok(Val::Scalar(number(binary.op, left, right))),
            (Val::Vector(vector), Val::Scalar(scalar)) => {
                Ok(Val::Vector(with_scalar(binary, vector, |value| (value, scalar))))
            }
            (Val::Scalar(scalar), Val::Vector(vector)) => {
                Ok(Val::Vector(with_scalar(binary, vector, |value| (scalar, value))))
            }
            (Val::Vector(left), Val::Vector(right)) => vectors(binary, left, right).map(Val::Vector),
            _ => fail("a binary operator takes scalars and instant vectors"),
        }
    }
}

/// Whether a comparison holds; false for other operators.
fn holds(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::Less => left < right,
        BinaryOp::LessOrEqual => left <= right,
        BinaryOp::Greater => left > right,
        BinaryOp::GreaterOrEqual => left >= right,
        _ => false,
    }
}

/// The number an operator gives; a comparison gives 0 or 1.
fn number(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Subtract => left - right,
        BinaryOp::Multiply => left * right,
        BinaryOp::Divide => left / right,
        BinaryOp::Modulo => left % right,
        BinaryOp::Atan2 => left.atan2(right),
        BinaryOp::Power => left.powf(right),
        _ => f64::from(u8::from(holds(op, left, right))),
    }
}

/// What one pair gives; nothing where a comparison filters it out.
fn pair(binary: &Binary, left: f64, right: f64, kept: f64) -> Option<f64> {
    if binary.op.is_comparison() && !binary.returns_bool {
        return holds(binary.op, left, right).then_some(kept);
    }
    Some(number(binary.op, left, right))
}

/// A filter keeps names, everything else changes what the value means.
fn drops_name(binary: &Binary) -> bool {
    !binary.op.is_comparison() || binary.returns_bool
}

fn with_scalar(binary: &Binary, mut vector: Vec<Sample>, sides: impl Fn(f64) -> (f64, f64)) -> Vec<Sample> {
    vector.retain_mut(|sample| {
        let (left, right) = sides(sample.value);
        let value = pair(binary, left, right, sample.value);
        sample.drop_name |= drops_name(binary);
        sample.value = value.unwrap_or(sample.value);
        value.is_some()
    });
    vector
}

fn vectors(binary: &Binary, left: Vec<Sample>, right: Vec<Sample>) -> Result<Vec<Sample>, EvalError> {
    let subset = Subset::of(&binary.matching.labels);
    match binary.op {
        BinaryOp::And => Ok(filtered(left, &right, &subset, true)),
        BinaryOp::Unless => Ok(filtered(left, &right, &subset, false)),
        BinaryOp::Or => {
            let added = filtered(right, &left, &subset, false);
            Ok(left.into_iter().chain(added).collect())
        }
        _ if left.is_empty() || right.is_empty() => Ok(Vec::new()),
        _ => matched(binary, &left, &right, &subset),
    }
}

/// Those of `vector` whose group is (or is not) among the others.
fn filtered(mut vector: Vec<Sample>, others: &[Sample], subset: &Subset<'_>, keep: bool) -> Vec<Sample> {
    let mut groups = Groups::new(subset);
    for other in others {
        groups.add(&other.labels);
    }
    vector.retain(|sample| groups.find(&sample.labels).is_some() == keep);
    vector
}

/// Pairs each sample of the many side with the one of its group on the other.
fn matched(binary: &Binary, left: &[Sample], right: &[Sample], subset: &Subset<'_>) -> Result<Vec<Sample>, EvalError> {
    let swapped = binary.matching.group.as_ref().is_some_and(|group| group.many == Side::Right);
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let mut groups = Groups::new(subset);
    for sample in one {
        if let Added::Known(number) = groups.add(&sample.labels) {
            return many_to_many(subset, groups.firsts()[number], &sample.labels, swapped);
        }
    }
    let mut used = vec![false; one.len()];
    let mut results: HashSet<(usize, Labels)> = HashSet::new();
    let mut out = Vec::with_capacity(many.len());
    for sample in many {
        let Some(number) = groups.find(&sample.labels) else { continue };
        let partner = &one[number];
        let (l, r) = if swapped { (partner.value, sample.value) } else { (sample.value, partner.value) };
        let Some(value) = pair(binary, l, r, l) else { continue };
        let labels = result_labels(binary, &sample.labels, &partner.labels);
        if binary.matching.group.is_none() {
            if std::mem::replace(&mut used[number], true) {
                return fail(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                );
            }
        } else if !results.insert((number, labels.clone())) {
            return fail("multiple matches for labels: grouping labels must ensure unique matches");
        }
        out.push(Sample { labels, drop_name: sample.drop_name || binary.returns_bool, value });
    }
    Ok(out)
}

fn many_to_many<T>(subset: &Subset<'_>, first: &Labels, second: &Labels, swapped: bool) -> Result<T, EvalError> {
    let side = if swapped { "left" } else { "right" };
    let group = subset.project(first);
    fail(format!(
        "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{second}, \
         {first}]; many-to-many matching not allowed: matching labels must be unique on one side"
    ))
}

fn result_labels(binary: &Binary, many: &Labels, one: &Labels) -> Labels {
    let Matching { labels: choice, group } = &binary.matching;
    let named =
        if drops_name(binary) && !binary.op.is_comparison() { labels::without_metadata(many) } else { many.clone() };
    let Some(group) = group else {
        return match choice {
            LabelChoice::Only(names) => named.filtered(|name| names.iter().any(|other| other == name)),
            LabelChoice::Except(names, _) if names.is_empty() => named,
            LabelChoice::Except(names, _) => named.filtered(|name| !names.iter().any(|other| other == name)),
        };
    };
    if group.include.is_empty() {
        return named;
    }
    let mut builder = named.to_builder();
    for name in &group.include {
        builder.set(name, one.get(name).unwrap_or(""));
    }
    builder.build()
}
