//! The rules that need no configuration, as they are and in fast motion.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use regex::{Captures, Regex};

use super::rule::{Action, Group, Rule};
use super::rule_file::load_rules;
use crate::promql::parse_duration;

/// The built-in rules, as a rule file.
pub const BUILTIN_RULES: &str = include_str!("../../builtin.yml");

/// Groups are not evaluated more often than this, however fast the motion.
const FASTEST: Duration = Duration::from_secs(1);

/// The built-in rules with every duration (intervals, `for`, ranges, offsets, and those written in annotations)
/// multiplied by `factor`, as a rule file. Intervals stay at or above one second; a factor that is no number above 0
/// is taken as 1, one above 1000 as 1000.
pub fn builtin_scaled(factor: f64) -> String {
    let factor = if factor > 0.0 { factor.min(1000.0) } else { 1.0 };
    let mut out = format!("# The built-in rules, every duration multiplied by {factor}.\ngroups:\n");
    for mut group in load_rules("builtin.yml", BUILTIN_RULES, Duration::from_secs(15)).unwrap_or_default() {
        group.interval = group.interval.mul_f64(factor).max(FASTEST);
        for rule in &mut group.rules {
            scale(rule, factor);
        }
        print_group(&mut out, &group);
    }
    out
}

fn scale(rule: &mut Rule, factor: f64) {
    rule.expr.scale_durations(factor);
    if let Action::Alert { hold, keep_firing, annotations } = &mut rule.action {
        (*hold, *keep_firing) = (hold.mul_f64(factor), keep_firing.mul_f64(factor));
        annotations.values_mut().for_each(|text| *text = scale_text(text, factor));
    }
}

/// Scales what reads as a duration (`5m`, `1h`) in a sentence.
fn scale_text(text: &str, factor: f64) -> String {
    static SPAN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b\d+(?:ms|s|m|h|d)\b").ok());
    let scaled = |found: &Captures<'_>| match parse_duration(&found[0]) {
        Ok(span) => show(span.mul_f64(factor)),
        Err(_) => found[0].to_owned(),
    };
    SPAN.as_ref().map_or_else(|| text.to_owned(), |span| span.replace_all(text, scaled).into_owned())
}

/// A duration as Prometheus writes it, in the largest unit that divides it.
fn show(span: Duration) -> String {
    let millis = span.as_millis();
    match [(3_600_000, "h"), (60_000, "m"), (1000, "s")]
        .iter()
        .find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", millis / unit),
        None => format!("{millis}ms"),
    }
}

fn print_group(out: &mut String, group: &Group) {
    let _ = writeln!(out, "  - name: {}\n    interval: {}\n    rules:", group.name, show(group.interval));
    for rule in &group.rules {
        print_rule(out, rule);
    }
}

fn print_rule(out: &mut String, rule: &Rule) {
    let key = if rule.action == Action::Record { "record" } else { "alert" };
    let _ = writeln!(out, "      - {key}: {}\n        expr: {}", rule.name, quoted(&rule.expr.to_string()));
    if let Action::Alert { hold, keep_firing, .. } = &rule.action {
        for (key, span) in [("for", hold), ("keep_firing_for", keep_firing)] {
            if !span.is_zero() {
                let _ = writeln!(out, "        {key}: {}", show(*span));
            }
        }
    }
    print_map(out, "labels", rule.labels.iter());
    if let Action::Alert { annotations, .. } = &rule.action {
        print_map(out, "annotations", annotations.iter());
    }
}

fn print_map<'a>(out: &mut String, key: &str, entries: impl ExactSizeIterator<Item = (&'a String, &'a String)>) {
    if entries.len() == 0 {
        return;
    }
    let _ = writeln!(out, "        {key}:");
    for (name, text) in entries {
        let _ = writeln!(out, "          {name}: {}", quoted(text));
    }
}

/// Single quotes where they do, as people write them; double quotes for text with line breaks.
fn quoted(text: &str) -> String {
    if text.contains('\n') {
        // A JSON string is a YAML string.
        serde_json::Value::from(text).to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
