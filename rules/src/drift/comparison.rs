//! How far two numeric baselines lie apart: effect sizes in the signal's own unit and as shares.

use serde::{Deserialize, Serialize};

use super::{BINS, Quantiles, ScalarReference};

/// What changed from one baseline to another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Quantiles of the older one.
    pub before: Quantiles,
    /// Quantiles of the newer one.
    pub after: Quantiles,
    /// Population stability index over 32 quantile bins of the older one, in nats.
    pub psi: f64,
    /// The largest distance of the two distribution functions (Kolmogorov-Smirnov), 0 to 1.
    pub ks: f64,
    /// The mean distance of the two quantile functions (Wasserstein-1), in the signal's own unit.
    pub wasserstein: f64,
}

impl Comparison {
    /// Of `after` with `before`.
    pub fn of(before: &ScalarReference, after: &ScalarReference) -> Self {
        Self {
            before: Quantiles::of_reference(before),
            after: Quantiles::of_reference(after),
            psi: psi(before, after),
            ks: ks(before, after),
            wasserstein: wasserstein(before, after),
        }
    }
}

/// Half a value is added to each bin, so that an empty one gives a finite answer.
fn psi(before: &ScalarReference, after: &ScalarReference) -> f64 {
    let mut edges: Vec<f64> = (1..BINS).map(|bin| before.quantile(bin as f64 / BINS as f64)).collect();
    edges.dedup();
    let shares = |reference: &ScalarReference| {
        let observations = reference.observations() as f64;
        let upto = edges.iter().map(|edge| reference.share_upto(*edge)).chain([1.0]);
        let bins = edges.len() as f64 + 1.0;
        let mut last = 0.0;
        let share = |upto: f64| {
            let share = upto - std::mem::replace(&mut last, upto);
            (share * observations + 0.5) / (observations + 0.5 * bins)
        };
        upto.map(share).collect::<Vec<f64>>()
    };
    shares(before).iter().zip(shares(after)).map(|(p, q)| (q - p) * (q / p).ln()).sum()
}

fn ks(before: &ScalarReference, after: &ScalarReference) -> f64 {
    let values = before.values().chain(after.values());
    values.map(|value| (before.share_upto(value) - after.share_upto(value)).abs()).fold(0.0, f64::max)
}

/// Points on which the quantile functions are compared.
const POINTS: usize = 1000;

fn wasserstein(before: &ScalarReference, after: &ScalarReference) -> f64 {
    let at = |point: usize| (point as f64 + 0.5) / POINTS as f64;
    (0..POINTS).map(|point| (before.quantile(at(point)) - after.quantile(at(point))).abs()).sum::<f64>() / POINTS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_compared_with_another() {
        let learn = |shift: f64| {
            let values: Vec<f64> = (0..1000).map(|i| f64::from(i) + shift).collect();
            ScalarReference::learn(&values, 1).unwrap()
        };
        let same = Comparison::of(&learn(0.0), &learn(0.0));
        assert_eq!((same.psi, same.ks, same.wasserstein), (0.0, 0.0, 0.0));
        let moved = Comparison::of(&learn(0.0), &learn(250.0));
        assert!((moved.ks - 0.25).abs() < 1e-9 && (moved.wasserstein - 250.0).abs() < 1e-9, "{moved:?}");
        assert!(moved.psi > 0.5 && moved.after.p50 - moved.before.p50 == 250.0, "{moved:?}");
        let constant = ScalarReference::learn(&[3.0; 100], 1).unwrap();
        let alone = Comparison::of(&constant, &constant);
        assert_eq!((alone.psi, alone.ks, alone.wasserstein), (0.0, 0.0, 0.0));
    }
}
