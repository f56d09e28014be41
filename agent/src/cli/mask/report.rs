//! What was found: kind, place, token. The values themselves only when asked for.

use std::fmt::Write as _;

use plimsoll_rules::mask::{Counts, Finding, Masker};
use serde_json::{Map, Value, json};

/// Whether a report shows the values that were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// Never by default.
    Hidden,
    /// The user asked.
    Shown,
}

/// Everything found so far.
pub(super) struct Report<'m> {
    masker: &'m Masker,
    values: Values,
    found: Vec<Row>,
    counts: Counts,
}

struct Row {
    line: usize,
    column: usize,
    field: String,
    kind: String,
    token: String,
    value: Option<String>,
}

impl<'m> Report<'m> {
    /// Nothing found yet.
    pub(super) fn new(masker: &'m Masker, values: Values) -> Self {
        Self { masker, values, found: Vec::new(), counts: Counts::default() }
    }

    /// Looks at a whole file.
    pub(super) fn text(&mut self, text: &str) {
        let (mut line, mut line_start) = (1, 0);
        for finding in self.masker.find(text) {
            let passed = &text[line_start..finding.range.start];
            if let Some(last) = passed.rfind('\n') {
                line += passed.matches('\n').count();
                line_start += last + 1;
            }
            let column = text[line_start..finding.range.start].chars().count() + 1;
            self.note(text, finding, (line, column), "");
        }
    }

    /// What finds.
    pub(super) fn masker(&self) -> &'m Masker {
        self.masker
    }

    /// Takes what was found in a field of a line of JSONL; columns count inside the field.
    pub(super) fn field(&mut self, line: usize, field: &str, text: &str, found: Vec<Finding>) {
        for finding in found {
            let column = text[..finding.range.start].chars().count() + 1;
            self.note(text, finding, (line, column), field);
        }
    }

    fn note(&mut self, text: &str, finding: Finding, (line, column): (usize, usize), field: &str) {
        self.counts.count(finding.kind);
        self.found.push(Row {
            line,
            column,
            field: field.to_owned(),
            kind: self.masker.kind_name(finding.kind),
            value: (self.values == Values::Shown).then(|| text[finding.range].to_owned()),
            token: finding.token,
        });
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut out = String::new();
        let place = |row: &Row| match row.field.is_empty() {
            true => format!("{}:{}", row.line, row.column),
            false => format!("{}:{}:{}", row.line, row.field, row.column),
        };
        let width = self.found.iter().map(|row| place(row).len()).max().unwrap_or(0).max("place".len());
        if !self.found.is_empty() {
            let _ = writeln!(out, "{:width$}  {:15}  token", "place", "kind");
        }
        for row in &self.found {
            let value = row.value.as_ref().map(|value| format!("  {value:?}")).unwrap_or_default();
            let _ = writeln!(out, "{:width$}  {:15}  {}{value}", place(row), row.kind, row.token);
        }
        let kinds = self.counts.iter().map(|(kind, n)| format!("{} {n}", self.masker.kind_name(kind)));
        let kinds: Vec<String> = kinds.collect();
        let summary = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
        let _ = writeln!(out, "found: {summary}");
        out
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let found = self.found.iter().map(|row| {
            let mut object = json!({"kind": row.kind, "line": row.line, "column": row.column, "token": row.token});
            if !row.field.is_empty() {
                object["field"] = json!(row.field);
            }
            if let Some(value) = &row.value {
                object["value"] = json!(value);
            }
            object
        });
        let counts: Map<String, Value> =
            self.counts.iter().map(|(kind, n)| (self.masker.kind_name(kind), json!(n))).collect();
        json!({"found": found.collect::<Vec<_>>(), "counts": counts})
    }
}
