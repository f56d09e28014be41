//! From a value to one of 32 equally likely bins: probability integral transform, prewhitening, and again.
//!
//! `u = (#{ref < x} + V·(1 + #{ref = x})) / (m + 1)` with `V` uniform and seeded, `z = Φ⁻¹(u)`, `r = z − φ·z_before`,
//! and the bin is the place of `r` among the reference's own `r`. Only ranks count, so any increasing transform of
//! the signal gives the same bins. `φ` is 0 unless the reference shows it beyond doubt; then the bin is `⌊32u⌋`.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::{BINS, DriftError};

/// The smallest reference: two values for each bin.
pub const MIN_REFERENCE: usize = 64;

/// Distinct values kept of a reference; beyond that every second, third, ... is kept.
const KEPT: usize = 2048;

/// `φ` below this many standard errors is taken as 0.
const PHI_ERRORS: f64 = 3.0;

/// A value of the reference and how much of it lies below.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Step(f64, u32, u32);

/// Between two neighbouring reference residuals lies the border of a bin: below the lower one certainly under it,
/// above the upper one certainly over it, between them under it with probability `share`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Border {
    lower: f64,
    upper: f64,
    share: f64,
}

/// What is usual of a numeric signal: its distribution and its memory of one step. At most 33 KiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalarReference {
    observations: u32,
    /// Sorted: value, how many are below it, how many up to and with it.
    steps: Vec<Step>,
    phi: f64,
    /// Borders of the residual bins; empty where `phi` is 0.
    borders: Vec<Border>,
}

impl ScalarReference {
    /// Learns from `values` in the order in which they came; those that are not finite are left out.
    ///
    /// `seed` breaks ties at random. A reference of one single value repeated is fine.
    ///
    /// # Errors
    /// [`DriftError::TooFew`] below [`MIN_REFERENCE`] finite values.
    pub fn learn(values: &[f64], seed: u64) -> Result<Self, DriftError> {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        if finite.len() < MIN_REFERENCE {
            return Err(DriftError::TooFew { have: finite.len(), need: MIN_REFERENCE });
        }
        let recent = &finite[finite.len().saturating_sub(u32::MAX as usize)..];
        let steps = thinned(steps(recent));
        let mut reference = Self { observations: recent.len() as u32, steps, phi: 0.0, borders: vec![] };
        if !reference.is_constant() {
            reference.learn_memory(recent, seed);
        }
        Ok(reference)
    }

    fn learn_memory(&mut self, values: &[f64], seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let scores: Vec<f64> = values.iter().map(|value| quantile(self.own_place(*value, &mut rng))).collect();
        let square: f64 = scores.iter().map(|z| z * z).sum();
        let phi = scores.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / square;
        if phi.abs() < PHI_ERRORS / (values.len() as f64).sqrt() {
            return;
        }
        self.phi = phi.clamp(-0.99, 0.99);
        let mut residuals: Vec<f64> = scores.windows(2).map(|pair| pair[1] - self.phi * pair[0]).collect();
        residuals.sort_by(f64::total_cmp);
        self.borders = borders(&residuals);
    }

    /// Finite values learned from.
    pub fn observations(&self) -> usize {
        self.observations as usize
    }

    /// The autoregression that is taken out, 0 where none was found.
    pub fn phi(&self) -> f64 {
        self.phi
    }

    /// Whether all values of the reference were the same.
    pub fn is_constant(&self) -> bool {
        self.steps.len() == 1
    }

    /// The value below which a share of `probability` of the reference lies (clamped to 0 and 1).
    pub fn quantile(&self, probability: f64) -> f64 {
        let wanted = probability.clamp(0.0, 1.0) * f64::from(self.observations);
        let index = self.steps.partition_point(|step| f64::from(step.2) < wanted);
        self.steps.get(index).or(self.steps.last()).map_or(0.0, |step| step.0)
    }

    /// The share of the reference below `value`, ties counted half.
    pub fn share_below(&self, value: f64) -> f64 {
        let (below, upto) = self.range(value);
        f64::from(below + upto) / (2.0 * f64::from(self.observations))
    }

    /// The share of the reference up to and with `value`.
    pub fn share_upto(&self, value: f64) -> f64 {
        f64::from(self.range(value).1) / f64::from(self.observations)
    }

    /// The distinct values kept, ascending.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.steps.iter().map(|step| step.0)
    }

    /// How many of the reference lie below `value`, and how many up to it.
    #[inline]
    fn range(&self, value: f64) -> (u32, u32) {
        let at = self.steps.partition_point(|step| step.0 < value);
        let before = if at == 0 { 0 } else { self.steps[at - 1].2 };
        match self.steps.get(at) {
            Some(step) if step.0 == value => (step.1, step.2),
            Some(step) => (before, step.1),
            None => (before, self.observations),
        }
    }

    #[inline]
    fn place(&self, value: f64, rng: &mut fastrand::Rng) -> f64 {
        let (below, upto) = self.range(value);
        let width = f64::from(upto - below + 1);
        (f64::from(below) + width * rng.f64()) / f64::from(self.observations + 1)
    }

    /// The place of a value that is itself in the reference, among the others.
    fn own_place(&self, value: f64, rng: &mut fastrand::Rng) -> f64 {
        let (below, upto) = self.range(value);
        (f64::from(below) + f64::from((upto - below).max(1)) * rng.f64()) / f64::from(self.observations)
    }

    fn residual_bin(&self, residual: f64, rng: &mut fastrand::Rng) -> usize {
        let certain = self.borders.partition_point(|border| border.upper <= residual);
        let open = self.borders[certain..].iter().take_while(|border| border.lower <= residual);
        let chance = rng.f64();
        certain + open.filter(|border| chance >= border.share).count()
    }
}

fn steps(values: &[f64]) -> Vec<Step> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut steps: Vec<Step> = Vec::new();
    for (index, value) in sorted.into_iter().enumerate() {
        let index = index as u32;
        match steps.last_mut() {
            Some(step) if step.0 == value => step.2 = index + 1,
            _ => steps.push(Step(value, index, index + 1)),
        }
    }
    steps
}

/// Keeps the first, the last and evenly many between.
fn thinned(steps: Vec<Step>) -> Vec<Step> {
    if steps.len() <= KEPT {
        return steps;
    }
    let last = steps.len() - 1;
    (0..KEPT).map(|index| steps[index * last / (KEPT - 1)]).collect()
}

fn borders(sorted: &[f64]) -> Vec<Border> {
    let places = sorted.len() as f64 + 1.0;
    (1..BINS)
        .map(|bin| {
            let place = bin as f64 * places / BINS as f64;
            let rank = (place as usize).clamp(1, sorted.len() - 1);
            Border { lower: sorted[rank - 1], upper: sorted[rank], share: place - rank as f64 }
        })
        .collect()
}

/// `Φ⁻¹`, kept finite.
#[inline]
fn quantile(u: f64) -> f64 {
    Normal::standard().inverse_cdf(u.clamp(1e-12, 1.0 - 1e-12))
}

/// Turns the values of one source (a pod) into bins; remembers the score before and where the random numbers stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Whitener {
    before: f64,
    rng: u64,
}

impl Whitener {
    /// Of a source; sources with different seeds break ties independently.
    pub fn new(seed: u64) -> Self {
        Self { before: 0.0, rng: seed }
    }

    /// The bin of `value`, 0 to 31.
    ///
    /// `None` for a value that is not finite, and for one that says nothing: the same as in a reference of one value.
    #[inline]
    pub fn bin(&mut self, reference: &ScalarReference, value: f64) -> Option<usize> {
        if !value.is_finite() || (reference.is_constant() && reference.steps[0].0 == value) {
            return None;
        }
        let mut rng = fastrand::Rng::with_seed(self.rng);
        let place = reference.place(value, &mut rng);
        let bin = if reference.borders.is_empty() {
            (place * BINS as f64) as usize
        } else {
            let score = quantile(place);
            let residual = score - reference.phi * self.before;
            self.before = score;
            reference.residual_bin(residual, &mut rng)
        };
        self.rng = rng.get_seed();
        Some(bin.min(BINS - 1))
    }
}
