//! A sample that was looked at once: finite, in order.

use super::TestError;

/// Finite values in ascending order; `-0` is kept as `0`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sorted(Vec<f64>);

impl Sorted {
    /// Sorts `values`.
    ///
    /// # Errors
    /// [`TestError::TooFew`] of none, [`TestError::NotFinite`] when one is NaN or infinite.
    pub fn new(values: Vec<f64>) -> Result<Self, TestError> {
        if values.is_empty() {
            return Err(TestError::TooFew { have: 0, need: 1 });
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(TestError::NotFinite { at });
        }
        Ok(Self(in_order(values)))
    }

    /// The values, ascending.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// How many there are; never 0.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Arithmetic mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let n = self.0.len() as f64;
        self.0.iter().map(|value| value / n).sum()
    }

    /// Standard deviation with `n - 1` below, `None` of one value.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        let mean = self.mean();
        let degrees = (self.0.len() - 1) as f64;
        (degrees > 0.0)
            .then(|| (self.0.iter().map(|value| (value - mean) * ((value - mean) / degrees)).sum::<f64>()).sqrt())
    }

    /// The `share`-quantile (0 to 1), between the two nearest values as numpy's default has it.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len() - 1;
        let place = share.clamp(0.0, 1.0) * last as f64;
        let below = (place.floor() as usize).min(last);
        let above = (below + 1).min(last);
        let part = place - below as f64;
        self.0[below] * (1.0 - part) + self.0[above] * part
    }
}

/// By integer keys of the same order: about twice as fast as comparing floats.
fn in_order(values: Vec<f64>) -> Vec<f64> {
    let flip = |bits: i64| bits ^ ((bits >> 63) as u64 >> 1) as i64;
    let mut keys: Vec<i64> = values.into_iter().map(|value| flip((value + 0.0).to_bits() as i64)).collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| f64::from_bits(flip(key) as u64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_quantiles_and_moments() {
        let sample = Sorted::new(vec![3.0, -0.0, -7.5, 0.0, 1e300, -1e-300]).unwrap();
        assert_eq!(sample.values(), [-7.5, -1e-300, 0.0, 0.0, 3.0, 1e300]);
        assert!(sample.values()[2].is_sign_positive());
        let sample = Sorted::new(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((sample.quantile(0.0), sample.quantile(0.5), sample.quantile(1.0)), (1.0, 2.5, 4.0));
        assert!((sample.deviation().unwrap() - 1.290_994_448_735_805_6).abs() < 1e-15);
        assert_eq!(Sorted::new(vec![1.0]).unwrap().deviation(), None);
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_place() {
        assert_eq!(Sorted::new(vec![]), Err(TestError::TooFew { have: 0, need: 1 }));
        assert_eq!(Sorted::new(vec![1.0, f64::NAN]), Err(TestError::NotFinite { at: 1 }));
        assert_eq!(Sorted::new(vec![f64::NEG_INFINITY]), Err(TestError::NotFinite { at: 0 }));
    }
}
