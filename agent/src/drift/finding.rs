//! What a detector says, in the signal's own words and units: the same form for numbers, categories and texts.

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::Alarm;
use serde::{Deserialize, Serialize};

/// An alarm that stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// When it was raised.
    pub raised: Timestamp,
    /// When it was last confirmed.
    pub confirmed: Timestamp,
    /// How often the threshold was crossed.
    pub crossings: u64,
}

impl From<&Alarm> for Standing {
    fn from(alarm: &Alarm) -> Self {
        Self { raised: alarm.raised, confirmed: alarm.confirmed, crossings: alarm.crossings }
    }
}

/// Something that is new, with its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Top {
    /// `term`, `cluster` or `category`.
    pub kind: &'static str,
    /// The term (masked), the cluster's terms, or the category.
    pub item: String,
    /// A term's weight; the share now as a ratio of the share in the baseline.
    pub weight: f64,
}

/// Where a detector stands and why.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finding {
    /// The alarm, if one stands.
    pub alarm: Option<Standing>,
    /// Evidence over threshold: 1 is an alarm.
    pub threshold_ratio: f64,
    /// Log e-value in nats; of texts, the standardised squared shift of their mean.
    pub evidence: Option<f64>,
    /// The evidence, in the same measure, at which an alarm is raised.
    pub threshold: Option<f64>,
    /// Which way, in a word or two.
    pub direction: String,
    /// How much, in a sentence and the signal's own unit.
    pub size: String,
    /// Where the change most likely happened.
    pub since: Option<Timestamp>,
    /// Figures behind it, by the name of the `statistic` label.
    pub statistics: Vec<(&'static str, f64)>,
    /// What is new, the most telling first.
    pub top: Vec<Top>,
    /// A few masked texts that are new.
    pub examples: Vec<String>,
}

/// Three significant digits and no exponent: as a person would say it.
pub(super) fn said(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() || value == 0.0 => "0".into(),
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => trimmed(&format!("{value:.1}")),
        _ if size >= 1.0 => trimmed(&format!("{value:.2}")),
        _ if size >= 0.001 => trimmed(&format!("{value:.4}")),
        _ => format!("{value:.1e}"),
    }
}

fn trimmed(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share as a percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", said(100.0 * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_people_say_them() {
        for (why, value, expected) in [
            ("large", 12_345.6, "12346"),
            ("tens", 45.67, "45.7"),
            ("whole", 20.0, "20"),
            ("ones", 1.234, "1.23"),
            ("small", 0.05, "0.05"),
            ("tiny", 0.000_012_3, "1.2e-5"),
            ("nothing", 0.0, "0"),
            ("negative", -45.67, "-45.7"),
            ("no number", f64::NAN, "0"),
        ] {
            assert_eq!(said(value), expected, "{why}");
        }
    }
}
