//! One sink's queue: picks batches, reads verdicts, bounds itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_rules::Timestamp;

use super::entry::{Dead, EXPIRED, Item, Saved, Told, Waiting};
use super::ledger::Ledger;
use super::view::Counts;
use super::{NewId, OutboxLimits};
use crate::Notification;
use crate::gate::Gate;
use crate::verdict::{Failure, Verdict};

/// A refused alert that comes again with the same content is not tried again for this long.
const REFUSAL_HOLDS: Duration = Duration::from_secs(3600);
/// The given-up are kept for people this long, and at most this many.
const DEAD_KEPT: Duration = Duration::from_secs(24 * 3600);
const DEAD_MOST: usize = 200;
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How one kind of sink wants its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Alerts in one request, at most.
    pub(crate) batch: usize,
    /// The same state is told again only after this long; `None`: each time it is handed over.
    pub(crate) repeat: Option<Duration>,
}

/// What a sink should do now.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this, then report with `done`.
    Send(Batch),
    /// Ask again at this time, or earlier if something is put.
    Wait(Timestamp),
    /// Nothing waits.
    Idle,
}

/// One request's worth of messages.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Item>,
    /// Whether it is a part of a batch that was refused as a whole.
    part: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    policy: Policy,
    limits: OutboxLimits,
    pub(super) gate: Gate,
    pub(super) waiting: BTreeMap<u64, Waiting>,
    bytes: usize,
    pub(super) dead: BTreeMap<u64, Dead>,
    told: BTreeMap<u64, Told>,
    /// Parts of a refused batch, to be tried each for itself.
    parts: VecDeque<Vec<u64>>,
    /// What the disk does not know yet.
    pub(super) unsaved: Ledger,
    swept_at: Timestamp,
    pub(super) counts: Counts,
}

impl Queue {
    /// An empty queue.
    pub(super) fn new(limits: OutboxLimits) -> Self {
        Self {
            policy: Policy { batch: 1, repeat: None },
            limits,
            gate: Gate::default(),
            waiting: BTreeMap::new(),
            bytes: 0,
            dead: BTreeMap::new(),
            told: BTreeMap::new(),
            parts: VecDeque::new(),
            unsaved: Ledger::default(),
            swept_at: Timestamp::default(),
            counts: Counts::default(),
        }
    }

    pub(super) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    pub(super) fn open(&mut self) {
        self.gate.open();
    }

    /// Takes the latest state of one alert; it replaces an undelivered older one, whatever that said.
    pub(super) fn put(&mut self, fingerprint: u64, news: &Arc<Notification>, now: Timestamp, new_id: NewId) {
        self.sweep(now);
        if self.is_no_news(fingerprint, news, now) {
            return;
        }
        let before = self.remove(fingerprint).filter(|before| news.is_repeat_of(&before.notification));
        let (id, attempts, last_error) = match before {
            // A fresher copy of the same message: whoever got the first one must be able to tell.
            Some(before) => (before.id, before.attempts, before.last_error),
            None => (new_id().into(), 0, None),
        };
        self.dead.remove(&fingerprint);
        let version = self.touch(fingerprint);
        let entry = Waiting { id, notification: news.clone(), queued_at: now, attempts, version, last_error };
        self.insert(fingerprint, entry);
        self.make_room();
    }

    /// Whether the sink has heard this already, or has refused it lately.
    fn is_no_news(&self, fingerprint: u64, news: &Notification, now: Timestamp) -> bool {
        if self.waiting.contains_key(&fingerprint) {
            return false;
        }
        let told = self.told.get(&fingerprint).is_some_and(|told| {
            let same = told.status == news.status && told.starts_at == news.starts_at;
            same && self.policy.repeat.is_some_and(|repeat| now < told.at + repeat)
        });
        let refused = self.dead.get(&fingerprint).is_some_and(|dead| {
            let same = news.is_repeat_of(&dead.notification) && news.annotations == dead.notification.annotations;
            same && dead.why != EXPIRED && now < dead.died_at + REFUSAL_HOLDS
        });
        told || refused
    }

    pub(super) fn restore(&mut self, fingerprint: u64, saved: Saved, now: Timestamp) {
        let newer_known = self.waiting.contains_key(&fingerprint) || self.unsaved.knows(fingerprint);
        if newer_known {
            return;
        }
        let Saved { id, notification, queued_at, dead } = saved;
        // A clock that was set back must not make an entry immortal.
        let queued_at = queued_at.min(now);
        if let Some((died_at, why)) = dead {
            self.dead.insert(fingerprint, Dead { id, notification, queued_at, died_at: died_at.min(now), why });
            return;
        }
        let version = self.unsaved.next_version();
        self.insert(fingerprint, Waiting { id, notification, queued_at, attempts: 0, version, last_error: None });
        self.make_room();
    }

    pub(super) fn next(&mut self, now: Timestamp) -> Step {
        self.sweep(now);
        if self.waiting.is_empty() {
            return Step::Idle;
        }
        let news = self.waiting.values().any(|entry| entry.attempts == 0);
        let ready_at = self.gate.ready_at(news);
        if ready_at > now {
            return Step::Wait(ready_at);
        }
        Step::Send(self.next_part().unwrap_or_else(|| self.pick(news)))
    }

    /// The next part of a refused batch, without what has left the queue since.
    fn next_part(&mut self) -> Option<Batch> {
        while let Some(part) = self.parts.pop_front() {
            let items: Vec<Item> = part.iter().filter_map(|fingerprint| self.item(*fingerprint)).collect();
            if !items.is_empty() {
                return Some(Batch { items, part: true });
            }
        }
        None
    }

    /// What was tried least goes first, and news never shares a request with what has failed before: one alert that
    /// makes a sink stumble must not take others down with it.
    fn pick(&self, news: bool) -> Batch {
        let mut order: Vec<(u32, u64, u64)> = self
            .waiting
            .iter()
            .filter(|(_, entry)| !news || entry.attempts == 0)
            .map(|(fingerprint, entry)| (entry.attempts, entry.version, *fingerprint))
            .collect();
        order.sort_unstable();
        let chosen = order.iter().take(self.policy.batch.max(1));
        Batch { items: chosen.filter_map(|(_, _, fingerprint)| self.item(*fingerprint)).collect(), part: false }
    }

    fn item(&self, fingerprint: u64) -> Option<Item> {
        let entry = self.waiting.get(&fingerprint)?;
        let (id, notification) = (entry.id.clone(), entry.notification.clone());
        Some(Item { fingerprint, version: entry.version, id, notification })
    }

    pub(super) fn done(&mut self, batch: &Batch, verdict: &Verdict, now: Timestamp, dice: f64) {
        match verdict {
            Verdict::Delivered => {
                self.gate.succeeded();
                self.counts.sent += batch.items.len() as u64;
                batch.items.iter().for_each(|item| self.delivered(item, now));
            }
            Verdict::Retry { failure, after } => {
                self.gate.failed(now, *after, dice);
                self.failed(batch, failure);
            }
            Verdict::Disabled(failure) => {
                self.gate.disable(failure.clone(), now, dice);
                self.failed(batch, failure);
            }
            Verdict::Refused(failure) => {
                // It answers: whatever it thinks of these alerts, others may pass.
                self.gate.succeeded();
                self.count_failure(failure);
                self.refused(batch, failure, now);
            }
        }
    }

    fn delivered(&mut self, item: &Item, now: Timestamp) {
        if self.policy.repeat.is_some() {
            let Notification { status, starts_at, .. } = *item.notification;
            self.told.insert(item.fingerprint, Told { status, starts_at, at: now });
            // A fresher copy that came meanwhile is no news to this sink.
            if self.waiting.get(&item.fingerprint).is_some_and(|entry| entry.id == item.id) {
                self.remove(item.fingerprint);
            }
        }
        self.remove_version(item);
    }

    fn failed(&mut self, batch: &Batch, failure: &Failure) {
        self.count_failure(failure);
        for item in &batch.items {
            if let Some(entry) = self.waiting.get_mut(&item.fingerprint).filter(|e| e.version == item.version) {
                entry.attempts = entry.attempts.saturating_add(1);
                entry.last_error = Some(failure.detail.clone());
            }
        }
        if batch.part {
            self.parts.push_front(batch.items.iter().map(|item| item.fingerprint).collect());
        }
    }

    /// One alert: given up. Several: which one it was the sink does not say, so each half is tried for itself.
    fn refused(&mut self, batch: &Batch, failure: &Failure, now: Timestamp) {
        if let [item] = &batch.items[..] {
            if let Some(entry) = self.remove_version(item) {
                self.bury(item.fingerprint, entry, now, failure.detail.clone());
            }
            return;
        }
        let fingerprints: Vec<u64> = batch.items.iter().map(|item| item.fingerprint).collect();
        let (first, second) = fingerprints.split_at(fingerprints.len() / 2);
        self.parts.push_front(second.to_vec());
        self.parts.push_front(first.to_vec());
    }

    fn count_failure(&mut self, failure: &Failure) {
        *self.counts.failed.entry(failure.reason.clone()).or_default() += 1;
    }

    fn bury(&mut self, fingerprint: u64, entry: Waiting, now: Timestamp, why: String) {
        let Waiting { id, notification, queued_at, .. } = entry;
        self.dead.insert(fingerprint, Dead { id, notification, queued_at, died_at: now, why });
        self.touch(fingerprint);
        while self.dead.len() > DEAD_MOST
            && let Some(oldest) = self.dead.iter().min_by_key(|(_, dead)| dead.died_at).map(|(f, _)| *f)
        {
            self.dead.remove(&oldest);
            self.touch(oldest);
        }
    }

    /// Gives up what is too old, forgets the given-up and the told after their time. Looks once a second at most: it
    /// walks through everything.
    fn sweep(&mut self, now: Timestamp) {
        if now < self.swept_at + SWEEP_EVERY {
            return;
        }
        self.swept_at = now;
        let old = |since: Timestamp, span: Duration| now >= since + span;
        let ttl = self.limits.ttl;
        let expired: Vec<u64> = keys(&self.waiting, |entry| old(entry.queued_at, ttl));
        for fingerprint in expired {
            if let Some(entry) = self.remove(fingerprint) {
                self.bury(fingerprint, entry, now, EXPIRED.to_owned());
            }
        }
        for fingerprint in keys(&self.dead, |dead| old(dead.died_at, DEAD_KEPT)) {
            self.dead.remove(&fingerprint);
            self.touch(fingerprint);
        }
        let repeat = self.policy.repeat.unwrap_or_default();
        self.told.retain(|_, told| !old(told.at, repeat));
    }

    /// Drops the oldest until the bounds hold.
    fn make_room(&mut self) {
        while (self.waiting.len() > self.limits.entries || self.bytes > self.limits.bytes)
            && let Some(oldest) = self.waiting.iter().min_by_key(|(_, entry)| entry.version).map(|(f, _)| *f)
        {
            self.remove(oldest);
            self.counts.dropped += 1;
        }
        while self.told.len() > self.limits.entries
            && let Some(oldest) = self.told.iter().min_by_key(|(_, told)| told.at).map(|(f, _)| *f)
        {
            self.told.remove(&oldest);
        }
    }

    fn insert(&mut self, fingerprint: u64, entry: Waiting) {
        self.bytes += entry.notification.size();
        self.waiting.insert(fingerprint, entry);
    }

    fn remove(&mut self, fingerprint: u64) -> Option<Waiting> {
        let entry = self.waiting.remove(&fingerprint)?;
        self.bytes = self.bytes.saturating_sub(entry.notification.size());
        self.touch(fingerprint);
        Some(entry)
    }

    /// Removes the state that was sent; a newer one that came meanwhile stays.
    fn remove_version(&mut self, item: &Item) -> Option<Waiting> {
        let current = self.waiting.get(&item.fingerprint)?;
        if current.version == item.version { self.remove(item.fingerprint) } else { None }
    }

    /// Notes that disk and memory differ for this alert; gives the number of the change.
    fn touch(&mut self, fingerprint: u64) -> u64 {
        let most = 4 * self.limits.entries.max(DEAD_MOST);
        let left = || self.waiting.keys().chain(self.dead.keys()).copied();
        self.unsaved.touch(fingerprint, most, left)
    }
}

/// The keys whose value is as `wanted`.
fn keys<V>(map: &BTreeMap<u64, V>, wanted: impl Fn(&V) -> bool) -> Vec<u64> {
    map.iter().filter(|(_, value)| wanted(value)).map(|(key, _)| *key).collect()
}
