//! Writes SVG elements; colours are classes, so that one picture is right on light and on dark pages.

use std::fmt::Write as _;

/// Light colours first; the dark ones replace them where the reader's page is dark. No CSS variables: many viewers of
/// SVG files know none.
const STYLE: &str = "
text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12px;fill:#1f2733}
.end{text-anchor:end}.mid{text-anchor:middle}.title{font-size:21px;font-weight:600}.name{font-weight:600}
.soft{font-size:11px;fill:#5d6b7c}.head{font-size:11px;font-weight:600;fill:#5d6b7c}
.page{fill:#ffffff}.calm{fill:#eef2f6}.act{fill:#fbeede}.on{fill:#c0392b;opacity:.13}
.axis{stroke:#d5dce4}.notch{stroke:#1f2733;stroke-width:1.5}
.curve{fill:none;stroke:#1f6fb2;stroke-width:1.8;stroke-linejoin:round}
.second{fill:none;stroke:#1f6fb2;stroke-width:1.6;stroke-dasharray:.1 3.4;stroke-linecap:round}
.limit{fill:none;stroke:#b4691f;stroke-width:1.1;stroke-dasharray:5 4}
.bad{fill:#c0392b}.good{fill:#2e8b57}
@media(prefers-color-scheme:dark){
text{fill:#e4e9ef}.soft,.head{fill:#93a1b1}.page{fill:#12171d}.calm{fill:#1a222b}.act{fill:#33281b}
.on{fill:#ef6b5c}.axis{stroke:#37424f}.notch{stroke:#e4e9ef}.curve,.second{stroke:#6db3ec}.limit{stroke:#e0a05c}
.bad{fill:#ef6b5c}.good{fill:#5cc48b}}
";

/// An SVG picture being drawn. Coordinates are pixels from the upper left corner.
#[derive(Debug, Default)]
pub(crate) struct Pen(String);

impl Pen {
    /// Text at a point, of a class of the style; everything in it is escaped.
    pub(crate) fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = escape(text);
        self.put(format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"));
    }

    /// A filled rectangle.
    pub(crate) fn rect(&mut self, class: &str, [x, y, width, height]: [f64; 4]) {
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    /// A line through all points.
    pub(crate) fn line(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let mut path = String::new();
        for (x, y) in points {
            // Writing to a string cannot fail.
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
        }
        if !path.is_empty() {
            self.put(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
        }
    }

    /// A triangle that points down to a place.
    pub(crate) fn arrow(&mut self, class: &str, x: f64, y: f64) {
        self.put(format_args!("<path class=\"{class}\" d=\"M{x:.1} {y:.1}l-5 -9h10z\"/>"));
    }

    /// A small disc.
    pub(crate) fn disc(&mut self, class: &str, x: f64, y: f64) {
        self.put(format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.8\"/>"));
    }

    /// The finished picture.
    pub(crate) fn finish(self, width: f64, height: f64, label: &str) -> String {
        let (label, body) = (escape(label), self.0);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\" aria-label=\"{label}\">\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"10\"/>\n{body}</svg>\n"
        )
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{element}");
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
