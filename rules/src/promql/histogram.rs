//! `histogram_quantile` over classic buckets.

use std::collections::HashMap;

use super::VectorSample;
use crate::Labels;
use crate::labels::METRIC_NAME;

/// The `q`-quantile of every histogram in `samples`, found by its `le` labels.
pub(super) fn quantiles(q: f64, samples: Vec<VectorSample>) -> Vec<VectorSample> {
    let mut order: Vec<(Labels, Vec<(f64, f64)>)> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for sample in samples {
        let Some(bound) = sample.labels.get("le").and_then(bound) else { continue };
        let mut builder = sample.labels.to_builder();
        builder.remove("le").remove(METRIC_NAME);
        let key = builder.build();
        let place = *places.entry(key.clone()).or_insert_with(|| {
            order.push((key, Vec::new()));
            order.len() - 1
        });
        order[place].1.push((bound, sample.value));
    }
    order.into_iter().map(|(labels, buckets)| VectorSample { labels, value: quantile(q, buckets) }).collect()
}

fn bound(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" | "inf" | "+inf" => Some(f64::INFINITY),
        _ => text.parse().ok(),
    }
}

/// Linear within the bucket in which the rank falls; buckets are `(upper bound, cumulative count)`.
fn quantile(q: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<(f64, f64)> = Vec::with_capacity(buckets.len());
    for (bound, count) in buckets {
        match merged.last_mut() {
            Some(last) if last.0 == bound => last.1 += count,
            _ => merged.push((bound, count)),
        }
    }
    // scrapes and rates can leave a bucket below the one before it
    let mut highest = f64::NEG_INFINITY;
    for bucket in &mut merged {
        highest = highest.max(bucket.1);
        bucket.1 = highest;
    }
    let Some(last) = merged.last().filter(|last| last.0 == f64::INFINITY && merged.len() > 1) else { return f64::NAN };
    let total = last.1;
    if total == 0.0 || total.is_nan() {
        return f64::NAN;
    }
    let rank = q * total;
    let at = merged.iter().position(|(_, count)| *count >= rank).unwrap_or(merged.len() - 1);
    if at == merged.len() - 1 {
        return merged[at - 1].0;
    }
    if at == 0 && merged[0].0 <= 0.0 {
        return merged[0].0;
    }
    let (start, below) = if at == 0 { (0.0, 0.0) } else { merged[at - 1] };
    let (end, count) = (merged[at].0, merged[at].1 - below);
    start + (end - start) * ((rank - below) / count)
}
