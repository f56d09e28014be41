//! `sum by (...)` and its kin.

use std::collections::HashMap;

use super::VectorSample;
use super::ast::{AggregateOp, Grouping};
use super::eval::{Result, fail};
use super::over_time::{Sum, mean, quantile_of, variance};
use crate::Labels;
use crate::labels::{LabelsBuilder, METRIC_NAME};

/// What stands before the vector in `topk(3, x)`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parameter<'a> {
    None,
    Number(f64),
    Label(&'a str),
}

pub(super) fn aggregate(
    op: AggregateOp,
    parameter: Parameter<'_>,
    grouping: Option<&Grouping>,
    samples: Vec<VectorSample>,
) -> Result<Vec<VectorSample>> {
    let mut order: Vec<(Labels, Vec<VectorSample>)> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for sample in samples {
        let group = group_of(&sample.labels, grouping);
        let place = *places.entry(group.clone()).or_insert_with(|| {
            order.push((group, Vec::new()));
            order.len() - 1
        });
        order[place].1.push(sample);
    }
    let mut out = Vec::new();
    for (labels, members) in order {
        one(op, parameter, labels, members, &mut out)?;
    }
    Ok(out)
}

/// The labels that `by` keeps or `without` leaves.
pub(super) fn group_of(labels: &Labels, grouping: Option<&Grouping>) -> Labels {
    match grouping {
        None => Labels::default(),
        Some(g) if g.without => {
            let kept = labels.iter().filter(|(name, _)| *name != METRIC_NAME && !g.labels.iter().any(|l| l == name));
            kept.collect()
        }
        Some(g) => labels.iter().filter(|(name, _)| g.labels.iter().any(|l| l == name)).collect(),
    }
}

fn one(
    op: AggregateOp,
    parameter: Parameter<'_>,
    labels: Labels,
    members: Vec<VectorSample>,
    out: &mut Vec<VectorSample>,
) -> Result<()> {
    use AggregateOp::*;
    let values = || members.iter().map(|sample| sample.value);
    let value = match (op, parameter) {
        (Sum, _) => total(values()),
        (Avg, _) => mean(values()),
        (Min, _) => values().reduce(|best, v| if v < best || best.is_nan() { v } else { best }).unwrap_or(f64::NAN),
        (Max, _) => values().reduce(|best, v| if v > best || best.is_nan() { v } else { best }).unwrap_or(f64::NAN),
        (Count, _) => members.len() as f64,
        (Group, _) => 1.0,
        (Stdvar, _) => variance(values()),
        (Stddev, _) => variance(values()).sqrt(),
        (Quantile, Parameter::Number(q)) => quantile_of(q, values().collect()),
        (Topk | Bottomk | Limitk, Parameter::Number(k)) => {
            out.extend(first(op, k, members));
            return Ok(());
        }
        (LimitRatio, Parameter::Number(ratio)) => {
            out.extend(members.into_iter().filter(|sample| in_ratio(&sample.labels, ratio)));
            return Ok(());
        }
        (CountValues, Parameter::Label(name)) => {
            out.extend(count_values(name, &labels, &members));
            return Ok(());
        }
        _ => return fail("this aggregation has the wrong parameter"),
    };
    out.push(VectorSample { labels, value });
    Ok(())
}

fn total(values: impl Iterator<Item = f64>) -> f64 {
    let mut sum = Sum::default();
    values.for_each(|value| sum.add(value));
    sum.value()
}

/// The `k` largest, smallest or first; NaN counts as the worst.
fn first(op: AggregateOp, k: f64, mut members: Vec<VectorSample>) -> Vec<VectorSample> {
    if k.is_nan() || k < 1.0 {
        return Vec::new();
    }
    let worst = |v: f64| v.is_nan();
    match op {
        AggregateOp::Topk => {
            members.sort_by(|a, b| worst(a.value).cmp(&worst(b.value)).then(b.value.total_cmp(&a.value)));
        }
        AggregateOp::Bottomk => {
            members.sort_by(|a, b| worst(a.value).cmp(&worst(b.value)).then(a.value.total_cmp(&b.value)));
        }
        _ => {}
    }
    members.truncate(k as usize);
    members
}

/// A series is in when its hash falls into the first `ratio` of the range (the last, when negative).
fn in_ratio(labels: &Labels, ratio: f64) -> bool {
    let place = labels.fingerprint() as f64 / u64::MAX as f64;
    if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
}

fn count_values(name: &str, labels: &Labels, members: &[VectorSample]) -> Vec<VectorSample> {
    let mut counts: HashMap<String, f64> = HashMap::new();
    for sample in members {
        *counts.entry(number(sample.value)).or_default() += 1.0;
    }
    let labelled = |value: &str| {
        let mut builder: LabelsBuilder = labels.to_builder();
        builder.set(name, value);
        builder.build()
    };
    counts.iter().map(|(value, count)| VectorSample { labels: labelled(value), value: *count }).collect()
}

/// A number as Prometheus writes it.
fn number(value: f64) -> String {
    if value.is_infinite() { if value > 0.0 { "+Inf".into() } else { "-Inf".into() } } else { value.to_string() }
}
