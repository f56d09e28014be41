//! Which examples that are kept have nearly the same prompt: MinHash signatures in bands, so that the cost is linear.
//!
//! Broder et al., "Min-wise independent permutations" (1998): under a random permutation two sets have the same minimum
//! with a probability that is their Jaccard index s. With 20 bands of 5 permutations a pair is looked at with probability
//! 1 - (1 - s^5)^20: 0.9996 at 0.8, 0.05 at 0.3; what is looked at is compared exactly.

use std::collections::HashMap;

use super::shingles::{Shingled, Shingler, jaccard, mix};

const BANDS: usize = 20;
const ROWS: usize = 5;
/// Examples of one bucket that are compared at most: what is alike shares several buckets.
const LOOKED_AT: usize = 16;
/// No example.
const NONE: u32 = u32::MAX;

/// What an example that is kept is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Anchor,
    Other,
}

/// How an example meets one that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meets {
    /// The prompt is the same to the word.
    Same {
        /// So is the answer.
        answer: bool,
    },
    /// It is nearly the same.
    Near,
}

/// Prompts of examples that are kept; of those that were offered no two are nearly the same.
pub(super) struct Index {
    shingler: Shingler,
    near: f64,
    /// Newest entry of a bucket, by band and minima.
    buckets: HashMap<u64, u32>,
    /// An example and the entry before it in its bucket.
    entries: Vec<(u32, u32)>,
    whole: HashMap<u64, u32>,
    kept: Vec<Entry>,
}

struct Entry {
    set: Vec<u64>,
    answer: u64,
    what: Kept,
}

impl Index {
    /// `near`: Jaccard index from which on prompts are nearly the same.
    pub(super) fn new(shingler: Shingler, near: f64) -> Self {
        let (buckets, whole) = (HashMap::new(), HashMap::new());
        Self { shingler, near, buckets, whole, entries: Vec::new(), kept: Vec::new() }
    }

    /// Keeps an example; or says which kept one it meets, and how.
    pub(super) fn offer(&mut self, prompt: &str, answer: &str, what: Kept) -> Result<(), (Kept, Meets)> {
        let shingled = self.shingler.shingled(prompt);
        let answer = Shingler::default().shingled(answer).whole;
        let bands = bands(&shingled.set);
        if let Some((at, meets)) = self.find(&shingled, answer, &bands) {
            return Err((self.kept[at].what, meets));
        }
        self.add(shingled, answer, bands, what);
        Ok(())
    }

    /// Keeps an example whatever it is like.
    pub(super) fn keep(&mut self, prompt: &str, answer: &str, what: Kept) {
        let shingled = self.shingler.shingled(prompt);
        let bands = bands(&shingled.set);
        self.add(shingled, Shingler::default().shingled(answer).whole, bands, what);
    }

    fn add(&mut self, shingled: Shingled, answer: u64, bands: [u64; BANDS], what: Kept) {
        let own = self.kept.len() as u32;
        for band in bands {
            let before = self.buckets.insert(band, self.entries.len() as u32).unwrap_or(NONE);
            self.entries.push((own, before));
        }
        self.whole.insert(shingled.whole, own);
        self.kept.push(Entry { set: shingled.set, answer, what });
    }

    fn find(&self, shingled: &Shingled, answer: u64, bands: &[u64; BANDS]) -> Option<(usize, Meets)> {
        if let Some(at) = self.whole.get(&shingled.whole) {
            let at = *at as usize;
            return Some((at, Meets::Same { answer: self.kept[at].answer == answer }));
        }
        for band in bands {
            let mut next = self.buckets.get(band).copied().unwrap_or(NONE);
            for _ in 0..LOOKED_AT {
                let Some((own, before)) = self.entries.get(next as usize) else { break };
                if jaccard(&self.kept[*own as usize].set, &shingled.set) >= self.near {
                    return Some((*own as usize, Meets::Near));
                }
                next = *before;
            }
        }
        None
    }
}

/// A hash of each band's minima.
fn bands(set: &[u64]) -> [u64; BANDS] {
    std::array::from_fn(|band| {
        (0..ROWS).fold(band as u64, |hash, row| mix(hash.rotate_left(7) ^ minimum(set, band * ROWS + row)))
    })
}

/// The smallest of `set` under a permutation of the 64-bit numbers: times an odd number, plus another.
fn minimum(set: &[u64], permutation: usize) -> u64 {
    let (factor, offset) = (mix(2 * permutation as u64) | 1, mix(2 * permutation as u64 + 1));
    set.iter().map(|value| value.wrapping_mul(factor).wrapping_add(offset)).min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minima_agree_as_often_as_sets_do() {
        for shared in [0_u64, 300, 700, 950] {
            let a: Vec<u64> = (0..1000).map(mix).collect();
            let b: Vec<u64> = (1000 - shared..2000 - shared).map(mix).collect();
            let expected = shared as f64 / (2000 - shared) as f64;
            let same = (0..1000).filter(|at| minimum(&a, *at) == minimum(&b, *at)).count() as f64 / 1000.0;
            assert!((same - expected).abs() < 0.05, "{same} for {expected}"); // four standard errors are 0.063 at most
        }
    }

    /// Words drawn at random, and copies of them with a share of words replaced.
    fn texts(random: &mut fastrand::Rng) -> Vec<String> {
        let mut word = |_| format!("w{}", random.u32(..5000));
        let originals: Vec<Vec<String>> = (0..150).map(|_| (0..60).map(&mut word).collect()).collect();
        let mut all = Vec::new();
        for original in &originals {
            for changes in [0, 1, 2, 4, 20] {
                let mut words = original.clone();
                (0..changes).for_each(|_| words[random.usize(..60)] = format!("w{}", random.u32(..5000)));
                all.push(words.join(" "));
            }
        }
        random.shuffle(&mut all);
        all
    }

    #[test]
    fn no_two_that_are_kept_are_near_and_none_is_left_out_for_nothing() {
        let mut random = fastrand::Rng::with_seed(7);
        let all = texts(&mut random);
        let (mut index, plain) = (Index::new(Shingler::default(), 0.8), Shingler::default());
        let (mut kept, mut out): (Vec<Vec<u64>>, usize) = (Vec::new(), 0);
        for text in &all {
            let set = plain.shingled(text).set;
            let near = kept.iter().any(|other| jaccard(other, &set) >= 0.8);
            assert_eq!(index.offer(text, "", Kept::Other).is_err(), near, "{text}");
            if near { out += 1 } else { kept.push(set) }
        }
        assert!(out > 200 && kept.len() > 200, "{out} out, {} kept", kept.len());
    }

    #[test]
    fn what_is_met_is_told() {
        let mut index = Index::new(Shingler::default(), 0.8);
        let long: Vec<String> = (0..40).map(|n| format!("word{n}")).collect();
        let long = long.join(" ");
        assert_eq!(index.offer("Where is it", "here", Kept::Anchor), Ok(()));
        assert_eq!(index.offer(&long, "x", Kept::Other), Ok(()));
        for (prompt, answer, expected) in [
            ("where  is it", "Here", (Kept::Anchor, Meets::Same { answer: true })),
            ("where is it", "there", (Kept::Anchor, Meets::Same { answer: false })),
            (&long.replace("word39", "other"), "x", (Kept::Other, Meets::Near)),
        ] {
            assert_eq!(index.offer(prompt, answer, Kept::Other), Err(expected));
        }
    }
}
