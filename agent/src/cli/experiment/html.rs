//! The verdict as one page that needs no script and no other file: effect and evidence over time.

use std::fmt::Write as _;

use plimsoll_rules::verdict::experiment::Arm;

use super::analyze::{MetricReport, Point, Report};
use super::table::{action, interval, notes, sentence};
use crate::cli::backtest::escape;
use crate::cli::curves::{Axes, HEIGHT, frame, open};
use crate::cli::drift::words::short;

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut out = String::new();
    let class = if matches!(action(report), "roll_back" | "hold") { "banner drift" } else { "banner" };
    let _ = writeln!(out, "<div class=\"{class}\"><p class=\"eyebrow\">Experiment · {}</p>", escape(&report.name));
    let _ = writeln!(out, "<h1>{}</h1>", escape(&sentence(report)));
    let [control, treatment] = &report.file.variants;
    let _ = writeln!(
        out,
        "<p class=\"meta\" style=\"margin:0\">{}: {} units, {}: {} units, alpha {}</p></div>",
        escape(control),
        report.units[0],
        escape(treatment),
        report.units[1],
        report.spec.alpha
    );
    summary(report, &mut out);
    report.metrics.iter().for_each(|metric| card(report, metric, &mut out));
    out.push_str("<footer>");
    for note in notes(report) {
        let _ = writeln!(out, "<p>Note: {}.</p>", escape(&note));
    }
    out.push_str(
        "<p>Evidence is an e-value: where nothing is the matter it ever reaches 1/alpha with probability at most alpha, \
         however often one looks. The band covers the effect at all times together.</p></footer>\n",
    );
    frame("Experiment", &out)
}

fn summary(report: &Report, out: &mut String) {
    out.push_str("<section class=\"card\"><div class=\"scroll\"><table><thead><tr><th>Metric</th><th>Role</th>");
    out.push_str(
        "<th class=\"num\">Control</th><th class=\"num\">Treatment</th><th>Effect</th><th class=\"num\">Margin</th>",
    );
    out.push_str("<th class=\"num\">Evidence of harm</th><th class=\"num\">of no harm</th></tr></thead><tbody>\n");
    for metric in &report.metrics {
        let mean = |arm| short(metric.state.arm(arm).mean());
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td>{}</td><td class=\"num\">{}</td>\
             <td class=\"num\">{}</td><td class=\"num\">{}</td></tr>",
            escape(&metric.spec.name),
            metric.role(),
            mean(Arm::Control),
            mean(Arm::Treatment),
            interval(metric.interval),
            short(metric.spec.margin),
            short(metric.state.log_e_harm().exp()),
            short(metric.state.log_e_no_worse().exp())
        );
    }
    out.push_str("</tbody></table></div></section>\n");
}

fn card(report: &Report, metric: &MetricReport, out: &mut String) {
    let _ = writeln!(out, "<section class=\"card\"><div class=\"head\"><h2>{}</h2></div>", escape(&metric.spec.name));
    out.push_str("<div class=\"plots\"><div><h3>Effect, treatment minus control, over units</h3>");
    out.push_str(&effect(metric, report.decided_after));
    out.push_str("</div><div><h3>Evidence (ln e): orange of harm, green of no harm</h3>");
    let levels = [(report.spec.metrics.len() as f64 / report.spec.alpha).ln(), -report.spec.alpha.ln()];
    out.push_str(&evidence(metric, levels, report.decided_after));
    out.push_str("</div></div></section>\n");
}

fn last(course: &[Point]) -> f64 {
    course.last().map_or(1.0, |point| point.units as f64)
}

fn effect(metric: &MetricReport, decided: Option<u64>) -> String {
    let found: Vec<(u64, [f64; 3])> = metric
        .course
        .iter()
        .filter_map(|point| point.interval.map(|i| (point.units, [i.lower, i.effect, i.upper])))
        .collect();
    if found.is_empty() {
        return "<p class=\"why\">Too few units for an interval.</p>".to_owned();
    }
    // The first intervals are wide: the picture is scaled by the last two thirds.
    let later = &found[found.len() / 3..];
    let most = later.iter().flat_map(|(_, ends)| ends.map(f64::abs)).fold(metric.spec.margin * 1.2, f64::max);
    let axes = Axes { units: last(&metric.course), low: -most, high: most };
    let mut out = open("effect over units, with its band");
    let there = found.iter().map(|(units, ends)| (*units, ends[2]));
    let back = found.iter().rev().map(|(units, ends)| (*units, ends[0]));
    axes.line("band", &there.chain(back).collect::<Vec<_>>(), &mut out);
    axes.line("mid", &found.iter().map(|(units, ends)| (*units, ends[1])).collect::<Vec<_>>(), &mut out);
    let worse =
        if metric.spec.direction == plimsoll_rules::verdict::experiment::Direction::Increase { -1.0 } else { 1.0 };
    axes.level(0.0, "axis", "no effect", &mut out);
    axes.level(worse * metric.spec.margin, "floor", "margin", &mut out);
    for end in [-most, most] {
        let _ = write!(out, "<text x=\"0\" y=\"{:.1}\">{}</text>", (axes.y(end)).clamp(11.0, HEIGHT - 4.0), short(end));
    }
    axes.close(decided.map(|units| (units, "decided")), "units", &mut out);
    out
}

fn evidence(metric: &MetricReport, levels: [f64; 2], decided: Option<u64>) -> String {
    let most =
        metric.course.iter().map(|point| point.log_e_harm.max(point.log_e_no_worse)).fold(levels[0] * 1.3, f64::max);
    let axes = Axes { units: last(&metric.course), low: 0.0, high: most.min(levels[0] * 4.0) };
    let mut out = open("evidence over units");
    let line = |of: fn(&Point) -> f64| metric.course.iter().map(|point| (point.units, of(point))).collect::<Vec<_>>();
    axes.line("harm", &line(|point| point.log_e_harm), &mut out);
    axes.line("well", &line(|point| point.log_e_no_worse), &mut out);
    axes.level(levels[0], "floor", "rolls back", &mut out);
    if levels[1] < levels[0] - 0.5 {
        axes.level(levels[1], "axis", "promotes", &mut out);
    }
    axes.close(decided.map(|units| (units, "decided")), "units", &mut out);
    out
}
