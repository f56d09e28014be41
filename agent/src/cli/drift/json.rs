//! The report for programs: a number that does not exist is absent, never 0 or NaN.

use plimsoll_rules::two_sample::Outcome;
use serde_json::{Map, Value, json};

use super::report::{ColumnReport, Report};
use super::words::{change, direction};

/// The whole report.
pub(super) fn value(report: &Report) -> Value {
    let columns: Vec<Value> = report.columns.iter().map(column).collect();
    let mut all = json!({"drift": report.drift(), "columns": columns});
    if !report.skipped.is_empty() {
        all["skipped"] = report.skipped.iter().map(|(name, why)| json!({"name": name, "reason": why})).collect();
    }
    all
}

fn column(column: &ColumnReport) -> Value {
    let effect = &column.found.effect;
    let effect =
        [("wasserstein", effect.wasserstein), ("psi", effect.psi), ("js", effect.js), ("hellinger", effect.hellinger)];
    let tests = &column.found.tests;
    let mut tests: Map<String, Value> =
        [("ks", tests.ks), ("cvm", tests.cvm), ("chi2", tests.chi2), ("g", tests.g), ("mmd", tests.mmd)]
            .into_iter()
            .filter_map(|(name, test)| Some((name.to_owned(), outcome("statistic", test?))))
            .collect();
    if let Some(auc) = column.found.tests.classifier {
        tests.insert("classifier".into(), outcome("auc", auc));
    }
    let mut out = json!({
        "name": column.name,
        "kind": column.kind.word(),
        "n_reference": column.count[0],
        "n_current": column.count[1],
        "drift": column.verdict.drift,
        "effect": present(&effect),
        "tests": tests,
    });
    if let Some(p) = column.verdict.p_adjusted.filter(|p| p.is_finite()) {
        out["p_adjusted"] = json!(p);
    }
    if column.missing != [0, 0] {
        out["missing_reference"] = json!(column.missing[0]);
        out["missing_current"] = json!(column.missing[1]);
    }
    for (key, odd) in ["not_numbers_reference", "not_numbers_current"].into_iter().zip(&column.odd) {
        if let Some(odd) = odd.value() {
            out[key] = odd;
        }
    }
    out["direction"] = json!(direction(column));
    out["change"] = json!(change(column));
    out
}

fn outcome(name: &str, test: Outcome) -> Value {
    Value::Object(present(&[(name, Some(test.statistic)), ("p_value", Some(test.p_value))]))
}

/// The pairs that have a finite number.
fn present(pairs: &[(&str, Option<f64>)]) -> Map<String, Value> {
    let there = pairs.iter().filter_map(|(name, value)| Some((*name, value.filter(|value| value.is_finite())?)));
    there.map(|(name, value)| (name.to_owned(), json!(value))).collect()
}
