//! What one sink has been told: so that it hears a state once, and so that a message can name what still fires.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_rules::Timestamp;

use super::entry::{SavedTold, Told};
use crate::group::Group;
use crate::{Notification, Status};

/// How long something told is remembered after it was last handed over: longer than anything is handed over again.
const KEPT: Duration = Duration::from_secs(3600);

/// Everything that one sink was told and that may come again, and when its groups last spoke.
#[derive(Debug, Default)]
pub(super) struct Memory {
    told: BTreeMap<u64, Told>,
    /// Key of a group that has something firing, and when its last message went out.
    spoke: BTreeMap<String, Timestamp>,
}

impl Memory {
    /// Whether the sink has heard `news` and it is too early to repeat it.
    pub(super) fn knows(&mut self, fingerprint: u64, news: &Arc<Notification>, group: &Group, now: Timestamp) -> bool {
        let Some(told) = self.told.get_mut(&fingerprint).filter(|told| news.is_repeat_of(&told.notification)) else {
            return false;
        };
        told.seen_at = now;
        told.notification = news.clone();
        news.status == Status::Resolved || now < told.at + group.timing.repeat_interval
    }

    /// The alert was handed over again: it is not to be forgotten.
    pub(super) fn see(&mut self, fingerprint: u64, now: Timestamp) {
        if let Some(told) = self.told.get_mut(&fingerprint) {
            told.seen_at = now;
        }
    }

    /// When the sink was last told the same.
    pub(super) fn told_at(&self, fingerprint: u64, news: &Notification) -> Option<Timestamp> {
        self.told.get(&fingerprint).filter(|told| news.is_repeat_of(&told.notification)).map(|told| told.at)
    }

    /// Whether the sink was told that this turn of the alert began.
    pub(super) fn heard_begin(&self, fingerprint: u64, starts_at: Timestamp) -> bool {
        self.told
            .get(&fingerprint)
            .is_some_and(|told| told.notification.status == Status::Firing && told.notification.starts_at == starts_at)
    }

    /// The sink took `notification` at `now`.
    pub(super) fn tell(
        &mut self,
        fingerprint: u64,
        notification: &Arc<Notification>,
        group: &Arc<Group>,
        now: Timestamp,
    ) {
        let told = Told { notification: notification.clone(), group: group.clone(), at: now, seen_at: now };
        self.told.insert(fingerprint, told);
        self.spoke.insert(group.key.clone(), now);
    }

    /// Takes back what was told before a restart.
    pub(super) fn restore(&mut self, fingerprint: u64, saved: SavedTold, group: Arc<Group>, now: Timestamp) {
        let (notification, at) = (saved.notification, saved.at.min(now));
        if notification.status == Status::Firing {
            let spoke = self.spoke.entry(group.key.clone()).or_insert(at);
            *spoke = at.max(*spoke);
        }
        self.told.entry(fingerprint).or_insert(Told { notification, group, at, seen_at: now });
    }

    /// When the group last spoke, if it still has something to say.
    pub(super) fn spoke(&self, key: &str) -> Option<Timestamp> {
        self.spoke.get(key).copied()
    }

    /// Forgets when groups spoke that have nothing firing any more: they begin anew.
    pub(super) fn end_groups(&mut self, keys: impl Iterator<Item = String>) {
        for key in keys {
            let fires = |told: &Told| told.notification.status == Status::Firing && told.group.key == key;
            if !self.told.values().any(fires) {
                self.spoke.remove(&key);
            }
        }
    }

    /// What else of a group fires, as far as the sink knows; at most `most`.
    pub(super) fn still_firing(&self, key: &str, but: &[u64], most: usize) -> Vec<Arc<Notification>> {
        let others = self.told.iter().filter(|(fingerprint, told)| {
            told.group.key == key && told.notification.status == Status::Firing && !but.contains(fingerprint)
        });
        others.take(most).map(|(_, told)| told.notification.clone()).collect()
    }

    /// What the disk shall hold of it.
    pub(super) fn saved_form(&self, fingerprint: u64) -> Option<SavedTold> {
        let told = self.told.get(&fingerprint)?;
        Some(SavedTold { notification: told.notification.clone(), at: told.at })
    }

    /// Alerts that were told of.
    pub(super) fn fingerprints(&self) -> impl Iterator<Item = u64> {
        self.told.keys().copied()
    }

    /// Forgets what is old, and the oldest beyond `most`; gives what was forgotten.
    pub(super) fn sweep(&mut self, now: Timestamp, most: usize) -> Vec<u64> {
        let old = |told: &Told| match told.notification.status {
            Status::Firing => now >= told.seen_at + KEPT.max(told.group.timing.repeat_interval),
            Status::Resolved => now >= told.seen_at + KEPT,
        };
        let mut gone: Vec<u64> = self.told.iter().filter(|(_, told)| old(told)).map(|(f, _)| *f).collect();
        if self.told.len() > most {
            let mut by_age: Vec<(Timestamp, u64)> = self.told.iter().map(|(f, told)| (told.seen_at, *f)).collect();
            by_age.sort_unstable();
            gone.extend(by_age.iter().take(self.told.len() - most).map(|(_, f)| *f));
        }
        gone.retain(|fingerprint| self.told.remove(fingerprint).is_some());
        gone
    }
}
