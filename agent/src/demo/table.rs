//! The report for people: a table on standard output.

use std::fmt::Write as _;

use super::report::{Event, Report};

/// The report as text, lines about 120 columns wide at most unless a label is longer.
pub(crate) fn text(report: &Report) -> String {
    let mut out = String::new();
    let head = ["planted", "at", "alert", "fired", "delay", "resolved"].map(str::to_owned);
    let rows = report.events.iter().map(|event| cells(event, report));
    grid(&mut out, &std::iter::once(head).chain(rows).collect::<Vec<_>>());
    out.push('\n');
    for alarm in &report.false_alarm_list {
        let labels = serde_json::to_string(&alarm.labels).unwrap_or_default();
        line(&mut out, format_args!("FALSE ALARM   {} at {}  {labels}", alarm.alert, at(report, Some(alarm.fired_at))));
    }
    for fact in facts(report) {
        line(&mut out, format_args!("{fact}"));
    }
    for note in &report.notes {
        line(&mut out, format_args!("note          {note}"));
    }
    line(&mut out, format_args!("\n{}", verdict(report)));
    out
}

/// False alarms, and what the agent did and cost: a line each, its name in the first 14 columns.
pub(crate) fn facts(report: &Report) -> [String; 3] {
    let cost = &report.cost;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (in_calm, in_all) = (report.false_alarms_in_calm, report.false_alarms);
    [
        format!("false alarms  {in_calm} in {:.0} s of calm, {in_all} in all", report.calm_seconds),
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
            "traffic       {} requests through the tap, {} chunks, {} feedback stored, {} dropped, \
             {} failed, {} skipped",
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

/// Seconds since the first act began.
fn at(report: &Report, time: Option<f64>) -> String {
    let start = report.acts.first().map_or(0.0, |act| act.started_at);
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.1} s", time - start))
}

/// One event as the cells of a row: what, planted, alert, fired, delay, resolved.
pub(crate) fn cells(event: &Event, report: &Report) -> [String; 6] {
    let missed = event.planted_at.is_some() && !event.detected;
    let fired = if missed { "NOT FOUND".to_owned() } else { at(report, event.detected_at) };
    let delay = event.delay_seconds.map_or_else(|| "-".to_owned(), |delay| format!("{delay:.1} s"));
    let resolved = match (event.detected, event.resolved_at) {
        (true, None) => "STILL ON".to_owned(),
        (_, resolved) => at(report, resolved),
    };
    [event.title.to_owned(), at(report, event.planted_at), event.alert.to_owned(), fired, delay, resolved]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::board::Board;
    use crate::demo::report::{Facts, judge};
    use crate::demo::scene::Act;

    #[test]
    fn what_was_missed_is_said_in_capitals() {
        let mut board = Board::default();
        board.enter(Act::Calm, 50.0);
        board.enter(Act::LongerPrompts, 108.0);
        board.leave(130.0);
        let text = text(&judge(&board, Facts::default()));
        let first = text.lines().nth(2).unwrap_or_default();
        assert!(first.contains("58.0 s") && first.contains("NOT FOUND"), "{text}");
        assert!(text.contains("0 in 58 s of calm") && text.contains("0 of 4 planted events found"), "{text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= 120, "{widest} columns:\n{text}");
    }
}
