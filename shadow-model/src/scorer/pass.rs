//! Pairs as the rows of a pass: each prompt once, its responses as children, and which row predicts which token.

use std::collections::HashMap;
use std::ops::Range;

use super::Pair;
use crate::decoder::{Batch, Load, Target};

/// Pairs with one prompt.
pub(super) struct Shared {
    /// Their numbers.
    pub pairs: Vec<usize>,
}

impl Shared {
    /// Rows that they take together.
    pub fn load(&self, pairs: &[Pair]) -> Load {
        let responses = || self.pairs.iter().map(|&number| pairs[number].response.len());
        let prompt = self.pairs.first().map_or(0, |&number| pairs[number].prompt.len());
        Load {
            rows: prompt + responses().sum::<usize>(),
            longest: prompt + responses().max().unwrap_or(0),
            segments: 1 + self.pairs.len(),
        }
    }
}

/// Puts pairs with one prompt together, as many as fit a pass, but at least one.
pub(super) fn shared(pairs: &[Pair], fits: &dyn Fn(Load) -> bool) -> Vec<Shared> {
    let mut open: HashMap<&[u32], (usize, Load)> = HashMap::new();
    let mut all: Vec<Shared> = Vec::new();
    for (number, pair) in pairs.iter().enumerate() {
        let alone = Shared { pairs: vec![number] };
        let (prompt, load) = (pair.prompt.as_slice(), alone.load(pairs));
        let grown = open.get(prompt).map(|&(at, taken)| (at, taken.with_child(load, prompt.len())));
        if let Some((at, grown)) = grown.filter(|&(_, grown)| fits(grown)) {
            all[at].pairs.push(number);
            open.insert(prompt, (at, grown));
        } else {
            open.insert(prompt, (all.len(), load));
            all.push(alone);
        }
    }
    all
}

/// One pass: its rows and what they are to predict.
#[derive(Default)]
pub(super) struct Pass {
    pub batch: Batch,
    pub targets: Vec<Target>,
}

/// Where the targets of a prompt and of its responses stand.
pub(super) struct Placed {
    pub prompt: Range<usize>,
    pub responses: Vec<Range<usize>>,
}

impl Pass {
    /// Adds pairs with one prompt.
    pub fn add(&mut self, pairs: &[Pair], work: &Shared) -> Placed {
        let prompt = work.pairs.first().map_or(&[][..], |&number| &pairs[number].prompt);
        let parent = (!prompt.is_empty()).then(|| self.batch.add(prompt, None));
        let placed = parent.map_or(0..0, |segment| self.predict(segment, prompt, None));
        let before = parent.and_then(|segment| self.batch.rows(segment).last());
        let mut response = |&number: &usize| {
            let response = &pairs[number].response;
            if response.is_empty() {
                return 0..0;
            }
            let segment = self.batch.add(response, parent);
            self.predict(segment, response, before)
        };
        Placed { prompt: placed, responses: work.pairs.iter().map(&mut response).collect() }
    }

    /// The tokens of a segment as targets: the first of the row `before` it, if there is one, each other of the row
    /// before its own.
    fn predict(&mut self, segment: usize, tokens: &[u32], before: Option<usize>) -> Range<usize> {
        let begin = self.targets.len();
        let rows = before.into_iter().chain(self.batch.rows(segment));
        let skipped = usize::from(before.is_none());
        self.targets.extend(rows.zip(&tokens[skipped..]).map(|(row, &token)| Target { row, token }));
        begin..self.targets.len()
    }
}
