//! One run of the loop and one version, as they are kept and shown.

use std::collections::BTreeSet;

use plimsoll_rules::Timestamp;
use plimsoll_rules::retrain::{GateReport, Reason, Status, Version as Facts};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deploy::Served;
use crate::records::Document;

/// What the names of versions begin with.
const PREFIX: &str = "plimsoll-v";

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Somebody has to approve it.
    Proposed,
    /// The dataset is made.
    Curating,
    /// The adapter is trained.
    Training,
    /// The gate looks at it.
    Gating,
    /// The engine loads it.
    Loading,
    /// Copies of requests go to it; nobody sees its answers.
    Mirroring,
    /// The experiment runs.
    Trying,
    /// It serves.
    Promoted,
    /// The experiment, or a person, sent it back.
    RolledBack,
    /// The experiment found no reason to change.
    Kept,
    /// The gate did not let it through.
    Refused,
    /// Something went wrong; `why` says what.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Proposed,
        Self::Curating,
        Self::Training,
        Self::Gating,
        Self::Loading,
        Self::Mirroring,
        Self::Trying,
        Self::Promoted,
        Self::RolledBack,
        Self::Kept,
        Self::Refused,
        Self::Failed,
        Self::Cancelled,
    ];

    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Curating => "curating",
            Self::Training => "training",
            Self::Gating => "gating",
            Self::Loading => "loading",
            Self::Mirroring => "mirroring",
            Self::Trying => "trying",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
            Self::Kept => "kept",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the engine holds the version, and an experiment decides about it.
    pub fn has_experiment(self) -> bool {
        matches!(self, Self::Mirroring | Self::Trying)
    }

    /// Whether nothing more happens.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Promoted | Self::RolledBack | Self::Kept | Self::Refused | Self::Failed | Self::Cancelled)
    }
}

/// When a stage was reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Which.
    pub stage: Stage,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its number, from 1.
    pub id: u32,
    /// How far it has come.
    pub stage: Stage,
    /// Every stage it has been in, with times.
    pub stages: Vec<Reached>,
    /// Why it began; `None` where a person began it.
    pub reason: Option<Reason>,
    /// Examples from this moment on are new, milliseconds since 1970.
    pub since_ms: i64,
    /// Examples before this moment are looked at, milliseconds since 1970.
    pub until_ms: i64,
    /// The version that served when it began, by number; the base model when absent.
    pub parent: Option<u32>,
    /// The version that it made.
    #[serde(default)]
    pub version: Option<u32>,
    /// The manifest of its dataset.
    #[serde(default)]
    pub dataset: Option<Value>,
    /// What the trainer said of the training.
    #[serde(default)]
    pub training: Option<Value>,
    /// What the gate said.
    #[serde(default)]
    pub gate: Option<GateReport>,
    /// The experiment that it takes part in.
    #[serde(default)]
    pub experiment: Option<String>,
    /// Why it ended as it did, in words.
    #[serde(default)]
    pub why: Option<String>,
}

impl Run {
    /// Goes on to a stage.
    pub fn reach(&mut self, stage: Stage, now: Timestamp) {
        self.stage = stage;
        self.stages.push(Reached { stage, at_ms: now.millis() });
    }

    /// When it ended.
    pub fn ended(&self) -> Option<Timestamp> {
        let last = self.stages.last().filter(|last| last.stage.is_over())?;
        Some(Timestamp::from_millis(last.at_ms))
    }

    /// As it is stored.
    pub fn document(&self) -> Document {
        Document {
            number: self.id,
            at_ms: self.stages.first().map_or(0, |first| first.at_ms),
            state: self.stage.as_str().to_owned(),
            doc: serde_json::to_string(self).unwrap_or_default(),
        }
    }
}

/// How a version is asked for, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// What a request must name.
    pub model: Option<String>,
    /// Where it must go.
    pub upstream: Option<String>,
}

impl From<Served> for Address {
    fn from(served: Served) -> Self {
        Self { model: served.model, upstream: served.upstream }
    }
}

/// One version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its number, from 1.
    pub number: u32,
    /// How the engine knows it.
    pub name: String,
    /// When it was made, milliseconds since 1970.
    pub made_ms: i64,
    /// Where it stands.
    pub status: Status,
    /// Somebody wants it kept.
    #[serde(default)]
    pub pinned: bool,
    /// The run that made it.
    pub run: u32,
    /// The version that it was trained from and compared with; the base model when absent.
    pub parent: Option<u32>,
    /// The version that served before it did.
    #[serde(default)]
    pub before: Option<u32>,
    /// Its folder in PEFT's format.
    pub adapter: std::path::PathBuf,
    /// SHA-256 of the adapter's weights.
    pub adapter_sha256: String,
    /// SHA-256 of the base model's weights.
    pub base_sha256: String,
    /// SHA-256 of all files of its dataset.
    pub dataset_sha256: String,
    /// What the gate said.
    pub gate: Option<GateReport>,
    /// What the experiment decided, in words.
    #[serde(default)]
    pub decision: Option<String>,
    /// How it is asked for, once it was loaded.
    #[serde(default)]
    pub address: Option<Address>,
}

/// How the engine and people know a version.
pub fn name_of(number: u32) -> String {
    format!("{PREFIX}{number}")
}

/// The number of `3`, `v3` or `plimsoll-v3`; 0 of `base`, the model without an adapter.
///
/// # Errors
/// It is none of these.
pub fn number_of(text: &str) -> Result<u32, String> {
    if text == super::route::BASE {
        return Ok(0);
    }
    let digits = text.strip_prefix(PREFIX).or_else(|| text.strip_prefix('v')).unwrap_or(text);
    digits.parse().map_err(|_| format!("{text:?} is no version; write its number, such as 3, or base"))
}

impl Version {
    /// What pruning looks at.
    pub fn facts(&self) -> Facts {
        Facts { number: self.number, status: self.status, pinned: self.pinned }
    }

    /// As it is stored.
    pub fn document(&self) -> Document {
        Document {
            number: self.number,
            at_ms: self.made_ms,
            state: self.status.as_str().to_owned(),
            doc: serde_json::to_string(self).unwrap_or_default(),
        }
    }
}

/// Who serves: the experiment that routes, and its two sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its id.
    pub id: String,
    /// Nobody sees the treatment's answers.
    #[serde(default)]
    pub mirror: bool,
    /// What is compared with.
    pub control: Side,
    /// What may serve, or does.
    pub treatment: Side,
}

/// One side of a route, with where it was when the route began: an experiment whose sides move begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The version; the base model when absent.
    pub version: Option<u32>,
    /// How its answers are labelled.
    pub name: String,
    /// How it is asked for.
    pub address: Address,
}

/// A version that a person wants to serve, until it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// Its number.
    pub version: u32,
    /// Why it does not; it is being loaded when absent.
    pub failed: Option<String>,
}

/// Where the loop stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// The version that serves; the base model when absent.
    pub live: Option<u32>,
    /// Nothing begins until somebody has looked.
    pub circuit_open: bool,
    /// Gates in a row that refused.
    pub refused: u32,
    /// Gates since the last promotion.
    pub attempts: u32,
    /// Who serves; `None` where everything passes as it is.
    pub route: Option<Route>,
    /// Routes so far: each has an id of its own.
    pub routes: u32,
    /// Days (UTC, since 1970) on which an alert of quality fired.
    pub fall_days: BTreeSet<i64>,
    /// What the engine listed as its models, ours aside.
    pub models: Vec<String>,
    /// When that changed last, milliseconds since 1970; 0 when never.
    pub models_changed_ms: i64,
    /// The newest version's number: numbers are never given twice.
    pub newest: u32,
}
