//! Compensated sums (Kahan's, with Neumaier's improvement), as Prometheus uses them for sums and means.

use crate::summary::Summary;

/// A running sum that keeps what rounding loses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) sum: f64,
    pub(crate) lost: f64,
}

impl Sum {
    pub(crate) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - total) + value;
        } else {
            self.lost += (value - total) + self.sum;
        }
        self.sum = total;
    }

    pub(crate) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

/// A running mean: a compensated sum while that stays finite, incremental from then on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    count: f64,
    sum: Sum,
    incremental: bool,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut next = self.sum;
            next.add(value);
            if !next.sum.is_infinite() || self.count == 1.0 {
                self.sum = next;
                return;
            }
            self.incremental = true;
            let before = self.count - 1.0;
            self.sum = Sum { sum: self.sum.sum / before, lost: self.sum.lost / before };
        }
        let share = (self.count - 1.0) / self.count;
        self.sum = Sum { sum: share * self.sum.sum, lost: share * self.sum.lost };
        self.sum.add(value / self.count);
    }

    /// Takes a whole chunk.
    pub(crate) fn merge(&mut self, chunk: &Summary) {
        let before = self.count;
        self.count += f64::from(chunk.count.get());
        if !self.incremental {
            let mut next = self.sum;
            next.add(chunk.sum.sum);
            next.lost += chunk.sum.lost;
            if !next.sum.is_infinite() {
                self.sum = next;
                return;
            }
            self.incremental = true;
            self.sum = Sum { sum: self.sum.sum / before, lost: self.sum.lost / before };
        }
        let share = before / self.count;
        self.sum = Sum { sum: share * self.sum.sum, lost: share * self.sum.lost };
        self.sum.add(chunk.sum.total() / self.count);
    }

    /// Samples taken.
    pub(crate) fn count(&self) -> f64 {
        self.count
    }

    /// NaN of nothing.
    pub(crate) fn value(self) -> f64 {
        if self.incremental {
            return self.sum.sum + self.sum.lost;
        }
        self.sum.sum / self.count + self.sum.lost / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_small_terms_and_means_do_not_overflow() {
        let sum = |values: &[f64]| {
            let mut sum = Sum::default();
            values.iter().for_each(|value| sum.add(*value));
            sum.total()
        };
        let mean = |values: &[f64]| {
            let mut mean = Mean::default();
            values.iter().for_each(|value| mean.add(*value));
            mean.value()
        };
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(mean(&[1.0, 1e100, 1.0, -1e100]), 0.5);
        assert!(mean(&[f64::MAX, f64::MAX, f64::MAX]) > f64::MAX * 0.999_999);
        assert_eq!(mean(&[f64::INFINITY, 5.0]), f64::INFINITY);
        assert!(mean(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(mean(&[]).is_nan());
    }
}
