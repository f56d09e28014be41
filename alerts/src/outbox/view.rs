//! One sink's queue as others see it: counters, a list for people, rows for the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_rules::Timestamp;

use super::entry::{Dead, Pending, Row, Saved, Standing, Waiting};
use super::queue::Queue;

/// Counters of one queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) failed: BTreeMap<String, u64>,
    pub(crate) waiting: u64,
    pub(crate) dead: u64,
    pub(crate) dropped: u64,
    pub(crate) disabled: bool,
}

impl Queue {
    /// Rows that the disk lacks.
    pub(super) fn unsaved(&self, sink: &Arc<str>) -> impl Iterator<Item = Row> {
        self.unsaved.changed().map(move |(fingerprint, version)| Row {
            sink: sink.clone(),
            fingerprint,
            version,
            saved: self.saved_form(fingerprint),
            told: self.memory.saved_form(fingerprint),
        })
    }

    /// What the disk shall hold of `fingerprint`.
    fn saved_form(&self, fingerprint: u64) -> Option<Saved> {
        if let Some(Waiting { id, notification, queued_at, then, .. }) = self.waiting.get(&fingerprint).cloned() {
            return Some(Saved { id, notification, queued_at, dead: None, then });
        }
        let Dead { id, notification, queued_at, died_at, why, .. } = self.dead.get(&fingerprint)?.clone();
        Some(Saved { id, notification, queued_at, dead: Some((died_at, why)), then: None })
    }

    /// Counters; while the sink is disabled, what waits for it counts as given up.
    pub(super) fn counts(&self) -> Counts {
        let disabled = self.gate.disabled().is_some();
        let (waiting, dead) = (self.waiting.len() as u64, self.dead.len() as u64);
        let (waiting, dead) = if disabled { (0, waiting + dead) } else { (waiting, dead) };
        Counts { waiting, dead, disabled, ..self.counts.clone() }
    }

    pub(super) fn list(&self, sink: &Arc<str>, now: Timestamp) -> Vec<Pending> {
        let disabled = self.gate.disabled();
        let due: BTreeMap<u64, Timestamp> =
            self.due(now).into_iter().map(|(at, fingerprint)| (fingerprint, at)).collect();
        let due = |fingerprint: &u64| due.get(fingerprint).copied().filter(|at| *at > now).unwrap_or_default();
        let standing = if disabled.is_some() { Standing::Parked } else { Standing::Waiting };
        let waiting = self.waiting.iter().map(|(fingerprint, entry)| Pending {
            sink: sink.clone(),
            standing,
            id: entry.id.clone(),
            notification: entry.notification.clone(),
            queued_at: entry.since,
            attempts: entry.attempts,
            next_attempt_at: Some(self.gate.ready_at(entry.attempts == 0).max(entry.queued_at).max(due(fingerprint))),
            last_error: entry.last_error.clone().or_else(|| disabled.map(|failure| failure.detail.clone())),
        });
        let dead = self.dead.values().map(|dead| Pending {
            sink: sink.clone(),
            standing: Standing::Dead,
            id: dead.id.clone(),
            notification: dead.notification.clone(),
            queued_at: dead.queued_at,
            attempts: dead.attempts,
            next_attempt_at: None,
            last_error: Some(dead.why.clone()),
        });
        let mut all: Vec<Pending> = waiting.chain(dead).collect();
        all.sort_by_key(|entry| entry.queued_at);
        all
    }
}
