//! TensorZero's rule for ending an experiment of two variants: a generalised likelihood ratio against
//! `ln((1 + ln N)/delta)` (Garivier and Kaufmann 2016). A comparator only.

use super::super::Moments;
use super::super::estimate_error::{EstimateError, finite, inside};

/// One variant as it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pulls {
    /// How many.
    pub count: u64,
    /// Mean outcome.
    pub mean: f64,
    /// Variance of outcomes.
    pub variance: f64,
}

impl From<&Moments> for Pulls {
    fn from(moments: &Moments) -> Self {
        Self { count: moments.count(), mean: moments.mean(), variance: moments.variance() }
    }
}

/// What is asked of a winner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// How much worse than the best still counts as best; unit of the outcome.
    pub epsilon: f64,
    /// Probability of a wrong winner, in (0, 1).
    pub delta: f64,
    /// Fewest pulls of each variant.
    pub min_pulls: u64,
}

/// What the rule says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stopping {
    /// `(gap + epsilon)² / (2 (v0/n0 + v1/n1))`; infinite for a gap without variance.
    pub glr: f64,
    /// `ln((1 + ln N)/delta)`.
    pub threshold: f64,
    /// Whether the ratio is above the threshold and both variants have their pulls.
    pub stopped: bool,
    /// The variant of the larger mean; 0 for equal ones.
    pub leader: usize,
}

/// The rule, for two variants.
///
/// # Errors
/// [`EstimateError`] for a variant without pulls, a mean or variance that is not finite, a negative variance or `epsilon`,
/// a `delta` outside of (0, 1).
pub fn tensorzero_stop(variants: &[Pulls; 2], rule: &Stop) -> Result<Stopping, EstimateError> {
    let delta = inside("delta", "in (0, 1)", (0.0, 1.0), rule.delta)?;
    let epsilon = not_negative("epsilon", rule.epsilon)?;
    for variant in variants {
        if variant.count == 0 {
            return Err(EstimateError::TooFew { what: "pulls", have: 0, need: 1 });
        }
        finite("a mean", variant.mean)?;
        not_negative("a variance", variant.variance)?;
    }
    let [first, second] = variants;
    let reach = (first.mean - second.mean).abs() + epsilon;
    let spread: f64 = variants.iter().map(|variant| variant.variance / variant.count as f64).sum();
    let glr = match (reach > 0.0, spread > 0.0) {
        (false, _) => 0.0,
        (true, false) => f64::INFINITY,
        (true, true) => reach * reach / (2.0 * spread),
    };
    let total = first.count as f64 + second.count as f64;
    let threshold = ((1.0 + total.ln()) / delta).ln();
    let pulled = variants.iter().all(|variant| variant.count >= rule.min_pulls);
    let leader = usize::from(second.mean > first.mean);
    Ok(Stopping { glr, threshold, stopped: pulled && glr > threshold, leader })
}

fn not_negative(what: &'static str, value: f64) -> Result<f64, EstimateError> {
    if value >= 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(EstimateError::Refused { what, must: "finite and not negative", found: value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        let rule = Stop { epsilon: 0.0, delta: 0.05, min_pulls: 10 };
        let pulls = |count, mean, variance| Pulls { count, mean, variance };
        let same = tensorzero_stop(&[pulls(20, 0.5, 0.0), pulls(20, 0.5, 0.0)], &rule).unwrap();
        assert_eq!((same.glr, same.stopped, same.leader), (0.0, false, 0));
        assert!(tensorzero_stop(&[pulls(20, 0.5, 0.0), pulls(20, 0.6, 0.0)], &rule).unwrap().stopped);
        assert!(!tensorzero_stop(&[pulls(2, 0.5, 0.0), pulls(20, 0.6, 0.0)], &rule).unwrap().stopped);
        assert!(tensorzero_stop(&[(&Moments::default()).into(), pulls(20, 0.6, 0.0)], &rule).is_err());
        assert!(tensorzero_stop(&[pulls(2, f64::NAN, 0.0), pulls(20, 0.6, 0.0)], &rule).is_err());
        assert!(tensorzero_stop(&[pulls(2, 0.5, -1.0), pulls(20, 0.6, 0.0)], &rule).is_err());
        for delta in [0.0, 1.0, f64::NAN] {
            assert!(tensorzero_stop(&[pulls(20, 0.5, 0.1); 2], &Stop { delta, ..rule }).is_err());
        }
    }
}
