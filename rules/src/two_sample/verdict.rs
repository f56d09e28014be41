//! From comparisons to verdicts: drift is an effect beyond its floor *and* evidence for it.
//!
//! Evidence alone is not enough: with 100 000 rows a shift of a hundredth of a standard deviation has a p-value of
//! 1e-5, and every column "drifts" (evidently#50). An effect alone is not enough either: with 50 rows a PSI of 0.3 is
//! what chance gives. The evidence is adjusted over columns (Benjamini-Hochberg), so that of the columns said to
//! have changed at most a share of `alpha` has not.

use super::column::{Comparison, Measure};
use super::multiplicity::benjamini_hochberg;

/// What an effect has to exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floors {
    /// Evidence: largest adjusted p-value.
    pub alpha: f64,
    /// Largest distance of the distribution functions: 0.1 is what a shift of a quarter of a standard deviation gives.
    pub ks: f64,
    /// PSI beyond chance, in nats.
    pub psi: f64,
    /// Wasserstein distance in standard deviations of the reference; finds tails that the others do not.
    pub wasserstein: f64,
    /// AUC of the domain classifier.
    pub auc: f64,
    /// Change of the share of missing values.
    pub missing: f64,
}

impl Default for Floors {
    fn default() -> Self {
        Self { alpha: 0.05, ks: 0.1, psi: 0.1, wasserstein: 0.25, auc: 0.6, missing: 0.1 }
    }
}

impl Floors {
    /// The floor of a measure.
    #[must_use]
    pub fn of(&self, measure: Measure) -> f64 {
        match measure {
            Measure::Ks => self.ks,
            Measure::Psi => self.psi,
            Measure::Wasserstein => self.wasserstein,
            Measure::Auc => self.auc,
            Measure::Missing => self.missing,
        }
    }
}

/// What is said about one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Both: an effect beyond its floor, and evidence.
    pub drift: bool,
    /// Adjusted over the columns that could be tested; `None` where there was too little data.
    pub p_adjusted: Option<f64>,
    /// The measures beyond their floors.
    pub beyond: Vec<Measure>,
}

/// Judges all columns of a report together; verdicts stand in the same order.
#[must_use]
pub fn judge(columns: &[Comparison], floors: &Floors) -> Vec<Verdict> {
    let p_values: Vec<Option<f64>> = columns.iter().map(Comparison::p_value).collect();
    let mut adjusted = benjamini_hochberg(&p_values.iter().copied().flatten().collect::<Vec<_>>()).into_iter();
    let verdict = |(column, p_value): (&Comparison, Option<f64>)| {
        let p_adjusted = p_value.and_then(|_| adjusted.next());
        let reached = column.sizes.iter().filter(|(measure, size)| *size >= floors.of(*measure));
        let beyond: Vec<Measure> = reached.map(|(measure, _)| *measure).collect();
        let drift = !beyond.is_empty() && p_adjusted.is_some_and(|p| p <= floors.alpha);
        Verdict { drift, p_adjusted, beyond }
    };
    columns.iter().zip(p_values).map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Sorted;
    use super::super::column::numbers;
    use super::*;

    /// `count` values of a normal distribution by its quantiles, moved.
    fn normal(count: u32, shift: f64) -> Sorted {
        let mut random = fastrand::Rng::with_seed(3 + u64::from(count) + shift.to_bits());
        let mut value = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0 + shift;
        Sorted::new((0..count).map(|_| value()).collect()).unwrap()
    }

    #[test]
    fn drift_needs_effect_and_evidence() {
        for (why, rows, shift, effect, evidence) in [
            ("much data, nothing moved", 100_000, 0.0, false, false),
            ("much data, a hair", 100_000, 0.05, false, true),
            ("much data, half a deviation", 100_000, 0.5, true, true),
            ("some data, half a deviation", 500, 0.5, true, true),
            ("six rows", 6, 0.2, true, false),
        ] {
            let column = numbers(&normal(rows, 0.0), &normal(rows + 1, shift));
            let verdict = judge(std::slice::from_ref(&column), &Floors::default()).remove(0);
            let found = (!verdict.beyond.is_empty(), verdict.p_adjusted.unwrap() <= 0.05);
            assert_eq!(found, (effect, evidence), "{why}: {column:?}");
            assert_eq!(verdict.drift, effect && evidence, "{why}");
        }
    }

    #[test]
    fn columns_without_a_test_are_not_counted() {
        let (none, some) = (Comparison::default(), numbers(&normal(500, 0.0), &normal(400, 1.0)));
        let verdicts = judge(&[none, some.clone()], &Floors::default());
        assert_eq!((verdicts[0].p_adjusted, verdicts[0].drift), (None, false));
        assert_eq!(verdicts[1].p_adjusted, some.p_value());
    }
}
