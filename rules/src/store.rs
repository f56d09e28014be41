//! All series in memory: bounded in number, bytes and age.

mod chunk;
mod code;
mod excerpt;
mod index;
mod replay;
mod series;
mod snapshot;

use std::collections::HashMap;
use std::time::Duration;

pub use self::excerpt::Excerpt;
use self::index::Index;
pub(crate) use self::series::Series;
use crate::{Labels, Timestamp};

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

/// All series, found by metric name and labels.
#[derive(Debug)]
pub struct Store {
    limits: StoreLimits,
    /// Slots are reused; a number stays valid while its series lives.
    slots: Vec<Option<Series>>,
    free: Vec<u32>,
    by_labels: HashMap<Labels, u32>,
    index: Index,
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
            index: Index::default(),
            unavailable: HashMap::new(),
        }
    }

    /// Appends any float, NaN and infinities included (the pipeline refuses what collectors may not send).
    pub fn append(&mut self, series: &Labels, at: Timestamp, value: f64) -> Append {
        let known = self.by_labels.get(series).and_then(|slot| self.slots.get_mut(*slot as usize)?.as_mut());
        if let Some(series) = known {
            return series.push(at.millis(), value);
        }
        if self.by_labels.len() >= self.limits.series {
            return Append::TooManySeries;
        }
        let labels = self.index.intern(series);
        self.enter(Series::new(labels, at.millis(), value));
        Append::Stored
    }

    /// Whether exactly this sample is there, bit for bit.
    pub(crate) fn holds(&self, series: &Labels, at: Timestamp, value: f64) -> bool {
        let known = self.by_labels.get(series).and_then(|slot| self.slots.get(*slot as usize)?.as_ref());
        let there = known.and_then(|series| series.last_in(at.millis().saturating_sub(1), at.millis()));
        there.is_some_and(|(_, there)| there.to_bits() == value.to_bits())
    }

    /// Takes in a series of interned labels that is not there yet.
    fn enter(&mut self, series: Series) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.index.add(&series.labels, slot);
        self.by_labels.insert(series.labels.clone(), slot);
        self.slots[slot as usize] = Some(series);
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

    /// Drops samples older than the retention (chunk by chunk) and series that have none left.
    pub fn expire(&mut self, now: Timestamp) {
        let oldest = (now - self.limits.retention).millis();
        let free_before = self.free.len();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if let Some(series) = slot
                && !series.expire(oldest)
            {
                self.by_labels.remove(&series.labels);
                self.free.push(u32::try_from(number).unwrap_or(u32::MAX));
                *slot = None;
            }
        }
        if self.free.len() > free_before {
            let slots = &self.slots;
            self.index.remove(|slot| slots.get(slot as usize).is_none_or(Option::is_none));
        }
    }

    /// How full it is.
    pub fn stats(&self) -> StoreStats {
        let all = || self.slots.iter().flatten();
        StoreStats {
            series: self.by_labels.len(),
            samples: all().map(Series::sample_count).sum(),
            bytes: all().map(Series::size).sum(),
        }
    }

    /// Series of metric `name`, or all of them.
    pub(crate) fn select(&self, name: Option<&str>) -> impl Iterator<Item = &Series> {
        self.candidates(name, std::iter::empty())
    }

    /// Series that may be of metric `name` and have these label values: few more than really do.
    pub(crate) fn candidates<'p>(
        &self,
        name: Option<&str>,
        pairs: impl Iterator<Item = (&'p str, &'p str)>,
    ) -> impl Iterator<Item = &Series> {
        let (listed, all) = match name {
            Some(name) => (self.index.find(name, pairs), [].as_slice()),
            None => ([].as_slice(), self.slots.as_slice()),
        };
        listed.iter().filter_map(|slot| self.slots.get(*slot as usize)?.as_ref()).chain(all.iter().flatten())
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

    #[test]
    fn series_are_found_by_label_value_and_forgotten_whole() {
        let mut store = Store::new(StoreLimits { series: 100, retention: Duration::from_secs(60) });
        let labels = |id: &str, parity: &str| Labels::metric("x", [("id", id), ("parity", parity)]);
        for n in 0..20 {
            let parity = if n % 2 == 0 { "even" } else { "odd" };
            store.append(&labels(&n.to_string(), parity), at(if n < 10 { 0 } else { 100 }), 1.0);
        }
        let found = |store: &Store, pairs: &[(&str, &str)]| {
            store.candidates(Some("x"), pairs.iter().copied()).map(|s| s.labels.clone()).collect::<Vec<_>>()
        };
        assert_eq!(found(&store, &[("parity", "odd"), ("id", "13")]), [labels("13", "odd")]);
        assert_eq!(found(&store, &[("parity", "even")]).len(), 10);
        assert_eq!(found(&store, &[("parity", "none")]).len(), 0);
        store.expire(at(120));
        assert_eq!(found(&store, &[("parity", "even")]).len(), 5, "the first ten are gone");
        store.append(&labels("new", "odd"), at(121), 1.0);
        assert_eq!(
            found(&store, &[("id", "new"), ("parity", "odd")]),
            [labels("new", "odd")],
            "in a place used before"
        );
        store.expire(at(1000));
        assert_eq!((store.stats().series, store.select(Some("x")).count()), (0, 0));
    }
}
