//! One sink's queue: takes states, reads verdicts, bounds itself. What goes out next is chosen in `pick.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_rules::Timestamp;

use super::entry::{Dead, EXPIRED, Item, Saved, SavedTold, Then, Waiting};
use super::ledger::Ledger;
use super::told::Memory;
use super::view::Counts;
use super::{OutboxLimits, message_id};
use crate::gate::Gate;
use crate::group::Group;
use crate::rate::{Bucket, Rate};
use crate::route::Unnamed;
use crate::verdict::{Failure, Verdict};
use crate::{Notification, Status};

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
    /// Alerts in one digest of several groups, which is sent when more messages are due than the rate lets through; 0:
    /// there are no digests.
    pub(crate) digest: usize,
    /// Requests a minute.
    pub(crate) rate: Option<Rate>,
    /// For whom we route, group and remember, and what it hears when no route names it. `None`: a sink that does all
    /// that for itself and gets everything each time it is handed over.
    pub(crate) direct: Option<Unnamed>,
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
    /// The message's id, the same over all its retries.
    pub(crate) id: Arc<str>,
    pub(crate) items: Vec<Item>,
    /// What else of the group fires, as far as the sink knows.
    pub(crate) context: Vec<Arc<Notification>>,
    /// The group that all items belong to.
    pub(crate) group: Option<Arc<Group>>,
    /// Whether it is a part of a batch that was refused as a whole.
    pub(super) part: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    sink: Arc<str>,
    pub(super) policy: Policy,
    limits: OutboxLimits,
    pub(super) gate: Gate,
    pub(super) bucket: Bucket,
    pub(super) waiting: BTreeMap<u64, Waiting>,
    bytes: usize,
    pub(super) dead: BTreeMap<u64, Dead>,
    pub(super) memory: Memory,
    /// Parts of a refused batch, to be tried each for itself.
    pub(super) parts: VecDeque<Vec<u64>>,
    /// The end has begun: nothing waits for company.
    pub(super) hurry: bool,
    /// What the disk does not know yet.
    pub(super) unsaved: Ledger,
    swept_at: Timestamp,
    pub(super) counts: Counts,
}

impl Queue {
    /// An empty queue.
    pub(super) fn new(sink: Arc<str>, limits: OutboxLimits) -> Self {
        Self {
            sink,
            policy: Policy { batch: 1, digest: 0, rate: None, direct: None },
            limits,
            gate: Gate::default(),
            bucket: Bucket::default(),
            waiting: BTreeMap::new(),
            bytes: 0,
            dead: BTreeMap::new(),
            memory: Memory::default(),
            parts: VecDeque::new(),
            hurry: false,
            unsaved: Ledger::default(),
            swept_at: Timestamp::default(),
            counts: Counts::default(),
        }
    }

    pub(super) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.bucket.set_rate(policy.rate);
    }

    pub(super) fn open(&mut self) {
        self.gate.open();
    }

    /// Takes the latest state of one alert; it replaces an undelivered older one, whatever that said.
    pub(super) fn put(
        &mut self,
        fingerprint: u64,
        news: &Arc<Notification>,
        group: Option<Arc<Group>>,
        now: Timestamp,
    ) {
        self.sweep(now);
        if self.is_no_news(fingerprint, news, group.as_deref(), now) {
            return;
        }
        let before = self.remove(fingerprint);
        let before = match before {
            Some(before) if self.follows(&before, news) => return self.append(fingerprint, before, news, now),
            before => before,
        };
        let since = before.as_ref().map_or(now, |before| before.since);
        let same = before.filter(|before| news.is_repeat_of(&before.notification));
        self.dead.remove(&fingerprint);
        let version = self.touch(fingerprint);
        let id = same.as_ref().map_or_else(|| self.id(fingerprint, news), |same| same.id.clone());
        let fresh = Waiting { since, ..Waiting::new(id, news.clone(), group, now, version) };
        let entry = match same {
            // A fresher copy of the same message: whoever got the first one must be able to tell.
            Some(Waiting { attempts, last_error, message, at_once, .. }) => {
                Waiting { attempts, last_error, message, at_once, ..fresh }
            }
            None => fresh,
        };
        self.insert(fingerprint, entry);
        self.make_room();
    }

    /// Whether `news` is the end of an alert whose beginning is on its way to a sink that works: then it hears both. A
    /// sink that fails, or whose groups wait, hears only the latest state.
    fn follows(&self, before: &Waiting, news: &Notification) -> bool {
        let works = self.gate.failures() == 0 && before.attempts == 0;
        let waits = before.group.as_ref().is_some_and(|group| !group.timing.group_wait.is_zero());
        let ends = before.notification.status == Status::Firing
            && news.status == Status::Resolved
            && before.notification.starts_at == news.starts_at;
        works && !waits && ends
    }

    /// The id of what is said. Made of what it says and of when the same was last said here, so that a process that dies
    /// after sending and before writing says it under the same id again; a repeat hours later is another message.
    fn id(&self, fingerprint: u64, news: &Notification) -> Arc<str> {
        let before = self.memory.told_at(fingerprint, news).map_or(0, Timestamp::millis);
        let (status, starts_at) = (news.status.as_str(), news.starts_at.millis());
        message_id(&format!("{} {fingerprint:016x} {status} {starts_at} {before}", self.sink))
    }

    fn append(&mut self, fingerprint: u64, before: Waiting, news: &Arc<Notification>, now: Timestamp) {
        let id = before.then.as_ref().map_or_else(|| self.id(fingerprint, news), |then| then.id.clone());
        let then = Some(Then { id, notification: news.clone() });
        // The version stays: a request that is under way with the beginning is not in vain.
        self.insert(fingerprint, Waiting { then, queued_at: now, ..before });
        self.make_room();
    }

    /// Takes an entry out, but not what follows it.
    fn advance(&mut self, fingerprint: u64) -> Option<Waiting> {
        let mut gone = self.remove(fingerprint)?;
        if let Some(Then { id, notification }) = gone.then.take() {
            let version = self.touch(fingerprint);
            let fresh = Waiting::new(id, notification, gone.group.clone(), gone.queued_at, version);
            self.insert(fingerprint, Waiting { since: gone.since, at_once: true, ..fresh });
        }
        Some(gone)
    }

    /// Whether the sink has heard this already, or has refused it lately.
    fn is_no_news(
        &mut self,
        fingerprint: u64,
        news: &Arc<Notification>,
        group: Option<&Group>,
        now: Timestamp,
    ) -> bool {
        if self.waiting.contains_key(&fingerprint) {
            return false;
        }
        let told = group.is_some_and(|group| self.memory.knows(fingerprint, news, group, now));
        let refused = self.dead.get(&fingerprint).is_some_and(|dead| {
            let same = news.is_repeat_of(&dead.notification) && news.annotations == dead.notification.annotations;
            same && dead.why != EXPIRED && now < dead.died_at + REFUSAL_HOLDS
        });
        told || refused
    }

    /// A silence covers the alert: what of it was not tried yet is taken out. Gives whether `news` must be told all the
    /// same: an end, to those who heard of the beginning.
    pub(super) fn mute(&mut self, fingerprint: u64, news: &Notification, now: Timestamp) -> bool {
        self.memory.see(fingerprint, now);
        let tried = self.waiting.get(&fingerprint).is_some_and(|entry| entry.attempts > 0);
        if tried || news.status == Status::Resolved && self.memory.heard_begin(fingerprint, news.starts_at) {
            return true;
        }
        self.remove(fingerprint);
        false
    }

    /// Routes changed: everything that waits joins its new group, or leaves.
    pub(super) fn regroup(&mut self, group_of: impl Fn(&Notification) -> Option<Arc<Group>>) {
        if self.policy.direct.is_none() {
            return;
        }
        for fingerprint in self.waiting.keys().copied().collect::<Vec<_>>() {
            let Some(entry) = self.waiting.get_mut(&fingerprint) else { continue };
            match group_of(&entry.notification) {
                Some(group) => entry.group = Some(group),
                None => {
                    self.remove(fingerprint);
                }
            }
        }
    }

    /// Lets what was given up be tried again, all of it or the one with this id. Gives how many.
    pub(super) fn revive(
        &mut self,
        id: Option<&str>,
        now: Timestamp,
        group_of: impl Fn(&Notification) -> Option<Arc<Group>>,
    ) -> usize {
        let chosen = keys(&self.dead, |dead| id.is_none_or(|id| &*dead.id == id));
        for fingerprint in &chosen {
            let Some(Dead { id, notification, .. }) = self.dead.remove(fingerprint) else { continue };
            let version = self.touch(*fingerprint);
            if self.waiting.contains_key(fingerprint) {
                continue;
            }
            let group = self.policy.direct.and_then(|_| group_of(&notification));
            let entry = Waiting::new(id, notification, group, now, version);
            self.insert(*fingerprint, Waiting { at_once: true, ..entry });
        }
        chosen.len()
    }

    pub(super) fn restore(&mut self, fingerprint: u64, saved: Saved, group: Option<Arc<Group>>, now: Timestamp) {
        let newer_known = self.waiting.contains_key(&fingerprint) || self.unsaved.knows(fingerprint);
        if newer_known {
            return;
        }
        let Saved { id, notification, queued_at, dead, then } = saved;
        // A clock that was set back must not make an entry immortal.
        let queued_at = queued_at.min(now);
        if let Some((died_at, why)) = dead {
            let died_at = died_at.min(now);
            self.dead.insert(fingerprint, Dead { id, notification, queued_at, died_at, why, attempts: 0 });
            return;
        }
        let version = self.unsaved.next_version();
        self.insert(fingerprint, Waiting { then, ..Waiting::new(id, notification, group, queued_at, version) });
        self.make_room();
    }

    /// Takes back what the sink was told before a restart.
    pub(super) fn restore_told(&mut self, fingerprint: u64, saved: SavedTold, group: Arc<Group>, now: Timestamp) {
        if !self.unsaved.knows(fingerprint) {
            self.memory.restore(fingerprint, saved, group, now);
        }
    }

    pub(super) fn done(&mut self, batch: &Batch, verdict: &Verdict, now: Timestamp, dice: f64) {
        match verdict {
            Verdict::Delivered => {
                self.gate.succeeded();
                self.counts.sent += batch.items.len() as u64;
                batch.items.iter().for_each(|item| self.delivered(item, now));
                let groups: BTreeSet<&String> =
                    batch.items.iter().filter_map(|i| Some(&i.group.as_ref()?.key)).collect();
                self.memory.end_groups(groups.into_iter().cloned());
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
        if let Some(group) = &item.group {
            self.memory.tell(item.fingerprint, &item.notification, group, now);
            self.touch(item.fingerprint);
            // A fresher copy that came meanwhile is no news to this sink.
            if self.waiting.get(&item.fingerprint).is_some_and(|entry| entry.id == item.id) {
                self.advance(item.fingerprint);
            }
        }
        self.remove_version(item);
    }

    fn failed(&mut self, batch: &Batch, failure: &Failure) {
        self.count_failure(failure);
        for item in &batch.items {
            self.note_failure(item, failure);
            if self.waiting.get(&item.fingerprint).is_some_and(|e| e.version == item.version && e.then.is_some()) {
                // The sink does not work: it hears the latest state.
                self.advance(item.fingerprint);
            }
        }
        if batch.part {
            self.parts.push_front(batch.items.iter().map(|item| item.fingerprint).collect());
        }
    }

    /// Notes an attempt that came to nothing; a fresher copy of the same message that came meanwhile has failed too.
    fn note_failure(&mut self, item: &Item, failure: &Failure) {
        if let Some(entry) = self.waiting.get_mut(&item.fingerprint).filter(|entry| entry.id == item.id) {
            entry.attempts = entry.attempts.saturating_add(1);
            entry.last_error = Some(failure.detail.clone());
        }
    }

    /// One alert: given up. Several: which one it was the sink does not say, so each half is tried for itself.
    fn refused(&mut self, batch: &Batch, failure: &Failure, now: Timestamp) {
        if let [item] = &batch.items[..] {
            self.note_failure(item, failure);
            // When its end follows, that is tried for itself.
            if let Some(entry) = self.remove_version(item)
                && !self.waiting.contains_key(&item.fingerprint)
            {
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
        let Waiting { id, notification, since, attempts, then, .. } = entry;
        let Then { id, notification } = then.unwrap_or(Then { id, notification });
        self.dead.insert(fingerprint, Dead { id, notification, queued_at: since, died_at: now, why, attempts });
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
    pub(super) fn sweep(&mut self, now: Timestamp) {
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
        for fingerprint in self.memory.sweep(now, self.limits.entries) {
            self.touch(fingerprint);
        }
    }

    /// Drops the oldest until the bounds hold.
    fn make_room(&mut self) {
        while (self.waiting.len() > self.limits.entries || self.bytes > self.limits.bytes)
            && let Some(oldest) = self.waiting.iter().min_by_key(|(_, entry)| entry.version).map(|(f, _)| *f)
        {
            self.remove(oldest);
            self.counts.dropped += 1;
        }
    }

    fn insert(&mut self, fingerprint: u64, entry: Waiting) {
        self.bytes += entry.size();
        self.waiting.insert(fingerprint, entry);
    }

    pub(super) fn remove(&mut self, fingerprint: u64) -> Option<Waiting> {
        let entry = self.waiting.remove(&fingerprint)?;
        self.bytes = self.bytes.saturating_sub(entry.size());
        self.touch(fingerprint);
        Some(entry)
    }

    /// Removes the state that was sent; a newer one that came meanwhile stays.
    fn remove_version(&mut self, item: &Item) -> Option<Waiting> {
        let current = self.waiting.get(&item.fingerprint)?;
        if current.version == item.version { self.advance(item.fingerprint) } else { None }
    }

    /// Notes that disk and memory differ for this alert; gives the number of the change.
    pub(super) fn touch(&mut self, fingerprint: u64) -> u64 {
        let most = 4 * self.limits.entries.max(DEAD_MOST);
        let left = || self.waiting.keys().chain(self.dead.keys()).copied().chain(self.memory.fingerprints());
        self.unsaved.touch(fingerprint, most, left)
    }
}

/// The keys whose value is as `wanted`.
fn keys<V>(map: &BTreeMap<u64, V>, wanted: impl Fn(&V) -> bool) -> Vec<u64> {
    map.iter().filter(|(_, value)| wanted(value)).map(|(key, _)| *key).collect()
}
