//! Baselines as objects: learned, pinned, accepted, rolled back, compared; every version says where it comes from.
//!
//! `R` is what a detector needs: [`ScalarReference`], [`super::CategoricalReference`], or any other.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::DriftError;
use crate::Timestamp;

/// Versions kept; the first one and the one in force are never dropped.
const KEPT: usize = 12;

/// Where a baseline comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaselineKind {
    /// The first values of a signal.
    First,
    /// A range of time.
    Range,
    /// Values from a file or a caller.
    Given,
    /// Recent values, accepted as the new normal.
    Accepted,
    /// Values of some weeks, by hour of the week.
    Hours,
}

/// What a baseline was learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// In which way.
    pub kind: BaselineKind,
    /// From how many values.
    pub values: u64,
    /// The first of them.
    pub from: Timestamp,
    /// The last of them.
    pub until: Timestamp,
}

/// One version of what is usual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline<R> {
    /// Counts from 1; never used twice.
    pub version: u64,
    /// Where it comes from.
    pub learned: Learned,
    /// What a detector compares with.
    pub reference: R,
}

/// All versions of a signal's baseline and which one is in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baselines<R> {
    versions: VecDeque<Baseline<R>>,
    current: u64,
    pinned: bool,
}

impl<R> Baselines<R> {
    /// Starts with version 1.
    pub fn new(learned: Learned, reference: R) -> Self {
        Self { versions: [Baseline { version: 1, learned, reference }].into(), current: 1, pinned: false }
    }

    /// The version in force.
    pub fn current(&self) -> Option<&Baseline<R>> {
        self.get(self.current)
    }

    /// A version, if it is still kept.
    pub fn get(&self, version: u64) -> Option<&Baseline<R>> {
        self.versions.iter().find(|baseline| baseline.version == version)
    }

    /// All that are kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Baseline<R>> {
        self.versions.iter()
    }

    /// Whether the version in force may not be replaced.
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Keeps the version in force until [`Baselines::unpin`].
    pub fn pin(&mut self) {
        self.pinned = true;
    }

    /// Lets the version in force be replaced again.
    pub fn unpin(&mut self) {
        self.pinned = false;
    }

    /// Puts a new version in force; gives its number.
    ///
    /// # Errors
    /// [`DriftError::Pinned`] while the one in force is pinned.
    pub fn accept(&mut self, learned: Learned, reference: R) -> Result<u64, DriftError> {
        self.refuse_pinned()?;
        let version = self.versions.back().map_or(0, |newest| newest.version) + 1;
        self.versions.push_back(Baseline { version, learned, reference });
        self.current = version;
        if self.versions.len() > KEPT {
            // the first one stays: what was usual before anybody accepted anything can always be had again
            self.versions.remove(1);
        }
        Ok(version)
    }

    /// Puts an older (or newer) version in force again.
    ///
    /// # Errors
    /// [`DriftError::NoSuchVersion`] for one that is not kept, [`DriftError::Pinned`] while the one in force is pinned.
    pub fn roll_back(&mut self, version: u64) -> Result<&Baseline<R>, DriftError> {
        self.refuse_pinned()?;
        let ends = (self.versions.front().map_or(0, |v| v.version), self.versions.back().map_or(0, |v| v.version));
        let missing = DriftError::NoSuchVersion { version, oldest: ends.0, newest: ends.1 };
        let found = self.versions.iter().find(|baseline| baseline.version == version).ok_or(missing)?;
        self.current = version;
        Ok(found)
    }

    fn refuse_pinned(&self) -> Result<(), DriftError> {
        if self.pinned { Err(DriftError::Pinned { version: self.current }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(kind: BaselineKind) -> Learned {
        Learned { kind, values: 100, from: Timestamp::from_millis(0), until: Timestamp::from_millis(9) }
    }

    #[test]
    fn versions_are_accepted_pinned_and_rolled_back() {
        let mut all = Baselines::new(learned(BaselineKind::First), "one");
        assert_eq!(all.accept(learned(BaselineKind::Accepted), "two"), Ok(2));
        assert_eq!(all.current().unwrap().reference, "two");
        assert_eq!(all.roll_back(1).unwrap().reference, "one");
        assert_eq!(all.roll_back(7), Err(DriftError::NoSuchVersion { version: 7, oldest: 1, newest: 2 }));
        all.pin();
        assert_eq!(all.accept(learned(BaselineKind::Given), "three"), Err(DriftError::Pinned { version: 1 }));
        assert_eq!(all.roll_back(2), Err(DriftError::Pinned { version: 1 }));
        all.unpin();
        assert_eq!(all.accept(learned(BaselineKind::Given), "three"), Ok(3), "a number is never used twice");
        (0..30).for_each(|_| drop(all.accept(learned(BaselineKind::Accepted), "more")));
        assert_eq!((all.iter().count(), all.current().unwrap().version), (KEPT, 33));
        assert_eq!(all.iter().take(2).map(|one| one.version).collect::<Vec<_>>(), [1, 23], "the first one is kept");
    }
}
