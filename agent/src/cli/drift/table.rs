//! The report for people at a terminal.

use super::report::{ColumnReport, Report};
use super::words::{change, direction, p_text, short, verdict};
use crate::cli::backtest::aligned;

/// The verdict, and one line a column.
pub(super) fn text(report: &Report) -> String {
    let [reference, current] = &report.files;
    let mut out = format!(
        "{}\nreference {reference}: {} rows, current {current}: {} rows\n\n",
        verdict(report),
        report.rows[0],
        report.rows[1]
    );
    let header = ["COLUMN", "KIND", "DRIFT", "ADJUSTED P", "EFFECT", "DIRECTION", "CHANGE"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(header).chain(report.columns.iter().map(row)).collect();
    aligned(&rows, &mut out);
    for (name, why) in &report.skipped {
        out += &format!("not compared: {name}: {why}\n");
    }
    out
}

fn row(column: &ColumnReport) -> [String; 7] {
    let effect = match (column.found.tests.ks, column.found.effect.psi, column.found.tests.classifier) {
        (Some(ks), Some(psi), _) => format!("KS {} PSI {}", short(ks.statistic), short(psi)),
        (_, Some(psi), _) => format!("PSI {}", short(psi)),
        (_, _, Some(auc)) => format!("AUC {}", short(auc.statistic)),
        _ => "-".to_owned(),
    };
    [
        column.name.clone(),
        column.kind.word().to_owned(),
        if column.verdict.drift { "yes" } else { "no" }.to_owned(),
        p_text(column.verdict.p_adjusted),
        effect,
        direction(column).to_owned(),
        change(column),
    ]
}
