//! What every sink still has to hear: the latest state per (sink, alert), when to try it, when to give up.
//!
//! A pure state machine: it takes `now` and random numbers as arguments and does no I/O. [`crate::dispatcher`] sends
//! what it says and reports back; [`crate::journal`] keeps a copy on disk.

mod entry;
#[cfg(test)]
mod groups;
mod ledger;
mod pick;
#[cfg(test)]
mod properties;
mod queue;
#[cfg(test)]
mod tests;
mod told;
mod view;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_rules::Timestamp;
use sha2::{Digest as _, Sha256};

use entry::Row;
pub(crate) use entry::{Key, Saved, SavedTold, Then};
pub use entry::{Pending, Standing};
pub(crate) use queue::{Batch, Policy, Step};
pub(crate) use view::Counts;

use crate::group::Group;
use crate::route::{Routing, Unnamed};
use crate::silence::Silence;
use crate::verdict::Verdict;
use crate::{Notification, Status};
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

/// An id made of what it stands for: the same text has the same id.
fn message_id(text: &str) -> Arc<str> {
    let mut id = String::from("msg_");
    for byte in &Sha256::digest(text)[..16] {
        let _ = write!(id, "{byte:02x}");
    }
    id.into()
}

/// The queues of all sinks.
#[derive(Debug)]
pub(crate) struct Outbox {
    limits: OutboxLimits,
    queues: BTreeMap<Arc<str>, Queue>,
    routing: Routing,
    silences: Vec<Silence>,
    /// Sinks that are gone; their rows on disk still have to go.
    removed: Vec<Arc<str>>,
}

impl Outbox {
    /// An outbox without sinks.
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        let (queues, routing) = (BTreeMap::new(), Routing::default());
        Self { limits, queues, routing, silences: Vec::new(), removed: Vec::new() }
    }

    /// Takes the sinks as they shall be from now on: queues of sinks that stay are kept, those of others are dropped.
    /// `opened` names sinks whose settings changed: they are tried at once.
    pub(crate) fn configure(&mut self, sinks: &BTreeMap<Arc<str>, Policy>, opened: &[Arc<str>]) {
        let gone: Vec<Arc<str>> = self.queues.keys().filter(|name| !sinks.contains_key(*name)).cloned().collect();
        self.queues.retain(|name, _| sinks.contains_key(name));
        self.removed.extend(gone);
        for (name, policy) in sinks {
            let queue = self.queues.entry(name.clone()).or_insert_with(|| Queue::new(name.clone(), self.limits));
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

    /// Who hears what, from now on.
    pub(crate) fn route(&mut self, routing: Routing) {
        if self.routing == routing {
            return;
        }
        self.routing = routing;
        for (name, queue) in &mut self.queues {
            let direct = queue.policy.direct;
            queue.regroup(|notification| group(&self.routing, name, direct, notification));
        }
    }

    /// What the direct sinks are not told, from now on.
    pub(crate) fn silence(&mut self, silences: Vec<Silence>, now: Timestamp) {
        self.silences = silences;
        for queue in self.queues.values_mut().filter(|queue| queue.policy.direct.is_some()) {
            for (fingerprint, news) in
                queue.waiting.iter().map(|(f, e)| (*f, e.notification.clone())).collect::<Vec<_>>()
            {
                if news.status == Status::Firing && self.silences.iter().any(|s| s.mutes(&news.labels, now)) {
                    queue.mute(fingerprint, &news, now);
                }
            }
        }
    }

    /// What the direct sinks are not told.
    pub(crate) fn silences(&self) -> &[Silence] {
        &self.silences
    }

    /// Queues the state of one alert for every sink that is to hear of it.
    pub(crate) fn put(&mut self, notification: &Arc<Notification>, now: Timestamp) {
        let fingerprint = notification.fingerprint();
        let muted = self.silences.iter().any(|silence| silence.mutes(&notification.labels, now));
        for (name, queue) in &mut self.queues {
            let direct = queue.policy.direct;
            let group = group(&self.routing, name, direct, notification);
            let routed = direct.is_none() || group.is_some();
            if routed && (direct.is_none() || !muted || queue.mute(fingerprint, notification, now)) {
                queue.put(fingerprint, notification, group, now);
            }
        }
    }

    /// Takes back what was saved before a restart, unless something newer is known. Gives the sinks that have news, and
    /// marks rows of sinks that do not exist any more for removal.
    pub(crate) fn restore(&mut self, rows: Vec<(Key, Saved)>, now: Timestamp) {
        for ((sink, fingerprint), saved) in rows {
            let Some(queue) = self.queues.get_mut(&sink) else {
                self.remove_rows(sink);
                continue;
            };
            let group = group(&self.routing, &sink, queue.policy.direct, &saved.notification);
            if saved.dead.is_some() || queue.policy.direct.is_none() || group.is_some() {
                queue.restore(fingerprint, saved, group, now);
            } else {
                // This sink is not to hear of it any more: the row goes.
                queue.touch(fingerprint);
            }
        }
    }

    /// The same for what the sinks were told.
    pub(crate) fn restore_told(&mut self, rows: Vec<(Key, SavedTold)>, now: Timestamp) {
        for ((sink, fingerprint), saved) in rows {
            let Some(queue) = self.queues.get_mut(&sink) else {
                self.remove_rows(sink);
                continue;
            };
            match group(&self.routing, &sink, queue.policy.direct, &saved.notification) {
                Some(group) => queue.restore_told(fingerprint, saved, group, now),
                None => {
                    queue.touch(fingerprint);
                }
            }
        }
    }

    fn remove_rows(&mut self, sink: Arc<str>) {
        if !self.removed.contains(&sink) {
            self.removed.push(sink);
        }
    }

    /// Tries again what was given up, of one sink or of all, one message or all; a sink that does not want us is asked
    /// at once. Gives how many alerts wait again.
    pub(crate) fn retry(&mut self, sink: Option<&str>, id: Option<&str>, now: Timestamp) -> usize {
        let mut revived = 0;
        for (name, queue) in self.queues.iter_mut().filter(|(name, _)| sink.is_none_or(|sink| sink == &***name)) {
            let direct = queue.policy.direct;
            let parked = queue.gate.disabled().is_some();
            let of_it = queue.waiting.values().filter(|entry| parked && id.is_none_or(|id| &*entry.id == id)).count();
            let dead = queue.revive(id, now, |notification| group(&self.routing, name, direct, notification));
            if of_it + dead > 0 {
                queue.open();
            }
            revived += of_it + dead;
        }
        revived
    }

    /// The end has begun: `sink` waits for no company.
    pub(crate) fn hurry(&mut self, sink: &str) {
        if let Some(queue) = self.queues.get_mut(sink) {
            queue.hurry = true;
            queue.open();
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
    pub(crate) fn list(&self, now: Timestamp) -> Vec<Pending> {
        self.queues.iter().flat_map(|(name, queue)| queue.list(name, now)).collect()
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

/// The group of an alert at one sink; `None` for sinks that group for themselves and alerts that are not routed there.
fn group(routing: &Routing, sink: &str, direct: Option<Unnamed>, alert: &Notification) -> Option<Arc<Group>> {
    routing.group(sink, direct?, &alert.labels).map(Arc::new)
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
