//! Who is learnt, who is held out, who is an anchor and who is repeated.

use std::collections::HashSet;

use super::drift::{Drift, compare};
use super::near::{Index, Kept, Meets};
use super::shingles::Shingler;
use super::{Candidates, Counts, Example, LeftOut, Origin, Settings};

/// The parts of a dataset. No `Debug`: it holds text.
pub struct Dataset {
    /// To learn, oldest first; each as often as its weight says.
    pub train: Vec<Example>,
    /// Held out: the newest of the corrected and the newest of the good ones, oldest first.
    pub holdout: Vec<Example>,
    /// What must not be forgotten: as given, or drawn, oldest first.
    pub anchors: Vec<Example>,
    /// Old examples to repeat, oldest first.
    pub replay: Vec<Example>,
    /// What became of all exchanges.
    pub counts: Counts,
    /// How new prompts compare with old ones.
    pub drift: Drift,
}

/// Chooses. `frozen`: the anchors, where they were drawn before.
///
/// Examples are gone through once, and one is kept whose prompt is not nearly the same as that of one that is kept already; so
/// no part has such a prompt of another. The order says who wins: anchors that were given; new corrections, latest first;
/// anchors to be drawn from old good ones by lot; new good answers, newest first; old ones by lot. An old answer that a
/// new correction contradicts thus becomes no anchor.
pub fn curate(candidates: Candidates, frozen: Option<Vec<Example>>) -> Dataset {
    let (settings, counts, mut new, old) = candidates.parted();
    let drift = over_weight(&mut new, &old, &settings);
    let shingler = Shingler::of(new.iter().chain(&old).map(|one| one.prompt.as_str()));
    let mut choice = Choice { index: Index::new(shingler, settings.near_duplicate), left_out: counts.left_out.clone() };

    let given = frozen.is_some();
    let mut anchors = frozen.unwrap_or_default();
    let anchored: HashSet<String> = anchors.iter().map(|one| one.id.clone()).collect();
    for anchor in &anchors {
        choice.index.keep(&anchor.prompt, &anchor.response, Kept::Anchor);
    }
    let (new, old) = (choice.without(new, &anchored), choice.without(old, &anchored));
    let (mut corrected, good): (Vec<_>, Vec<_>) = new.into_iter().partition(|one| one.origin == Origin::Corrected);
    corrected.sort_by(|a, b| (b.known, b.started, &a.id).cmp(&(a.known, a.started, &b.id)));
    let mut corrected = choice.keep(corrected, usize::MAX).0;
    let mut rest = old;
    if !given {
        (anchors, rest) = choice.draw(rest, settings.anchors);
    }
    let mut good = choice.keep(good, usize::MAX).0;

    let mut counts = Counts { new_good: good.len() as u64, new_corrected: corrected.len() as u64, ..counts };
    let (mut train, mut holdout) = (Vec::new(), Vec::new());
    for part in [&mut corrected, &mut good] {
        sort(part);
        let held = (part.len() as f64 * settings.holdout_share).round() as usize;
        holdout.extend(part.split_off(part.len() - held.min(part.len())));
        train.append(part);
    }
    holdout.iter_mut().for_each(|one| one.weight = 1);
    counts.over_weighted = train.iter().filter(|one| one.weight > 1).count() as u64;
    let lines: u64 = train.iter().map(|one| u64::from(one.weight)).sum();
    let most = (lines as f64 * settings.replay_share / (1.0 - settings.replay_share)).round() as usize;
    let (mut replay, beyond) = choice.keep(rest, most);
    replay.iter_mut().for_each(|one| one.origin = Origin::Replay);

    if !given {
        sort(&mut anchors);
        counts.anchors_drawn = anchors.len() as u64;
    }
    [&mut train, &mut holdout, &mut replay].into_iter().for_each(|part| sort(part));
    counts.replay = replay.len() as u64;
    counts.left_out = LeftOut { replay_not_needed: beyond.len() as u64, ..choice.left_out };
    Dataset { train, holdout, anchors, replay, counts, drift }
}

/// The prompts of a part.
fn prompts(all: &[Example]) -> Vec<&str> {
    all.iter().map(|one| one.prompt.as_str()).collect()
}

fn sort(part: &mut [Example]) {
    part.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
}

/// What is kept so far.
struct Choice {
    index: Index,
    left_out: LeftOut,
}

impl Choice {
    /// Those of `all` that are no anchors themselves.
    fn without(&mut self, mut all: Vec<Example>, anchored: &HashSet<String>) -> Vec<Example> {
        let before = all.len();
        all.retain(|one| !anchored.contains(&one.id));
        self.left_out.anchors_kept_out += (before - all.len()) as u64;
        all
    }

    /// Up to `most` of those that meet none that is kept, and those that were not looked at.
    fn keep(&mut self, all: Vec<Example>, most: usize) -> (Vec<Example>, Vec<Example>) {
        let (mut kept, mut beyond) = (Vec::new(), Vec::new());
        for one in all {
            if kept.len() == most {
                beyond.push(one);
            } else if self.is_kept(&one, Kept::Other) {
                kept.push(one);
            }
        }
        (kept, beyond)
    }

    /// Anchors, of the good ones, and the rest.
    fn draw(&mut self, old: Vec<Example>, most: usize) -> (Vec<Example>, Vec<Example>) {
        let most = most.min(old.iter().filter(|one| one.origin == Origin::Good).count() / 3);
        let (mut anchors, mut rest) = (Vec::new(), Vec::new());
        for one in old {
            if anchors.len() == most || one.origin != Origin::Good {
                rest.push(one);
            } else if self.is_kept(&one, Kept::Anchor) {
                anchors.push(one);
            }
        }
        (anchors, rest)
    }

    fn is_kept(&mut self, one: &Example, what: Kept) -> bool {
        let reason = match self.index.offer(&one.prompt, &one.response, what) {
            Ok(()) => return true,
            Err((Kept::Anchor, _)) => &mut self.left_out.anchors_kept_out,
            Err((Kept::Other, Meets::Same { answer: false })) => &mut self.left_out.contradicted,
            Err((Kept::Other, _)) => &mut self.left_out.duplicates,
        };
        *reason += 1;
        false
    }
}

/// Sets the weights of the drifted slice. Compared are all candidates: what is kept has lost what both sides share.
fn over_weight(new: &mut [Example], old: &[Example], settings: &Settings) -> Drift {
    if settings.drift_weight == 1 {
        return Drift::default();
    }
    let (drift, margins) = compare(&prompts(new), &prompts(old), settings.seed);
    for (one, margin) in new.iter_mut().zip(margins.unwrap_or_default()) {
        if f64::from(margin) >= settings.drift_odds.ln() {
            one.weight = settings.drift_weight;
        }
    }
    drift
}
