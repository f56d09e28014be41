//! Signals that are numbers: compared with all of the baseline, or by hour of the week once that is known.

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{
    Change, Comparison, Direction, Explanation, HourlyReference, MIN_REFERENCE, MovedQuantile, Quantiles,
    ScalarDetector, ScalarReference,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::finding::{Finding, percent, said};
use super::method::{Method, MethodConfig};
use super::ring::Ring;
use super::signal::Signal;
use crate::config::HourOfWeek;

/// Hours of the week that must be known before values are compared by hour: half of them.
const HOURS: usize = 84;

/// What is usual of numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum NumberReference {
    /// By hour of the week.
    Hours(Box<HourlyReference>),
    /// At any time.
    Always(ScalarReference),
}

impl NumberReference {
    fn pooled(&self) -> &ScalarReference {
        match self {
            Self::Hours(hours) => hours.pooled(),
            Self::Always(reference) => reference,
        }
    }

    fn hours(&self, config: &MethodConfig) -> Option<Box<HourlyReference>> {
        match self {
            Self::Hours(hours) if config.hours == HourOfWeek::Auto => Some(hours.clone()),
            _ => None,
        }
    }
}

/// Tells whether numbers have left their baseline. Serialises as its detector.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct NumberWatch {
    detector: ScalarDetector,
    #[serde(skip)]
    hours: Option<Box<HourlyReference>>,
}

impl Method for NumberWatch {
    type Value = f64;
    type Reference = NumberReference;

    const LEAST: usize = MIN_REFERENCE;

    fn learn(values: &[&f64], config: &MethodConfig) -> Result<NumberReference, String> {
        let values: Vec<f64> = values.iter().map(|value| **value).collect();
        let learned = ScalarReference::learn(&values, config.detector.seed);
        learned.map(NumberReference::Always).map_err(|why| why.to_string())
    }

    fn start(reference: &NumberReference, config: &MethodConfig, now: Timestamp) -> Result<Self, String> {
        let detector = ScalarDetector::new(reference.pooled().clone(), config.detector, now);
        Ok(Self { detector: detector.map_err(|why| why.to_string())?, hours: reference.hours(config) })
    }

    fn attach(&mut self, reference: &NumberReference, config: &MethodConfig) {
        self.hours = reference.hours(config);
    }

    fn number(value: &f64) -> Option<f64> {
        Some(*value)
    }

    fn learn_hours(weeks: &[(Timestamp, f64)], config: &MethodConfig) -> Option<NumberReference> {
        let hours = HourlyReference::learn(weeks, config.detector.seed).ok()?;
        (hours.known() >= HOURS).then(|| NumberReference::Hours(Box::new(hours)))
    }

    fn knows_hours(reference: &NumberReference) -> bool {
        matches!(reference, NumberReference::Hours(_))
    }

    fn alarmed(&self) -> bool {
        self.detector.alarm().is_some()
    }

    fn observe(&mut self, now: Timestamp, value: &f64) -> Change {
        let adjusted = self.hours.as_ref().map_or(*value, |hours| hours.adjust(now, *value));
        self.detector.observe(now, adjusted)
    }

    fn set_arl(&mut self, arl: f64) {
        self.detector.set_arl(arl);
    }

    fn finding(&self, signal: Signal, _recent: &Ring<Self::Value>) -> Finding {
        let (detector, why) = (&self.detector, self.detector.explain());
        let by_hour = if self.hours.is_some() { ", values moved to where their hour of the week is usual" } else { "" };
        let mut statistics = vec![("reference_median", why.reference.p50)];
        statistics.extend(why.recent.map(|recent| ("recent_median", recent.p50)));
        // Only while an alarm stands: which one moved most changes with noise.
        let moved = detector.alarm().and_then(|_| why.moved_most());
        statistics.extend(moved.into_iter().flat_map(statistics_of));
        Finding {
            alarm: detector.alarm().map(Into::into),
            threshold_ratio: (detector.evidence() / detector.level()).max(0.0),
            evidence: Some(why.evidence),
            threshold: Some(detector.level()),
            direction: direction(why.direction).into(),
            size: size(&why, signal.unit()) + by_hour,
            since: Some(why.since),
            statistics,
            ..Finding::default()
        }
    }

    fn describe(reference: &NumberReference) -> Value {
        let pooled = reference.pooled();
        let mut said = json!({"quantiles": Quantiles::of_reference(pooled), "autocorrelation": pooled.phi()});
        if let NumberReference::Hours(hours) = reference {
            said["hours_of_week"] = json!(hours.known());
        }
        said
    }

    fn compare(before: &NumberReference, after: &NumberReference) -> Value {
        json!(Comparison::of(before.pooled(), after.pooled()))
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

fn statistics_of(MovedQuantile { name, reference, recent }: MovedQuantile) -> [(&'static str, f64); 2] {
    let names = match name {
        "p95" => ("reference_p95", "recent_p95"),
        "p99" => ("reference_p99", "recent_p99"),
        _ => ("reference_p50", "recent_p50"),
    };
    [(names.0, reference), (names.1, recent)]
}

/// ` (+85 %)`, nothing where it was 0.
fn change(before: f64, now: f64) -> String {
    if before == 0.0 {
        return String::new();
    }
    let change = (now - before) / before.abs();
    format!(" ({}{})", if change < 0.0 { "" } else { "+" }, percent(change))
}

/// `p95 0.3 -> 1.2 s (+300 %), median 0.2 -> 0.25 s (+25 %), 90 % of values ...`: first what moved most.
fn size(why: &Explanation, unit: &str) -> String {
    let (before, Some(now)) = (why.reference, why.recent) else {
        return format!("median {} {unit} in the baseline; nothing recent to compare with", said(why.reference.p50));
    };
    let most = match why.moved_most().filter(|moved| moved.name != "p50") {
        Some(MovedQuantile { name, reference, recent }) => {
            format!("{name} {} -> {} {unit}{}, ", said(reference), said(recent), change(reference, recent))
        }
        None => String::new(),
    };
    let change = change(before.p50, now.p50);
    format!(
        "{most}median {} -> {} {unit}{change}, 90 % of values {}..{} -> {}..{} {unit}",
        said(before.p50),
        said(now.p50),
        said(before.p05),
        said(before.p95),
        said(now.p05),
        said(now.p95),
    )
}
