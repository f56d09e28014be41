//! Rule groups on their slots: store and `now` in, alert states and recorded series out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Labels, Store, Timestamp};

/// A mistake in a rule file, with its place (1-based).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct RuleProblem {
    /// File as the user named it.
    pub file: String,
    /// 1-based line.
    pub line: usize,
    /// 1-based column.
    pub column: usize,
    /// What was found and what would be right.
    pub message: String,
}

/// A checked rule group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name, unique in its file.
    pub name: String,
    /// How often it is evaluated.
    pub interval: Duration,
}

/// Parses and checks a rule file in Prometheus' format.
///
/// # Errors
/// Every mistake at once, each with file, line, column.
pub fn load_rules(_file: &str, _text: &str, _default_interval: Duration) -> Result<Vec<Group>, Vec<RuleProblem>> {
    todo!()
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The expression holds, `for` not yet.
    Pending,
    /// It is on.
    Firing,
    /// It was on and is over; kept for 15 minutes so that receivers hear of it.
    Resolved,
}

/// One alert: one rule, one label set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActiveAlert {
    /// All labels, `alertname` included.
    pub labels: Labels,
    /// Rendered annotations.
    pub annotations: BTreeMap<String, String>,
    /// Where it stands.
    pub state: AlertState,
    /// The expression's value at the last evaluation.
    pub value: f64,
    /// When the expression began to hold.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub fired_at: Option<Timestamp>,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// Until when receivers may take it as firing without hearing more (`now + 4 * max(interval, resend)`).
    pub valid_until: Timestamp,
    /// The expression, as text.
    pub expr: String,
    /// Its group.
    pub group: String,
}

/// What one group's evaluation did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupReport {
    /// The group.
    pub group: String,
    /// Rules evaluated.
    pub evaluated: usize,
    /// `rule: why` of those that failed; their alerts stay as they are.
    pub failures: Vec<String>,
    /// Slots that passed without an evaluation since the last one.
    pub missed_slots: u64,
}

/// Settings of the engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Added to every alert (identity of this pod).
    pub external_labels: Labels,
    /// Prefix of links in templates.
    pub external_url: String,
    /// A firing alert is repeated to receivers this often.
    pub resend_delay: Duration,
}

/// All groups and the state of their alerts.
#[derive(Debug)]
pub struct RuleEngine {}

impl RuleEngine {
    /// An engine with no state yet.
    pub fn new(_groups: Vec<Group>, _options: EngineOptions) -> Self {
        todo!()
    }

    /// Takes new groups; rules that did not change keep their alerts, alerts of rules that are gone resolve.
    pub fn reload(&mut self, _groups: Vec<Group>, _now: Timestamp) {
        todo!()
    }

    /// Evaluates every group whose slot has come, at the slot's time; writes recorded series, `ALERTS` and
    /// `ALERTS_FOR_STATE` into `store`.
    pub fn evaluate(&mut self, _store: &mut Store, _now: Timestamp) -> Vec<GroupReport> {
        todo!()
    }

    /// When the next slot is due.
    pub fn next_due(&self, _now: Timestamp) -> Option<Timestamp> {
        todo!()
    }

    /// Pending, firing and lately resolved alerts.
    pub fn alerts(&self) -> Vec<&ActiveAlert> {
        todo!()
    }

    /// Alerts that receivers must hear of now: newly firing, newly resolved, or due for a repeat. Marks them as told.
    pub fn to_notify(&mut self, _now: Timestamp) -> Vec<ActiveAlert> {
        todo!()
    }

    /// The state as JSON, to survive a restart.
    pub fn save(&self) -> String {
        todo!()
    }

    /// Restores a saved state for the rules that still exist, whatever their `for` (prometheus#13957).
    ///
    /// # Errors
    /// A sentence saying what is wrong with it.
    pub fn restore(&mut self, _saved: &str, _now: Timestamp) -> Result<(), String> {
        todo!()
    }
}

/// The built-in rules, as a rule file.
pub const BUILTIN_RULES: &str = "";

/// The built-in rules with every duration (intervals, `for`, ranges, offsets) multiplied by `factor`, as a rule file.
pub fn builtin_scaled(_factor: f64) -> String {
    todo!()
}
