//! Prints `docs/metrics.md` from the catalog.

use std::fmt::Write as _;

use crate::catalog::{CATALOG, Kind};

/// The list of every metric, in Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Metrics\n\nEverything that `/metrics` can show. Printed from `exporters/src/catalog.rs`; base units \
         everywhere, ratios from 0 to 1.\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for spec in CATALOG {
        let kind = match spec.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<String> = spec.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(out, "| `{}` | {kind} | {} | {} |", spec.name, labels.join(", "), spec.help);
    }
    out
}
