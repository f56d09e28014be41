//! The pictures of the page: plain SVG whose colours are the page's, so that they fit light and dark.

use std::fmt::Write as _;

use super::super::histogram::Histogram;
use super::super::report::QUANTILES;
use super::super::words::{percent, short};
use crate::cli::backtest::escape;

fn open(width: f64, height: f64, label: &str, class: &str) -> String {
    format!("<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">")
}

/// A bar that ends at its size, with the floor as a dashed line; sizes are multiples of the floor.
pub(super) fn against_floor(size: f64) -> String {
    const FLOOR: f64 = 60.0;
    const MOST: f64 = 150.0;
    let mut out = open(190.0, 18.0, "effect against its floor", "small");
    let length = (size * FLOOR).clamp(0.0, MOST).max(1.0);
    let class = if size >= 1.0 { "cur" } else { "ref" };
    let _ = write!(out, "<rect class=\"{class}\" x=\"0\" y=\"4\" width=\"{length:.1}\" height=\"10\" rx=\"2\"/>");
    let _ = write!(out, "<line class=\"floor\" x1=\"{FLOOR}\" x2=\"{FLOOR}\" y1=\"0\" y2=\"18\"/>");
    let _ = write!(
        out,
        "<text class=\"ink\" x=\"{:.1}\" y=\"13\">{}×</text></svg>",
        length.max(FLOOR) + 6.0,
        short((size * 10.0).round() / 10.0)
    );
    out
}

/// Both samples over one axis: the reference filled, the current one outlined above it. `unit` names the axis.
pub(super) fn histogram(histogram: &Histogram, unit: &str) -> String {
    const WIDTH: f64 = 560.0;
    const HEIGHT: f64 = 200.0;
    let mut out = open(WIDTH, HEIGHT + 52.0, "histogram of reference and current values", "wide");
    let top = histogram.shares.iter().flatten().copied().fold(0.0, f64::max).max(1e-12);
    let step = WIDTH / histogram.shares.len() as f64;
    let level = |share: f64| HEIGHT - share / top * (HEIGHT - 22.0);
    for part in [0.5, 1.0] {
        let y = level(top * part);
        let _ = write!(out, "<line class=\"axis\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        let _ = write!(out, "<text x=\"0\" y=\"{:.1}\">{} of values</text>", y - 5.0, percent(top * part));
    }
    for (side, class) in [(0, "area-ref"), (1, "area-cur")] {
        let mut path = format!("M0 {HEIGHT}");
        for (at, share) in histogram.shares.iter().enumerate() {
            let (x, y) = (at as f64 * step, level(share[side]));
            let _ = write!(path, "L{x:.1} {y:.1}L{:.1} {y:.1}", x + step);
        }
        let _ = write!(out, "<path class=\"{class}\" d=\"{path}L{WIDTH} {HEIGHT}Z\"/>");
    }
    let _ = write!(out, "<line class=\"axis\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>");
    let last = histogram.edges.len() - 1;
    for part in 0..=4 {
        let at = last as f64 * f64::from(part) / 4.0;
        let (low, high) = (histogram.edges[at.floor() as usize], histogram.edges[at.ceil() as usize]);
        let value = low * (1.0 - at.fract()) + high * at.fract();
        let anchor = ["start", "middle", "middle", "middle", "end"][part as usize];
        let (x, y) = (at * step, HEIGHT + 20.0);
        let _ = write!(out, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>", short(value));
    }
    let axis = if histogram.logarithmic { ", logarithmic" } else { "" };
    let unit: String = unit.chars().take(40).collect();
    let (x, y) = (WIDTH / 2.0, HEIGHT + 45.0);
    let _ = write!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}{axis}</text></svg>", escape(&unit));
    out
}

/// One line a quantile: where it was, where it is.
pub(super) fn quantiles(pairs: &[[f64; 2]]) -> String {
    const LEFT: f64 = 44.0;
    const WIDTH: f64 = 230.0;
    const ROW: f64 = 29.0;
    let (low, high) = pairs
        .iter()
        .flatten()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let logarithmic = low > 0.0 && high.ln() - low.ln() > 4.0;
    let place = |value: f64| {
        let part = match logarithmic {
            true => (value.ln() - low.ln()) / (high.ln() - low.ln()),
            // halves, for the difference of two numbers need not be one
            false => (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0),
        };
        LEFT + WIDTH * if part.is_finite() { part } else { 0.5 }
    };
    let mut out = open(372.0, ROW * pairs.len() as f64, "quantiles of reference and current values", "tall");
    for (row, ([before, now], share)) in pairs.iter().zip(QUANTILES).enumerate() {
        let y = ROW * (row as f64 + 0.5);
        let (a, b) = (place(*before), place(*now));
        let _ = write!(out, "<text x=\"0\" y=\"{:.1}\">{}</text>", y + 4.0, percent(share));
        let _ = write!(out, "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>", LEFT + WIDTH);
        let _ = write!(out, "<line class=\"link\" x1=\"{a:.1}\" x2=\"{b:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        let _ = write!(
            out,
            "<circle class=\"ref\" cx=\"{a:.1}\" cy=\"{y:.1}\" r=\"5\"/><circle class=\"cur\" cx=\"{b:.1}\" cy=\"{y:.1}\" r=\"5\"/>"
        );
        let _ = write!(
            out,
            "<text class=\"ink\" x=\"{}\" y=\"{:.1}\">{} → {}</text>",
            LEFT + WIDTH + 14.0,
            y + 4.0,
            short(*before),
            short(*now)
        );
    }
    out.push_str("</svg>");
    out
}
