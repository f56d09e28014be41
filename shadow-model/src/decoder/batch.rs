//! Several texts as the rows of one matrix, without padding; a beginning that texts share is there once.
//!
//! A [`Segment`] is a run of rows. One with a parent goes on where the parent ends: its rows see the parent's and their
//! own. So many answers to one prompt are one segment for the prompt and a child for each answer.

use std::ops::Range;

use crate::{ModelError, Result};

/// A run of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its rows.
    pub rows: Range<usize>,
    /// The segment that it goes on from.
    pub parent: Option<usize>,
    /// The position of its first row in its text.
    pub offset: usize,
}

impl Segment {
    /// Tokens from the beginning of its text to its end.
    pub fn end(&self) -> usize {
        self.offset + self.rows.len()
    }
}

/// The tokens of one pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    ids: Vec<u32>,
    segments: Vec<Segment>,
}

impl Batch {
    /// Adds tokens that begin a text, or go on from a segment that is there already; gives the segment's number.
    pub fn add(&mut self, tokens: &[u32], parent: Option<usize>) -> usize {
        let offset = parent.map_or(0, |parent| self.segments[parent].end());
        let rows = self.ids.len()..self.ids.len() + tokens.len();
        self.ids.extend_from_slice(tokens);
        self.segments.push(Segment { rows, parent, offset });
        self.segments.len() - 1
    }

    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The rows of one segment.
    pub fn rows(&self, segment: usize) -> Range<usize> {
        self.segments[segment].rows.clone()
    }

    /// The position of each row in its text.
    #[expect(clippy::cast_possible_truncation, reason = "a window's positions are few")]
    pub fn positions(&self) -> Vec<u32> {
        self.segments.iter().flat_map(|segment| (segment.offset..segment.end()).map(|at| at as u32)).collect()
    }

    /// Tokens of the longest text.
    pub fn longest(&self) -> usize {
        self.segments.iter().map(Segment::end).max().unwrap_or(0)
    }

    /// The runs of rows that a segment's last row sees, from the beginning of its text.
    pub fn seen(&self, segment: usize) -> Vec<Range<usize>> {
        let line = std::iter::successors(Some(segment), |&at| self.segments[at].parent);
        let mut runs: Vec<_> = line.map(|at| self.rows(at)).filter(|rows| !rows.is_empty()).collect();
        runs.reverse();
        runs
    }
}

/// How much one piece of work, or a whole pass, puts into a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub rows: usize,
    /// Tokens of its longest text.
    pub longest: usize,
    pub segments: usize,
}

impl Load {
    /// With another of the same beginning of so many tokens, which is there once.
    pub fn with_child(self, other: Self, shared: usize) -> Self {
        let both = self.with(other);
        Self { rows: both.rows - shared, segments: both.segments - 1, ..both }
    }

    fn with(self, other: Self) -> Self {
        let longest = self.longest.max(other.longest);
        Self { rows: self.rows + other.rows, longest, segments: self.segments + other.segments }
    }
}

/// Puts work into passes, the longest texts first and like beside like, each of at most `rows` rows and `budget` bytes;
/// work of more rows goes alone.
///
/// # Errors
/// Where one alone takes more bytes.
pub(super) fn passes(
    loads: &[Load],
    rows: usize,
    budget: u64,
    needed: &dyn Fn(Load) -> u64,
) -> Result<Vec<Vec<usize>>> {
    let mut order: Vec<usize> = (0..loads.len()).collect();
    order.sort_by_key(|&number| std::cmp::Reverse(loads[number].longest));
    let (mut passes, mut sum): (Vec<Vec<usize>>, Load) = (Vec::new(), Load::default());
    for number in order {
        let (alone, together) = (loads[number], sum.with(loads[number]));
        match passes.last_mut() {
            Some(pass) if together.rows <= rows && needed(together) <= budget => {
                pass.push(number);
                sum = together;
            }
            _ if needed(alone) > budget => return Err(ModelError::Memory { needed: needed(alone), budget }),
            _ => {
                passes.push(vec![number]);
                sum = alone;
            }
        }
    }
    Ok(passes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rows: usize) -> Load {
        Load { rows, longest: rows, segments: 1 }
    }

    #[test]
    fn passes_hold_what_fits_and_what_does_not_fit_is_told() {
        let loads: Vec<_> = [3, 50, 4, 5, 2].into_iter().map(load).collect();
        let needed = |load: Load| load.rows as u64;
        assert_eq!(passes(&loads, 10, 100, &needed).unwrap(), [vec![1], vec![3, 2], vec![0, 4]]);
        assert_eq!(passes(&loads[2..], 100, 9, &needed).unwrap(), [vec![1, 0], vec![2]]);
        assert_eq!(passes(&[], 10, 1, &needed).unwrap(), Vec::<Vec<usize>>::new());
        let error = passes(&loads, 100, 49, &needed).unwrap_err();
        assert_eq!(error.to_string(), "memory: 50 bytes needed, 49 bytes allowed");
    }

    #[test]
    fn a_child_goes_on_where_its_parent_ends() {
        let mut batch = Batch::default();
        let prompt = batch.add(&[1, 2, 3], None);
        let (first, second) = (batch.add(&[4], Some(prompt)), batch.add(&[5, 6], Some(prompt)));
        assert_eq!(batch.ids(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(batch.positions(), [0, 1, 2, 3, 3, 4]);
        assert_eq!((batch.seen(first), batch.seen(second)), (vec![0..3, 3..4], vec![0..3, 4..6]));
        assert_eq!((batch.longest(), batch.rows(second)), (5, 4..6));
    }
}
