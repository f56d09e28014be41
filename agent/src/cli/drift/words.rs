//! The report in sentences: what moved, which way, by how much.

use plimsoll_rules::two_sample::column::Measure;

use super::report::{ColumnReport, NumbersView, QUANTILES, Report, View};

/// A number with about three digits that count.
pub(in crate::cli) fn short(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        0.0 => "0".to_owned(),
        1e6.. => format!("{value:.2e}"),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        0.001.. => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    };
    if text.contains('.') && !text.contains('e') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

/// A share as a percentage.
pub(in crate::cli) fn percent(share: f64) -> String {
    format!("{} %", short((share * 1000.0).round() / 10.0))
}

/// A p-value; below 1e-300 floating point has no more digits.
pub(super) fn p_text(p: Option<f64>) -> String {
    match p {
        None => "too few values".to_owned(),
        Some(p) if p < 1e-300 => "< 1e-300".to_owned(),
        Some(p) if p < 0.001 => format!("{p:.0e}"),
        Some(p) => format!("{p:.3}"),
    }
}

/// Which way a column moved, in one word.
pub(super) fn direction(column: &ColumnReport) -> &'static str {
    match &column.view {
        View::Numbers(view) => numbers_direction(view, column.found.effect.wasserstein.unwrap_or(0.0)),
        View::Categories(_) if column.found.effect.js == Some(0.0) => "none",
        View::Categories(_) => "mix",
        View::Texts { .. } => "content",
        View::Empty => "none",
    }
}

fn numbers_direction(view: &NumbersView, carried: f64) -> &'static str {
    if carried == 0.0 {
        return "none";
    }
    let shift = view.means[1] - view.means[0];
    if shift.abs() >= 0.5 * carried {
        return if shift > 0.0 { "up" } else { "down" };
    }
    let spread = |side: usize| view.quantiles[5][side] - view.quantiles[1][side];
    match spread(1) - spread(0) {
        wider if wider > 0.2 * carried => "wider",
        narrower if narrower < -0.2 * carried => "narrower",
        _ => "reshaped",
    }
}

/// What moved, with both numbers; for every column, whatever the verdict.
pub(super) fn change(column: &ColumnReport) -> String {
    let mut said = match &column.view {
        View::Empty => "no values on one side".to_owned(),
        View::Numbers(view) => numbers_change(view, direction(column)),
        View::Categories(shown) => categories_change(shown, column.count),
        View::Texts { terms, .. } => texts_change(column, terms),
    };
    let share = |side: usize| column.missing[side] as f64 / ((column.missing[side] + column.count[side]).max(1)) as f64;
    if column.verdict.beyond.contains(&Measure::Missing) || (share(1) - share(0)).abs() >= 0.01 {
        said += &format!("; missing {} → {}", percent(share(0)), percent(share(1)));
    }
    said
}

/// The quantile that says most about a direction: the middle, or an outer one where the spread changed.
fn numbers_change(view: &NumbersView, direction: &str) -> String {
    let pair = |at: usize| (QUANTILES[at], view.quantiles[at]);
    let relative = |[a, b]: [f64; 2]| {
        // thousands of per cent say only that it was nearly nothing before
        if a > 0.0 && b >= 0.0 && b / a <= 10.0 { format!(" ({:+.0} %)", (b / a - 1.0) * 100.0) } else { String::new() }
    };
    let (share, values) = match direction {
        "wider" | "narrower" | "reshaped" => {
            let [low, high] = [1, 5].map(|at| pair(at).1);
            let span = |[a, b]: [f64; 2]| format!("{} to {}", short(a), short(b));
            let (before, now) = (span([low[0], high[0]]), span([low[1], high[1]]));
            return format!("90 % of values {before} → {now}");
        }
        _ => {
            let middle = pair(3);
            let moved = |[a, b]: [f64; 2]| (b - a).abs();
            // a tail that moved while the middle stood still
            let tail = pair(5);
            if moved(middle.1) == 0.0 && moved(tail.1) > 0.0 { tail } else { middle }
        }
    };
    let name = if share == 0.5 { "median".to_owned() } else { format!("p{}", (share * 100.0).round()) };
    format!("{name} {} → {}{}", short(values[0]), short(values[1]), relative(values))
}

fn categories_change(shown: &[(String, [u64; 2])], count: [u64; 2]) -> String {
    let share = |counts: &[u64; 2], side: usize| counts[side] as f64 / count[side].max(1) as f64;
    let most = shown.iter().take(2).map(|(name, counts)| {
        let name: String = name.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("{name} {} → {}", percent(share(counts, 0)), percent(share(counts, 1)))
    });
    most.collect::<Vec<_>>().join(", ")
}

fn texts_change(column: &ColumnReport, terms: &[(String, f64, f64)]) -> String {
    let auc = column.found.tests.classifier.map_or_else(String::new, |auc| format!("AUC {:.3}", auc.statistic));
    let said: Vec<String> = terms
        .iter()
        .take(2)
        .map(|(term, before, now)| format!("{term:?} in {} → {}", percent(*before), percent(*now)))
        .collect();
    if said.is_empty() { auc } else { format!("{auc}{}{}", if auc.is_empty() { "" } else { ": " }, said.join(", ")) }
}

/// The report's one sentence.
pub(super) fn verdict(report: &Report) -> String {
    let (all, moved): (usize, Vec<&ColumnReport>) =
        (report.columns.len(), report.columns.iter().filter(|column| column.verdict.drift).collect());
    if moved.is_empty() && report.is_small() {
        let (rows, which) = if report.rows[0] < report.rows[1] { (report.rows[0], 0) } else { (report.rows[1], 1) };
        let unit = if rows == 1 { "row" } else { "rows" };
        return format!(
            "Too few rows to judge: {} has {rows} {unit}, and at least {} are wanted.",
            report.files[which],
            Report::FEW
        );
    }
    if moved.is_empty() {
        let evidence =
            report.columns.iter().filter(|column| column.verdict.p_adjusted.is_some_and(|p| p <= report.floors.alpha));
        let small = evidence.count();
        let aside = match small {
            0 => String::new(),
            1 => "; one differs, by too little to matter".to_owned(),
            n => format!("; {n} differ, by too little to matter"),
        };
        let what = if all == 1 { "The column has".to_owned() } else { format!("None of {all} columns has") };
        let not = if all == 1 { " not drifted" } else { " drifted" };
        return format!("{what}{not}{aside}.");
    }
    let names: Vec<&str> = moved.iter().map(|column| column.name.as_str()).take(6).collect();
    let more =
        if moved.len() > names.len() { format!(" and {} more", moved.len() - names.len()) } else { String::new() };
    let have = if moved.len() == 1 { "has" } else { "have" };
    let columns = if all == 1 { "column" } else { "columns" };
    format!("{} of {all} {columns} {have} drifted: {}{more}.", moved.len(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (1234.5, "1234"),
            (0.1234, "0.123"),
            (12.0, "12"),
            (-3.456, "-3.46"),
            (1.5e9, "1.50e9"),
            (0.000_012, "1.2e-5"),
            (100.0, "100"),
        ] {
            assert_eq!(short(value), expected);
        }
        assert_eq!(
            (percent(0.1234), percent(1.0), p_text(Some(0.0))),
            ("12.3 %".into(), "100 %".into(), "< 1e-300".into())
        );
    }
}
