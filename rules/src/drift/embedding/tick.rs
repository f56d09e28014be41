//! What one pod has seen since the last tick, small enough to ship and ready to be added up.

use serde::{Deserialize, Serialize};

/// Sum of features and count of vectors. Adding ticks in any grouping gives what one pod would have seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingTick {
    pub(crate) count: u64,
    pub(crate) sum: Vec<f64>,
}

impl EmbeddingTick {
    /// Adds what another pod saw. `false`, and nothing is added, when it comes from a detector of another shape.
    #[must_use = "a tick of another shape is not added"]
    pub fn merge(&mut self, other: &Self) -> bool {
        if self.sum.is_empty() && self.count == 0 {
            self.clone_from(other);
            return true;
        }
        if other.count == 0 {
            return true;
        }
        if self.sum.len() != other.sum.len() {
            return false;
        }
        self.count = self.count.saturating_add(other.count);
        self.sum.iter_mut().zip(&other.sum).for_each(|(sum, other)| *sum += other);
        true
    }

    /// Vectors in it.
    pub fn count(&self) -> u64 {
        self.count
    }
}
