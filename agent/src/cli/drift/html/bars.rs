//! Rows of bars as plain HTML, so that names wrap and letters keep their size on a phone.

use std::fmt::Write as _;

use super::super::report::{ColumnReport, Report};
use super::super::words::{percent, short};
use crate::cli::backtest::escape;

/// Borders of PSI by custom: below the first stable, above the second a large shift.
const CUSTOM: [f64; 2] = [0.1, 0.2];
/// PSI at the end of a bar.
const MOST: f64 = 0.4;
/// Letters of a name.
const NAME: usize = 60;

/// Two bars a row: shares of the reference and of the current sample.
pub(super) fn pairs(rows: &[(String, [f64; 2])]) -> String {
    let told = |shares: &[f64; 2]| format!("{} → {}", percent(shares[0]), percent(shares[1]));
    rows_of(rows.iter().map(|(name, shares)| (name.clone(), *shares, told(shares))).collect())
}

/// Shares of each bin, and what it adds to PSI: `(q - p) ln(q / p)`, an empty bin counted as half a value.
pub(super) fn bins(bins: &[(f64, f64, [u64; 2])], count: [u64; 2]) -> String {
    let of = |side: usize| count[side].max(1) as f64;
    let row = |(from, to, counts): &(f64, f64, [u64; 2])| {
        let range = if from == to { short(*from) } else { format!("{} – {}", short(*from), short(*to)) };
        let shares = [0, 1].map(|side| counts[side] as f64 / of(side));
        let [p, q] = [0, 1].map(|side| (counts[side] as f64).max(0.5) / of(side));
        let part = (q - p) * (q / p).ln();
        let told = format!("{} → {}, adds {:.3}", percent(shares[0]), percent(shares[1]), part);
        (range, shares, told)
    };
    rows_of(bins.iter().map(row).collect())
}

fn rows_of(rows: Vec<(String, [f64; 2], String)>) -> String {
    let top = rows.iter().flat_map(|(_, shares, _)| *shares).fold(1e-12, f64::max);
    let mut out = String::from("<div class=\"bars\">");
    for (name, shares, told) in rows {
        let shown: String = name.chars().take(NAME).collect();
        let cut = if name.chars().count() > NAME { "…" } else { "" };
        let width = |side: usize| (shares[side] / top * 100.0).clamp(0.3, 100.0);
        let _ = writeln!(
            out,
            "<div class=\"row\"><span class=\"name\">{}{cut}</span><span class=\"track\"><i class=\"r\" style=\"width:{:.1}%\"></i>\
             <i class=\"c\" style=\"width:{:.1}%\"></i></span><span class=\"val\">{}</span></div>",
            escape(&shown),
            width(0),
            width(1),
            escape(&told)
        );
    }
    out + "</div>"
}

/// PSI of every column that has one, with the customary borders.
pub(super) fn psi(report: &Report) -> String {
    let mut columns: Vec<(&ColumnReport, f64)> =
        report.columns.iter().filter_map(|column| Some((column, column.found.effect.psi?))).collect();
    if columns.is_empty() {
        return String::new();
    }
    columns.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut out = String::from(
        "<section class=\"card\"><h2>How far each column has moved</h2><p class=\"why\">Population stability index (PSI, no \
         unit). By custom: below 0.1 stable, 0.1 to 0.2 look into it, above 0.2 a large shift. A bar that reaches the end is 0.4 \
         or more.</p><div class=\"bars psi\"><div class=\"row scale\"><span class=\"name\"></span><span class=\"track\">",
    );
    for border in CUSTOM {
        let _ = write!(out, "<b style=\"left:{:.1}%\">{border}</b>", border / MOST * 100.0);
    }
    out.push_str("</span><span class=\"val\"></span></div>");
    for (column, psi) in columns {
        let class = CUSTOM.iter().filter(|border| psi >= **border).count();
        let _ = writeln!(
            out,
            "<div class=\"row\"><span class=\"name\">{}</span><span class=\"track\"><i class=\"level{class}\" style=\"width:{:.1}%\"></i>\
             <u style=\"left:25%\"></u><u style=\"left:50%\"></u></span><span class=\"val\">{}, {}</span></div>",
            escape(&column.name),
            (psi / MOST * 100.0).clamp(0.3, 100.0),
            short(psi),
            ["stable", "look into it", "large shift"][class]
        );
    }
    out + "</div></section>\n"
}
