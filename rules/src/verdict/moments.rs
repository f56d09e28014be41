//! Count, mean and sum of squared deviations of a stream, mergeable (Welford 1962; Chan, Golub, LeVeque 1979).

use serde::{Deserialize, Serialize};

/// Moments of the values seen so far; unit: that of the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// The moments of `values`, in order.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut moments = Self::default();
        values.into_iter().for_each(|value| moments.add(value));
        moments
    }

    /// Takes one finite value; the caller keeps NaN and infinities away.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    /// Takes what another stream has seen.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (own, theirs) = (self.count as f64, other.count as f64);
        let apart = other.mean - self.mean;
        self.count += other.count;
        self.mean += apart * theirs / (own + theirs);
        self.squares += other.squares + apart * apart * own * theirs / (own + theirs);
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; 0 when there are none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Variance with divisor n (population); 0 when there are none.
    #[must_use]
    pub fn variance(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.squares / self.count as f64 }
    }

    /// Variance with divisor n - 1; `None` under two values.
    #[must_use]
    pub fn sample_variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.squares / (self.count - 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::Moments;

    #[test]
    fn merging_equals_seeing_all() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i * i % 37) + 0.25).collect();
        let whole = Moments::of(values.iter().copied());
        let mut merged = Moments::default();
        for part in values.chunks(17) {
            merged.merge(&Moments::of(part.iter().copied()));
        }
        assert_eq!(merged.count(), whole.count());
        assert!((merged.mean() - whole.mean()).abs() < 1e-12);
        assert!((merged.variance() - whole.variance()).abs() < 1e-10);
    }
}
