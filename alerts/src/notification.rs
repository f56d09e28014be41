//! What is said about one alert.

use std::collections::BTreeMap;

use plimsoll_rules::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether the alert is on or over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is on.
    Firing,
    /// It is over.
    Resolved,
}

/// The state of one alert as told to every sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// On or over.
    pub status: Status,
    /// All labels, `alertname` included: the alert's identity.
    pub labels: BTreeMap<String, String>,
    /// Texts for people.
    pub annotations: BTreeMap<String, String>,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// When it ended; for a firing one, when receivers may consider it over if they hear nothing more.
    pub ends_at: Timestamp,
    /// The expression's value at the last evaluation.
    pub value: f64,
    /// Where to look: a link to our page for this rule.
    pub generator_url: String,
}
