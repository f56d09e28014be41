//! A mean from few labels and many predictions (PPI++): the judge scores all, people some.

use serde::{Deserialize, Serialize};

use super::Moments;
use super::estimate_error::{EstimateError, finite, level};
use super::special::normal_quantile;

/// What is known about labels and predictions; mergeable. Unit: that of the labels.
///
/// Labelled units must be a random part of all units: volunteered thumbs are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PpiMean {
    labels: Moments,
    predictions: Moments,
    /// `Σ (Y - mean)(f - mean)` over the labelled.
    products: f64,
    unlabelled: Moments,
}

/// A mean with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PpiEstimate {
    /// The weight of the predictions, 0 (labels alone) to 1.
    pub lambda: f64,
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub se: f64,
    /// Confidence interval for a sample size fixed before.
    pub interval: [f64; 2],
}

impl PpiMean {
    /// Takes a labelled unit: the label and its prediction.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] where one is not finite; nothing is taken then.
    pub fn add_labelled(&mut self, label: f64, prediction: f64) -> Result<(), EstimateError> {
        let (label, prediction) = (finite("a label", label)?, finite("a prediction", prediction)?);
        let before = label - self.labels.mean();
        self.labels.add(label);
        self.predictions.add(prediction);
        self.products += before * (prediction - self.predictions.mean());
        Ok(())
    }

    /// Takes a unit without a label.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] where the prediction is not finite; nothing is taken then.
    pub fn add_unlabelled(&mut self, prediction: f64) -> Result<(), EstimateError> {
        self.unlabelled.add(finite("a prediction", prediction)?);
        Ok(())
    }

    /// Takes what another pod has seen.
    pub fn merge(&mut self, other: &Self) {
        let (own, theirs) = (self.labels.count() as f64, other.labels.count() as f64);
        if own + theirs > 0.0 {
            let apart =
                (other.labels.mean() - self.labels.mean()) * (other.predictions.mean() - self.predictions.mean());
            self.products += other.products + apart * own * theirs / (own + theirs);
        }
        self.labels.merge(&other.labels);
        self.predictions.merge(&other.predictions);
        self.unlabelled.merge(&other.unlabelled);
    }

    /// Units with and without a label.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.labels.count(), self.unlabelled.count())
    }

    /// The weight of the predictions with the smallest error (Angelopoulos, Duchi and Zrnic 2023):
    /// `cov(Y, f) / ((1 + n/N) var(f))`, the variance over all units, cut to `[0, 1]`; 0 where predictions do not differ
    /// or there are no units of a kind.
    #[must_use]
    pub fn power_tuned(&self) -> f64 {
        let (n, unlabelled) = (self.labels.count() as f64, self.unlabelled.count() as f64);
        let mut pooled = self.predictions;
        pooled.merge(&self.unlabelled);
        let spread = pooled.sample_variance().unwrap_or(0.0);
        if n == 0.0 || unlabelled == 0.0 || spread <= 0.0 {
            return 0.0;
        }
        let lambda = self.products / n / ((1.0 + n / unlabelled) * spread);
        if lambda.is_finite() { lambda.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The mean with the power-tuned weight and its interval of confidence `1 - alpha`.
    ///
    /// # Errors
    /// As [`Self::with_lambda`].
    pub fn estimate(&self, alpha: f64) -> Result<PpiEstimate, EstimateError> {
        self.with_lambda(self.power_tuned(), alpha)
    }

    /// The mean `λ·mean(f̃) + mean(Y - λf)` over N unlabelled f̃ and n labelled, with variance
    /// `λ² var(f̃)/N + var(Y - λf)/n` (variances with divisor n). `lambda` 0 is the classical mean of the labels, for
    /// which no unlabelled unit is needed.
    ///
    /// # Errors
    /// [`EstimateError`] for fewer than two labelled units, no unlabelled one with `lambda` not 0, a `lambda` that is not
    /// finite, an `alpha` outside of (0, 1).
    pub fn with_lambda(&self, lambda: f64, alpha: f64) -> Result<PpiEstimate, EstimateError> {
        let (lambda, alpha) = (finite("lambda", lambda)?, level(alpha)?);
        if self.labels.count() < 2 {
            return Err(EstimateError::TooFew { what: "labelled units", have: self.labels.count(), need: 2 });
        }
        if lambda != 0.0 && self.unlabelled.count() == 0 {
            return Err(EstimateError::TooFew { what: "unlabelled units", have: 0, need: 1 });
        }
        let n = self.labels.count() as f64;
        let cross = lambda * self.predictions.variance() - 2.0 * self.products / n;
        let rectified = (self.labels.variance() + lambda * cross).max(0.0);
        let predicted = lambda * lambda * self.unlabelled.variance() / (self.unlabelled.count() as f64).max(1.0);
        let mean = lambda * self.unlabelled.mean() + self.labels.mean() - lambda * self.predictions.mean();
        let (mean, se) = (finite("the mean", mean)?, finite("the error", (predicted + rectified / n).sqrt())?);
        let reach = normal_quantile(1.0 - alpha / 2.0) * se;
        Ok(PpiEstimate { lambda, mean, se, interval: [mean - reach, mean + reach] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_is_said_and_nan_is_not_taken() {
        let mut ppi = PpiMean::default();
        assert!(ppi.estimate(0.05).is_err());
        assert!(ppi.add_labelled(f64::NAN, 0.0).is_err() && ppi.add_labelled(0.0, f64::INFINITY).is_err());
        assert!(ppi.add_unlabelled(f64::NAN).is_err());
        assert_eq!(ppi, PpiMean::default());
        ppi.add_labelled(1.0, 0.5).unwrap();
        assert!(ppi.estimate(0.05).is_err());
        ppi.add_labelled(0.0, 0.25).unwrap();
        assert_eq!(ppi.power_tuned(), 0.0);
        assert_eq!(ppi.estimate(0.05).unwrap().mean, 0.5);
        assert!(ppi.with_lambda(1.0, 0.05).is_err());
        assert!(ppi.estimate(0.0).is_err() && ppi.estimate(f64::NAN).is_err());
        assert!(ppi.with_lambda(f64::NAN, 0.05).is_err());
    }

    #[test]
    fn constant_outcomes_have_an_interval_of_one_point() {
        let mut ppi = PpiMean::default();
        for _ in 0..3 {
            ppi.add_labelled(1.0, 0.7).unwrap();
            ppi.add_unlabelled(0.7).unwrap();
        }
        assert_eq!(ppi.estimate(0.05).unwrap().interval, [1.0, 1.0]);
    }

    #[test]
    fn merging_equals_seeing_all() {
        let (mut whole, mut parts) = (PpiMean::default(), [PpiMean::default(); 3]);
        for i in 0..90_u32 {
            let (y, f) = (f64::from(i * i % 11), f64::from(i * 7 % 13));
            for ppi in [&mut whole, &mut parts[(i % 3) as usize]] {
                ppi.add_labelled(y, f).unwrap();
                ppi.add_unlabelled(f + 0.5).unwrap();
            }
        }
        let mut merged = PpiMean::default();
        parts.iter().for_each(|part| merged.merge(part));
        let (a, b) = (whole.estimate(0.05).unwrap(), merged.estimate(0.05).unwrap());
        assert!((a.mean - b.mean).abs() < 1e-12 && (a.se - b.se).abs() < 1e-12 && (a.lambda - b.lambda).abs() < 1e-12);
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<PpiMean>(&text).unwrap().counts(), (90, 90));
    }
}
