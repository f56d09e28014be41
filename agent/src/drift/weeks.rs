//! Values of some weeks, a few of each hour: what a reference by hour of the week is learned from.

use std::collections::VecDeque;

use plimsoll_rules::Timestamp;
use serde::{Deserialize, Serialize};

/// A slot is an eighth of an hour.
const SLOT_MS: i64 = 450_000;
/// Values kept of a slot: its first ones, so that most neighbours were neighbours. 56 an hour are 168 in three weeks.
const PER_SLOT: usize = 7;
const WEEK: i64 = 7 * 24 * 8;
/// Slots after which learning is tried, and again after a day where too few hours are known.
const LEAST: i64 = 3 * WEEK;
const AGAIN: i64 = 24 * 8;
/// Slots that are kept: 37 632 values of 12 bytes at most.
const MOST: i64 = 4 * WEEK;

/// Values with the slot in which they were seen, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Weeks {
    kept: VecDeque<(u32, f32)>,
    /// Slot before which learning is not tried again.
    next: i64,
}

fn slot(at: Timestamp) -> i64 {
    at.millis().div_euclid(SLOT_MS)
}

impl Weeks {
    /// Keeps a value if its slot has room; what is older than four weeks goes.
    pub(super) fn push(&mut self, now: Timestamp, value: f64) {
        let (at, value) = (slot(now), value as f32);
        let Ok(place) = u32::try_from(at) else { return };
        let late = self.kept.back().is_some_and(|(last, _)| *last > place);
        if late
            || !value.is_finite()
            || self.kept.iter().rev().take(PER_SLOT).filter(|(s, _)| *s == place).count() == PER_SLOT
        {
            return;
        }
        self.kept.push_back((place, value));
        while self.kept.front().is_some_and(|(first, _)| i64::from(*first) + MOST <= at) {
            self.kept.pop_front();
        }
    }

    /// Whether three weeks have been seen, and learning has not been tried today.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let first = self.kept.front().map(|(first, _)| i64::from(*first));
        slot(now) >= self.next && first.is_some_and(|first| slot(now) - first >= LEAST)
    }

    /// Learning was tried in vain: not again before tomorrow.
    pub(super) fn put_off(&mut self, now: Timestamp) {
        self.next = slot(now) + AGAIN;
    }

    /// All values, each with the start of its slot.
    pub(super) fn values(&self) -> Vec<(Timestamp, f64)> {
        let time = |place: u32| Timestamp::from_millis(i64::from(place) * SLOT_MS);
        self.kept.iter().map(|(place, value)| (time(*place), f64::from(*value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_of_each_slot_and_four_weeks_at_most() {
        let mut weeks = Weeks::default();
        let start = 1_700_000_000_000;
        let minute = |n: i64| Timestamp::from_millis(start + n * 60_000);
        let mut due = None;
        for n in 0..6 * 7 * 24 * 60 {
            weeks.push(minute(n), n as f64);
            weeks.push(minute(n), f64::INFINITY);
            weeks.push(minute(n - 60), 0.0);
            if due.is_none() && weeks.is_due(minute(n)) {
                due = Some(n);
            }
        }
        assert!(due.is_some_and(|n| (n - 3 * 7 * 24 * 60).abs() <= 8), "after three weeks: {due:?}");
        let kept = weeks.values();
        assert!(kept.len() <= 37_632 && kept.len() > 35_000, "{}", kept.len());
        assert!(kept[0].0 >= minute(2 * 7 * 24 * 60 - 16), "the oldest two weeks are gone");
        assert!(kept.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 < pair[1].1), "in order");
        let now = minute(6 * 7 * 24 * 60);
        weeks.put_off(now);
        assert!(!weeks.is_due(now) && weeks.is_due(minute(6 * 7 * 24 * 60 + 24 * 60)));
    }
}
