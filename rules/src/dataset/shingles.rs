//! A prompt as a set of shingles: runs of three words, or of three characters where a script has no spaces.
//!
//! Broder, "On the resemblance and containment of documents" (1997). Prompts that a program makes share most of their words;
//! a shingle that many prompts have tells nothing of any of them and is left out.

use std::collections::{HashMap, HashSet};

/// Tokens in a shingle.
const LENGTH: usize = 3;
/// Prompts that are looked at to learn what is common to them.
const LEARNT_FROM: usize = 5_000;
/// A shingle of so many prompts, and of one in so many of them, is common.
const COMMON: u32 = 20;
const COMMON_ONE_IN: u32 = 10;

/// Makes sets of shingles, without those that are common.
#[derive(Default)]
pub(super) struct Shingler {
    common: HashSet<u64>,
}

/// A prompt's shingles.
pub(super) struct Shingled {
    /// Hash of all its tokens in their order: equal for prompts that differ in case and white space only.
    pub(super) whole: u64,
    /// Ascending, each once; empty only where there is no token.
    pub(super) set: Vec<u64>,
}

impl Shingler {
    /// Learns what is common to `prompts`; each different prompt counts once, so one that is often asked is not common.
    pub(super) fn of<'t>(prompts: impl Iterator<Item = &'t str>) -> Self {
        let (mut seen, mut counts): (HashSet<u64>, HashMap<u64, u32>) = Default::default();
        let nothing = Self::default();
        for prompt in prompts {
            let shingled = nothing.shingled(prompt);
            if seen.insert(shingled.whole) {
                shingled.set.iter().for_each(|shingle| *counts.entry(*shingle).or_default() += 1);
            }
            if seen.len() == LEARNT_FROM {
                break;
            }
        }
        let most = u32::try_from(seen.len()).unwrap_or(u32::MAX) / COMMON_ONE_IN;
        let common = counts.into_iter().filter(|(_, count)| *count >= COMMON.max(most)).map(|(shingle, _)| shingle);
        Self { common: common.collect() }
    }

    /// The shingles of `prompt`; all of them where each is common.
    pub(super) fn shingled(&self, prompt: &str) -> Shingled {
        let tokens = tokens(prompt);
        let mut set: Vec<u64> = match tokens.len() {
            0 => Vec::new(),
            1..LENGTH => vec![joined(&tokens)],
            _ => tokens.windows(LENGTH).map(joined).collect(),
        };
        set.sort_unstable();
        set.dedup();
        if set.iter().any(|shingle| !self.common.contains(shingle)) {
            set.retain(|shingle| !self.common.contains(shingle));
        }
        Shingled { whole: joined(&tokens), set }
    }
}

/// Hashes of words in lower case, of signs, and of single characters in scripts without spaces.
fn tokens(text: &str) -> Vec<u64> {
    let (mut tokens, mut word) = (Vec::new(), None);
    for c in text.chars().flat_map(char::to_lowercase) {
        let alone = c as u32 >= 0x2E80 || !c.is_alphanumeric();
        if alone {
            tokens.extend(word.take());
        }
        match alone {
            true if c.is_whitespace() || c.is_control() => {}
            true => tokens.push(step(START, u64::from(c))),
            false => word = Some(step(word.unwrap_or(START), u64::from(c))),
        }
    }
    tokens.extend(word);
    tokens
}

const START: u64 = 0xcbf2_9ce4_8422_2325;

fn step(hash: u64, value: u64) -> u64 {
    mix(hash ^ value)
}

fn joined(tokens: &[u64]) -> u64 {
    tokens.iter().fold(START, |hash, token| step(hash.rotate_left(5), *token))
}

/// Spreads the entropy over all bits (the finalizer of splitmix64).
pub(super) fn mix(hash: u64) -> u64 {
    let hash = hash.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Jaccard index of two ascending sets: shared over all, in `[0, 1]`; 1 of two empty ones.
pub(super) fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut shared) = (0, 0, 0_usize);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        shared += usize::from(x == y);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    let all = a.len() + b.len() - shared;
    if all == 0 { 1.0 } else { shared as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(a: &str, b: &str) -> f64 {
        let shingler = Shingler::default();
        jaccard(&shingler.shingled(a).set, &shingler.shingled(b).set)
    }

    #[test]
    fn likeness_by_hand() {
        for (why, a, b, expected) in [
            ("the same", "Where is my card", "where  is\nMY card", 1.0),
            ("one of five words", "a b c d e", "a b c d f", 2.0 / 4.0),
            ("a number is a word", "what is 3 plus 4", "what is 4 plus 4", 0.0),
            ("signs count", "a + b", "a - b", 0.0),
            ("short ones as a whole", "hello there", "hello you", 0.0),
            ("nothing and nothing", "", " \n", 1.0),
            ("Chinese by character", "我想找家餐馆", "我想找家饭馆", 2.0 / 6.0),
        ] {
            assert!((alike(a, b) - expected).abs() < 1e-12, "{why}: {}", alike(a, b));
        }
    }

    #[test]
    fn what_all_prompts_have_tells_nothing() {
        let form = "Sort the ticket below into one of billing, delivery, other. Answer with one word. Ticket:";
        let all: Vec<String> = (0..40).map(|n| format!("{form} number {n} is lost")).collect();
        let shingler = Shingler::of(all.iter().map(String::as_str));
        let of = |text: &str| shingler.shingled(text).set;
        assert!(alike(&all[0], &all[1]) > 0.7 && jaccard(&of(&all[0]), &of(&all[1])) < 0.3);
        assert_eq!(of("the ticket below").len(), 1, "one that is all common keeps all");
        let copies = Shingler::of(std::iter::repeat_n("where is my card", 1000));
        assert!(copies.common.is_empty(), "copies are one prompt");
    }
}
