//! Classic histograms: series with a label `le`, each counting what is not above its bound.

use super::super::EvalError;
use super::super::ast::{Call, Node};
use super::{Evaluator, Notes, Sample, Val};
use crate::Labels;

/// One bucket: its upper bound and how much lies at or below it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// The label with the upper bound.
const BOUND: &str = "le";

pub(in crate::promql) fn quantile(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let q = evaluator.scalar(&call.args[0], now)?;
    evaluator.warn_of_quantile(q);
    run(evaluator, &call.args[1], now, |buckets, labels, notes| {
        let (value, forced) = bucket_quantile(q, buckets);
        if forced {
            let name = labels.name();
            notes.inform(format!(
                "PromQL info: input to histogram_quantile needed to be fixed for monotonicity for metric name {name:?}"
            ));
        }
        value
    })
}

pub(in crate::promql) fn fraction(evaluator: &mut Evaluator<'_>, call: &Call, now: i64) -> Result<Val, EvalError> {
    let lower = evaluator.scalar(&call.args[0], now)?;
    let upper = evaluator.scalar(&call.args[1], now)?;
    run(evaluator, &call.args[2], now, |buckets, _, _| bucket_fraction(lower, upper, buckets))
}

/// Gathers the buckets of each histogram and gives what `of` makes of them.
fn run(
    evaluator: &mut Evaluator<'_>,
    arg: &Node,
    now: i64,
    of: impl Fn(Vec<Bucket>, &Labels, &mut Notes) -> f64,
) -> Result<Val, EvalError> {
    let mut histograms: Vec<(Labels, Vec<Bucket>)> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for sample in evaluator.vector(arg, now)? {
        let text = sample.labels.get(BOUND).unwrap_or("");
        let Some(bound) = parse_bound(text) else {
            let name = sample.labels.name();
            let message = format!("bucket label \"le\" is missing or has a malformed value of {text:?}");
            evaluator.notes.warn(format!("PromQL warning: {message} for metric name {name:?}"));
            continue;
        };
        let labels = sample.labels.filtered(|name| name != BOUND);
        let place = *index.entry(labels.clone()).or_insert(histograms.len());
        if place == histograms.len() {
            histograms.push((labels, Vec::new()));
        }
        histograms[place].1.push(Bucket { bound, count: sample.value });
    }
    let notes = &mut evaluator.notes;
    let finish = |(labels, buckets): (Labels, Vec<Bucket>)| {
        let value = of(buckets, &labels, notes);
        Sample { labels, drop_name: true, value }
    };
    Ok(Val::Vector(histograms.into_iter().map(finish).collect()))
}

fn parse_bound(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// Sorted, equal bounds added up; nothing where the last bound is not infinite.
fn in_order(mut buckets: Vec<Bucket>) -> Option<Vec<Bucket>> {
    buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    if buckets.last()?.bound != f64::INFINITY {
        return None;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        kept.count += if same { next.count } else { 0.0 };
        same
    });
    Some(buckets)
}

/// Counts must not fall from bucket to bucket; says whether they did by more than rounding explains.
fn force_monotonic(buckets: &mut [Bucket]) -> bool {
    const TOLERANCE: f64 = 1e-12;
    let mut forced = false;
    let mut before = buckets.first().map_or(0.0, |bucket| bucket.count);
    for bucket in buckets.iter_mut().skip(1) {
        let (now, scale) = (bucket.count, before.abs() + bucket.count.abs());
        let alike = now == before || (now != 0.0 && before != 0.0 && (now - before).abs() / scale < TOLERANCE);
        if alike || now < before {
            forced |= !alike;
            bucket.count = before;
        } else {
            before = now;
        }
    }
    forced
}

/// The `q`-quantile, linear within its bucket (the lowest begins at zero), and whether the counts had to be mended.
fn bucket_quantile(q: f64, buckets: Vec<Bucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if !(0.0..=1.0).contains(&q) {
        return (if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, false);
    }
    let Some(mut buckets) = in_order(buckets) else { return (f64::NAN, false) };
    let forced = force_monotonic(&mut buckets);
    let [inner @ .., last] = buckets.as_slice() else { return (f64::NAN, forced) };
    let Some(highest) = inner.last().filter(|_| last.count != 0.0) else { return (f64::NAN, forced) };
    let rank = q * last.count;
    let Some(place) = inner.iter().position(|bucket| bucket.count >= rank) else { return (highest.bound, forced) };
    let bucket = inner[place];
    let below = place.checked_sub(1).map(|before| inner[before]);
    if below.is_none() && bucket.bound <= 0.0 {
        return (bucket.bound, forced);
    }
    let below = below.unwrap_or(Bucket { bound: 0.0, count: 0.0 });
    let share = (rank - below.count) / (bucket.count - below.count);
    (below.bound + (bucket.bound - below.bound) * share, forced)
}

/// How much of all lies between `lower` and `upper`, linear within buckets.
fn bucket_fraction(lower: f64, upper: f64, buckets: Vec<Bucket>) -> f64 {
    let Some(buckets) = in_order(buckets) else { return f64::NAN };
    let all = buckets.last().map_or(0.0, |bucket| bucket.count);
    if all == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, &buckets, all) - rank_of(lower, &buckets, all)) / all
}

/// How much lies below `value`.
fn rank_of(value: f64, buckets: &[Bucket], all: f64) -> f64 {
    let mut below = Bucket { bound: f64::NEG_INFINITY, count: 0.0 };
    for (place, bucket) in buckets.iter().enumerate() {
        if place == 0 && bucket.bound > 0.0 {
            below.bound = 0.0;
        }
        if below.bound >= value {
            return below.count.min(all);
        }
        if bucket.bound > value {
            let share = (value - below.bound) / (bucket.bound - below.bound);
            return (below.count + (bucket.count - below.count) * share).min(all);
        }
        below = *bucket;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect()
    }

    #[test]
    fn quantiles_are_linear_within_a_bucket() {
        let inf = f64::INFINITY;
        for (why, q, pairs, expected, forced) in [
            ("middle of the second", 0.5, vec![(1.0, 2.0), (2.0, 6.0), (inf, 8.0)], 1.5, false),
            ("unsorted", 0.5, vec![(inf, 8.0), (2.0, 6.0), (1.0, 2.0)], 1.5, false),
            ("in the last", 0.99, vec![(1.0, 2.0), (inf, 8.0)], 1.0, false),
            ("first begins at zero", 0.1, vec![(1.0, 2.0), (inf, 2.0)], 0.1, false),
            ("first below zero", 0.1, vec![(-1.0, 2.0), (inf, 2.0)], -1.0, false),
            ("counts that fall", 0.5, vec![(1.0, 4.0), (2.0, 2.0), (inf, 4.0)], 0.5, true),
            ("rounding is forgiven", 0.5, vec![(1.0, 4.0), (2.0, 4.0 - 1e-14), (inf, 4.0)], 0.5, false),
        ] {
            assert_eq!(bucket_quantile(q, buckets(&pairs)), (expected, forced), "{why}");
        }
        for pairs in [vec![], vec![(1.0, 2.0)], vec![(inf, 2.0)], vec![(1.0, 0.0), (inf, 0.0)]] {
            assert!(bucket_quantile(0.5, buckets(&pairs)).0.is_nan(), "{pairs:?}");
        }
    }
}
