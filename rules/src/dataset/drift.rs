//! Which new prompts are of the slice that has drifted: much likelier among new ones than among old ones.

use serde::{Deserialize, Serialize};

use crate::two_sample::domain_classifier;

/// Prompts of either side compared at once.
const AT_ONCE: usize = 5_000;
/// Characters of a prompt that are looked at.
const LOOKED_AT: usize = 1_000;
/// From this on the two sides may as well be the same.
const CHANCE: f64 = 0.01;

/// Whether examples were over-weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftState {
    /// Not asked for.
    #[default]
    Off,
    /// Fewer than 20 prompts on a side.
    TooFew,
    /// New prompts cannot be told from old ones.
    NotFound,
    /// Some new prompts stand out.
    Found,
}

/// How new prompts compare with old ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// What was found.
    pub state: DriftState,
    /// The chance that a new prompt looks newer than an old one to a model that has seen neither, 0.5 to 1.
    pub auc: Option<f64>,
    /// The smallest chance of such an area if there were no difference.
    pub p_value: Option<f64>,
}

/// Compares, and gives for each of `new` in log odds how much likelier it is among the new prompts; nothing where they cannot
/// be told apart. Both sides in an order that does not depend on what they say; a part of `old` is enough.
///
/// A classifier cross-fitted over hashed n-grams, both sides weighing the same: each prompt is judged by a model that has
/// not seen it. Linear: new ones are compared 5 000 at a time.
pub(super) fn compare(new: &[&str], old: &[&str], seed: u64) -> (Drift, Option<Vec<f32>>) {
    let old: Vec<&str> = old.iter().take(AT_ONCE).map(|text| begin(text)).collect();
    let rounds = new.len().div_ceil(AT_ONCE).max(1);
    let (mut margins, mut area, mut least) = (Vec::with_capacity(new.len()), 0.0, 1.0_f64);
    for part in new.chunks(new.len().div_ceil(rounds).max(1)) {
        let part: Vec<&str> = part.iter().map(|text| begin(text)).collect();
        let Ok(found) = domain_classifier(&old, &part, seed) else { break };
        margins.extend(found.margins);
        area += found.auc * part.len() as f64 / new.len() as f64;
        least = least.min(found.p_value);
    }
    if new.is_empty() || margins.len() < new.len() {
        return (Drift { state: DriftState::TooFew, ..Drift::default() }, None);
    }
    let is_there = least * (rounds as f64) < CHANCE;
    let state = if is_there { DriftState::Found } else { DriftState::NotFound };
    (Drift { state, auc: Some(area), p_value: Some(least) }, is_there.then_some(margins))
}

fn begin(text: &str) -> &str {
    text.char_indices().nth(LOOKED_AT).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 16] = [
        "card", "where", "lost", "please", "help", "account", "transfer", "when", "money", "arrive", "my", "the",
        "bank", "number", "open", "close",
    ];

    fn texts(count: usize, foreign: f64, random: &mut fastrand::Rng) -> Vec<String> {
        let mut text = || {
            let mut words: Vec<&str> = (0..8).map(|_| WORDS[random.usize(..WORDS.len())]).collect();
            if random.f64() < foreign {
                (words[2], words[5]) = ("bitcoin", "wallet");
            }
            words.join(" ")
        };
        (0..count).map(|_| text()).collect()
    }

    fn found(new: &[String], old: &[String]) -> (Drift, Option<Vec<f32>>) {
        let new: Vec<&str> = new.iter().map(String::as_str).collect();
        let old: Vec<&str> = old.iter().map(String::as_str).collect();
        compare(&new, &old, 3)
    }

    #[test]
    fn the_slice_that_moved_stands_out_and_the_rest_does_not() {
        let mut random = fastrand::Rng::with_seed(1);
        for (new, old, share) in [(300, 300, 0.2), (1000, 3000, 0.1), (12_000, 6_000, 0.1)] {
            let (new, old) = (texts(new, share, &mut random), texts(old, 0.0, &mut random));
            let (drift, margins) = found(&new, &old);
            assert_eq!(drift.state, DriftState::Found, "{drift:?}");
            let margins = margins.unwrap();
            let above = |of_slice: bool| {
                let all = new.iter().zip(&margins).filter(|(text, _)| text.contains("bitcoin") == of_slice);
                let (count, above) =
                    all.fold((0.0, 0.0), |(n, a), (_, margin)| (n + 1.0, a + f64::from(u8::from(*margin >= 0.693))));
                above / count
            };
            assert!(above(true) > 0.9 && above(false) < 0.2, "{}: {} {}", new.len(), above(true), above(false));
        }
    }

    #[test]
    fn no_drift_and_too_few_weigh_nothing() {
        let mut random = fastrand::Rng::with_seed(2);
        let (new, old) = (texts(200, 0.0, &mut random), texts(400, 0.0, &mut random));
        let (drift, margins) = found(&new, &old);
        assert!(drift.state == DriftState::NotFound && margins.is_none(), "{drift:?}");
        for (new, old) in [(&new[..], &old[..10]), (&new[..10], &old[..]), (&new[..0], &old[..])] {
            assert_eq!(found(new, old).0.state, DriftState::TooFew);
        }
    }
}
