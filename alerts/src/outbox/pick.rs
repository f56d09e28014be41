//! What one sink's next message holds: which alerts go together, and which wait for company.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::entry::{Item, Waiting};
use super::message_id;
use super::queue::{Batch, Queue, Step};
use crate::group::Group;
use plimsoll_rules::Timestamp;

/// What else fires in a group is named as far as this.
const CONTEXT: usize = 200;

impl Queue {
    pub(super) fn next(&mut self, now: Timestamp) -> Step {
        self.sweep(now);
        if self.waiting.is_empty() {
            return Step::Idle;
        }
        let due = self.due(now);
        let (ready, later): (Vec<_>, Vec<_>) = due.into_iter().partition(|(at, _)| *at <= now);
        let soonest = later.iter().map(|(at, _)| *at).min();
        if ready.is_empty() && self.parts.is_empty() {
            return soonest.map_or(Step::Idle, Step::Wait);
        }
        let ready: Vec<u64> = ready.into_iter().map(|(_, fingerprint)| fingerprint).collect();
        let news = ready.iter().any(|fingerprint| self.waiting[fingerprint].attempts == 0);
        let open_at = self.gate.ready_at(news).max(self.bucket.ready_at(now));
        if open_at > now {
            return Step::Wait(soonest.map_or(open_at, |soonest| soonest.min(open_at)));
        }
        let batch = self.next_part().unwrap_or_else(|| self.pick(&ready, news, now));
        self.bucket.take(now);
        Step::Send(batch)
    }

    /// When each waiting alert may go out, as far as its group is concerned.
    pub(super) fn due(&self, now: Timestamp) -> Vec<(Timestamp, u64)> {
        let mut began: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for (entry, group) in self.waiting.values().filter_map(|entry| Some((entry, entry.group.as_ref()?))) {
            let began = began.entry(&group.key).or_insert(entry.since);
            *began = entry.since.min(*began);
        }
        let due = |entry: &Waiting| match &entry.group {
            Some(group) if entry.attempts == 0 && !self.hurry && !entry.at_once => {
                match self.memory.spoke(&group.key) {
                    Some(spoke) => spoke + group.timing.group_interval,
                    None => began[group.key.as_str()] + group.timing.group_wait,
                }
            }
            _ => now,
        };
        self.waiting.iter().map(|(fingerprint, entry)| (due(entry), *fingerprint)).collect()
    }

    /// The next part of a refused batch, without what has left the queue since.
    fn next_part(&mut self) -> Option<Batch> {
        while let Some(part) = self.parts.pop_front() {
            let part: Vec<u64> = part.into_iter().filter(|f| self.waiting.contains_key(f)).collect();
            if !part.is_empty() {
                return Some(Batch { part: true, ..self.batch(&part) });
            }
        }
        None
    }

    /// What was tried least goes first, and news never shares a request with what has failed before: one alert that
    /// makes a sink stumble must not take others down with it.
    fn pick(&mut self, ready: &[u64], news: bool, now: Timestamp) -> Batch {
        let mut order: Vec<(u32, u64, u64)> = ready
            .iter()
            .map(|fingerprint| (&self.waiting[fingerprint], fingerprint))
            .filter(|(entry, _)| !news || entry.attempts == 0)
            .map(|(entry, fingerprint)| (entry.attempts, entry.version, *fingerprint))
            .collect();
        order.sort_unstable();
        let order: Vec<u64> = order.into_iter().map(|(_, _, fingerprint)| fingerprint).collect();
        let chosen = self.choose(&order, news, now);
        let batch = self.batch(&chosen);
        if self.policy.direct.is_some() {
            let speaks: BTreeSet<&str> =
                batch.items.iter().filter_map(|i| Some(i.group.as_ref()?.key.as_str())).collect();
            for fingerprint in &order {
                let Some(entry) = self.waiting.get_mut(fingerprint) else { continue };
                if chosen.contains(fingerprint) {
                    entry.message = Some(batch.id.clone());
                } else if key_of(entry).is_some_and(|key| speaks.contains(key)) {
                    // Its group speaks now and has more to say than fits: the rest follows, not an interval later.
                    entry.at_once = true;
                }
            }
        }
        batch
    }

    fn choose(&self, order: &[u64], news: bool, now: Timestamp) -> Vec<u64> {
        let some = |most: usize, wanted: &dyn Fn(&Waiting) -> bool| {
            let fitting = order.iter().filter(|fingerprint| wanted(&self.waiting[fingerprint]));
            fitting.take(most.max(1)).copied().collect::<Vec<u64>>()
        };
        let Some(first) = order.first().map(|first| &self.waiting[first]) else { return Vec::new() };
        if self.policy.direct.is_none() {
            return some(self.policy.batch, &|_| true);
        }
        if !news && first.message.is_some() {
            // A message that may have arrived is tried again as it was: with company its id would lie.
            return some(usize::MAX, &|entry| entry.message == first.message);
        }
        let groups: BTreeSet<Option<&str>> = order.iter().map(|f| key_of(&self.waiting[f])).collect();
        let throttled = self.bucket.left(now).is_some_and(|left| left < groups.len());
        if self.policy.digest > 0 && groups.len() > 1 && throttled {
            return some(self.policy.digest, &|_| true);
        }
        some(self.policy.batch, &|entry| key_of(entry) == key_of(first))
    }

    /// A message of these alerts.
    fn batch(&self, fingerprints: &[u64]) -> Batch {
        let items: Vec<Item> = fingerprints.iter().filter_map(|fingerprint| self.item(*fingerprint)).collect();
        let frozen = items.first().and_then(|item| self.waiting.get(&item.fingerprint)?.message.clone());
        let same =
            |group: &Arc<Group>| items.iter().all(|item| item.group.as_ref().is_some_and(|g| g.key == group.key));
        let group = items.first().and_then(|item| item.group.clone()).filter(same);
        let context =
            group.as_ref().map(|group| self.memory.still_firing(&group.key, fingerprints, CONTEXT)).unwrap_or_default();
        let whole = frozen.filter(|frozen| {
            let of_it = self.waiting.values().filter(|entry| entry.message.as_ref() == Some(frozen)).count();
            of_it == items.len()
        });
        Batch { id: whole.unwrap_or_else(|| id_of(&items)), items, context, group, part: false }
    }

    fn item(&self, fingerprint: u64) -> Option<Item> {
        let entry = self.waiting.get(&fingerprint)?;
        let (id, notification, group) = (entry.id.clone(), entry.notification.clone(), entry.group.clone());
        Some(Item { fingerprint, version: entry.version, id, notification, group })
    }
}

fn key_of(entry: &Waiting) -> Option<&str> {
    entry.group.as_ref().map(|group| group.key.as_str())
}

/// The id of a message of these items: their own, or a hash of all of them, so that the same message has the same id
/// after a restart too.
fn id_of(items: &[Item]) -> Arc<str> {
    if let [one] = items {
        return one.id.clone();
    }
    let mut ids: Vec<&str> = items.iter().map(|item| &*item.id).collect();
    ids.sort_unstable();
    message_id(&ids.join(" "))
}
