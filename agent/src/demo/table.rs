//! The report for people: a table on standard output.

use std::fmt::Write as _;

use super::report::{Event, Report};

/// The report as text, lines at most 100 columns wide unless a label is longer.
pub(crate) fn text(report: &Report) -> String {
    let mut out = String::new();
    let start = report.acts.first().map_or(0.0, |act| act.started_at);
    let at = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{:+.1} s", time - start));
    let head = ["planted", "at", "alert", "fired", "delay", "resolved"].map(str::to_owned);
    let rows = report.events.iter().map(|event| row(event, &at));
    grid(&mut out, &std::iter::once(head).chain(rows).collect::<Vec<_>>());
    out.push('\n');
    for alarm in &report.false_alarm_list {
        let labels = serde_json::to_string(&alarm.labels).unwrap_or_default();
        line(&mut out, format_args!("FALSE ALARM  {} at {}  {labels}", alarm.alert, at(Some(alarm.fired_at))));
    }
    let calm = report.calm_seconds;
    line(
        &mut out,
        format_args!(
            "false alarms  {} in {calm:.0} s of calm, {} in all",
            report.false_alarms_in_calm, report.false_alarms
        ),
    );
    for text in cost_lines(report) {
        line(&mut out, format_args!("{text}"));
    }
    for note in &report.notes {
        line(&mut out, format_args!("note          {note}"));
    }
    line(&mut out, format_args!("\n{}", verdict(report)));
    out
}

/// What the agent cost, in two lines.
pub(crate) fn cost_lines(report: &Report) -> [String; 2] {
    let cost = &report.cost;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    [
        format!(
            "agent         {:.2} s CPU in {:.0} s ({:.1} % of one core, {} build), {:.1} MiB resident (peak {:.1})",
            cost.agent_cpu_seconds,
            cost.wall_seconds,
            cost.agent_cpu_cores * 100.0,
            cost.build,
            mib(cost.agent_rss_bytes),
            mib(cost.agent_peak_rss_bytes),
        ),
        format!(
            "traffic       {} requests through the tap, {} chunks, {} feedback stored, {} dropped, {} failed, {} skipped",
            cost.requests_served, cost.chunks, cost.feedback, cost.dropped, cost.requests_failed, cost.requests_skipped
        ),
    ]
}

/// The result in one sentence.
pub(crate) fn verdict(report: &Report) -> String {
    let found = report.events.iter().filter(|event| event.detected).count();
    let open = report.events.iter().filter(|event| event.detected && event.resolved_at.is_none()).count();
    let mut text = format!("{found} of {} planted events found", report.events.len());
    let _ = match report.false_alarms {
        0 => write!(text, ", no false alarm"),
        1 => write!(text, ", 1 false alarm"),
        count => write!(text, ", {count} false alarms"),
    };
    if open > 0 {
        let _ = write!(text, ", {open} not resolved");
    }
    let end = match (report.interrupted, report.passed) {
        (true, _) => "; stopped before its end",
        (false, true) => "",
        (false, false) => "; this is not as it should be",
    };
    text + end + "."
}

fn row(event: &Event, at: &impl Fn(Option<f64>) -> String) -> [String; 6] {
    let fired =
        if event.detected || event.planted_at.is_none() { at(event.detected_at) } else { "NOT FOUND".to_owned() };
    let delay = event.delay_seconds.map_or_else(|| "-".to_owned(), |delay| format!("{delay:.1} s"));
    let resolved = match (event.detected, event.resolved_at) {
        (true, None) => "STILL ON".to_owned(),
        (_, resolved) => at(resolved),
    };
    [event.title.to_owned(), at(event.planted_at), event.alert.to_owned(), fired, delay, resolved]
}

/// Columns as wide as their widest cell; texts to the left, times to the right.
fn grid(out: &mut String, rows: &[[String; 6]]) {
    let width: [usize; 6] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(width)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 | 2 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        line(out, format_args!("{}", cells.join("  ").trim_end()));
        if number == 0 {
            line(out, format_args!("{}", width.map(|width| "-".repeat(width)).join("  ")));
        }
    }
}

/// Writing to a string cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}
