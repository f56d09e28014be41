//! What came of a backtest: tables, JSON, and the HTML page around the timeline.

use std::fmt::Write as _;
use std::time::Duration;

use plimsoll_rules::{BacktestReport, Episode, Labels, RuleOutcome, Timestamp};
use serde_json::{Value, json};

use super::ticks::{clock, span};
use super::timeline;

/// Alerts listed one by one in the table.
const LISTED: usize = 30;

/// What the reader should know before trusting the figures.
pub(super) fn warnings(report: &BacktestReport) -> Vec<String> {
    let mut all = Vec::new();
    if report.late > 0 {
        all.push(format!("{} samples were not newer than their series' last one and were left out", report.late));
    }
    if report.refused > 0 {
        all.push(format!("{} samples of more than a million series were left out", report.refused));
    }
    if report.span.is_none() {
        all.push("no rule was evaluated: the data is shorter than the groups' interval".to_owned());
    }
    for (rule, selector) in &report.unseen {
        all.push(format!("no sample of {selector} in the data (rule {rule})"));
    }
    for rule in &report.rules {
        if let Some((at, why)) = &rule.first_failure {
            let (name, failures) = (&rule.name, rule.failures);
            all.push(format!("rule {name} failed {failures} times, first at {}: {why}", clock(*at)));
        }
    }
    all
}

/// How many days the evaluations cover.
fn days(report: &BacktestReport) -> f64 {
    report.span.map_or(0.0, |(start, end)| end.since(start).as_secs_f64() / 86_400.0)
}

fn per_day(rule: &RuleOutcome, days: f64) -> f64 {
    if days > 0.0 { rule.fired as f64 / days } else { 0.0 }
}

/// The alert's labels but its name.
pub(super) fn rest(labels: &Labels) -> String {
    let others: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != "alertname")
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    others.join(" ")
}

fn end_of(episode: &Episode, last: Timestamp) -> Timestamp {
    episode.ended_at.unwrap_or(last)
}

/// One sentence on what was played.
fn summary(report: &BacktestReport) -> String {
    let Some((start, end)) = report.span else { return format!("{} samples, no evaluation", report.samples) };
    let (length, samples, evaluations) = (span(end.since(start)), report.samples, report.evaluations);
    format!("{} to {} UTC ({length}): {samples} samples, {evaluations} evaluations", clock(start), clock(end))
}

/// Rows of the table of rules, header first.
fn rules(report: &BacktestReport) -> Vec<[String; 8]> {
    let header =
        ["ALERT", "GROUP", "FIRED", "A DAY", "FIRING", "LONGEST", "PENDING", "ENDED PENDING"].map(str::to_owned);
    let days = days(report);
    let row = |rule: &RuleOutcome| {
        [
            rule.name.clone(),
            rule.group.clone(),
            rule.fired.to_string(),
            format!("{:.2}", per_day(rule, days)),
            span(rule.firing),
            span(rule.longest),
            span(rule.pending),
            rule.pending_only.to_string(),
        ]
    };
    std::iter::once(header).chain(report.rules.iter().filter(|rule| rule.alerting).map(row)).collect()
}

/// Rows of the table of alerts, header first; at most `most`.
fn episodes(report: &BacktestReport, most: usize) -> Vec<[String; 7]> {
    let header = ["ALERT", "PENDING", "FIRING", "ENDED", "FIRED FOR", "VALUE", "LABELS"].map(str::to_owned);
    let last = report.span.map_or(Timestamp::default(), |(_, end)| end);
    let row = |episode: &Episode| {
        let fired = episode.firing_at.map(|at| end_of(episode, last).since(at));
        [
            episode.labels.get("alertname").unwrap_or("").to_owned(),
            clock(episode.pending_at),
            episode.firing_at.map_or_else(|| "-".to_owned(), clock),
            episode.ended_at.map_or_else(|| "still on".to_owned(), clock),
            fired.map_or_else(|| "-".to_owned(), span),
            format!("{}", episode.value),
            rest(&episode.labels),
        ]
    };
    std::iter::once(header).chain(report.episodes.iter().take(most).map(row)).collect()
}

/// Rows as columns of one width each.
pub(in crate::cli) fn aligned<const N: usize>(rows: &[[String; N]], out: &mut String) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
}

/// For people.
pub(super) fn table(report: &BacktestReport) -> String {
    let mut out = summary(report) + "\n\n";
    aligned(&rules(report), &mut out);
    if report.episodes.is_empty() {
        out.push_str("\nno alert was ever pending or firing\n");
        return out;
    }
    out.push('\n');
    aligned(&episodes(report, LISTED), &mut out);
    let more = report.episodes.len().saturating_sub(LISTED) as u64 + report.episodes_over;
    if more > 0 {
        let _ = writeln!(out, "... and {more} more; --format json lists them");
    }
    out
}

/// For programs: times as RFC 3339, spans in seconds.
pub(super) fn json(report: &BacktestReport) -> Value {
    let seconds = |span: Duration| span.as_secs_f64();
    let days = days(report);
    let last = report.span.map_or(Timestamp::default(), |(_, end)| end);
    let rules: Vec<Value> = report
        .rules
        .iter()
        .map(|rule| {
            let first = rule.first_failure.as_ref();
            json!({
                "file": rule.file, "group": rule.group, "name": rule.name,
                "type": if rule.alerting { "alerting" } else { "recording" },
                "fired": rule.fired, "firedPerDay": per_day(rule, days), "endedPending": rule.pending_only,
                "firingSeconds": seconds(rule.firing), "longestSeconds": seconds(rule.longest),
                "pendingSeconds": seconds(rule.pending), "failures": rule.failures,
                "firstFailure": first.map(|(at, why)| json!({"at": at.rfc3339(), "why": why})),
            })
        })
        .collect();
    let episodes: Vec<Value> = report
        .episodes
        .iter()
        .map(|episode| {
            let fired = episode.firing_at.map(|at| seconds(end_of(episode, last).since(at)));
            json!({
                "labels": episode.labels,
                "value": if episode.value.is_finite() { json!(episode.value) } else { json!(episode.value.to_string()) },
                "pendingAt": episode.pending_at.rfc3339(),
                "firingAt": episode.firing_at.map(Timestamp::rfc3339),
                "endedAt": episode.ended_at.map(Timestamp::rfc3339),
                "firedForSeconds": fired,
            })
        })
        .collect();
    json!({
        "start": report.span.map(|(start, _)| start.rfc3339()),
        "end": report.span.map(|(_, end)| end.rfc3339()),
        "days": days,
        "samples": report.samples, "late": report.late, "refused": report.refused,
        "evaluations": report.evaluations,
        "warnings": warnings(report),
        "rules": rules, "alerts": episodes, "alertsNotListed": report.episodes_over,
    })
}

/// One page that needs nothing else.
pub(super) fn html(report: &BacktestReport) -> String {
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>plimsoll backtest</title><style>\
         body{font:14px system-ui,sans-serif;margin:2em;color:#1f2328;background:#fff}\
         table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;text-align:left;\
         border-bottom:1px solid #d0d7de;font-variant-numeric:tabular-nums}svg{max-width:100%;height:auto}\
         </style></head><body>\n<h1>Backtest</h1>\n",
    );
    let _ = writeln!(out, "<p>{}</p>", escape(&summary(report)));
    for warning in warnings(report) {
        let _ = writeln!(out, "<p><strong>Warning:</strong> {}</p>", escape(&warning));
    }
    out.push_str(&timeline::svg(report));
    html_table(&rules(report), &mut out);
    html_table(&episodes(report, 1000), &mut out);
    let more = report.episodes.len().saturating_sub(1000) as u64 + report.episodes_over;
    if more > 0 {
        let _ = writeln!(out, "<p>... and {more} more; <code>--format json</code> lists them</p>");
    }
    out.push_str("</body></html>\n");
    out
}

fn html_table<const N: usize>(rows: &[[String; N]], out: &mut String) {
    out.push_str("<table>\n");
    for (index, row) in rows.iter().enumerate() {
        let tag = if index == 0 { "th" } else { "td" };
        let cells: String = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
        let _ = writeln!(out, "<tr>{cells}</tr>");
    }
    out.push_str("</table>\n");
}

/// Text for HTML and SVG.
pub(in crate::cli) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // not allowed in XML at all
            c if c < ' ' && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn report() -> BacktestReport {
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        let labels = |name: &str| [("alertname", name), ("host", "<a&b>")].into_iter().collect::<Labels>();
        let rule =
            |name: &str| RuleOutcome { group: "g".into(), name: name.into(), alerting: true, ..RuleOutcome::default() };
        BacktestReport {
            span: Some((at(0), at(2 * 86_400))),
            evaluations: 10,
            samples: 100,
            rules: vec![
                RuleOutcome {
                    fired: 1,
                    pending_only: 1,
                    firing: Duration::from_secs(600),
                    longest: Duration::from_secs(600),
                    pending: Duration::from_secs(180),
                    ..rule("Hot")
                },
                rule("Never"),
                RuleOutcome {
                    failures: 3,
                    first_failure: Some((at(60), "many-to-many".into())),
                    alerting: false,
                    ..rule("r")
                },
            ],
            episodes: vec![
                Episode {
                    rule: 0,
                    labels: labels("Hot"),
                    value: 0.5,
                    pending_at: at(60),
                    firing_at: Some(at(120)),
                    ended_at: Some(at(720)),
                },
                Episode {
                    rule: 0,
                    labels: labels("Hot"),
                    value: f64::INFINITY,
                    pending_at: at(172_680),
                    firing_at: None,
                    ended_at: None,
                },
            ],
            ..BacktestReport::default()
        }
    }

    #[test]
    fn the_table_says_how_often_and_how_long() {
        let shown = table(&report());
        let expected = "1970-01-01 00:00:00 to 1970-01-03 00:00:00 UTC (2d): 100 samples, 10 evaluations\n\n\
            ALERT  GROUP  FIRED  A DAY  FIRING  LONGEST  PENDING  ENDED PENDING\n\
            Hot    g      1      0.50   10m     10m      3m       1\n\
            Never  g      0      0.00   0s      0s       0s       0\n\n\
            ALERT  PENDING              FIRING               ENDED                FIRED FOR  VALUE  LABELS\n\
            Hot    1970-01-01 00:01:00  1970-01-01 00:02:00  1970-01-01 00:12:00  10m        0.5    host=\"<a&b>\"\n\
            Hot    1970-01-02 23:58:00  -                    still on             -          inf    host=\"<a&b>\"\n";
        assert_eq!(shown, expected);
        let typo = BacktestReport { unseen: vec![("Hot".into(), "cpu_typo".into())], rules: Vec::new(), ..report() };
        assert_eq!(warnings(&typo), ["no sample of cpu_typo in the data (rule Hot)"]);
        assert_eq!(json(&typo)["warnings"][0], "no sample of cpu_typo in the data (rule Hot)");
        assert_eq!(warnings(&report()), ["rule r failed 3 times, first at 1970-01-01 00:01:00: many-to-many"]);
    }

    #[test]
    fn json_and_page_hold_everything_and_nothing_breaks_out() {
        let shown = json(&report());
        assert_eq!(shown["rules"][0]["firedPerDay"], 0.5);
        assert_eq!(shown["alerts"][0]["firedForSeconds"], 600.0);
        assert_eq!((&shown["alerts"][1]["value"], &shown["alerts"][1]["endedAt"]), (&json!("inf"), &Value::Null));
        let page = html(&report());
        assert!(page.contains("&lt;a&amp;b&gt;") && !page.contains("<a&b>"), "{page}");
        assert!(!page.contains("http://") || !page.contains("src="), "self-contained");
    }
}
