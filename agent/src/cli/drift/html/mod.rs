//! One HTML page that a manager can read: it needs no script, no font and no other file.

mod bars;
mod next;
mod svg;

use std::fmt::Write as _;

use plimsoll_rules::two_sample::column::Measure;

use super::kind::Kind;
use super::report::{ColumnReport, GroupView, NumbersView, Report, View};
use super::words::{change, direction, p_text, percent, short, verdict};
use crate::cli::backtest::escape;

/// Columns with pictures; the table lists all.
const PICTURED: usize = 200;

/// The whole page; `date` is when it was made.
pub(super) fn page(report: &Report, date: &str) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    out.push_str("<meta name=\"color-scheme\" content=\"light dark\"><title>Drift report</title><style>");
    out.push_str(include_str!("style.css"));
    out.push_str("</style></head><body><main>\n");
    banner(report, date, &mut out);
    out.push_str(&next::steps(report));
    summary(report, &mut out);
    out.push_str(&bars::psi(report));
    let mut order: Vec<(usize, &ColumnReport)> = report.columns.iter().enumerate().collect();
    order.sort_by_key(|(_, column)| !column.verdict.drift);
    for (at, column) in order.into_iter().take(PICTURED) {
        card(at, column, &mut out);
    }
    footer(report, &mut out);
    out.push_str("</main></body></html>\n");
    out
}

fn banner(report: &Report, date: &str, out: &mut String) {
    let class = if report.drift() { "banner drift" } else { "banner" };
    let _ = writeln!(out, "<div class=\"{class}\"><p class=\"eyebrow\">Drift report · {}</p>", escape(date));
    let _ = writeln!(out, "<h1>{}</h1>", escape(&verdict(report)));
    let _ = writeln!(out, "<p class=\"gist\">{}</p>", next::gist(report));
    let [reference, current] = &report.files;
    let [n, m] = report.rows.map(thousands);
    let _ = writeln!(
        out,
        "<p class=\"meta\" style=\"margin:0\">Reference {} ({n} rows), current {} ({m} rows)</p></div>",
        escape(reference),
        escape(current)
    );
}

fn summary(report: &Report, out: &mut String) {
    out.push_str(
        "<section class=\"card\"><h2>Columns</h2><div class=\"scroll\"><table class=\"summary\"><thead><tr><th>Column</th><th>Kind</th><th>Verdict</th>",
    );
    out.push_str("<th>What changed</th><th style=\"min-width:150px\">Size (1× is enough to matter)</th><th class=\"num\">Chance (adjusted p)</th></tr></thead><tbody>\n");
    for (at, column) in report.columns.iter().enumerate() {
        let _ = writeln!(
            out,
            "<tr><td><a href=\"#c{at}\">{}</a></td><td>{}</td><td>{}</td><td>{}</td><td class=\"size\">{}</td><td class=\"num\" data-label=\"chance \">{}</td></tr>",
            escape(&column.name),
            column.kind.word(),
            badge(column),
            escape(&change(column)),
            svg::against_floor(largest(column, report)),
            escape(&p_text(column.verdict.p_adjusted)),
        );
    }
    out.push_str("</tbody></table></div></section>\n");
}

/// The size that is nearest to its floor or furthest beyond, as a multiple of it.
fn largest(column: &ColumnReport, report: &Report) -> f64 {
    let of_floor = |(measure, size): &(Measure, f64)| match measure {
        // an AUC begins at one half
        Measure::Auc => (size - 0.5).max(0.0) / (report.floors.auc - 0.5).max(1e-9),
        measure => size / report.floors.of(*measure).max(1e-9),
    };
    column.found.sizes.iter().map(of_floor).fold(0.0, f64::max)
}

fn badge(column: &ColumnReport) -> &'static str {
    match (column.verdict.drift, column.verdict.p_adjusted) {
        (true, _) => "<span class=\"badge drift\">drift</span>",
        (false, Some(_)) => "<span class=\"badge\">no drift</span>",
        (false, None) => "<span class=\"badge plain\">too few values</span>",
    }
}

fn card(at: usize, column: &ColumnReport, out: &mut String) {
    let _ = writeln!(
        out,
        "<section class=\"card\" id=\"c{at}\"><div class=\"head\"><h2>{}</h2>{}",
        escape(&column.name),
        badge(column)
    );
    let _ = writeln!(out, "<span class=\"badge plain\">{}, {}</span></div>", column.kind.word(), direction(column));
    let _ = writeln!(out, "<p class=\"say\">{}</p>", escape(&told(column)));
    match &column.view {
        View::Empty => {}
        View::Numbers(view) => numbers(&column.name, view, column.count, out),
        View::Categories(shown) => categories(shown, column.count, out),
        View::Texts { terms, groups } => texts(terms, groups, out),
    }
    stats(column, out);
    out.push_str("</section>\n");
}

const LEGEND: &str = "<div class=\"legend\"><span><i style=\"background:var(--ref)\"></i>reference</span>\
    <span><i style=\"background:var(--cur)\"></i>current</span></div>";

fn numbers(name: &str, view: &NumbersView, count: [u64; 2], out: &mut String) {
    out.push_str(LEGEND);
    let _ = writeln!(
        out,
        "<div class=\"plots\"><div><h3>Share of values</h3>{}</div>",
        svg::histogram(&view.histogram, name)
    );
    let _ = writeln!(
        out,
        "<div><h3>Quantiles: so many of the values are below</h3>{}</div></div>",
        svg::quantiles(&view.quantiles)
    );
    let _ = writeln!(
        out,
        "<h3 style=\"margin-top:18px\">Where PSI comes from: share of values in each tenth of the reference</h3>{}",
        bars::bins(&view.bins, count)
    );
}

fn categories(shown: &[(String, [u64; 2])], count: [u64; 2], out: &mut String) {
    out.push_str(LEGEND);
    let share = |counts: &[u64; 2]| [0, 1].map(|side| counts[side] as f64 / count[side].max(1) as f64);
    let rows: Vec<(String, [f64; 2])> = shown.iter().map(|(name, counts)| (name.clone(), share(counts))).collect();
    let _ = writeln!(out, "{}", bars::pairs(&rows));
}

fn texts(terms: &[(String, f64, f64)], groups: &[GroupView], out: &mut String) {
    if terms.is_empty() {
        out.push_str("<p class=\"why\">No term stands out: the current texts are about the same things.</p>\n");
        return;
    }
    out.push_str("<h3>Terms that are more frequent now, share of texts</h3>");
    out.push_str(LEGEND);
    let rows: Vec<(String, [f64; 2])> =
        terms.iter().map(|(term, before, now)| (term.clone(), [*before, *now])).collect();
    let _ = writeln!(out, "{}", bars::pairs(&rows));
    if !groups.is_empty() {
        out.push_str(
            "<h3 style=\"margin-top:18px\">Groups of texts that the reference lacks, with examples (masked)</h3>\n",
        );
    }
    for group in groups {
        let mut words = group.terms.iter();
        let first = words.next().map_or("", String::as_str);
        let others: Vec<&str> = words.map(String::as_str).collect();
        let beside = if others.is_empty() { String::new() } else { format!(" with {}", others.join(", ")) };
        let _ = writeln!(
            out,
            "<div class=\"group\"><p><span class=\"term\">{}</span>{}: {} of current texts, {} of the reference's</p>",
            escape(first),
            escape(&beside),
            percent(group.share),
            percent(group.before),
        );
        for example in &group.examples {
            let _ = writeln!(out, "<blockquote>{}</blockquote>", escape(example));
        }
        out.push_str("</div>\n");
    }
}

/// Every number that there is.
fn stats(column: &ColumnReport, out: &mut String) {
    let mut shown: Vec<(&str, String)> = Vec::new();
    let effect = &column.found.effect;
    for (name, value) in [
        ("PSI", effect.psi),
        ("Wasserstein", effect.wasserstein),
        ("Jensen-Shannon", effect.js),
        ("Hellinger", effect.hellinger),
    ] {
        shown.extend(value.map(|value| (name, short(value))));
    }
    let tests = &column.found.tests;
    for (name, test) in [
        ("KS", tests.ks),
        ("Cramér-von Mises", tests.cvm),
        ("χ²", tests.chi2),
        ("G", tests.g),
        ("AUC", tests.classifier),
        ("MMD²", tests.mmd),
    ] {
        shown.extend(test.map(|test| (name, format!("{} (p {})", short(test.statistic), p_text(Some(test.p_value))))));
    }
    shown.push(("values", column.count.map(thousands).join(" / ")));
    if column.missing != [0, 0] {
        shown.push(("missing", column.missing.map(thousands).join(" / ")));
    }
    out.push_str("<div class=\"stats\">");
    for (name, value) in shown {
        let _ = write!(out, "<span>{name} <b>{}</b></span>", escape(&value));
    }
    out.push_str("</div>\n");
}

fn footer(report: &Report, out: &mut String) {
    let floors = &report.floors;
    out.push_str("<footer>");
    let _ = writeln!(
        out,
        "<p>A column has drifted when the difference is large enough to matter <em>and</em> chance does not explain it. Large \
         enough: KS ≥ {}, PSI beyond chance ≥ {}, Wasserstein ≥ {} standard deviations, AUC ≥ {}, or {} more or fewer missing \
         values. Not chance: p ≤ {} after adjustment over columns (Benjamini-Hochberg).</p>",
        short(floors.ks),
        short(floors.psi),
        short(floors.wasserstein),
        short(floors.auc),
        percent(floors.missing),
        short(floors.alpha),
    );
    if report.columns.iter().any(|column| column.kind == Kind::Text) {
        out.push_str("<p>AUC is the chance that a model which has seen neither tells a current text from a reference text: 0.5 is a coin.</p>\n");
    }
    for said in report.odd() {
        let _ = writeln!(out, "<p>{}.</p>", escape(&said));
    }
    if !report.skipped.is_empty() {
        let all: Vec<String> = report.skipped.iter().map(|(name, why)| format!("{name} ({why})")).collect();
        let _ = writeln!(out, "<p>Not compared: {}.</p>", escape(&all.join("; ")));
    }
    out.push_str("</footer>\n");
}

/// What changed, as a sentence; names of categories stay as they are written.
fn told(column: &ColumnReport) -> String {
    match (&column.view, column.found.tests.classifier) {
        (View::Texts { .. }, Some(auc)) => format!(
            "A model that has seen neither tells a current text from a reference text in {} of cases (50 % would be a coin).",
            percent(auc.statistic)
        ),
        (View::Categories(_), _) => format!("Share of values: {}", change(column)),
        _ => format!("What moved: {}", change(column)),
    }
}

/// `12 345`.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}
