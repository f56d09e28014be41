//! Why an adapter could not be loaded: what was asked, what came back, whether trying again can help.

use std::path::PathBuf;
use std::time::Duration;

use plimsoll_shadow_model::ModelError;

/// Why an adapter could not be loaded, unloaded or asked for.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The engine cannot be reached, broke off, or took too long.
    #[error("{asked}: {why}")]
    Unreachable {
        /// Method and address.
        asked: String,
        /// What went wrong.
        why: String,
    },
    /// The engine refused.
    #[error("{asked} {sent}: answered {status}: {body}{hint}")]
    Refused {
        /// Method and address.
        asked: String,
        /// The body that was sent, as JSON.
        sent: String,
        /// The HTTP status.
        status: u16,
        /// The first 300 bytes of what it said.
        body: String,
        /// What may be missing, after a semicolon; empty where nothing is known.
        hint: &'static str,
    },
    /// The engine answered something else than was asked.
    #[error("{asked}: {why}; it answered: {body}")]
    Answer {
        /// Method and address.
        asked: String,
        /// What is wrong with it.
        why: String,
        /// The first 300 bytes of it.
        body: String,
    },
    /// Every slot holds the version that serves.
    #[error("no slot of llama.cpp is free: each of {slots} holds {live}, which serves now; add a slot")]
    NoSlot {
        /// How many there are.
        slots: usize,
        /// The version that serves.
        live: String,
    },
    /// The restart command of a slot cannot be run.
    #[error("the restart command {program:?} of the slot at {upstream}: {why}")]
    Restart {
        /// The slot's server.
        upstream: String,
        /// The program.
        program: String,
        /// What went wrong.
        why: String,
    },
    /// A slot does not serve its new adapter in time.
    #[error("the slot at {upstream} does not serve {name} from {} after {waited:?}: {seen}", file.display())]
    NotReady {
        /// The slot's server.
        upstream: String,
        /// The version.
        name: String,
        /// The file that the server is to be started with.
        file: PathBuf,
        /// How long it was waited.
        waited: Duration,
        /// What was seen last.
        seen: String,
    },
    /// The adapter cannot be read.
    #[error("{0}")]
    Adapter(String),
    /// The adapter cannot be turned into what the engine reads.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl DeployError {
    /// Whether the same may go well a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotReady { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
            Self::Answer { .. } | Self::NoSlot { .. } | Self::Restart { .. } | Self::Adapter(_) | Self::Model(_) => {
                false
            }
        }
    }
}
