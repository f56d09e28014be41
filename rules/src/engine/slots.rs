//! When a group is evaluated: at multiples of its interval since the epoch, so that a restart or a second replica uses
//! the same timestamps.

use std::time::Duration;

use crate::Timestamp;

/// The slots of one group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slots {
    interval_ms: i64,
    /// The last slot that was evaluated or passed by.
    last_ms: Option<i64>,
}

/// A slot whose time has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Due {
    pub(super) at: Timestamp,
    /// Slots before it that passed without an evaluation.
    pub(super) missed: u64,
}

impl Slots {
    /// Below a millisecond the interval is one.
    pub(super) fn every(interval: Duration) -> Self {
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { interval_ms, last_ms: None }
    }

    /// The newest slot up to `now` if it has not been taken yet. Before the first one there is nothing to catch up
    /// with: samples of a slot that passed before the start do not exist.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<Due> {
        let slot = self.slot_of(now);
        let Some(last) = self.last_ms else {
            self.last_ms = Some(slot);
            return (slot == now.millis()).then_some(Due { at: now, missed: 0 });
        };
        if slot <= last {
            return None;
        }
        self.last_ms = Some(slot);
        let steps = slot.saturating_sub(last) / self.interval_ms;
        Some(Due { at: Timestamp::from_millis(slot), missed: u64::try_from(steps - 1).unwrap_or(0) })
    }

    /// The next slot that [`Slots::take_due`] would give.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        let millis = match self.last_ms {
            Some(last) => last.saturating_add(self.interval_ms),
            None if self.slot_of(now) == now.millis() => now.millis(),
            None => self.slot_of(now).saturating_add(self.interval_ms),
        };
        Timestamp::from_millis(millis)
    }

    fn slot_of(&self, now: Timestamp) -> i64 {
        now.millis().saturating_sub(now.millis().rem_euclid(self.interval_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slots_come_once_and_missed_ones_are_counted() {
        let mut slots = Slots::every(Duration::from_secs(15));
        let at = |ms: i64| Timestamp::from_millis(ms);
        for (why, now, expected, next) in [
            ("started between slots", 16_000, None, 30_000),
            ("not yet", 29_999, None, 30_000),
            ("a bit late", 30_003, Some((30_000, 0)), 45_000),
            ("only once", 30_010, None, 45_000),
            ("three slots slept through", 95_000, Some((90_000, 3)), 105_000),
            ("the clock went back", 40_000, None, 105_000),
            ("and stays behind", 90_000, None, 105_000),
            ("caught up", 105_000, Some((105_000, 0)), 120_000),
        ] {
            let due = slots.take_due(at(now)).map(|due| (due.at.millis(), due.missed));
            assert_eq!((due, slots.next(at(now))), (expected, at(next)), "{why}");
        }
        assert_eq!(Slots::every(Duration::from_secs(10)).take_due(at(20_000)), Some(Due { at: at(20_000), missed: 0 }));
    }

    proptest! {
        #[test]
        fn slots_are_aligned_and_strictly_later(interval in 0..100_000_u64, times in prop::collection::vec(any::<i64>(), 1..40)) {
            let mut slots = Slots::every(Duration::from_millis(interval));
            let mut last = None;
            for now in times {
                if let Some(due) = slots.take_due(Timestamp::from_millis(now)) {
                    let slot = due.at.millis();
                    prop_assert!(slot <= now && last.is_none_or(|last| slot > last));
                    prop_assert!(slot == i64::MIN || slot.rem_euclid(interval.max(1) as i64) == 0);
                    last = Some(slot);
                }
                slots.next(Timestamp::from_millis(now));
            }
        }
    }
}
