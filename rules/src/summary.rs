//! What a full chunk's samples come to, kept beside them: a window that repeats reads the numbers, not the samples.
//!
//! Sums stay compensated across the border; variances are merged by the pairwise update of Chan, Golub and LeVeque
//! (1979). Samples that are not finite have no summary: their order matters.

use std::num::NonZeroU16;

use crate::kahan::Sum;

/// The samples of one chunk in a few numbers, staleness markers left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: NonZeroU16,
    pub(crate) sum: Sum,
    /// Sum of squared distances from the mean.
    pub(crate) squares: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Of `values`; `None` of nothing, and where a value or what they come to is not finite.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut sum, mut spread) = (Sum::default(), Spread::default());
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut finite = true;
        for value in values {
            finite &= value.is_finite();
            sum.add(value);
            spread.add(value);
            (min, max) = (min.min(value), max.max(value));
        }
        let squares = spread.squares.total();
        let count = NonZeroU16::new(spread.count as u16)?;
        let finite = finite && sum.total().is_finite() && squares.is_finite();
        finite.then_some(Self { count, sum, squares, min, max })
    }

    fn mean(&self) -> f64 {
        self.sum.total() / f64::from(self.count.get())
    }
}

/// A running variance by Welford's method, compensated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Spread {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - (self.mean.sum + self.mean.lost);
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - (self.mean.sum + self.mean.lost)));
    }

    pub(crate) fn merge(&mut self, chunk: &Summary) {
        let (before, more) = (self.count, f64::from(chunk.count.get()));
        let delta = chunk.mean() - (self.mean.sum + self.mean.lost);
        self.count += more;
        self.mean.add(delta * (more / self.count));
        self.squares.add(chunk.squares);
        self.squares.add(delta * delta * (before * more / self.count));
    }

    /// Population variance; `None` of nothing.
    pub(crate) fn variance(self) -> Option<f64> {
        (self.count > 0.0).then(|| (self.squares.sum + self.squares.lost) / self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_finite_samples_are_summed_up() {
        for values in [vec![], vec![1.0, f64::NAN], vec![f64::INFINITY], vec![f64::MAX, f64::MAX], vec![1e200, -1e200]]
        {
            assert_eq!(Summary::of(values.iter().copied()), None, "{values:?}");
        }
        let summary = Summary::of([1.0, 1e100, 1.0, -1e100].into_iter()).unwrap();
        assert_eq!((summary.sum.total(), summary.min, summary.max), (2.0, -1e100, 1e100));
    }

    proptest! {
        #[test]
        fn merging_is_reading_on(values in prop::collection::vec(-1e6..1e6_f64, 2..300), at in any::<prop::sample::Index>()) {
            let (left, right) = values.split_at(at.index(values.len()));
            let (mut merged, mut read) = (Spread::default(), Spread::default());
            left.iter().for_each(|value| merged.add(*value));
            merged.merge(&Summary::of(right.iter().copied()).unwrap());
            values.iter().for_each(|value| read.add(*value));
            let (merged, read) = (merged.variance().unwrap(), read.variance().unwrap());
            prop_assert!((merged - read).abs() <= 1e-12 * read, "{merged} {read}");
        }
    }
}
