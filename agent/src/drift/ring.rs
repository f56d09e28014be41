//! The newest values of a signal with their times: what a baseline is learned from, and what is shown beside it.

use std::collections::VecDeque;

use plimsoll_rules::Timestamp;
use serde::{Deserialize, Serialize};

/// At most so many values, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ring<T> {
    most: usize,
    values: VecDeque<(Timestamp, T)>,
    /// How many of the newest are not on disk, where the others are.
    #[serde(skip)]
    fresh: Option<usize>,
}

/// What is to be written of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsaved {
    /// Nothing.
    None,
    /// So many of the newest values, behind what was written before.
    Newest(usize),
    /// All of it, in place of what was written before.
    Whole,
}

impl<T> Ring<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, values: VecDeque::new(), fresh: None }
    }

    /// Takes a value; the oldest goes when it is full.
    pub(super) fn push(&mut self, now: Timestamp, value: T) {
        self.values.push_back((now, value));
        self.fresh = self.fresh.map(|fresh| fresh + 1);
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
        self.fresh = None;
    }

    /// What is not on disk yet.
    pub(super) fn unsaved(&self) -> Unsaved {
        match self.fresh {
            Some(0) => Unsaved::None,
            Some(fresh) if fresh < self.values.len() => Unsaved::Newest(fresh),
            _ => Unsaved::Whole,
        }
    }

    /// All of it is on disk now.
    pub(super) fn saved(&mut self) {
        self.fresh = Some(0);
    }

    /// The newest `count` values, oldest first.
    pub(super) fn newest(&self, count: usize) -> Vec<&(Timestamp, T)> {
        self.values.iter().skip(self.values.len().saturating_sub(count)).collect()
    }

    /// Puts what was written later behind what was read.
    pub(super) fn extend(&mut self, more: Vec<(Timestamp, T)>) {
        more.into_iter().for_each(|(at, value)| self.push(at, value));
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

    #[test]
    fn only_what_is_new_is_written() {
        let mut ring = Ring::new(3);
        let at = Timestamp::from_millis;
        assert_eq!(ring.unsaved(), Unsaved::Whole);
        (0..3).for_each(|n| ring.push(at(n), n));
        ring.saved();
        assert_eq!(ring.unsaved(), Unsaved::None);
        let mut copy: Ring<i64> = serde_json::from_str(&serde_json::to_string(&ring).unwrap()).unwrap();
        assert_eq!(copy.unsaved(), Unsaved::Whole, "what was read is written anew once");
        ring.push(at(3), 3);
        assert_eq!(ring.unsaved(), Unsaved::Newest(1));
        copy.extend(ring.newest(1).into_iter().copied().collect());
        assert_eq!(copy.newest(9), ring.newest(9));
        (4..9).for_each(|n| ring.push(at(n), n));
        assert_eq!(ring.unsaved(), Unsaved::Whole, "nothing of what was written is left");
    }
}
