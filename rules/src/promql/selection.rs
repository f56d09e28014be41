//! Series by selector, apart from any evaluation: what an expression reads, and what a `match[]` of the query API means.

use super::ParseError;
use super::ast::{Expr, Node, Shift};
use super::matcher::Selector;
use super::parser::parse;
use crate::{Excerpt, Labels, Store, Timestamp};

/// A plain selector, such as `up{job="api"}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection(Selector);

/// Parses a plain selector: no range, no offset, nothing around it.
///
/// # Errors
/// [`ParseError`] with the position.
pub fn parse_selection(text: &str) -> Result<Selection, ParseError> {
    match parse(text)? {
        Expr(Node::Selector(selector, shift)) if shift == Shift::default() => Ok(Selection(selector)),
        _ => {
            let message = "a plain selector is wanted here, such as up{job=\"api\"}".to_owned();
            Err(ParseError { line: 1, column: 1, message })
        }
    }
}

impl Selection {
    /// The one metric it can mean, where there is only one.
    pub fn name(&self) -> Option<&str> {
        self.0.exact_name()
    }

    /// Whether these labels are meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.matches(labels)
    }
}

impl Store {
    /// Labels of every series that one of `selections` means (of all series where there is none) and whose samples
    /// reach into `[from, until]`, each once, in no particular order.
    pub fn series(&self, selections: &[Selection], from: Timestamp, until: Timestamp) -> Vec<Labels> {
        let (from, until) = (from.millis(), until.millis());
        let mut found: Vec<Labels> = Vec::new();
        match selections {
            [] => found.extend(self.select(None).filter(|s| s.overlaps(from, until)).map(|s| s.labels.clone())),
            [one] => {
                found.extend(one.0.select(self).filter(|s| s.overlaps(from, until)).map(|s| s.labels.clone()));
            }
            many => {
                for (number, selection) in many.iter().enumerate() {
                    let before = &many[..number];
                    let new = |labels: &Labels| !before.iter().any(|earlier| earlier.matches(labels));
                    let fits = selection.0.select(self).filter(|s| s.overlaps(from, until) && new(&s.labels));
                    found.extend(fits.map(|s| s.labels.clone()));
                }
            }
        }
        found
    }
}

impl Expr {
    /// Every series that this expression can read, as it is now.
    pub fn excerpt(&self, store: &Store) -> Excerpt {
        let selectors = self.0.selectors();
        let mut unavailable: Vec<(String, String)> = Vec::new();
        for (name, why) in selectors.iter().filter_map(|selector| selector.unavailable(store)) {
            if !unavailable.iter().any(|(known, _)| known == name) {
                unavailable.push((name.to_owned(), why.to_owned()));
            }
        }
        store.excerpt(selectors.iter().flat_map(|selector| selector.select(store)), unavailable)
    }

    /// Every selector as text, name and matchers only, each once: what a database has to be asked for.
    pub fn selections(&self) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for selector in self.0.selectors() {
            let text = selector.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::StoreLimits;

    #[test]
    fn only_plain_selectors_are_selections() {
        for (text, good) in [
            ("up", true),
            ("{__name__=~\"u.*\"}", true),
            ("up offset 5m", false),
            ("up[5m]", false),
            ("1", false),
            ("{", false),
            ("{a=\"\"}", false),
        ] {
            assert_eq!(parse_selection(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn series_come_once_and_within_their_time() {
        let mut store = Store::new(StoreLimits { series: 10, retention: Duration::from_secs(60) });
        let at = Timestamp::from_millis;
        for (name, job, millis) in [("a", "x", 1000), ("a", "y", 2000), ("b", "x", 3000)] {
            store.append(&Labels::metric(name, [("job", job)]), at(millis), 1.0);
        }
        for (why, texts, from, until, expected) in [
            ("no selector", &[][..], 0, 9000, "a{job=\"x\"} a{job=\"y\"} b{job=\"x\"}"),
            ("from the second on", &[], 2000, 9000, "a{job=\"y\"} b{job=\"x\"}"),
            ("up to the second", &["{job=~\".+\"}"], 0, 2000, "a{job=\"x\"} a{job=\"y\"}"),
            ("two that overlap", &["a", "{job=\"x\"}"], 0, 9000, "a{job=\"x\"} a{job=\"y\"} b{job=\"x\"}"),
        ] {
            let selections: Vec<Selection> = texts.iter().map(|text| parse_selection(text).unwrap()).collect();
            let mut found: Vec<String> =
                store.series(&selections, at(from), at(until)).iter().map(ToString::to_string).collect();
            found.sort();
            assert_eq!(found.join(" "), expected, "{why}");
        }
    }

    #[test]
    fn what_an_expression_reads_is_listed_once() {
        let expr = parse("rate(a{l=\"x\"}[5m]) / a{l=\"x\"} + max_over_time(sum(b)[1h:5m])").unwrap();
        assert_eq!(expr.selections(), ["a{l=\"x\"}", "b"]);
    }
}
