//! Bins that a reference sample chooses, for the measures that compare histograms.

use super::Sorted;

/// Where one bin ends and the next begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// Values below it are on the left.
    Below(f64),
    /// Values up to it, itself included, are on the left.
    UpTo(f64),
}

impl Cut {
    /// How many of the values are on the left.
    fn left(self, sample: &[f64]) -> usize {
        match self {
            Self::Below(edge) => sample.partition_point(|value| *value < edge),
            Self::UpTo(edge) => sample.partition_point(|value| *value <= edge),
        }
    }

    /// The value it cuts at.
    #[must_use]
    pub fn at(self) -> f64 {
        match self {
            Self::Below(edge) | Self::UpTo(edge) => edge,
        }
    }
}

/// Neighbouring bins that cover all numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins(Vec<Cut>);

impl Bins {
    /// `want` bins with about equal shares of the reference.
    ///
    /// A value that fills a bin of its own (many zeros, a cap, a constant) gets one, so that values beside it are told
    /// from it; ties otherwise make fewer bins, never empty ones in the reference's middle.
    #[must_use]
    pub fn by_quantiles(reference: &Sorted, want: usize) -> Self {
        let values = reference.values();
        let mut cuts: Vec<Cut> = Vec::with_capacity(2 * want);
        for part in 1..=want {
            let place = (part * values.len()).div_ceil(want).max(1) - 1;
            let edge = values[place.min(values.len() - 1)];
            if cuts.last().is_some_and(|last| last.at() == edge) {
                continue;
            }
            let copies = Cut::UpTo(edge).left(values) - Cut::Below(edge).left(values);
            let fills = copies > 1 && copies * want >= values.len();
            if fills {
                cuts.push(Cut::Below(edge));
            }
            if fills || part < want {
                cuts.push(Cut::UpTo(edge));
            }
        }
        Self(cuts)
    }

    /// Where they are cut, ascending: one less than there are bins.
    #[must_use]
    pub fn cuts(&self) -> &[Cut] {
        &self.0
    }

    /// How many values of a sample lie in each bin, shape `[cuts + 1]`.
    #[must_use]
    pub fn count(&self, sample: &Sorted) -> Vec<u64> {
        let (mut counts, mut before) = (Vec::with_capacity(self.0.len() + 1), 0);
        for cut in &self.0 {
            let left = cut.left(sample.values());
            counts.push((left - before) as u64);
            before = left;
        }
        counts.push((sample.len() - before) as u64);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_equal_and_atoms_stand_alone() {
        let sample = |values: Vec<f64>| Sorted::new(values).unwrap();
        let counts = |values: Vec<f64>| {
            let sample = sample(values);
            Bins::by_quantiles(&sample, 10).count(&sample)
        };
        assert_eq!(counts((0..100).map(f64::from).collect()), vec![10; 10]);
        assert_eq!(counts((0..5).map(f64::from).collect()).iter().sum::<u64>(), 5);
        let zeros = counts((0..100).map(|n| f64::from(n - 60).max(0.0)).collect());
        assert_eq!((zeros[0], zeros[1], zeros.iter().sum::<u64>()), (0, 61, 100));
        let constant = sample(vec![5.0; 30]);
        let bins = Bins::by_quantiles(&constant, 10);
        assert_eq!(bins.cuts(), [Cut::Below(5.0), Cut::UpTo(5.0)]);
        assert_eq!(bins.count(&sample(vec![3.0, 5.0, 9.0, 10.0])), [1, 1, 2]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_cuts_ascend(values in proptest::collection::vec(-5_i32..50, 1..200)) {
            let sample = Sorted::new(values.into_iter().map(f64::from).collect()).unwrap();
            let bins = Bins::by_quantiles(&sample, 10);
            proptest::prop_assert_eq!(bins.count(&sample).iter().sum::<u64>() as usize, sample.len());
            proptest::prop_assert!(bins.cuts().windows(2).all(|pair| pair[0].at() <= pair[1].at()));
        }
    }
}
