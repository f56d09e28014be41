//! One column of two tables compared: every test that fits its kind, and how large the difference is.

use super::domain_classifier::domain_classifier;
use super::hashing::dense;
use super::{
    Bins, Continuity, Method, Outcome, Rows, Sorted, TestError, chi_squared, cramer_von_mises, g_test, hellinger,
    jensen_shannon, kolmogorov_smirnov, mmd, psi, psi_by_chance, wasserstein,
};

/// Bins of the measures that compare histograms: tenths of the reference, the custom of PSI.
pub const BINS: usize = 10;
/// Texts a side that MMD compares; the classifier takes all it is given.
const MMD_TEXTS: usize = 1_000;
/// Relabelings of MMD.
const PERMUTATIONS: usize = 199;
/// Width of the texts' vectors for MMD.
const WIDTH: usize = 256;

/// How far apart two samples are; a measure that does not exist for the kind is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Effect {
    /// Mean distance that values were carried, in their own unit.
    pub wasserstein: Option<f64>,
    /// Population stability index, in nats.
    pub psi: Option<f64>,
    /// Jensen-Shannon distance, `0` to `√ln 2`.
    pub js: Option<f64>,
    /// Hellinger distance, `0` to `1`.
    pub hellinger: Option<f64>,
}

/// The tests that were made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tests {
    /// Kolmogorov-Smirnov.
    pub ks: Option<Outcome>,
    /// Cramér-von Mises.
    pub cvm: Option<Outcome>,
    /// Chi-squared of homogeneity, over categories or bins.
    pub chi2: Option<Outcome>,
    /// Likelihood ratio, over the same.
    pub g: Option<Outcome>,
    /// Maximum mean discrepancy.
    pub mmd: Option<Outcome>,
    /// Domain classifier; the statistic is its AUC.
    pub classifier: Option<Outcome>,
}

/// A size that has a floor in [`super::verdict::Floors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Largest distance of the distribution functions.
    Ks,
    /// PSI less what chance gives.
    Psi,
    /// Wasserstein distance in standard deviations of the reference.
    Wasserstein,
    /// AUC of the domain classifier.
    Auc,
    /// Change of the share of missing values.
    Missing,
}

/// All that is known about a column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Shown.
    pub effect: Effect,
    /// Shown.
    pub tests: Tests,
    /// What the verdict weighs against its floors.
    pub sizes: Vec<(Measure, f64)>,
    /// P-values of the tests that make the evidence.
    pub evidence: Vec<f64>,
}

impl Comparison {
    /// One p-value of all the evidence (Bonferroni), `None` when there was too little data for any test.
    #[must_use]
    pub fn p_value(&self) -> Option<f64> {
        let least = self.evidence.iter().copied().reduce(f64::min)?;
        Some((least * self.evidence.len() as f64).min(1.0))
    }

    /// Takes the shares of missing values in: counts of values that are missing and that are there, of both sides.
    pub fn with_missing(&mut self, missing: [u64; 2], there: [u64; 2]) {
        if missing == [0, 0] {
            return;
        }
        let share = |side: usize| missing[side] as f64 / ((missing[side] + there[side]) as f64).max(1.0);
        let (reference, current) = ([missing[0], there[0]], [missing[1], there[1]]);
        if let Ok(found) = chi_squared(&reference, &current, Continuity::Yates) {
            self.evidence.push(found.p_value);
            self.sizes.push((Measure::Missing, (share(1) - share(0)).abs()));
        }
    }
}

/// Numbers: Kolmogorov-Smirnov, Cramér-von Mises, and the bins' chi-squared and G.
///
/// The evidence is Kolmogorov-Smirnov and chi-squared. Cramér-von Mises is shown, not weighed: with many ties and samples
/// of two sizes its mid-rank form (scipy's too) finds differences between equal distributions.
#[must_use]
pub fn numbers(reference: &Sorted, current: &Sorted) -> Comparison {
    let ks = kolmogorov_smirnov(reference, current, Method::Auto);
    let cvm = cramer_von_mises(reference, current, Method::Auto).ok();
    let bins = Bins::by_quantiles(reference, BINS);
    let mut found = counts(&bins.count(reference), &bins.count(current));
    let carried = wasserstein(reference, current);
    found.effect.wasserstein = Some(carried);
    found.tests.ks = Some(Outcome { statistic: ks.statistic, p_value: ks.p_value });
    found.tests.cvm = cvm;
    found.evidence.push(ks.p_value);
    found.sizes.push((Measure::Ks, ks.statistic));
    if let Some(deviation) = reference.deviation().filter(|deviation| *deviation > 0.0) {
        found.sizes.push((Measure::Wasserstein, carried / deviation));
    }
    found
}

/// Categories, by their counts of shape `[categories]`: chi-squared, which is the evidence, and G.
///
/// Bring rare ones together first ([`put_together`]).
#[must_use]
pub fn counts(reference: &[u64], current: &[u64]) -> Comparison {
    let chi2 = chi_squared(reference, current, Continuity::Yates);
    let g = g_test(reference, current, Continuity::Yates);
    let outcome = |found: Result<super::Homogeneity, TestError>| {
        found.ok().map(|found| Outcome { statistic: found.statistic, p_value: found.p_value })
    };
    let (chi2, g) = (outcome(chi2), outcome(g));
    let size = psi(reference, current).ok();
    let beyond = size.zip(psi_by_chance(reference, current).ok()).map(|(psi, chance)| (psi - chance).max(0.0));
    Comparison {
        effect: Effect {
            wasserstein: None,
            psi: size,
            js: jensen_shannon(reference, current).ok(),
            hellinger: hellinger(reference, current).ok(),
        },
        tests: Tests { chi2, g, ..Tests::default() },
        sizes: beyond.map(|beyond| (Measure::Psi, beyond)).into_iter().collect(),
        evidence: chi2.map(|chi2| chi2.p_value).into_iter().collect(),
    }
}

/// Which categories are too rare to be tested alone: those of which either side expects fewer than five.
///
/// `true` for a rare one, in the order of the counts. One rare category alone stays as it is.
#[must_use]
pub fn put_together(reference: &[u64], current: &[u64]) -> Vec<bool> {
    let (n, m) = (reference.iter().sum::<u64>() as f64, current.iter().sum::<u64>() as f64);
    let smaller = n.min(m) / (n + m);
    let rare: Vec<bool> = reference.iter().zip(current).map(|(r, c)| (r + c) as f64 * smaller < 5.0).collect();
    if rare.iter().filter(|rare| **rare).count() < 2 { vec![false; rare.len()] } else { rare }
}

/// Texts: the domain classifier and MMD over hashed n-grams. Also says how current each current text looks (log odds).
#[must_use]
pub fn texts(reference: &[&str], current: &[&str], seed: u64) -> (Comparison, Vec<f32>) {
    let mut found = Comparison::default();
    let classifier = domain_classifier(reference, current, seed).ok();
    let (auc, margins) = classifier.map_or((None, Vec::new()), |found| {
        (Some(Outcome { statistic: found.auc, p_value: found.p_value }), found.margins)
    });
    let some = |texts: &[&str]| dense(&texts[..texts.len().min(MMD_TEXTS)], WIDTH);
    let (a, b) = (some(reference), some(current));
    let pair = Rows::new(&a, WIDTH).and_then(|a| Ok((a, Rows::new(&b, WIDTH)?)));
    let distance = pair.and_then(|(a, b)| mmd(a, b, PERMUTATIONS, seed)).ok();
    found.tests.mmd = distance.map(|found| Outcome { statistic: found.statistic, p_value: found.p_value });
    found.tests.classifier = auc;
    found.sizes.extend(auc.map(|auc| (Measure::Auc, auc.statistic)));
    found.evidence.extend([found.tests.mmd, auc].into_iter().flatten().map(|test| test.p_value));
    (found, margins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_categories_go_together_and_evidence_is_shared() {
        assert_eq!(put_together(&[100, 3, 4, 50], &[100, 2, 0, 50]), [false, true, true, false]);
        assert_eq!(put_together(&[100, 3, 90], &[100, 2, 80]), [false; 3]);
        let found = Comparison { evidence: vec![0.01, 0.5], ..Comparison::default() };
        assert_eq!((found.p_value(), Comparison::default().p_value()), (Some(0.02), None));
    }

    #[test]
    fn every_measure_of_a_kind_is_there_and_no_other() {
        let sample = |from: u32| Sorted::new((from..from + 100).map(f64::from).collect()).unwrap();
        let found = numbers(&sample(0), &sample(50));
        let Effect { wasserstein, psi, js, hellinger } = found.effect;
        assert!(wasserstein == Some(50.0) && psi.is_some() && js.is_some() && hellinger.is_some());
        assert!(found.tests.ks.is_some() && found.tests.cvm.is_some() && found.tests.mmd.is_none());
        assert_eq!(found.evidence.len(), 2);
        let one = Sorted::new(vec![1.0]).unwrap();
        let found = numbers(&one, &one);
        assert_eq!((found.tests.cvm, found.p_value()), (None, Some(1.0)));
        let (found, margins) = texts(&["a"], &["b"], 1);
        assert!(found.p_value().is_none() && margins.is_empty() && found.sizes.is_empty());
    }

    #[test]
    fn ties_in_samples_of_two_sizes_are_no_evidence() {
        let mut random = fastrand::Rng::with_seed(6);
        let mut sample = |size: usize| Sorted::new((0..size).map(|_| f64::from(random.u8(..3))).collect()).unwrap();
        let below = (0..100).filter(|_| numbers(&sample(400), &sample(300)).p_value().unwrap() <= 0.1).count();
        assert!(below <= 20, "{below} of 100 at 10 %");
    }

    #[test]
    fn missing_values_are_evidence_of_their_own() {
        let same = Sorted::new((0..1000).map(f64::from).collect()).unwrap();
        let mut found = numbers(&same, &same);
        found.with_missing([0, 400], [1000, 600]);
        assert!(found.p_value().unwrap() < 1e-10 && found.sizes.contains(&(Measure::Missing, 0.4)));
    }
}
