//! The training as one page that needs no script and no other file: what was trained, and the curves.

use std::fmt::Write as _;

use plimsoll_shadow_model::train::Course;
use serde_json::Value;

use crate::cli::backtest::escape;
use crate::cli::curves::{Axes, frame, open};
use crate::cli::drift::words::{percent, short};

/// The whole page, for what `training.json` says.
pub(super) fn page(told: &Value, course: &Course) -> String {
    let number = |key: &str| told.pointer(key).and_then(Value::as_f64);
    let text = |key: &str| told.pointer(key).and_then(Value::as_str).unwrap_or_default();
    let mut out = String::new();
    let stage = told["stage"].as_str().map_or(String::new(), |stage| format!(" · {}", escape(stage)));
    let _ = writeln!(out, "<div class=\"banner\"><p class=\"eyebrow\">Training{stage}</p>");
    let both = |from: &str, to: &str| Some((number(from)?, number(to)?));
    let (which, losses) = match both("/first_holdout_loss", "/last_holdout_loss") {
        Some(held) => ("on the holdout", Some(held)),
        None => ("in training", both("/first_loss", "/last_loss")),
    };
    if let Some((from, to)) = losses {
        let _ = writeln!(out, "<h1>Loss {which} {} → {} nats per answer token</h1>", short(from), short(to));
    }
    let _ = writeln!(
        out,
        "<p class=\"meta\" style=\"margin:0\">{}, {} of {} parameters trained ({}), {} steps</p></div>",
        escape(text("/model")),
        number("/trained_parameters").map(short).unwrap_or_default(),
        number("/parameters").map(short).unwrap_or_default(),
        number("/trained_share").map(percent).unwrap_or_default(),
        course.step
    );
    card("Loss, nats per answer token: training thin, holdout bold", &losses_picture(course), &mut out);
    let norms: Vec<_> = course.points.iter().filter_map(|p| Some((p.step as u64, p.gradient_norm?))).collect();
    card("Norm of the gradient before clipping", &picture("gradient norm over steps", &[("mid", norms)]), &mut out);
    let rates: Vec<_> = course.points.iter().map(|p| (p.step as u64, p.learning_rate)).collect();
    card("Learning rate", &picture("learning rate over steps", &[("mid", rates)]), &mut out);
    let _ = writeln!(
        out,
        "<section class=\"card\"><h2>Everything</h2><pre class=\"scroll\">{}</pre></section>",
        escape(&format!("{told:#}"))
    );
    frame("Training", &out)
}

fn card(title: &str, picture: &str, out: &mut String) {
    let _ = writeln!(out, "<section class=\"card\"><h3>{title}</h3>{picture}</section>");
}

fn losses_picture(course: &Course) -> String {
    let trained = course.points.iter().filter_map(|point| Some((point.step as u64, point.loss?))).collect();
    let held = course.held.iter().map(|held| (held.step as u64, held.loss)).collect();
    picture("loss over steps", &[("mid", trained), ("well", held)])
}

/// Lines over steps, from zero up.
fn picture(label: &str, lines: &[(&str, Vec<(u64, f64)>)]) -> String {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let most = points().map(|&(_, value)| value).fold(0.0, f64::max);
    let axes = Axes { units: points().map(|&(step, _)| step).max().unwrap_or(1) as f64, low: 0.0, high: most * 1.05 };
    let mut out = open(label);
    for part in [0.5, 1.0] {
        axes.level(most * part, "axis", &short(most * part), &mut out);
    }
    for (class, points) in lines {
        axes.line(class, points, &mut out);
    }
    axes.close(None, "steps", &mut out);
    out
}
