//! All series in memory: bounded in number, bytes and age.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::chunk::Chunk;
use crate::labels::METRIC_NAME;
use crate::{Labels, Timestamp};

mod snapshot;

/// The NaN that ends a series, bit for bit as Prometheus writes it.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Whether `value` is the staleness marker (an ordinary NaN is not).
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// What the store may hold.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Most series kept at once; a new one beyond is refused and counted.
    pub series: usize,
    /// How far back samples are kept.
    pub retention: Duration,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Append {
    /// Kept.
    Stored,
    /// Not newer than the series' last sample (the clock went backwards, or a duplicate).
    OutOfOrder,
    /// One series too many.
    TooManySeries,
}

/// How full the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Series held.
    pub series: usize,
    /// Samples held.
    pub samples: usize,
    /// Bytes of sample data held.
    pub bytes: usize,
}

/// One series: its labels and its samples, oldest first.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    chunks: VecDeque<Chunk>,
}

/// All series, found by metric name and matchers.
#[derive(Debug)]
pub struct Store {
    limits: StoreLimits,
    /// Slots are reused; an index stays valid while its series lives.
    slots: Vec<Option<Series>>,
    free: Vec<usize>,
    by_labels: HashMap<Labels, usize>,
    by_name: BTreeMap<Arc<str>, Vec<usize>>,
    unavailable: HashMap<String, String>,
}

impl Store {
    /// An empty store.
    pub fn new(limits: StoreLimits) -> Self {
        Self {
            limits,
            slots: Vec::new(),
            free: Vec::new(),
            by_labels: HashMap::new(),
            by_name: BTreeMap::new(),
            unavailable: HashMap::new(),
        }
    }

    /// Appends any float, NaN and infinities included (the pipeline refuses what collectors may not send).
    pub fn append(&mut self, series: &Labels, at: Timestamp, value: f64) -> Append {
        let Some(slot) = self.by_labels.get(series).copied() else {
            return self.insert(series, at, value);
        };
        let Some(series) = &mut self.slots[slot] else { return Append::TooManySeries };
        series.push(at.millis(), value)
    }

    fn insert(&mut self, labels: &Labels, at: Timestamp, value: f64) -> Append {
        if self.by_labels.len() >= self.limits.series {
            return Append::TooManySeries;
        }
        let series = Series { labels: labels.clone(), chunks: VecDeque::from([Chunk::new(at.millis(), value)]) };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(series);
        self.by_labels.insert(labels.clone(), slot);
        self.by_name.entry(labels.get(METRIC_NAME).unwrap_or("").into()).or_default().push(slot);
        Append::Stored
    }

    /// Ends a series at `at`: instant lookups find nothing from then on. A series that is not there stays so.
    pub fn mark_stale(&mut self, series: &Labels, at: Timestamp) -> Append {
        match self.by_labels.contains_key(series) {
            true => self.append(series, at, f64::from_bits(STALE_NAN_BITS)),
            false => Append::Stored,
        }
    }

    /// Says that the source of metric `name` has failed (or works again). Evaluating an expression that selects it is
    /// then an error that leaves alerts as they are, not a false resolve (prometheus#17482).
    pub fn set_unavailable(&mut self, name: &str, why: Option<&str>) {
        match why {
            Some(why) if self.unavailable.get(name).is_none_or(|known| known != why) => {
                self.unavailable.insert(name.to_owned(), why.to_owned());
            }
            Some(_) => {}
            None => {
                self.unavailable.remove(name);
            }
        }
    }

    /// Why metric `name` cannot be judged at present, if so.
    pub(crate) fn why_unavailable(&self, name: &str) -> Option<&str> {
        self.unavailable.get(name).map(String::as_str)
    }

    /// Metrics that cannot be judged at present, each with its reason.
    pub(crate) fn unavailable(&self) -> impl Iterator<Item = (&str, &str)> {
        self.unavailable.iter().map(|(name, why)| (name.as_str(), why.as_str()))
    }

    /// Drops samples older than the retention and series that have none left.
    pub fn expire(&mut self, now: Timestamp) {
        let oldest = (now - self.limits.retention).millis();
        for slot in 0..self.slots.len() {
            let Some(series) = &mut self.slots[slot] else { continue };
            while series.chunks.front().is_some_and(|chunk| chunk.last_ms < oldest) {
                series.chunks.pop_front();
            }
            if series.chunks.is_empty()
                && let Some(gone) = self.slots[slot].take()
            {
                self.forget(slot, &gone.labels);
            }
        }
    }

    fn forget(&mut self, slot: usize, labels: &Labels) {
        self.by_labels.remove(labels);
        let name = labels.get(METRIC_NAME).unwrap_or("");
        if let Some(list) = self.by_name.get_mut(name) {
            list.retain(|other| *other != slot);
            if list.is_empty() {
                self.by_name.remove(name);
            }
        }
        self.free.push(slot);
    }

    /// How full it is.
    pub fn stats(&self) -> StoreStats {
        let chunks = || self.slots.iter().flatten().flat_map(|series| &series.chunks);
        StoreStats {
            series: self.by_labels.len(),
            samples: chunks().map(|chunk| usize::from(chunk.count)).sum(),
            bytes: chunks().map(Chunk::size).sum(),
        }
    }

    /// Series of metric `name`, or all of them.
    pub(crate) fn select(&self, name: Option<&str>) -> impl Iterator<Item = &Series> {
        let (listed, all) = match name {
            Some(name) => (self.by_name.get(name).map(Vec::as_slice).unwrap_or_default(), [].as_slice()),
            None => ([].as_slice(), self.slots.as_slice()),
        };
        listed.iter().filter_map(|slot| self.slots[*slot].as_ref()).chain(all.iter().flatten())
    }
}

impl Series {
    fn push(&mut self, at_ms: i64, value: f64) -> Append {
        if let Some(last) = self.chunks.back_mut() {
            if at_ms <= last.last_ms {
                return Append::OutOfOrder;
            }
            if last.push(at_ms, value) {
                return Append::Stored;
            }
        }
        self.chunks.push_back(Chunk::new(at_ms, value));
        Append::Stored
    }

    /// The newest sample in `(after, until]`, staleness markers included.
    pub(crate) fn last_in(&self, after_ms: i64, until_ms: i64) -> Option<(i64, f64)> {
        let chunk = self.chunks.iter().rev().find(|chunk| chunk.first_ms <= until_ms)?;
        let newest = if chunk.last_ms <= until_ms {
            (chunk.last_ms, chunk.last_value())
        } else {
            chunk.samples().take_while(|(at, _)| *at <= until_ms).last()?
        };
        (newest.0 > after_ms).then_some(newest)
    }

    /// Samples in `(after, until]`, oldest first, staleness markers left out.
    pub(crate) fn range(&self, after_ms: i64, until_ms: i64) -> impl Iterator<Item = (i64, f64)> {
        let start = self.chunks.partition_point(|chunk| chunk.last_ms <= after_ms);
        self.chunks
            .range(start..)
            .take_while(move |chunk| chunk.first_ms <= until_ms)
            .flat_map(Chunk::samples)
            .filter(move |(at, value)| *at > after_ms && *at <= until_ms && !is_stale(*value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn store() -> Store {
        Store::new(StoreLimits { series: 3, retention: Duration::from_secs(3600) })
    }

    fn named(name: &str) -> Labels {
        Labels::metric(name, [("a", "b")])
    }

    #[test]
    fn bounds_are_kept() {
        let mut store = store();
        for (why, name, seconds, expected) in [
            ("first", "x", 10, Append::Stored),
            ("newer", "x", 11, Append::Stored),
            ("a duplicate", "x", 11, Append::OutOfOrder),
            ("the clock went back", "x", 5, Append::OutOfOrder),
            ("second series", "y", 5, Append::Stored),
            ("third", "z", 5, Append::Stored),
            ("one too many", "w", 5, Append::TooManySeries),
        ] {
            assert_eq!(store.append(&named(name), at(seconds), 1.0), expected, "{why}");
        }
        store.expire(at(3606));
        assert_eq!(store.stats().series, 1, "y and z have nothing left");
        assert_eq!(store.append(&named("w"), at(3607), 1.0), Append::Stored, "their places are free again");
    }

    #[test]
    fn ranges_are_open_on_the_left_and_leave_markers_out() {
        let mut store = store();
        for second in 0..500 {
            store.append(&named("x"), at(second), second as f64);
        }
        store.mark_stale(&named("x"), at(500));
        let series = store.select(Some("x")).next().unwrap();
        let seen: Vec<f64> = series.range(at(100).millis(), at(103).millis()).map(|(_, v)| v).collect();
        assert_eq!(seen, [101.0, 102.0, 103.0]);
        assert_eq!(series.range(at(498).millis(), at(600).millis()).count(), 1);
        assert!(is_stale(series.last_in(0, at(600).millis()).unwrap().1));
        assert_eq!(series.last_in(0, at(250).millis()), Some((250_000, 250.0)));
        assert_eq!(series.last_in(at(600).millis(), at(700).millis()), None);
    }
}
