//! One series: its labels and its samples, oldest first.

use std::collections::VecDeque;

use super::chunk::{Chunk, Encoded, OpenChunk, Samples};
use super::{Append, is_stale};
use crate::Labels;
use crate::summary::Summary;

/// One series; a clone shares all full chunks.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    full: VecDeque<Chunk>,
    open: OpenChunk,
}

impl Series {
    pub(super) fn new(labels: Labels, at_ms: i64, value: f64) -> Self {
        Self { labels, full: VecDeque::new(), open: OpenChunk::new(at_ms, value) }
    }

    /// From chunks of a snapshot; `None` where one is damaged or they are out of order.
    pub(super) fn rebuild<'e>(labels: &Labels, chunks: impl Iterator<Item = Option<Encoded<'e>>>) -> Option<Self> {
        let mut rebuilt: Option<Self> = None;
        for chunk in chunks {
            let chunk = chunk?.rebuild()?;
            match &mut rebuilt {
                Some(series) if chunk.first_ms <= series.open.last_ms() => return None,
                Some(series) => series.begin(chunk),
                None => rebuilt = Some(Self { labels: labels.clone(), full: VecDeque::new(), open: chunk }),
            }
        }
        rebuilt
    }

    fn begin(&mut self, chunk: OpenChunk) {
        let full = std::mem::replace(&mut self.open, chunk).close();
        // Growing by a few: doubling would cost more than all the rest of a short series.
        if self.full.len() == self.full.capacity() {
            self.full.reserve_exact(4);
        }
        self.full.push_back(full);
    }

    pub(super) fn push(&mut self, at_ms: i64, value: f64) -> Append {
        if at_ms <= self.open.last_ms() {
            return Append::OutOfOrder;
        }
        if self.open.is_full() {
            self.begin(OpenChunk::new(at_ms, value));
        } else {
            self.open.push(at_ms, value);
        }
        Append::Stored
    }

    /// Drops chunks that lie wholly before `oldest_ms`; false when nothing is left.
    pub(super) fn expire(&mut self, oldest_ms: i64) -> bool {
        while self.full.front().is_some_and(|chunk| chunk.last_ms < oldest_ms) {
            self.full.pop_front();
        }
        self.open.last_ms() >= oldest_ms
    }

    /// Whether its first and last sample leave room for one in `[from, until]`.
    pub(crate) fn overlaps(&self, from_ms: i64, until_ms: i64) -> bool {
        let first_ms = self.full.front().map_or(self.open.first_ms, |chunk| chunk.first_ms);
        first_ms <= until_ms && self.open.last_ms() >= from_ms
    }

    pub(super) fn sample_count(&self) -> usize {
        self.encoded().map(|chunk| usize::from(chunk.count)).sum()
    }

    /// Bytes it takes, apart from its labels.
    pub(super) fn size(&self) -> usize {
        let full: usize = self.full.iter().map(Chunk::heap).sum();
        full + self.open.heap() + self.full.capacity() * size_of::<Chunk>() + size_of::<Self>()
    }

    /// All chunks, oldest first.
    pub(super) fn encoded(&self) -> impl Iterator<Item = Encoded<'_>> {
        self.full.iter().map(Chunk::encoded).chain([self.open.encoded()])
    }

    /// The newest sample in `(after, until]`, staleness markers included.
    pub(crate) fn last_in(&self, after_ms: i64, until_ms: i64) -> Option<(i64, f64)> {
        let newest = if self.open.last_ms() <= until_ms {
            (self.open.last_ms(), self.open.last_value())
        } else if self.open.first_ms <= until_ms {
            last_until(self.open.samples(), until_ms)?
        } else {
            let after = self.full.partition_point(|chunk| chunk.first_ms <= until_ms);
            last_until(self.full.get(after.checked_sub(1)?)?.samples(), until_ms)?
        };
        (newest.0 > after_ms).then_some(newest)
    }

    /// Samples in `(after, until]`, oldest first, staleness markers left out.
    pub(crate) fn range(&self, after_ms: i64, until_ms: i64) -> impl Iterator<Item = (i64, f64)> {
        self.parts(after_ms, until_ms)
            .flatten()
            .filter(move |(at, value)| *at > after_ms && *at <= until_ms && !is_stale(*value))
    }

    /// Appends the same samples to `out`: faster, and without an allocation where `out` has been used before.
    pub(crate) fn read(&self, after_ms: i64, until_ms: i64, out: &mut Vec<(i64, f64)>) {
        self.parts(after_ms, until_ms).for_each(|samples| samples.read(after_ms, until_ms, out));
    }

    /// The same samples for a fold: whole chunks come to `chunk`, where they have a summary, single samples to `sample`.
    pub(crate) fn fold<F>(
        &self,
        (after_ms, until_ms): (i64, i64),
        into: &mut F,
        chunk: impl Fn(&mut F, &Summary),
        sample: impl Fn(&mut F, f64),
    ) -> usize {
        let start = self.full.partition_point(|chunk| chunk.last_ms <= after_ms);
        let mut read = 0;
        let mut each = |into: &mut F, samples: Samples<'_>| {
            for (at, value) in samples.take_while(|(at, _)| *at <= until_ms) {
                if at > after_ms && !is_stale(value) {
                    sample(into, value);
                    read += 1;
                }
            }
        };
        for full in self.full.range(start..).take_while(|chunk| chunk.first_ms <= until_ms) {
            match &full.summary {
                Some(summary) if full.first_ms > after_ms && full.last_ms <= until_ms => chunk(into, summary),
                _ => each(into, full.samples()),
            }
        }
        if self.open.first_ms <= until_ms && self.open.last_ms() > after_ms {
            each(into, self.open.samples());
        }
        read
    }

    /// The chunks that `(after, until]` touches.
    fn parts(&self, after_ms: i64, until_ms: i64) -> impl Iterator<Item = Samples<'_>> {
        let start = self.full.partition_point(|chunk| chunk.last_ms <= after_ms);
        let open = (self.open.first_ms <= until_ms && self.open.last_ms() > after_ms).then(|| self.open.samples());
        let full = self.full.range(start..).take_while(move |chunk| chunk.first_ms <= until_ms);
        full.map(Chunk::samples).chain(open)
    }
}

fn last_until(samples: Samples<'_>, until_ms: i64) -> Option<(i64, f64)> {
    samples.take_while(|(at, _)| *at <= until_ms).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Ranges and lookups against a plain list, across chunk borders.
        #[test]
        fn reads_agree_with_a_list(count in 1..400_i64, from in -10..500_i64, length in 0..200_i64) {
            let mut series = Series::new(Labels::default(), 0, 0.0);
            for n in 1..count {
                prop_assert_eq!(series.push(n * 1000, n as f64), Append::Stored);
            }
            let (after, until) = (from * 1000, (from + length) * 1000);
            let expected: Vec<i64> = (0..count).map(|n| n * 1000).filter(|at| *at > after && *at <= until).collect();
            let found: Vec<i64> = series.range(after, until).map(|(at, _)| at).collect();
            prop_assert_eq!(series.last_in(after, until).map(|(at, _)| at), expected.last().copied());
            prop_assert_eq!(&found, &expected);
            let mut read = Vec::new();
            series.read(after, until, &mut read);
            prop_assert_eq!(read.into_iter().map(|(at, _)| at).collect::<Vec<_>>(), expected);
        }

        /// Folds by whole chunks against folds of every sample, with markers and values without a summary between.
        #[test]
        fn folds_agree_with_reading(
            values in prop::collection::vec(
                prop_oneof![40 => -1e3..1e3_f64, 1 => Just(f64::NAN), 1 => Just(f64::from_bits(crate::STALE_NAN_BITS))],
                1..500,
            ),
            from in -10..500_i64,
            length in 0..500_i64,
        ) {
            let mut series = Series::new(Labels::default(), 0, values[0]);
            (1_i64..).zip(&values[1..]).for_each(|(n, value)| assert_eq!(series.push(n * 1000, *value), Append::Stored));
            let range = (from * 1000, (from + length) * 1000);
            let mut folded = (0_u32, 0.0, f64::INFINITY);
            let chunk = |f: &mut (u32, f64, f64), c: &Summary| {
                *f = (f.0 + u32::from(c.count.get()), f.1 + c.sum.total(), f.2.min(c.min));
            };
            series.fold(range, &mut folded, chunk, |f, v| *f = (f.0 + 1, f.1 + v, f.2.min(v)));
            let mut read = (0_u32, 0.0, f64::INFINITY);
            series.range(range.0, range.1).for_each(|(_, v)| read = (read.0 + 1, read.1 + v, read.2.min(v)));
            prop_assert_eq!((folded.0, folded.2), (read.0, read.2));
            prop_assert_eq!(folded.1.is_nan(), read.1.is_nan());
            prop_assert!(read.1.is_nan() || (folded.1 - read.1).abs() < 1e-6, "{} {}", folded.1, read.1);
        }
    }
}
