//! How much of each kind was found.

use super::Kind;

/// Number of values by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(Vec<(Kind, u64)>);

impl Counts {
    /// Counts one value more.
    pub fn count(&mut self, kind: Kind) {
        self.add(kind, 1);
    }

    /// Adds what another text had.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(kind, number)| self.add(kind, number));
    }

    /// Values of a kind.
    pub fn get(&self, kind: Kind) -> u64 {
        self.0.iter().find(|(known, _)| *known == kind).map_or(0, |(_, number)| *number)
    }

    /// Values of every kind.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, number)| number).sum()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Kinds that were found, in the order of [`Kind`].
    pub fn iter(&self) -> impl Iterator<Item = (Kind, u64)> {
        self.0.iter().copied()
    }

    fn add(&mut self, kind: Kind, number: u64) {
        match self.0.binary_search_by_key(&kind, |(known, _)| *known) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(number),
            Err(at) => self.0.insert(at, (kind, number)),
        }
    }
}
