//! What every sink still has to hear: the latest state per (sink, alert), when to try it, when to give up.
//!
//! A pure state machine: it takes `now` and random numbers as arguments and does no I/O. [`crate::dispatcher`] sends
//! what it says and reports back; [`crate::journal`] keeps a copy on disk.

mod entry;
mod ledger;
#[cfg(test)]
mod properties;
mod queue;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_rules::Timestamp;

use entry::Row;
pub(crate) use entry::{Key, Saved};
pub use entry::{Pending, Standing};
pub(crate) use queue::{Batch, Policy, Step};
pub(crate) use view::Counts;

use crate::Notification;
use crate::verdict::Verdict;
use queue::Queue;

/// Bounds of the outbox, for each sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Alerts that may wait; the oldest is dropped and counted when one more comes.
    pub entries: usize,
    /// Bytes that waiting alerts may hold, about.
    pub bytes: usize,
    /// An alert that could not be delivered for this long is given up.
    pub ttl: Duration,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { entries: 2000, bytes: 4 << 20, ttl: Duration::from_secs(24 * 3600) }
    }
}

/// Makes the id that a message keeps over all its retries.
pub(crate) type NewId = fn() -> String;

/// The queues of all sinks.
#[derive(Debug)]
pub(crate) struct Outbox {
    limits: OutboxLimits,
    new_id: NewId,
    queues: BTreeMap<Arc<str>, Queue>,
    /// Sinks that are gone; their rows on disk still have to go.
    removed: Vec<Arc<str>>,
}

impl Outbox {
    /// An outbox without sinks.
    pub(crate) fn new(limits: OutboxLimits, new_id: NewId) -> Self {
        Self { limits, new_id, queues: BTreeMap::new(), removed: Vec::new() }
    }

    /// Takes the sinks as they shall be from now on: queues of sinks that stay are kept, those of others are dropped.
    /// `opened` names sinks whose settings changed: they are tried at once.
    pub(crate) fn configure(&mut self, sinks: &BTreeMap<Arc<str>, Policy>, opened: &[Arc<str>]) {
        let gone: Vec<Arc<str>> = self.queues.keys().filter(|name| !sinks.contains_key(*name)).cloned().collect();
        self.queues.retain(|name, _| sinks.contains_key(name));
        self.removed.extend(gone);
        for (name, policy) in sinks {
            let queue = self.queues.entry(name.clone()).or_insert_with(|| Queue::new(self.limits));
            queue.set_policy(*policy);
            if let Some(at) = self.removed.iter().position(|removed| removed == name) {
                // It is back before its old rows have left the disk.
                self.removed.swap_remove(at);
                queue.unsaved.set_rewrite(true);
            }
        }
        for name in opened {
            self.open(name);
        }
    }

    /// Queues the state of one alert for every sink.
    pub(crate) fn put(&mut self, notification: &Arc<Notification>, now: Timestamp) {
        let fingerprint = notification.fingerprint();
        for queue in self.queues.values_mut() {
            queue.put(fingerprint, notification, now, self.new_id);
        }
    }

    /// Takes back what was saved before a restart, unless something newer is known. Gives the sinks that have news, and
    /// marks rows of sinks that do not exist any more for removal.
    pub(crate) fn restore(&mut self, rows: Vec<(Key, Saved)>, now: Timestamp) {
        for ((sink, fingerprint), saved) in rows {
            match self.queues.get_mut(&sink) {
                Some(queue) => queue.restore(fingerprint, saved, now),
                None if self.removed.contains(&sink) => {}
                None => self.removed.push(sink),
            }
        }
    }

    /// What `sink` should do now.
    pub(crate) fn next(&mut self, sink: &str, now: Timestamp) -> Step {
        self.queues.get_mut(sink).map_or(Step::Idle, |queue| queue.next(now))
    }

    /// What became of `batch`; `dice` is a random number in [0, 1). Gives the failures in a row before and after.
    pub(crate) fn done(
        &mut self,
        sink: &str,
        batch: &Batch,
        verdict: &Verdict,
        now: Timestamp,
        dice: f64,
    ) -> (u32, u32) {
        let Some(queue) = self.queues.get_mut(sink) else { return (0, 0) };
        let before = queue.gate.failures();
        queue.done(batch, verdict, now, dice);
        (before, queue.gate.failures())
    }

    /// Lets `sink` be tried at once.
    pub(crate) fn open(&mut self, sink: &str) {
        if let Some(queue) = self.queues.get_mut(sink) {
            queue.open();
        }
    }

    /// Counters of every sink.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&Arc<str>, Counts)> {
        self.queues.iter().map(|(name, queue)| (name, queue.counts()))
    }

    /// Everything that waits or was given up, oldest first within a sink.
    pub(crate) fn list(&self) -> Vec<Pending> {
        self.queues.iter().flat_map(|(name, queue)| queue.list(name)).collect()
    }

    /// What the copy on disk lacks.
    pub(crate) fn unsaved(&self) -> Unsaved {
        let rows = self.queues.iter().flat_map(|(name, queue)| queue.unsaved(name)).collect();
        let rewritten = self.queues.iter().filter(|(_, queue)| queue.unsaved.rewrite()).map(|(name, _)| name);
        Unsaved { rows, emptied: self.removed.iter().chain(rewritten).cloned().collect() }
    }

    /// `unsaved` is on disk now. What changed in between stays unsaved.
    pub(crate) fn saved(&mut self, unsaved: &Unsaved) {
        for row in &unsaved.rows {
            if let Some(queue) = self.queues.get_mut(&row.sink) {
                queue.unsaved.saved(row.fingerprint, row.version);
            }
        }
        for name in &unsaved.emptied {
            if let Some(queue) = self.queues.get_mut(name) {
                queue.unsaved.set_rewrite(false);
            }
        }
        self.removed.retain(|name| !unsaved.emptied.contains(name));
    }
}

/// The difference between memory and disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsaved {
    /// One row per changed (sink, alert).
    pub(crate) rows: Vec<Row>,
    /// Sinks whose rows on disk shall go, before `rows` are written.
    pub(crate) emptied: Vec<Arc<str>>,
}

impl Unsaved {
    /// Whether disk equals memory.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.emptied.is_empty()
    }
}
