//! The picture of the scene's end: acts, curves with their thresholds, what fired and resolved, the table. One file
//! that needs no other.

use super::board::Board;
use super::panel;
use super::pen::Pen;
use super::report::Report;
use super::scene::Act;
use super::table;

const WIDTH: f64 = 960.0;
/// Where curves begin.
pub(crate) const LEFT: f64 = 176.0;
/// Where curves end.
pub(crate) const RIGHT: f64 = 930.0;
const FIRST_PANEL: f64 = 134.0;
const PANEL: f64 = panel::HEIGHT + 16.0;
/// Columns of the table and how they are aligned.
const COLUMNS: [(&str, f64, &str); 6] = [
    ("planted", 30.0, ""),
    ("at", 330.0, " end"),
    ("alert", 365.0, ""),
    ("fired", 660.0, " end"),
    ("delay", 790.0, " end"),
    ("resolved", 930.0, " end"),
];

/// The scene as SVG.
pub(crate) fn picture(board: &Board, report: &Report) -> String {
    let mut pen = Pen::default();
    let Some(scale) = Scale::of(board) else {
        pen.text("soft", 10.0, 25.0, "nothing was played");
        return pen.finish(320.0, 40.0, "nothing was played");
    };
    let panels = panel::all(board, &scale);
    let bottom = FIRST_PANEL + panels.len() as f64 * PANEL - 12.0;
    heading(&mut pen, report);
    acts(&mut pen, board, &scale, bottom);
    for (place, panel) in panels.iter().enumerate() {
        panel.draw(&mut pen, report, &scale, FIRST_PANEL + place as f64 * PANEL);
    }
    axis(&mut pen, &scale, bottom);
    let height = rows(&mut pen, report, bottom + 50.0);
    pen.finish(WIDTH, height, &table::verdict(report))
}

/// Time, to the right.
pub(crate) struct Scale {
    /// The first act's begin, in Unix seconds.
    pub(crate) start: f64,
    /// The last act's end.
    pub(crate) end: f64,
}

impl Scale {
    fn of(board: &Board) -> Option<Self> {
        let (first, last) = (board.acts.first()?, board.acts.last()?);
        let end = last.ended_at.unwrap_or(last.started_at);
        (end > first.started_at).then_some(Self { start: first.started_at, end })
    }

    /// Pixels from the left.
    pub(crate) fn x(&self, at: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * ((at - self.start) / (self.end - self.start)).clamp(0.0, 1.0)
    }

    /// Whether a moment is in the picture.
    pub(crate) fn shows(&self, at: f64) -> bool {
        (self.start..=self.end).contains(&at)
    }
}

fn heading(pen: &mut Pen, report: &Report) {
    let setting = &report.setting;
    let engine = if setting.engine == "stand-in" { "a stand-in engine" } else { &setting.engine };
    pen.text("title", 30.0, 38.0, "plimsoll demo");
    pen.text(if report.passed { "name good" } else { "name bad" }, 30.0, 61.0, &table::verdict(report));
    let about = format!(
        "The agent in front of {engine}, {:.0} requests a second. Rules in fast motion: 5 minutes are {:.0} seconds.",
        setting.request_rate, setting.window_seconds
    );
    pen.text("soft", 30.0, 80.0, &about);
    pen.line("notch", [(735.0, 38.0), (735.0, 26.0)]);
    pen.text("soft", 742.0, 37.0, "planted");
    pen.arrow("bad", 805.0, 37.0);
    pen.text("soft", 814.0, 37.0, "fired");
    pen.disc("good", 862.0, 33.0);
    pen.text("soft", 871.0, 37.0, "resolved");
}

fn acts(pen: &mut Pen, board: &Board, scale: &Scale, bottom: f64) {
    let top = FIRST_PANEL - 40.0;
    for span in &board.acts {
        let (from, to) = (scale.x(span.started_at), scale.x(span.ended_at.unwrap_or(scale.end)));
        let class = if matches!(span.act, Act::Calm | Act::Recovery) { "calm" } else { "act" };
        pen.rect(class, [from, top, (to - from - 1.5).max(0.5), bottom - top]);
        // Two words stand one above the other: a short act is no wider than one.
        let title = span.act.title();
        let words = title.split_once(' ').map_or(vec![title], |(first, second)| vec![first, second]);
        for (line, word) in words.into_iter().enumerate() {
            pen.text("soft mid", f64::midpoint(from, to), top + 15.0 + 13.0 * line as f64, word);
        }
    }
}

fn axis(pen: &mut Pen, scale: &Scale, bottom: f64) {
    let seconds = scale.end - scale.start;
    let step = [5.0, 10.0, 20.0, 30.0, 60.0].into_iter().find(|step| seconds / step <= 8.0).unwrap_or(120.0);
    for mark in 0..=(seconds / step) as u32 {
        let at = f64::from(mark) * step;
        pen.text("soft mid", scale.x(scale.start + at), bottom + 16.0, &format!("{at:.0} s"));
    }
}

/// The table; gives the picture's height.
fn rows(pen: &mut Pen, report: &Report, top: f64) -> f64 {
    for (name, x, align) in COLUMNS {
        pen.text(&format!("head{align}"), x, top, name);
    }
    let mut y = top;
    for event in &report.events {
        y += 21.0;
        pen.line("axis", [(30.0, y - 15.0), (930.0, y - 15.0)]);
        for (cell, (_, x, align)) in table::cells(event, report).iter().zip(COLUMNS) {
            pen.text(&format!("cell{align}"), x, y, cell);
        }
    }
    y += 10.0;
    for line in table::facts(report) {
        y += 18.0;
        let (name, rest) = line.split_once("  ").unwrap_or(("", &line));
        pen.text("soft", 30.0, y, name);
        pen.text("soft", LEFT, y, rest.trim());
    }
    y + 24.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::board::Point;
    use crate::demo::report::{Facts, judge};

    /// Every tag opened is closed, and nothing is written that XML would not take.
    fn check(svg: &str) {
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        for tag in ["svg", "text", "style"] {
            let (opened, closed) = (svg.matches(&format!("<{tag}")).count(), svg.matches(&format!("</{tag}>")).count());
            assert_eq!(opened, closed, "{tag}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_scene_is_drawn_with_its_acts_and_marks() {
        let mut board = Board::default();
        for (at, act) in Act::ALL.into_iter().enumerate() {
            board.enter(act, 1000.0 + at as f64 * 30.0);
        }
        board.leave(1150.0);
        let point = |at| Point { at, input_mean: Some(2000.0), cpu: Some(0.3), ..Point::default() };
        board.points = (0..150).map(|second| point(1000.0 + f64::from(second))).collect();
        let mut facts = Facts::default();
        facts.setting.engine = "http://a?b<c>&d".to_owned();
        let svg = picture(&board, &judge(&board, facts));
        check(&svg);
        assert!(svg.contains(">completion</text>") && svg.contains("NOT FOUND"), "{svg}");
        assert!(svg.contains("http://a?b&lt;c&gt;&amp;d"), "what others wrote is escaped");
    }

    #[test]
    fn a_scene_that_never_began_is_a_picture_too() {
        let board = Board::default();
        check(&picture(&board, &judge(&board, Facts::default())));
    }
}
