//! The timeline as SVG: one row an alert, amber while pending, red while firing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use plimsoll_rules::{BacktestReport, Episode, Labels, Timestamp};

use super::report::{escape, rest};
use super::ticks::{axis, clock};

/// Alerts that get a row.
const ROWS: usize = 200;
const LEFT: f64 = 260.0;
const WIDTH: f64 = 1100.0;
const TOP: f64 = 44.0;
const ROW: f64 = 22.0;
const PENDING: &str = "#d4a72c";
const FIRING: &str = "#cf222e";

/// A stretch of one row, in pixels.
#[derive(Clone, Debug, PartialEq)]
struct Bar {
    from: f64,
    until: f64,
    color: &'static str,
    title: String,
}

/// The picture; needs nothing beside itself.
pub(super) fn svg(report: &BacktestReport) -> String {
    let (start, end) = report.span.unwrap_or_default();
    let mut rows: BTreeMap<(usize, &Labels), Vec<&Episode>> = BTreeMap::new();
    for episode in &report.episodes {
        rows.entry((episode.rule, &episode.labels)).or_default().push(episode);
    }
    let shown = rows.len().min(ROWS);
    let bottom = TOP + ROW * shown.max(1) as f64;
    let scale = Scale { start, length_ms: (end.millis() - start.millis()).max(1) as f64 };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui,sans-serif\" font-size=\"12\" fill=\"#1f2328\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        height = bottom + 44.0
    );
    legend(&mut out, rows.len());
    for (at, text) in axis(start, end) {
        let x = scale.x(at);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#d0d7de\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
            bottom + 16.0
        );
    }
    let middle = (LEFT + WIDTH) / 2.0;
    let _ = writeln!(
        out,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" fill=\"#57606a\">time (UTC), {} to {}</text>",
        bottom + 36.0,
        clock(start),
        clock(end)
    );
    for (index, ((_, labels), episodes)) in rows.iter().take(ROWS).enumerate() {
        row(&mut out, TOP + ROW * index as f64, labels, &bars(episodes, &scale, end));
    }
    if rows.is_empty() {
        let _ = writeln!(out, "<text x=\"8\" y=\"{}\">no alert was ever pending or firing</text>", TOP + 15.0);
    }
    out.push_str("</svg>\n");
    out
}

struct Scale {
    start: Timestamp,
    length_ms: f64,
}

impl Scale {
    fn x(&self, at: Timestamp) -> f64 {
        let share = (at.millis() - self.start.millis()) as f64 / self.length_ms;
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - 30.0)
    }
}

fn legend(out: &mut String, rows: usize) {
    for (x, color, word) in [(LEFT, PENDING, "pending"), (LEFT + 90.0, FIRING, "firing")] {
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"14\" width=\"12\" height=\"12\" fill=\"{color}\"/><text x=\"{}\" y=\"24\">{word}</text>",
            x + 18.0
        );
    }
    if rows > ROWS {
        let _ = writeln!(out, "<text x=\"{}\" y=\"24\">the first {ROWS} of {rows} alerts</text>", LEFT + 180.0);
    }
}

fn row(out: &mut String, y: f64, labels: &Labels, bars: &[Bar]) {
    let name = labels.get("alertname").unwrap_or("");
    let whole = format!("{name} {}", rest(labels));
    let mut short: String = whole.trim().chars().take(38).collect();
    if whole.trim().chars().count() > 38 {
        short.push('…');
    }
    let _ = writeln!(
        out,
        "<text x=\"8\" y=\"{}\">{}<title>{}</title></text>",
        y + 15.0,
        escape(&short),
        escape(whole.trim())
    );
    for bar in bars {
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\"><title>{}</title></rect>",
            bar.from,
            y + 4.0,
            (bar.until - bar.from).max(0.8),
            ROW - 8.0,
            bar.color,
            escape(&bar.title)
        );
    }
}

/// The bars of one row. Those that would lie within half a pixel of each other become one, so that a row of a year of
/// flapping stays a few hundred.
fn bars(episodes: &[&Episode], scale: &Scale, end: Timestamp) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    let mut add = |from: Timestamp, until: Timestamp, color: &'static str, word: &str| {
        let (x, right) = (scale.x(from), scale.x(until));
        if let Some(last) = bars.iter_mut().rev().find(|bar| bar.color == color)
            && x - last.until < 0.5
        {
            last.until = last.until.max(right);
            return;
        }
        let title = format!("{word} {} to {}", clock(from), clock(until));
        bars.push(Bar { from: x, until: right, color, title });
    };
    for episode in episodes {
        let over = episode.ended_at.unwrap_or(end);
        let pending_until = episode.firing_at.unwrap_or(over);
        if pending_until > episode.pending_at {
            add(episode.pending_at, pending_until, PENDING, "pending");
        }
        if let Some(firing_at) = episode.firing_at {
            add(firing_at, over, FIRING, "firing");
        }
    }
    // firing lies on top where both share a pixel
    bars.sort_by_key(|bar| bar.color == FIRING);
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn episode(pending: i64, firing: Option<i64>, ended: Option<i64>) -> Episode {
        let labels = [("alertname", "Hot")].into_iter().collect();
        let (firing_at, ended_at) = (firing.map(at), ended.map(at));
        Episode { rule: 0, labels, value: 1.0, pending_at: at(pending), firing_at, ended_at }
    }

    #[test]
    fn pending_and_firing_are_bars_and_neighbours_are_one() {
        let scale = Scale { start: at(0), length_ms: 810_000.0 };
        let all = [episode(0, Some(81), Some(162)), episode(405, None, Some(486)), episode(729, Some(729), None)];
        let found = bars(&all.iter().collect::<Vec<_>>(), &scale, at(810));
        let shown: Vec<(f64, f64, &str)> = found.iter().map(|b| (b.from, b.until, b.color)).collect();
        assert_eq!(
            shown,
            [(260.0, 341.0, PENDING), (665.0, 746.0, PENDING), (341.0, 422.0, FIRING), (989.0, 1070.0, FIRING)]
        );
        let flapping: Vec<Episode> = (0..100_000).map(|n| episode(n, Some(n), Some(n))).collect();
        let scale = Scale { start: at(0), length_ms: 1e8 };
        assert_eq!(bars(&flapping.iter().collect::<Vec<_>>(), &scale, at(100_000)).len(), 1);
    }

    #[test]
    fn the_picture_is_whole_even_when_nothing_happened() {
        let empty = svg(&BacktestReport::default());
        assert!(
            empty.starts_with("<svg") && empty.trim_end().ends_with("</svg>") && empty.contains("no alert was ever")
        );
        let report = BacktestReport {
            span: Some((at(0), at(3600))),
            episodes: vec![episode(60, Some(120), None)],
            ..BacktestReport::default()
        };
        let picture = svg(&report);
        assert!(picture.contains("time (UTC), 1970-01-01 00:00:00 to 1970-01-01 01:00:00"), "{picture}");
        assert!(picture.contains("firing 1970-01-01 00:02:00 to 1970-01-01 01:00:00"), "{picture}");
    }
}
