//! Reads meaning: embeds, scores and judges texts with models in candle, on the CPU or a GPU.
//!
//! A model is a Hugging Face folder ([`Folder`]): its configuration, tokenizer and weights. [`Embedder`] turns texts into
//! vectors, [`Scorer`] tells how surprising they are and which of two answers a model prefers, [`Reward`] gives a score.
//! [`train`] makes LoRA adapters of such a model.
//! Nothing here opens a socket or reads a clock; serving and supervising are the agent's.

mod activation;
mod bert;
mod decoder;
mod device;
mod embedder;
mod error;
mod finite;
mod folder;
mod gguf;
mod judge;
mod linear;
mod needs;
mod numbers;
mod ops;
mod peft;
mod pooling;
mod reward;
#[cfg(test)]
mod samples;
mod scorer;
pub mod serve;
mod tokens;
pub mod train;
mod weights;

pub use device::{Options, Place, Precision, set_threads};
pub use embedder::Embedder;
pub use error::ModelError;
pub use folder::{Family, Folder, Settings};
pub use judge::{Comparison, Judge, Judgement, Preference};
pub use needs::{Needs, Purpose};
pub use peft::{adapter_name, write_gguf};
pub use reward::Reward;
pub use scorer::{AnswerScore, Nll, Pair, Score, Scorer};
pub use tokens::{Tokens, Vocabulary};
pub use weights::Weights;

/// What the functions of this crate give back.
pub type Result<T, E = ModelError> = std::result::Result<T, E>;
