//! Signals that are one of a few words.

use std::collections::BTreeMap;

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{CategoricalDetector, CategoricalReference, CategoryCounts, Change, MIN_REFERENCE};
use serde_json::{Map, Value, json};

use super::finding::{Finding, Top, percent};
use super::method::{Method, MethodConfig};
use super::ring::Ring;
use super::signal::Signal;

/// What rare and new categories are called where none can be named.
const OTHER: &str = "(rare or never seen before)";
/// Categories shown.
const SHOWN: usize = 5;

impl Method for CategoricalDetector {
    type Value = Box<str>;
    type Reference = CategoricalReference;

    const LEAST: usize = MIN_REFERENCE;

    fn learn(values: &[&Box<str>], _config: &MethodConfig) -> Result<CategoricalReference, String> {
        let mut counts = CategoryCounts::default();
        values.iter().for_each(|category| counts.add(category));
        CategoricalReference::learn(&counts).map_err(|why| why.to_string())
    }

    fn start(reference: &CategoricalReference, config: &MethodConfig, now: Timestamp) -> Result<Self, String> {
        Self::new(reference.clone(), config.detector, now).map_err(|why| why.to_string())
    }

    fn observe(&mut self, now: Timestamp, category: &Box<str>) -> Change {
        Self::observe(self, now, category)
    }

    fn set_arl(&mut self, arl: f64) {
        Self::set_arl(self, arl);
    }

    fn finding(&self, _signal: Signal, recent: &Ring<Self::Value>) -> Finding {
        let why = self.explain();
        let strange = strange(self.reference(), recent, why.since);
        let name = |category: &Option<String>| category.clone().unwrap_or_else(|| strange.clone());
        let category = name(&why.category);
        let shift = why.shares.iter().find(|(other, _)| *other == why.category).map(|(_, shift)| *shift);
        let size = shift.map_or_else(String::new, |shift| {
            format!("{category}: {} of all in the baseline, {} lately", percent(shift.reference), percent(shift.recent))
        });
        let grown = why.shares.iter().filter(|(_, shift)| shift.recent > shift.reference).take(SHOWN);
        let top = |(other, shift): &(Option<String>, plimsoll_rules::drift::ShareShift)| Top {
            kind: "category",
            item: name(other),
            weight: shift.recent / shift.reference,
        };
        Finding {
            alarm: self.alarm().map(Into::into),
            threshold_ratio: (self.evidence() / self.level()).max(0.0),
            evidence: Some(why.evidence),
            threshold: Some(self.level()),
            direction: format!("more {category}"),
            size,
            since: Some(why.since),
            statistics: shift.map_or_else(Vec::new, |shift| {
                vec![("reference_share", shift.reference), ("recent_share", shift.recent)]
            }),
            top: grown.map(top).collect(),
            examples: Vec::new(),
        }
    }

    fn describe(reference: &CategoricalReference) -> Value {
        let shares = reference.categories().iter().map(|name| (name.clone(), json!(reference.share(name))));
        json!({"shares": shares.collect::<Map<_, _>>()})
    }

    fn compare(before: &CategoricalReference, after: &CategoricalReference) -> Value {
        let mut names: Vec<&String> = before.categories().iter().chain(after.categories()).collect();
        names.sort();
        names.dedup();
        let shares = names
            .into_iter()
            .map(|name| (name.clone(), json!({"before": before.share(name), "after": after.share(name)})));
        json!({"shares": shares.collect::<Map<_, _>>()})
    }
}

/// The name of what is new: the most frequent recent category that has no share of its own in the reference.
fn strange(reference: &CategoricalReference, recent: &Ring<Box<str>>, since: Timestamp) -> String {
    let known = reference.categories();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, category) in recent.since(since).filter(|(_, category)| !known.iter().any(|name| **name == **category)) {
        *counts.entry(category).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map_or_else(|| OTHER.to_owned(), |(category, _)| category.to_owned())
}
