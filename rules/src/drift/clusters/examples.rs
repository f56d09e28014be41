//! A few example texts of a cluster: those nearest to its centre.

use serde::{Deserialize, Serialize};

/// Examples kept.
const MOST: usize = 8;
/// Characters kept of each.
const LONGEST: usize = 200;

/// The nearest texts that were seen, each once, in no more than 8 x 200 characters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Examples {
    /// Nearest first.
    kept: Vec<(f32, String)>,
}

impl Examples {
    /// Takes a text if it is nearer than the farthest kept, and not kept already.
    pub(super) fn add(&mut self, text: &str, distance: f32) {
        if text.is_empty() || (self.kept.len() == MOST && self.kept.last().is_some_and(|last| distance >= last.0)) {
            return;
        }
        let start: String = text.chars().take(LONGEST).collect();
        self.insert(distance, start);
    }

    fn insert(&mut self, distance: f32, text: String) {
        if self.kept.iter().any(|(_, kept)| *kept == text) {
            return;
        }
        let at = self.kept.partition_point(|kept| (kept.0, &kept.1) < (distance, &text));
        self.kept.insert(at, (distance, text));
        self.kept.truncate(MOST);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (distance, text) in &other.kept {
            self.insert(*distance, text.clone());
        }
    }

    /// Up to `most`, nearest first.
    pub(super) fn first(&self, most: usize) -> Vec<String> {
        self.kept.iter().take(most).map(|(_, text)| text.clone()).collect()
    }
}
