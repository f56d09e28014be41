//! Signals that are numbers.

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{
    Change, Comparison, Direction, Explanation, MIN_REFERENCE, Quantiles, ScalarDetector, ScalarReference,
};
use serde_json::{Value, json};

use super::finding::{Finding, percent, said};
use super::method::{Method, MethodConfig};
use super::ring::Ring;
use super::signal::Signal;

impl Method for ScalarDetector {
    type Value = f64;
    type Reference = ScalarReference;

    const LEAST: usize = MIN_REFERENCE;

    fn learn(values: &[&f64], config: &MethodConfig) -> Result<ScalarReference, String> {
        let values: Vec<f64> = values.iter().map(|value| **value).collect();
        ScalarReference::learn(&values, config.detector.seed).map_err(|why| why.to_string())
    }

    fn start(reference: &ScalarReference, config: &MethodConfig, now: Timestamp) -> Result<Self, String> {
        Self::new(reference.clone(), config.detector, now).map_err(|why| why.to_string())
    }

    fn observe(&mut self, now: Timestamp, value: &f64) -> Change {
        Self::observe(self, now, *value)
    }

    fn set_arl(&mut self, arl: f64) {
        Self::set_arl(self, arl);
    }

    fn finding(&self, signal: Signal, _recent: &Ring<Self::Value>) -> Finding {
        let why = self.explain();
        let mut statistics = vec![("reference_median", why.reference.p50)];
        statistics.extend(why.recent.map(|recent| ("recent_median", recent.p50)));
        Finding {
            alarm: self.alarm().map(Into::into),
            threshold_ratio: (self.evidence() / self.level()).max(0.0),
            evidence: Some(why.evidence),
            threshold: Some(self.level()),
            direction: direction(why.direction).into(),
            size: size(&why, signal.unit()),
            since: Some(why.since),
            statistics,
            ..Finding::default()
        }
    }

    fn describe(reference: &ScalarReference) -> Value {
        json!({"quantiles": Quantiles::of_reference(reference), "autocorrelation": reference.phi()})
    }

    fn compare(before: &ScalarReference, after: &ScalarReference) -> Value {
        json!(Comparison::of(before, after))
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
        Direction::Wider => "more spread out",
        Direction::Narrower => "less spread out",
        Direction::UpperTail => "more very large values",
        Direction::LowerTail => "more very small values",
    }
}

/// `median 310 -> 575 tokens (+85 %), 90 % range 120..900 -> 300..1500 tokens`.
fn size(why: &Explanation, unit: &str) -> String {
    let (before, Some(now)) = (why.reference, why.recent) else {
        return format!("median {} {unit} in the baseline; nothing recent to compare with", said(why.reference.p50));
    };
    let change = match before.p50 {
        0.0 => String::new(),
        median => {
            let change = (now.p50 - median) / median.abs();
            format!(" ({}{})", if change < 0.0 { "" } else { "+" }, percent(change))
        }
    };
    format!(
        "median {} -> {} {unit}{change}, 90 % of values {}..{} -> {}..{} {unit}",
        said(before.p50),
        said(now.p50),
        said(before.p05),
        said(before.p95),
        said(now.p05),
        said(now.p95),
    )
}
