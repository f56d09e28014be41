//! The four curves of the picture: what each shows, its limits, and what was planted, fired and resolved on it.

use super::board::{Board, Point};
use super::pen::Pen;
use super::report::{Event, Report};
use super::scene::Planted;
use super::svg::{LEFT, RIGHT, Scale};

/// Height of a panel in pixels.
pub(crate) const HEIGHT: f64 = 84.0;

type Curve = Vec<(f64, f64)>;

/// One curve with what belongs to it; values over Unix seconds.
pub(crate) struct Panel {
    name: &'static str,
    unit: &'static str,
    bottom: f64,
    top: f64,
    curve: Curve,
    second: Curve,
    limits: Vec<Curve>,
    planted: &'static [Planted],
}

/// The panels from top to bottom.
pub(crate) fn all(board: &Board, scale: &Scale) -> [Panel; 4] {
    let curve = |value: &dyn Fn(&Point) -> Option<f64>| -> Curve {
        let shown = board.points.iter().filter(|point| scale.shows(point.at));
        shown.filter_map(|point| Some((point.at, value(point)?))).collect()
    };
    let share = |name, unit, bottom, curve, second, limit, planted| {
        let limits = vec![vec![(scale.start, limit), (scale.end, limit)]];
        Panel { name, unit, bottom, top: 1.05, curve, second, limits, planted }
    };
    let (low, high) = (curve(&|point| Some(point.input_band?.0)), curve(&|point| Some(point.input_band?.1)));
    let (input, rate) = (curve(&|point| point.input_mean), curve(&|point| point.request_rate));
    let (completion, satisfaction) = (curve(&|point| point.completion), curve(&|point| point.satisfaction));
    let cpu = curve(&|point| point.cpu);
    let plain = |name, unit, curve: Curve, limits: Vec<Curve>, planted| {
        let most = limits.iter().flatten().chain(&curve).map(|(_, value)| *value).fold(1.0, f64::max);
        Panel { name, unit, bottom: 0.0, top: most * 1.12, curve, second: Vec::new(), limits, planted }
    };
    [
        plain("Input tokens", "mean of a window", input, vec![low, high], &[Planted::LongerPrompts]),
        share(
            "Completion",
            "dotted: satisfied users",
            0.5,
            completion,
            satisfaction,
            0.90,
            &[Planted::Completion, Planted::Satisfaction],
        ),
        share("CPU", "of limit or host", 0.0, cpu, Vec::new(), 0.85, &[Planted::CpuLoad]),
        plain("Requests/s", "seen by the tap", rate, Vec::new(), &[]),
    ]
}

impl Panel {
    /// Draws it below `top`.
    pub(crate) fn draw(&self, pen: &mut Pen, report: &Report, scale: &Scale, top: f64) {
        let y = |value: f64| top + HEIGHT * (1.0 - ((value - self.bottom) / (self.top - self.bottom)).clamp(0.0, 1.0));
        let place = |curve: &Curve| -> Curve { curve.iter().map(|(at, value)| (scale.x(*at), y(*value))).collect() };
        pen.text("name", 30.0, top + 16.0, self.name);
        pen.text("soft", 30.0, top + 32.0, self.unit);
        pen.line("axis", [(LEFT, top + HEIGHT), (RIGHT, top + HEIGHT)]);
        let events = report.events.iter().filter(|event| self.planted.iter().any(|p| p.name() == event.name));
        events.clone().for_each(|event| shade(pen, event, scale, top));
        for limit in &self.limits {
            pen.line("limit", place(limit));
        }
        pen.line("second", place(&self.second));
        pen.line("curve", place(&self.curve));
        self.numbers(pen, &y);
        events.for_each(|event| marks(pen, event, scale, top));
    }

    /// Two numbers at the left say how high things are: the bottom, and the limit or (where there is none) the curve.
    fn numbers(&self, pen: &mut Pen, y: &impl Fn(f64) -> f64) {
        let limit = self.limits.last().and_then(|limit| limit.first()).or(self.curve.last());
        for value in limit.map(|(_, value)| *value).into_iter().chain([self.bottom]) {
            let text = if self.top < 2.0 { format!("{:.0} %", value * 100.0) } else { format!("{value:.0}") };
            let below = if value > self.bottom { 4.0 } else { 0.0 };
            pen.text("soft end", LEFT - 6.0, y(value) + below, &text);
        }
    }
}

/// From fired to resolved.
fn shade(pen: &mut Pen, event: &Event, scale: &Scale, top: f64) {
    let Some(fired) = event.detected_at else { return };
    let (from, to) = (scale.x(fired), scale.x(event.resolved_at.unwrap_or(scale.end)));
    pen.rect("on", [from, top, (to - from).max(1.0), HEIGHT]);
}

/// Planted: a notch from below; fired: a triangle; over: a disc.
fn marks(pen: &mut Pen, event: &Event, scale: &Scale, top: f64) {
    if let Some(at) = event.planted_at {
        let x = scale.x(at);
        pen.line("notch", [(x, top + HEIGHT), (x, top + HEIGHT - 14.0)]);
    }
    if let Some(at) = event.detected_at {
        pen.arrow("bad", scale.x(at), top + 10.0);
    }
    if let Some(at) = event.resolved_at {
        pen.disc("good", scale.x(at), top + 5.5);
    }
}
