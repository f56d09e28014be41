//! What the desk of experiments reads from the records, and the steps that it writes.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_rules::{Assignment, Timestamp};

use crate::experiment::Course;

/// A unit whose outcome has not been taken in.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenUnit {
    /// Its place; `first` is false.
    pub assignment: Assignment,
    /// When its first request began.
    pub assigned: Timestamp,
}

/// One request of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitExchange {
    /// Its id.
    pub id: String,
    /// Label `variant` of who was asked to serve it.
    pub variant: String,
    /// When it began.
    pub started: Timestamp,
    /// How it ended: `ok`, `server_error`, ..., as `ExchangeOutcome::as_str`. A treatment that could not be reached is
    /// `unreachable`, though control answered; its figures are control's then.
    pub outcome: String,
    /// From its arrival to the last byte of the answer.
    pub duration: Duration,
    /// To the first content of a streamed answer.
    pub time_to_first_token: Option<Duration>,
    /// Generated tokens, where they are known.
    pub output_tokens: Option<u64>,
}

/// One piece of feedback on a unit's requests.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitFeedback {
    /// Metric name as posted.
    pub metric: String,
    /// The value as a number.
    pub value: f64,
    /// The value on a scale of 0 to 1, where the metric has a meaning of ours.
    pub score: Option<f64>,
    /// When it came.
    pub received: Timestamp,
}

/// All that is known of a unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnitFacts {
    /// Its requests, oldest first.
    pub exchanges: Vec<UnitExchange>,
    /// Feedback on them, oldest first.
    pub feedback: Vec<UnitFeedback>,
}

/// A unit whose outcome has been taken in.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedUnit {
    /// The unit.
    pub unit: u64,
    /// Its place in the order in which outcomes were taken in.
    pub seq: u64,
    /// What was taken in, as JSON.
    pub outcome: String,
}

/// One decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Units taken in before it.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// State before.
    pub from: String,
    /// State after.
    pub to: String,
    /// What was done.
    pub action: String,
    /// Why.
    pub reason: String,
    /// Its evidence, as JSON.
    pub detail: String,
    /// Hash of the state after, so that a replay can be compared.
    pub state_hash: String,
}

/// Where an experiment stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedExperiment {
    /// Hash of its spec.
    pub spec_hash: String,
    /// The decision machine's state, as JSON.
    pub state: String,
    /// Units taken in.
    pub seq: u64,
    /// Steps so far, of all agents: a step is taken only by who knows the last one.
    pub version: u64,
    /// What is done with its requests: the splitter begins with it after a restart.
    pub course: Course,
}

/// One step of the desk; stored whole or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The experiment.
    pub experiment: Arc<str>,
    /// Units taken in.
    pub units: Vec<ClosedUnit>,
    /// What was decided.
    pub decisions: Vec<Decision>,
    /// Where it stands now.
    pub state: Option<SavedExperiment>,
}
