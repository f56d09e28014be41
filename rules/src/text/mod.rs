//! What can be told of a text without a model: a hashed embedding, its language, whether it refuses, its terms.
//!
//! All of it is deterministic across machines and takes masked text as it takes any other.

mod hashed;
mod language;
mod refusal;
mod terms;

pub use hashed::HashedEmbedder;
pub use language::{UNKNOWN_LANGUAGE, language};
pub use refusal::is_refusal;
pub use terms::{DistinctiveTerm, TermCounts, distinctive_terms, for_each_term};

/// Length of a text in characters (Unicode scalar values): the same for a sentence in whatever encoding it came.
pub fn characters(text: &str) -> usize {
    text.chars().count()
}
