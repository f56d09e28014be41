//! Rates, differences and trends of one series' samples of a range, extrapolated as Prometheus does.

use super::functions::Window;
use super::over_time::Sum;

pub(super) fn rate(w: Window<'_>) -> Option<f64> {
    extrapolated(w, true).map(|increase| increase / seconds(w.end_ms - w.start_ms))
}

pub(super) fn increase(w: Window<'_>) -> Option<f64> {
    extrapolated(w, true)
}

pub(super) fn delta(w: Window<'_>) -> Option<f64> {
    extrapolated(w, false)
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// The difference between the ends of the range, counter resets made good, extrapolated to the window's edges where the
/// samples come close to them (Prometheus' `extrapolatedRate`).
fn extrapolated(w: Window<'_>, counter: bool) -> Option<f64> {
    let ([first, ..], [.., last]) = (w.samples, w.samples) else { return None };
    if w.samples.len() < 2 {
        return None;
    }
    let mut result = last.1 - first.1;
    if counter {
        result += w.samples.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum::<f64>();
    }
    let sampled = seconds(last.0 - first.0);
    let average = sampled / (w.samples.len() - 1) as f64;
    let threshold = average * 1.1;
    let (mut to_start, mut to_end) = (seconds(first.0 - w.start_ms), seconds(w.end_ms - last.0));
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if counter && result > 0.0 && first.1 >= 0.0 {
        // a counter was zero once: it cannot have grown for longer than that
        to_start = to_start.min(sampled * (first.1 / result));
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    Some(result * ((sampled + to_start + to_end) / sampled))
}

pub(super) fn irate(w: Window<'_>) -> Option<f64> {
    let [.., before, last] = w.samples else { return None };
    let grown = if last.1 < before.1 { last.1 } else { last.1 - before.1 };
    Some(grown / seconds(last.0 - before.0))
}

pub(super) fn idelta(w: Window<'_>) -> Option<f64> {
    let [.., before, last] = w.samples else { return None };
    Some(last.1 - before.1)
}

pub(super) fn deriv(w: Window<'_>) -> Option<f64> {
    let first = w.samples.first().filter(|_| w.samples.len() > 1)?;
    Some(regression(w.samples, first.0).0)
}

pub(super) fn predict_linear(w: Window<'_>) -> Option<f64> {
    if w.samples.len() < 2 {
        return None;
    }
    let (slope, intercept) = regression(w.samples, w.end_ms);
    Some(slope * w.numbers[0] + intercept)
}

/// Least squares: slope per second and value at `origin`.
fn regression(samples: &[(i64, f64)], origin_ms: i64) -> (f64, f64) {
    let constant = samples[0].1;
    if samples.iter().all(|(_, value)| *value == constant) {
        let slope = if constant.is_infinite() { f64::NAN } else { 0.0 };
        return (slope, if constant.is_infinite() { f64::NAN } else { constant });
    }
    let (mut x, mut y, mut xy, mut xx) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for (at, value) in samples {
        let offset = seconds(at - origin_ms);
        x.add(offset);
        y.add(*value);
        xy.add(offset * value);
        xx.add(offset * offset);
    }
    let (n, x, y) = (samples.len() as f64, x.value(), y.value());
    let slope = (xy.value() - x * y / n) / (xx.value() - x * x / n);
    (slope, y / n - slope * x / n)
}
