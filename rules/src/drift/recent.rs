//! The last few hundred values of a signal with their times: what an alarm shows beside the reference.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Values kept.
const KEPT: usize = 1024;

/// A ring of the newest values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Recent {
    ring: Vec<(Timestamp, f64)>,
    next: usize,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self { ring: Vec::with_capacity(KEPT), next: 0 }
    }

    #[inline]
    pub(super) fn push(&mut self, now: Timestamp, value: f64) {
        if self.ring.len() < KEPT {
            self.ring.push((now, value));
            return;
        }
        self.ring[self.next] = (now, value);
        self.next = (self.next + 1) % KEPT;
    }

    /// The values since `from`, oldest first.
    pub(super) fn since(&self, from: Timestamp) -> Vec<(Timestamp, f64)> {
        let (newer, older) = self.ring.split_at(self.next);
        older.iter().chain(newer).filter(|(at, _)| *at >= from).copied().collect()
    }

    /// The values since `from` in ascending order; all of them where fewer than `least` are that young.
    pub(super) fn sorted_since(&self, from: Timestamp, least: usize) -> Vec<f64> {
        let young = self.ring.iter().filter(|(at, _)| *at >= from).count();
        let keep = |at: &Timestamp| young < least || *at >= from;
        let mut values: Vec<f64> = self.ring.iter().filter(|(at, _)| keep(at)).map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_values_are_kept() {
        let mut recent = Recent::new();
        (0..2000).for_each(|at| recent.push(Timestamp::from_millis(at), -(at as f64)));
        let all = recent.sorted_since(Timestamp::from_millis(0), 1);
        assert_eq!((all.len(), all[0], all[1023]), (1024, -1999.0, -976.0));
        assert_eq!(recent.sorted_since(Timestamp::from_millis(1998), 2), [-1999.0, -1998.0]);
        assert_eq!(recent.sorted_since(Timestamp::from_millis(1998), 3).len(), 1024, "two are too few to show");
        let newest = recent.since(Timestamp::from_millis(1998));
        assert_eq!(newest.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [-1998.0, -1999.0]);
    }
}
