//! The newest values of a signal with their times: what a baseline is learned from, and what is shown beside it.

use std::collections::VecDeque;

use plimsoll_rules::Timestamp;
use serde::{Deserialize, Serialize};

/// At most so many values, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ring<T> {
    most: usize,
    values: VecDeque<(Timestamp, T)>,
}

impl<T> Ring<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, values: VecDeque::new() }
    }

    /// Takes a value; the oldest goes when it is full.
    pub(super) fn push(&mut self, now: Timestamp, value: T) {
        self.values.push_back((now, value));
        while self.values.len() > self.most.max(1) {
            self.values.pop_front();
        }
    }

    /// Another bound; what is over it goes.
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most;
        self.values.drain(..self.values.len().saturating_sub(most.max(1)));
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.values.len() >= self.most
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
    }

    /// Those that are not older than `from`.
    pub(super) fn since(&self, from: Timestamp) -> impl Iterator<Item = &(Timestamp, T)> {
        self.values.iter().filter(move |(at, _)| *at >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let mut ring = Ring::new(3);
        (0..5).for_each(|at| ring.push(Timestamp::from_millis(at), at));
        assert!(ring.is_full());
        assert_eq!(ring.since(Timestamp::from_millis(3)).map(|(_, value)| *value).collect::<Vec<_>>(), [3, 4]);
        ring.resize(1);
        assert_eq!((ring.len(), ring.is_full()), (1, true));
    }
}
