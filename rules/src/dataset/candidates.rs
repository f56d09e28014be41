//! What may become an example, within bounds, whatever order it comes in.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::judged::{Told, example};
use super::{Counts, Example, Origin, Settings};

/// Most new candidates and most old ones, and bytes of either.
const MOST: usize = 100_000;
const MOST_BYTES: usize = 128 << 20;

/// Exchanges that were taken in one by one.
pub struct Candidates {
    pub(super) settings: Settings,
    pub(super) counts: Counts,
    new: Bounded<(Reverse<i64>, String)>,
    old: Bounded<(u64, String)>,
}

impl Candidates {
    /// None yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, counts: Counts::default(), new: Bounded::default(), old: Bounded::default() }
    }

    /// Takes an exchange, or counts why not. Bounded: of too many new ones the newest stay, of too many old ones those that
    /// the seed picks.
    pub fn take(&mut self, told: Told) {
        if told.started >= self.settings.until {
            return;
        }
        self.counts.read += 1;
        let Some(example) = example(told, &self.settings, &mut self.counts.left_out) else { return };
        let began = example.started.millis();
        let is_distrusted = self.settings.distrusted_ms.iter().any(|span| (span.0..span.1).contains(&began));
        if example.started < self.settings.since && example.origin == Origin::Corrected && is_distrusted {
            self.counts.left_out.distrusted += 1;
            return;
        }
        let fate = if example.started >= self.settings.since {
            self.new.take((Reverse(example.started.millis()), example.id.clone()), example)
        } else {
            self.old.take((lot(self.settings.seed, &example.id), example.id.clone()), example)
        };
        self.counts.left_out.over_limit += fate.dropped;
        self.counts.left_out.duplicates += fate.known;
    }

    /// New ones, newest first, and old ones in the order in which the seed draws them.
    pub(super) fn parted(self) -> (Settings, Counts, Vec<Example>, Vec<Example>) {
        let all = |kept: BTreeMap<_, Example>| kept.into_values().collect();
        (self.settings, self.counts, all(self.new.kept), self.old.kept.into_values().collect())
    }
}

/// The number that an exchange draws.
fn lot(seed: u64, id: &str) -> u64 {
    let digest = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(id).finalize();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// As many of the smallest keys as fit.
struct Bounded<K> {
    kept: BTreeMap<K, Example>,
    bytes: usize,
    /// The smallest key that did not fit: none from there on does. Without it what fits would depend on the order.
    end: Option<K>,
}

impl<K> Default for Bounded<K> {
    fn default() -> Self {
        Self { kept: BTreeMap::new(), bytes: 0, end: None }
    }
}

/// What became of one that was offered, and of others for its sake.
#[derive(Default)]
struct Fate {
    dropped: u64,
    known: u64,
}

impl<K: Ord + Clone> Bounded<K> {
    fn take(&mut self, key: K, example: Example) -> Fate {
        self.take_within(key, example, (MOST, MOST_BYTES))
    }

    fn take_within(&mut self, key: K, example: Example, (most, most_bytes): (usize, usize)) -> Fate {
        if self.kept.contains_key(&key) {
            return Fate { known: 1, ..Fate::default() };
        }
        if self.end.as_ref().is_some_and(|end| key >= *end) {
            return Fate { dropped: 1, ..Fate::default() };
        }
        self.bytes += example.bytes();
        self.kept.insert(key, example);
        let mut fate = Fate::default();
        while (self.kept.len() > most || self.bytes > most_bytes)
            && let Some((key, example)) = self.kept.pop_last()
        {
            self.bytes -= example.bytes();
            self.end = Some(key);
            fate.dropped += 1;
        }
        fate
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_fits_does_not_depend_on_the_order(
            sizes in proptest::collection::vec(1..20_usize, 1..40), most in 1..40_usize, bytes in 20..200_usize, seed: u64,
        ) {
            let mut order: Vec<usize> = (0..sizes.len()).collect();
            let mut taken = Vec::new();
            for _ in 0..2 {
                let mut bounded = Bounded::default();
                let mut dropped = 0;
                for key in &order {
                    let one = Example { id: String::new(), response: String::new(), prompt: "x".repeat(sizes[*key]),
                        ..example("", "", 0) };
                    dropped += bounded.take_within(*key, one, (most, bytes)).dropped;
                }
                proptest::prop_assert_eq!(dropped as usize + bounded.kept.len(), sizes.len());
                proptest::prop_assert!(bounded.bytes <= bytes && bounded.kept.len() <= most);
                taken.push(bounded.kept.keys().copied().collect::<Vec<_>>());
                fastrand::Rng::with_seed(seed).shuffle(&mut order);
            }
            proptest::prop_assert_eq!(&taken[0], &taken[1]);
            proptest::prop_assert_eq!(&taken[0], &(0..taken[0].len()).collect::<Vec<_>>(), "the smallest keys");
        }
    }
}
