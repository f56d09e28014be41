//! Several texts as the rows of one matrix, without padding; a beginning that texts share is there once.
//!
//! A [`Segment`] is a run of rows. One with a parent goes on where the parent ends: its rows see the parent's and their
//! own. So many answers to one prompt are one segment for the prompt and a child for each answer.

use std::ops::Range;

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

#[cfg(test)]
mod tests {
    use super::*;

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
