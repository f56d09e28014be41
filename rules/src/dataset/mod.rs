//! What a model is to be taught, chosen from what was asked, answered and said of the answers.
//!
//! Exchanges with their feedback go in one by one ([`Candidates::take`]); [`curate`] parts them into what is learnt, what is
//! held out, what must not be forgotten (anchors) and what is repeated of old (replay). The same exchanges and the same
//! [`Settings`] give the same examples in the same order, whatever order they came in. Nothing here reads a file.

mod candidates;
mod drift;
mod judged;
mod near;
mod roles;
mod settings;
mod shingles;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
pub use candidates::Candidates;
pub use drift::{Drift, DriftState};
pub use judged::{CORRECTION, Said, Told};
pub use roles::{Dataset, curate};
pub use settings::Settings;

/// Changes whenever the same exchanges and settings would give other examples.
pub const METHOD: u32 = 1;

/// Why an answer is worth learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The model's own answer, which was found good.
    Good,
    /// What should have been answered.
    Corrected,
    /// From before [`Settings::since`], good or corrected.
    Replay,
}

impl Origin {
    /// As it is written in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Corrected => "corrected",
            Self::Replay => "replay",
        }
    }
}

/// A prompt and the answer that is right. No `Debug`: it holds text.
#[derive(Clone, PartialEq)]
pub struct Example {
    /// The exchange's id.
    pub id: String,
    /// What was asked, masked.
    pub prompt: String,
    /// What is to be answered, masked.
    pub response: String,
    /// Why this answer.
    pub origin: Origin,
    /// When the exchange began.
    pub started: Timestamp,
    /// When the answer was known to be right: a correction's receipt, else when the exchange began.
    pub known: Timestamp,
    /// How often it is to be learnt, from 1.
    pub weight: u32,
}

impl Example {
    fn bytes(&self) -> usize {
        self.id.len() + self.prompt.len() + self.response.len()
    }
}

/// How many exchanges were read, and what became of them: `read` is all that is kept and all that is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Exchanges looked at.
    pub read: u64,
    /// New examples kept, to train on or held out: answers that were good.
    pub new_good: u64,
    /// The same: failures with their correction.
    pub new_corrected: u64,
    /// Old ones drawn as anchors; none where the anchors were given.
    pub anchors_drawn: u64,
    /// Old ones kept to be repeated.
    pub replay: u64,
    /// Of those to train on, how many are learnt more than once.
    pub over_weighted: u64,
    /// What was left out.
    pub left_out: LeftOut,
}

impl Counts {
    /// New examples kept.
    pub fn new_examples(&self) -> u64 {
        self.new_good + self.new_corrected
    }

    /// Everything that became an example.
    pub fn kept(&self) -> u64 {
        self.new_examples() + self.anchors_drawn + self.replay
    }
}

/// Exchanges that became no example, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Of another model or variant than was asked for.
    pub other_model: u64,
    /// Neither chat nor a single prompt: completions and embeddings.
    pub other_endpoint: u64,
    /// Nobody said whether the answer was right.
    pub unjudged: u64,
    /// The prompt or the answer was not stored, or is empty.
    pub no_text: u64,
    /// The prompt or the answer was cut.
    pub truncated: u64,
    /// Said to be neither good nor bad.
    pub unclear: u64,
    /// Bad, and nobody said what would have been right.
    pub failed_without_correction: u64,
    /// Called good although the request failed.
    pub not_ok: u64,
    /// More than fits into memory: the oldest new ones, old ones by chance.
    pub over_limit: u64,
    /// A prompt that is nearly the same as that of an example that is kept.
    pub duplicates: u64,
    /// The same prompt as that of an example that is kept, with another answer.
    pub contradicted: u64,
    /// A prompt that is nearly the same as that of an anchor.
    pub anchors_kept_out: u64,
    /// Old ones beyond what is to be repeated.
    pub replay_not_needed: u64,
    /// Old corrections of a time that is not trusted.
    #[serde(default)]
    pub distrusted: u64,
}

impl LeftOut {
    /// Each reason with its count.
    pub fn rows(&self) -> [(&'static str, u64); 14] {
        [
            ("other_model", self.other_model),
            ("other_endpoint", self.other_endpoint),
            ("unjudged", self.unjudged),
            ("no_text", self.no_text),
            ("truncated", self.truncated),
            ("unclear", self.unclear),
            ("failed_without_correction", self.failed_without_correction),
            ("not_ok", self.not_ok),
            ("over_limit", self.over_limit),
            ("duplicates", self.duplicates),
            ("contradicted", self.contradicted),
            ("anchors_kept_out", self.anchors_kept_out),
            ("replay_not_needed", self.replay_not_needed),
            ("distrusted", self.distrusted),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.rows().iter().map(|(_, count)| count).sum()
    }
}
