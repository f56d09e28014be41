//! Finds series by metric name and by exact label values, and keeps each string once.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::Labels;
use crate::labels::METRIC_NAME;

/// Where series are, by what they are called. Slots found by a label value are candidates: different values may share
/// a hash, so the caller compares again.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_name: HashMap<Arc<str>, Slots>,
    by_value: HashMap<u64, Slots>,
    strings: HashSet<Arc<str>>,
}

/// Most values name one series only, and those take no memory of their own.
#[derive(Debug)]
enum Slots {
    One(u32),
    Many(Vec<u32>),
}

impl Slots {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(slots) => slots,
        }
    }

    fn add(&mut self, slot: u32) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, slot]),
            Self::Many(slots) => slots.push(slot),
        }
    }

    /// False when none are left.
    fn retain(&mut self, keep: impl Fn(u32) -> bool) -> bool {
        match self {
            Self::One(slot) => keep(*slot),
            Self::Many(slots) => {
                slots.retain(|slot| keep(*slot));
                !slots.is_empty()
            }
        }
    }
}

fn hash(name: &str, label: &str, value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (name, label, value).hash(&mut hasher);
    hasher.finish()
}

impl Index {
    /// `labels` over shared strings.
    pub(super) fn intern(&mut self, labels: &Labels) -> Labels {
        labels.map_strings(|text| {
            if let Some(known) = self.strings.get(&**text) {
                return known.clone();
            }
            self.strings.insert(text.clone());
            text.clone()
        })
    }

    /// Enters a series of interned labels.
    pub(super) fn add(&mut self, labels: &Labels, slot: u32) {
        let enter = |slots: &mut Slots| slots.add(slot);
        let name = self.strings.get(labels.name()).cloned().unwrap_or_else(|| labels.name().into());
        self.by_name.entry(name).and_modify(enter).or_insert(Slots::One(slot));
        for (label, value) in labels.iter().filter(|(label, _)| *label != METRIC_NAME) {
            self.by_value.entry(hash(labels.name(), label, value)).and_modify(enter).or_insert(Slots::One(slot));
        }
    }

    /// Forgets every series for which `gone` holds, and strings that nobody uses any more.
    pub(super) fn remove(&mut self, gone: impl Fn(u32) -> bool) {
        self.by_name.retain(|_, slots| slots.retain(|slot| !gone(slot)));
        self.by_value.retain(|_, slots| slots.retain(|slot| !gone(slot)));
        self.strings.retain(|text| Arc::strong_count(text) > 1);
    }

    /// Candidates among the series of metric `name` that have all these label values.
    pub(super) fn find<'p>(&self, name: &str, pairs: impl Iterator<Item = (&'p str, &'p str)>) -> &[u32] {
        let mut best = self.by_name.get(name).map(Slots::as_slice).unwrap_or_default();
        for (label, value) in pairs {
            // Among a handful, comparing is quicker than looking up.
            if best.len() <= 4 {
                break;
            }
            let found = self.by_value.get(&hash(name, label, value)).map(Slots::as_slice).unwrap_or_default();
            if found.len() < best.len() {
                best = found;
            }
        }
        best
    }
}
