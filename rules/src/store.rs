//! All series in memory: bounded in number, bytes and age.

use std::time::Duration;

use crate::{Labels, Timestamp};

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
    /// Bytes of sample data held, label strings included.
    pub bytes: usize,
}

/// All series, found by label matchers.
#[derive(Debug)]
pub struct Store {}

impl Store {
    /// An empty store.
    pub fn new(_limits: StoreLimits) -> Self {
        todo!()
    }

    /// Appends any float, NaN and infinities included (the pipeline refuses what collectors may not send).
    pub fn append(&mut self, _series: &Labels, _at: Timestamp, _value: f64) -> Append {
        todo!()
    }

    /// Ends a series at `at`: instant lookups find nothing from then on.
    pub fn mark_stale(&mut self, _series: &Labels, _at: Timestamp) -> Append {
        todo!()
    }

    /// Says that the source of metric `name` has failed (or works again). Evaluating an expression that selects it is
    /// then an error that leaves alerts as they are, not a false resolve (prometheus#17482).
    pub fn set_unavailable(&mut self, _name: &str, _why: Option<&str>) {
        todo!()
    }

    /// Drops samples older than the retention and series that have none left.
    pub fn expire(&mut self, _now: Timestamp) {
        todo!()
    }

    /// How full it is.
    pub fn stats(&self) -> StoreStats {
        todo!()
    }

    /// A compact snapshot that [`Store::restore`] reads back; format versioned, checksummed.
    pub fn snapshot(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads a snapshot back.
    ///
    /// # Errors
    /// A sentence saying what is wrong with it (truncated, other version, checksum).
    pub fn restore(_limits: StoreLimits, _snapshot: &[u8]) -> Result<Self, String> {
        todo!()
    }
}
