//! Label sets compared by some of their labels: what `by`, `without`, `on` and `ignoring` do.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::super::ast::LabelChoice;
use crate::Labels;
use crate::labels::METRIC_NAME;

/// The labels that count.
#[derive(Debug)]
pub(super) enum Subset<'n> {
    Only(&'n [String]),
    /// All but these and the metric name.
    Except(&'n [String]),
}

impl<'n> Subset<'n> {
    pub(super) fn of(choice: &'n LabelChoice) -> Self {
        match choice {
            LabelChoice::Only(names) => Self::Only(names),
            LabelChoice::Except(names, _) => Self::Except(names),
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.iter().any(|other| other == name),
            Self::Except(names) => name != METRIC_NAME && !names.iter().any(|other| other == name),
        }
    }

    fn pick<'l>(&self, labels: &'l Labels) -> impl Iterator<Item = (&'l str, &'l str)> {
        labels.iter().filter(|(name, _)| self.has(name))
    }

    /// The labels that count, as a set.
    pub(super) fn project(&self, labels: &Labels) -> Labels {
        labels.filtered(|name| self.has(name))
    }

    fn hash(&self, labels: &Labels) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, value) in self.pick(labels) {
            hasher.write(name.as_bytes());
            hasher.write_u8(0xff);
            hasher.write(value.as_bytes());
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }

    fn same(&self, a: &Labels, b: &Labels) -> bool {
        self.pick(a).eq(self.pick(b))
    }
}

/// Numbers label sets that agree in a subset, in order of appearance.
#[derive(Debug)]
pub(super) struct Groups<'n, 'l> {
    subset: &'n Subset<'n>,
    /// By hash; where two different sets hash alike, the later one takes the next free number.
    index: HashMap<u64, usize>,
    first: Vec<&'l Labels>,
}

/// What [`Groups::add`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    Fresh(usize),
    Known(usize),
}

impl Added {
    pub(super) fn number(self) -> usize {
        match self {
            Self::Fresh(number) | Self::Known(number) => number,
        }
    }
}

impl<'n, 'l> Groups<'n, 'l> {
    pub(super) fn new(subset: &'n Subset<'n>) -> Self {
        Self { subset, index: HashMap::new(), first: Vec::new() }
    }

    /// Either the number of the group or the free place for it.
    fn probe(&self, labels: &Labels) -> Result<usize, u64> {
        let mut hash = self.subset.hash(labels);
        while let Some(number) = self.index.get(&hash) {
            if self.subset.same(self.first[*number], labels) {
                return Ok(*number);
            }
            hash = hash.wrapping_add(1);
        }
        Err(hash)
    }

    pub(super) fn add(&mut self, labels: &'l Labels) -> Added {
        match self.probe(labels) {
            Ok(number) => Added::Known(number),
            Err(place) => {
                self.index.insert(place, self.first.len());
                self.first.push(labels);
                Added::Fresh(self.first.len() - 1)
            }
        }
    }

    pub(super) fn find(&self, labels: &Labels) -> Option<usize> {
        self.probe(labels).ok()
    }

    /// The first label set of each group, by number.
    pub(super) fn firsts(&self) -> &[&'l Labels] {
        &self.first
    }
}
