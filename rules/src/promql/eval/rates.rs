//! How a series moved over a range: `rate`, `increase`, `delta`, `irate`, `idelta`.
//!
//! A range rarely begins and ends on a sample. `rate`, `increase` and `delta` extend the slope between the first and
//! the last sample to the ends of the range where these are near (within 1.1 mean distances between samples), and by
//! half a distance otherwise; a counter is never extended below zero.

use super::{Notes, Window};
use crate::Labels;

/// Whether a falling value means that the counter began anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Counter,
    Gauge,
}

pub(in crate::promql) fn rate(window: &Window<'_>) -> Option<f64> {
    extrapolated(window, Shape::Counter, window.range_s())
}

pub(in crate::promql) fn increase(window: &Window<'_>) -> Option<f64> {
    extrapolated(window, Shape::Counter, 1.0)
}

pub(in crate::promql) fn delta(window: &Window<'_>) -> Option<f64> {
    extrapolated(window, Shape::Gauge, 1.0)
}

fn extrapolated(window: &Window<'_>, shape: Shape, divisor: f64) -> Option<f64> {
    let [first, .., last] = window.points else { return None };
    let intervals = (window.points.len() - 1) as f64;
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1000.0;
    let mut change = last.1 - first.1;
    if shape == Shape::Counter {
        change += window.points.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum::<f64>();
    }
    let sampled = seconds(first.0, last.0);
    let mean_distance = sampled / intervals;
    let reach = |to_end: f64| if to_end >= mean_distance * 1.1 { mean_distance / 2.0 } else { to_end };
    let mut before = reach(seconds(window.from_ms, first.0));
    if shape == Shape::Counter && change > 0.0 && first.1 >= 0.0 {
        before = before.min(sampled * (first.1 / change));
    }
    let after = reach(seconds(last.0, window.until_ms));
    Some(change * ((sampled + before + after) / sampled / divisor))
}

pub(in crate::promql) fn irate(window: &Window<'_>) -> Option<f64> {
    let [.., before, last] = window.points else { return None };
    let change = if last.1 < before.1 { last.1 } else { last.1 - before.1 };
    Some(change / ((last.0 - before.0) as f64 / 1000.0))
}

pub(in crate::promql) fn idelta(window: &Window<'_>) -> Option<f64> {
    let [.., before, last] = window.points else { return None };
    Some(last.1 - before.1)
}

/// Remarks on a metric that is not named like a counter.
pub(super) fn check_name(labels: &Labels, notes: &mut Notes) {
    let name = labels.name();
    let counts = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
    if !name.is_empty() && !counts {
        let wanted = "name does not end in _total/_sum/_count/_bucket";
        notes.inform(format!("PromQL info: metric might not be a counter, {wanted}: {name:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_extended_to_their_ends() {
        for (why, points, expected) in [
            ("one sample says nothing", vec![(30_000, 1.0)], None),
            ("to both ends", vec![(10_000, 10.0), (50_000, 50.0)], Some(60.0)),
            ("not below zero", vec![(10_000, 2.0), (50_000, 42.0)], Some(52.0)),
            ("a reset", vec![(10_000, 50.0), (30_000, 10.0), (50_000, 30.0)], Some(45.0)),
            ("half a distance where an end is far", vec![(40_000, 100.0), (50_000, 110.0)], Some(25.0)),
        ] {
            let window = Window { points: &points, from_ms: 0, until_ms: 60_000 };
            assert_eq!(increase(&window), expected, "{why}");
            let per_second = rate(&window).map(|value| (value * 60.0 * 1e9).round() / 1e9);
            assert_eq!(per_second, expected, "{why}");
        }
    }
}
