//! Has what texts are about moved? A detector over embeddings with a stated rate of false alarms.
//!
//! Learned from the first `m` vectors, in their order: mean, main directions (`basis`), the weights that put
//! directions on one footing, and how long observations hang together. Watched: exponentially weighted means of the
//! features with 16, 64 and 256 observations of memory; the score is the largest standardised squared length
//! (`norm.rs` has the formula). The threshold for an average run length comes from a double bootstrap (`bootstrap.rs`)
//! and, beyond what that can reach, from the law of rare crossings (`law.rs`).
//!
//! A tick of many pods is a sum of features and a count, so pods merge exactly. The state is plain data (serde).
//! Reading: 2211.15070 (online kernel CUSUM), 2505.17789 (online random-feature MMD): both watch a mean discrepancy; here
//! the kernel is linear, for what an embedding model puts in its mean is what a reader would call a change of subject.

mod bank;
mod basis;
mod bootstrap;
mod cells;
mod dependence;
mod detector;
mod error;
mod features;
mod law;
mod learn;
pub(crate) mod linear;
mod norm;
#[cfg(test)]
mod tests;
mod tick;

pub use detector::{EmbeddingDetector, EmbeddingReading};
pub use error::{LearnError, Unusable};
pub use learn::EmbeddingSettings;
pub use tick::EmbeddingTick;

/// Fewest vectors to learn from.
pub const LEAST_REFERENCE: usize = 128;
/// Vectors kept of a longer reference: the first ones.
pub const MOST_REFERENCE: usize = 4096;
/// Shortest average run length, in observations.
pub const LEAST_ARL: f64 = 100.0;
/// Longest average run length, in observations.
pub const MOST_ARL: f64 = 1e9;
/// Longest vectors.
pub const MOST_DIMENSIONS: usize = 4096;
