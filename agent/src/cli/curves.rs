//! Pages with curves that need no script and no other file: their frame, and lines over something that is counted.

use std::fmt::Write as _;

const WIDTH: f64 = 560.0;
pub(super) const HEIGHT: f64 = 200.0;

/// The frame of a page around `body`.
pub(super) fn frame(title: &str, body: &str) -> String {
    let style = concat!(
        include_str!("drift/html/style.css"),
        ".band{fill:var(--cur);fill-opacity:.2}.mid{fill:none;stroke:var(--cur);stroke-width:1.8}",
        ".harm{fill:none;stroke:var(--drift);stroke-width:1.8}.well{fill:none;stroke:var(--ok);stroke-width:1.8}"
    );
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><style>{style}</style></head><body><main>\n{body}</main></body></html>\n"
    )
}

/// Maps units and values to the picture.
pub(super) struct Axes {
    /// Where the picture ends on the right.
    pub(super) units: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Axes {
    fn x(&self, units: u64) -> f64 {
        units as f64 / self.units.max(1.0) * WIDTH
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        HEIGHT - (value.clamp(self.low, self.high) - self.low) / (self.high - self.low).max(1e-12) * HEIGHT
    }

    /// A path through points.
    pub(super) fn line(&self, class: &str, points: &[(u64, f64)], out: &mut String) {
        let path: Vec<String> =
            points.iter().map(|(units, value)| format!("{:.1} {:.1}", self.x(*units), self.y(*value))).collect();
        if !path.is_empty() {
            let _ = write!(out, "<path class=\"{class}\" d=\"M{}\"/>", path.join("L"));
        }
    }

    /// A line at a value, with a name.
    pub(super) fn level(&self, value: f64, class: &str, label: &str, out: &mut String) {
        let y = self.y(value);
        let _ = write!(out, "<line class=\"{class}\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        let _ = write!(out, "<text x=\"{WIDTH}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", y - 4.0);
    }

    /// Ends the picture: a line at a place of note, and what is counted to the right.
    pub(super) fn close(&self, mark: Option<(u64, &str)>, counted: &str, out: &mut String) {
        if let Some((units, name)) = mark {
            let x = self.x(units);
            let _ = write!(out, "<line class=\"floor\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{HEIGHT}\"/>");
            let _ = write!(out, "<text class=\"ink\" x=\"{:.1}\" y=\"12\">{name}</text>", x + 5.0);
        }
        let y = HEIGHT + 18.0;
        let _ = write!(
            out,
            "<text x=\"0\" y=\"{y}\">0</text><text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{} {counted}</text></svg>",
            self.units
        );
    }
}

/// Begins a picture.
pub(super) fn open(label: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{label}\">", HEIGHT + 24.0)
}
