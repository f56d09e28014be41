//! The pictures of the page: plain SVG whose colours are the page's, so that they fit light and dark.

use std::fmt::Write as _;

use super::super::histogram::Histogram;
use super::super::report::QUANTILES;
use super::super::words::{percent, short};
use crate::cli::backtest::escape;

fn open(width: f64, height: f64, label: &str) -> String {
    format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">")
}

/// A bar that ends at its size, with the floor as a dashed line; sizes are multiples of the floor.
pub(super) fn against_floor(size: f64) -> String {
    const FLOOR: f64 = 60.0;
    const MOST: f64 = 150.0;
    let mut out = open(190.0, 18.0, "effect against its floor");
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

/// Both samples over one axis: the reference filled, the current one outlined above it.
pub(super) fn histogram(histogram: &Histogram) -> String {
    const WIDTH: f64 = 560.0;
    const HEIGHT: f64 = 200.0;
    let mut out = open(WIDTH, HEIGHT + 22.0, "histogram of reference and current values");
    let top = histogram.shares.iter().flatten().copied().fold(0.0, f64::max).max(1e-12);
    let step = WIDTH / histogram.shares.len() as f64;
    for (side, class) in [(0, "area-ref"), (1, "area-cur")] {
        let mut path = format!("M0 {HEIGHT}");
        for (at, share) in histogram.shares.iter().enumerate() {
            let (x, y) = (at as f64 * step, HEIGHT - share[side] / top * (HEIGHT - 14.0));
            let _ = write!(path, "L{x:.1} {y:.1}L{:.1} {y:.1}", x + step);
        }
        let _ = write!(out, "<path class=\"{class}\" d=\"{path}L{WIDTH} {HEIGHT}Z\"/>");
    }
    let _ = write!(out, "<line class=\"axis\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>");
    let _ = write!(out, "<text x=\"0\" y=\"10\">{}</text>", percent(top));
    let last = histogram.edges.len() - 1;
    for part in 0..=4 {
        let at = last as f64 * f64::from(part) / 4.0;
        let (low, high) = (histogram.edges[at.floor() as usize], histogram.edges[at.ceil() as usize]);
        let value = low + (high - low) * at.fract();
        let anchor = ["start", "middle", "middle", "middle", "end"][part as usize];
        let x = at * step;
        let _ =
            write!(out, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>", HEIGHT + 17.0, short(value));
    }
    out.push_str("</svg>");
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
    let logarithmic = low > 0.0 && high / low > 60.0;
    let place = |value: f64| {
        let part = if logarithmic { (value / low).ln() / (high / low).ln() } else { (value - low) / (high - low) };
        LEFT + WIDTH * if part.is_finite() { part } else { 0.5 }
    };
    let mut out = open(372.0, ROW * pairs.len() as f64, "quantiles of reference and current values");
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

/// Shares of each bin side by side, and below what the bin adds to PSI.
pub(super) fn bins(bins: &[(f64, f64, [u64; 2])], count: [u64; 2]) -> String {
    const WIDTH: f64 = 980.0;
    const HEIGHT: f64 = 96.0;
    let share = |counts: &[u64; 2], side: usize| counts[side] as f64 / count[side].max(1) as f64;
    let top = bins.iter().flat_map(|bin| [share(&bin.2, 0), share(&bin.2, 1)]).fold(1e-12, f64::max);
    let step = WIDTH / bins.len() as f64;
    let mut out = open(WIDTH, HEIGHT + 40.0, "shares of reference and current values by bin, and their part of PSI");
    for (at, (from, to, counts)) in bins.iter().enumerate() {
        let x = at as f64 * step;
        let bar = (step * 0.36).min(44.0);
        for (side, class) in [(0, "ref"), (1, "cur")] {
            let height = share(counts, side) / top * (HEIGHT - 16.0);
            let left = x + step / 2.0 - bar + bar * side as f64;
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" rx=\"2\"/>",
                HEIGHT - height,
                bar - 2.0
            );
        }
        let floor = |value: f64, side: usize| if value > 0.0 { value } else { 0.5 / count[side].max(1) as f64 };
        let (p, q) = (floor(share(counts, 0), 0), floor(share(counts, 1), 1));
        let middle = x + step / 2.0;
        let range = if from == to { short(*from) } else { format!("{}–{}", short(*from), short(*to)) };
        let _ = write!(out, "<text x=\"{middle:.1}\" y=\"{}\" text-anchor=\"middle\">{range}</text>", HEIGHT + 16.0);
        let part = (q - p) * (q / p).ln();
        let _ = write!(
            out,
            "<text class=\"ink\" x=\"{middle:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            HEIGHT + 33.0,
            short((part * 1000.0).round() / 1000.0)
        );
    }
    let _ = write!(out, "<line class=\"axis\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/></svg>");
    out
}

/// Two bars a row: shares of the reference and of the current sample.
pub(super) fn pairs(rows: &[(String, [f64; 2])]) -> String {
    const LEFT: f64 = 230.0;
    const WIDTH: f64 = 560.0;
    const ROW: f64 = 34.0;
    let top = rows.iter().flat_map(|(_, shares)| *shares).fold(1e-12, f64::max);
    let mut out = open(980.0, ROW * rows.len() as f64, "shares of reference and current values");
    for (row, (name, shares)) in rows.iter().enumerate() {
        let y = ROW * row as f64;
        let shown: String = name.chars().take(32).collect();
        let cut = if name.chars().count() > 32 { "…" } else { "" };
        let _ = write!(
            out,
            "<text class=\"ink\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}{cut}</text>",
            LEFT - 12.0,
            y + 20.0,
            escape(&shown)
        );
        for (side, class) in [(0, "ref"), (1, "cur")] {
            let (length, top_y) = ((shares[side] / top * WIDTH).max(1.0), y + 4.0 + 12.0 * side as f64);
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top_y:.1}\" width=\"{length:.1}\" height=\"11\" rx=\"2\"/>"
            );
        }
        let end = LEFT + shares[0].max(shares[1]) / top * WIDTH + 10.0;
        let _ = write!(
            out,
            "<text class=\"ink\" x=\"{end:.1}\" y=\"{:.1}\">{} → {}</text>",
            y + 20.0,
            percent(shares[0]),
            percent(shares[1])
        );
    }
    out.push_str("</svg>");
    out
}
