//! What the page says first, in plain words, and what to do about it.

use std::fmt::Write as _;

use plimsoll_rules::two_sample::column::Measure;

use super::super::report::{ColumnReport, Report, View};
use super::super::words::{change, direction, percent};
use crate::cli::backtest::escape;

/// Columns that are given advice of their own.
const ADVISED: usize = 6;

/// One paragraph for somebody who reads nothing else.
pub(super) fn gist(report: &Report) -> &'static str {
    let moved = report.columns.iter().filter(|column| column.verdict.drift).count();
    let unjudged = report.columns.iter().all(|column| column.verdict.p_adjusted.is_none());
    match (moved, unjudged || moved == 0 && report.is_small()) {
        (_, true) => "There are too few values to say whether the data has changed.",
        (0, _) => {
            "The current data looks like the reference: what differs is small, or no more than chance gives. Nothing needs to be done."
        }
        _ => {
            "The current data is not like the reference: the columns below differ by enough to matter, and by more than chance explains. \
             Drift alone does not say that answers got worse; it says that the system now meets data it was not measured on."
        }
    }
}

/// The card with the next steps; nothing when there is nothing to do.
pub(super) fn steps(report: &Report) -> String {
    let moved: Vec<&ColumnReport> = report.columns.iter().filter(|column| column.verdict.drift).collect();
    if moved.is_empty() {
        return String::new();
    }
    let mut out = String::from("<section class=\"card\"><h2>What to do next</h2><ol class=\"steps\">\n");
    for column in moved.iter().take(ADVISED) {
        let _ = writeln!(out, "<li><b>{}</b>: {}</li>", escape(&column.name), escape(&advice(column)));
    }
    if moved.len() > ADVISED {
        let _ = writeln!(out, "<li>Then the other {} columns, largest effect first.</li>", moved.len() - ADVISED);
    }
    out.push_str(
        "<li>Was this meant to happen (a release, a new customer, a campaign)? Then make the current data the new reference. If not, \
         find the day it began: <code>plimsoll drift watch</code> replays a file row by row.</li></ol></section>\n",
    );
    out
}

fn advice(column: &ColumnReport) -> String {
    if column.verdict.beyond.contains(&Measure::Missing) {
        return format!(
            "values are missing that were there before, or the other way round ({}). Check what writes it.",
            change(column)
        );
    }
    match &column.view {
        View::Texts { groups, .. } if !groups.is_empty() => {
            let share: f64 = groups.iter().map(|group| group.share).sum();
            format!(
                "people write about subjects that the reference lacks, in about {} of the texts. Read the examples below, decide whether \
                 they should be answered, and add some to the evaluation set.",
                percent(share.min(1.0))
            )
        }
        View::Texts { .. } => "the wording has changed. Compare a dozen texts of both files side by side.".to_owned(),
        View::Categories(_) => {
            format!("the mix has changed ({}). Find out who sends what is new or grew.", change(column))
        }
        View::Numbers(_) => {
            let way = match direction(column) {
                "up" => "values have gone up",
                "down" => "values have gone down",
                "wider" => "values are spread wider",
                "narrower" => "values are spread less wide",
                _ => "values are distributed otherwise",
            };
            format!(
                "{way} ({}). See in the histogram whether all of them moved, or a new group of requests joined.",
                change(column)
            )
        }
        View::Empty => "one of the files has no values. Check what writes it.".to_owned(),
    }
}
