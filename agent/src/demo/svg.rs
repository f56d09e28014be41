//! The picture of the scene's end: acts, curves with their thresholds, what fired and resolved, the table. One file
//! that needs no other, drawn for light and dark pages.

use std::fmt::Write as _;

use super::board::{Board, Point};
use super::report::{Event, Report};
use super::scene::{Act, Planted};
use super::table;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 930.0;
const FIRST_PANEL: f64 = 108.0;
const PANEL: f64 = 84.0;
const GAP: f64 = 18.0;

const STYLE: &str = "
svg{--ink:#1f2733;--soft:#5d6b7c;--line:#d5dce4;--page:#ffffff;--calm:#eef2f6;--act:#fbeede;--curve:#1f6fb2;
--limit:#b4691f;--bad:#c0392b;--good:#2e8b57;
font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}
@media(prefers-color-scheme:dark){svg{--ink:#e4e9ef;--soft:#93a1b1;--line:#37424f;--page:#12171d;--calm:#1a222b;
--act:#33281b;--curve:#6db3ec;--limit:#e0a05c;--bad:#ef6b5c;--good:#5cc48b}}
text{fill:var(--ink);font-size:12px}.soft{fill:var(--soft);font-size:11px}.title{font-size:21px;font-weight:600}
.end{text-anchor:end}.mid{text-anchor:middle}.name{font-size:12.5px;font-weight:600}
.curve{fill:none;stroke:var(--curve);stroke-width:1.8;stroke-linejoin:round}
.second{fill:none;stroke:var(--curve);stroke-width:1.3;stroke-dasharray:1 3;stroke-linecap:round}
.limit{fill:none;stroke:var(--limit);stroke-width:1.1;stroke-dasharray:5 4}
.fired{stroke:var(--bad);fill:var(--bad)}.over{stroke:var(--good);fill:var(--good)}.bad{fill:var(--bad)}
.good{fill:var(--good)}.on{fill:var(--bad);opacity:.13}.axis{stroke:var(--line)}
.head{fill:var(--soft);font-size:11px;font-weight:600}
";

/// The scene as SVG.
pub(crate) fn picture(board: &Board, report: &Report) -> String {
    let Some((start, end)) = span(board) else { return empty() };
    let scale = Scale { start, end };
    let panels = panels(board);
    let below = FIRST_PANEL + panels.len() as f64 * (PANEL + GAP);
    let mut body = String::new();
    heading(&mut body, report);
    acts(&mut body, board, &scale, below - GAP);
    for (place, panel) in panels.iter().enumerate() {
        draw_panel(&mut body, panel, report, &scale, FIRST_PANEL + place as f64 * (PANEL + GAP));
    }
    axis(&mut body, &scale, below - GAP);
    let height = rows(&mut body, report, start, below + 38.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" role=\"img\" aria-label=\"{}\">\
         <style>{STYLE}</style><rect width=\"{WIDTH}\" height=\"{height:.0}\" rx=\"10\" fill=\"var(--page)\"/>\n{body}</svg>\n",
        escape(&table::verdict(report))
    )
}

fn empty() -> String {
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 320 40\"><text x=\"10\" y=\"25\">nothing was played</text></svg>\n".to_owned()
}

fn span(board: &Board) -> Option<(f64, f64)> {
    let (first, last) = (board.acts.first()?, board.acts.last()?);
    let end = last.ended_at.unwrap_or(last.started_at);
    (end > first.started_at).then_some((first.started_at, end))
}

/// Time to the right.
struct Scale {
    start: f64,
    end: f64,
}

impl Scale {
    fn x(&self, at: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * ((at - self.start) / (self.end - self.start)).clamp(0.0, 1.0)
    }
}

type Curve = Vec<(f64, f64)>;

/// One curve with what belongs to it.
struct Panel {
    name: &'static str,
    unit: &'static str,
    top: f64,
    curve: Curve,
    second: Curve,
    limits: Vec<Curve>,
    planted: Vec<Planted>,
}

fn panels(board: &Board) -> [Panel; 4] {
    let curve = |value: &dyn Fn(&Point) -> Option<f64>| -> Curve {
        board.points.iter().filter_map(|point| Some((point.at, value(point)?))).collect()
    };
    let flat = |limit: f64| span(board).map(|(start, end)| vec![(start, limit), (end, limit)]).into_iter().collect();
    let input = curve(&|point| point.input_mean);
    let (low, high) = (curve(&|point| Some(point.input_band?.0)), curve(&|point| Some(point.input_band?.1)));
    let rate = curve(&|point| point.request_rate);
    let most = |curves: &[&Curve]| {
        curves.iter().flat_map(|curve| curve.iter()).map(|(_, value)| *value).fold(1.0, f64::max) * 1.12
    };
    [
        Panel {
            name: "Input tokens",
            unit: "mean of a window",
            top: most(&[&input, &high]),
            curve: input,
            second: Vec::new(),
            limits: vec![low, high],
            planted: vec![Planted::LongerPrompts],
        },
        Panel {
            name: "Completion",
            unit: "dotted: satisfaction",
            top: 1.05,
            curve: curve(&|point| point.completion),
            second: curve(&|point| point.satisfaction),
            limits: flat(0.90),
            planted: vec![Planted::Completion, Planted::Satisfaction],
        },
        Panel {
            name: "CPU",
            unit: "of the limit, or host",
            top: 1.05,
            curve: curve(&|point| point.cpu),
            second: Vec::new(),
            limits: flat(0.85),
            planted: vec![Planted::CpuLoad],
        },
        Panel {
            name: "Requests/s",
            unit: "seen by the tap",
            top: most(&[&rate]),
            curve: rate,
            second: Vec::new(),
            limits: Vec::new(),
            planted: Vec::new(),
        },
    ]
}

fn heading(out: &mut String, report: &Report) {
    let engine = match report.setting.engine.as_str() {
        "stand-in" => "a stand-in engine".to_owned(),
        url => escape(url),
    };
    let class = if report.passed { "good" } else { "bad" };
    put(out, format_args!("<text class=\"title\" x=\"30\" y=\"40\">plimsoll demo</text>"));
    put(
        out,
        format_args!(
            "<text x=\"185\" y=\"40\" class=\"{class}\">{}</text><text class=\"soft\" x=\"30\" y=\"62\">the real agent in front of {engine}, {:.0} requests a second; rules in fast motion: 5 minutes are {:.0} seconds</text>",
            escape(&table::verdict(report)),
            report.setting.request_rate,
            report.setting.window_seconds
        ),
    );
}

fn acts(out: &mut String, board: &Board, scale: &Scale, bottom: f64) {
    for span in &board.acts {
        let (from, to) = (scale.x(span.started_at), scale.x(span.ended_at.unwrap_or(scale.end)));
        let fill = if matches!(span.act, Act::Calm | Act::Recovery) { "var(--calm)" } else { "var(--act)" };
        let (top, middle) = (FIRST_PANEL - 26.0, f64::midpoint(from, to));
        put(
            out,
            format_args!(
                "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\"/><text class=\"soft mid\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
                (to - from - 1.5).max(0.5),
                bottom - top,
                top + 16.0,
                span.act.title()
            ),
        );
    }
}

fn draw_panel(out: &mut String, panel: &Panel, report: &Report, scale: &Scale, top: f64) {
    let y = |value: f64| top + PANEL * (1.0 - (value / panel.top).clamp(0.0, 1.0));
    let path = |curve: &Curve| {
        let mut path = String::new();
        for (at, value) in curve.iter().filter(|(at, _)| (scale.start..=scale.end).contains(at)) {
            let _ = write!(path, "{}{:.1} {:.1}", if path.is_empty() { "M" } else { "L" }, scale.x(*at), y(*value));
        }
        path
    };
    let (name, unit, bottom) = (panel.name, panel.unit, top + PANEL);
    put(out, format_args!("<text class=\"name\" x=\"30\" y=\"{:.1}\">{name}</text>", top + 16.0));
    put(out, format_args!("<text class=\"soft\" x=\"30\" y=\"{:.1}\">{unit}</text>", top + 32.0));
    put(out, format_args!("<path class=\"axis\" d=\"M{LEFT} {bottom:.1}H{RIGHT}\"/>"));
    let events = report.events.iter().filter(|event| panel.planted.iter().any(|planted| planted.name() == event.name));
    let events: Vec<&Event> = events.collect();
    for (class, curve) in
        panel.limits.iter().map(|limit| ("limit", limit)).chain([("second", &panel.second), ("curve", &panel.curve)])
    {
        put(out, format_args!("<path class=\"{class}\" d=\"{}\"/>", path(curve)));
    }
    if let Some((_, last)) = panel.limits.last().and_then(|limit| limit.last()) {
        let text = if panel.top < 2.0 { format!("{:.0} %", last * 100.0) } else { format!("{last:.0}") };
        put(
            out,
            format_args!("<text class=\"soft end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>", LEFT - 6.0, y(*last) + 4.0),
        );
    }
    for event in events {
        marks(out, event, scale, top);
    }
}

/// Where an event was planted (a notch), fired (a filled triangle) and resolved (a ring); shaded while it fired.
fn marks(out: &mut String, event: &Event, scale: &Scale, top: f64) {
    let bottom = top + PANEL;
    if let Some(at) = event.planted_at {
        let x = scale.x(at);
        put(out, format_args!("<path stroke=\"var(--ink)\" stroke-width=\"1.4\" d=\"M{x:.1} {bottom:.1}v-12\"/>"));
    }
    let Some(fired) = event.detected_at else { return };
    let (x, to) = (scale.x(fired), scale.x(event.resolved_at.unwrap_or(scale.end)));
    put(
        out,
        format_args!(
            "<rect class=\"on\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{PANEL}\"/><path class=\"fired\" d=\"M{x:.1} {:.1}l-5 -9h10z\"/>",
            (to - x).max(1.0),
            top + 10.0
        ),
    );
    if event.resolved_at.is_some() {
        put(out, format_args!("<circle class=\"over\" cx=\"{to:.1}\" cy=\"{:.1}\" r=\"3.6\"/>", top + 5.0));
    }
}

fn axis(out: &mut String, scale: &Scale, bottom: f64) {
    let seconds = scale.end - scale.start;
    let step = [5.0, 10.0, 30.0, 60.0].into_iter().find(|step| seconds / step <= 8.0).unwrap_or(120.0);
    let mut at = 0.0;
    while at <= seconds {
        let x = scale.x(scale.start + at);
        put(out, format_args!("<text class=\"soft mid\" x=\"{x:.1}\" y=\"{:.1}\">{at:.0} s</text>", bottom + 16.0));
        at += step;
    }
    let y = bottom + 16.0;
    put(
        out,
        format_args!(
            "<text class=\"soft\" x=\"30\" y=\"{:.1}\"><tspan style=\"fill:var(--ink)\">|</tspan> planted  <tspan class=\"bad\">&#9660;</tspan> fired  <tspan class=\"good\">&#9679;</tspan> over</text>",
            y + 1.0
        ),
    );
}

/// The table; gives the picture's height.
fn rows(out: &mut String, report: &Report, start: f64, top: f64) -> f64 {
    let at = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{:.1} s", time - start));
    let columns = [30.0, 330.0, 350.0, 630.0, 730.0, 930.0];
    for ((name, x), class) in
        ["planted", "at", "alert", "fired", "delay", "resolved"].into_iter().zip(columns).zip(CLASSES)
    {
        put(out, format_args!("<text class=\"head{class}\" x=\"{x}\" y=\"{top:.1}\">{name}</text>"));
    }
    let mut y = top;
    for event in &report.events {
        y += 21.0;
        let fired = if event.detected { at(event.detected_at) } else { "not found".to_owned() };
        let delay = event.delay_seconds.map_or_else(|| "-".to_owned(), |delay| format!("{delay:.1} s"));
        let cells =
            [event.title.to_owned(), at(event.planted_at), event.alert.to_owned(), fired, delay, at(event.resolved_at)];
        put(out, format_args!("<path class=\"axis\" d=\"M30 {:.1}H930\"/>", y - 15.0));
        for ((cell, x), class) in cells.iter().zip(columns).zip(CLASSES) {
            put(out, format_args!("<text class=\"cell{class}\" x=\"{x}\" y=\"{y:.1}\">{}</text>", escape(cell)));
        }
    }
    let alarms = format!(
        "false alarms  {} in {:.0} s of calm, {} in all",
        report.false_alarms_in_calm, report.calm_seconds, report.false_alarms
    );
    let [agent, traffic] = table::cost_lines(report);
    y += 10.0;
    for line in [alarms, agent, traffic] {
        y += 19.0;
        let (name, rest) = line.split_once("  ").unwrap_or(("", &line));
        put(
            out,
            format_args!(
                "<text class=\"soft\" x=\"30\" y=\"{y:.1}\">{name}</text><text class=\"soft\" x=\"{LEFT}\" y=\"{y:.1}\">{}</text>",
                escape(rest.trim())
            ),
        );
    }
    y + 24.0
}

/// Alignment of the table's columns.
const CLASSES: [&str; 6] = ["", " end", "", " end", " end", " end"];

fn put(out: &mut String, element: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{element}");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
