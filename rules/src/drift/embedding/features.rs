//! What of a vector is watched: its coordinates along the reference's main directions, and how much lies outside them.

use serde::{Deserialize, Serialize};

use super::basis::{Basis, principal};
use super::error::Unusable;
use super::linear::{Matrix, dot};

/// Directions kept at most. Chosen by guess, not tuned.
const MOST_DIRECTIONS: usize = 32;

/// Weight of a direction: its standard deviation to this power. 0 would leave the vectors as they are, 1 makes all
/// directions alike; between, a shift counts in strong and in weak directions. Chosen by guess, not tuned.
const WHITENING: f64 = 0.5;

/// Weight of the energy outside the directions, beside one average direction.
const OUTSIDE: f64 = 2.0;

/// Maps a vector to its features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Features {
    /// Shape `[dim]`.
    centre: Vec<f32>,
    /// Orthonormal, shape `[rank, dim]`.
    directions: Matrix,
    /// Shape `[rank]`.
    weights: Vec<f64>,
    outside_mean: f64,
    outside_weight: f64,
}

impl Features {
    /// Learns from `reference` (shape `[n, dim]`, finite). `None` when all rows are equal.
    ///
    /// The directions come from the first third alone: what lies outside directions that were fitted to the same rows is
    /// less than what will lie outside for new ones, and the difference would be taken for drift.
    pub(crate) fn learn(reference: &Matrix, rng: &mut fastrand::Rng) -> Option<Self> {
        let (width, fitted) = (reference.width, fitted_rows(reference.height()));
        let first = Matrix { width, values: reference.values[..fitted * width].to_vec() };
        let rank = MOST_DIRECTIONS.min(width).min(fitted / 4);
        let Basis { directions, variances } = principal(&less(&first, &mean(&first)), rank, rng);
        let centre = mean(reference);
        let total: f64 = variances.iter().sum();
        let floor = 1e-10 * f64::from(dot(&centre, &centre)).max(1e-24);
        if total.is_nan() || total <= floor {
            return None;
        }
        let weights = variances.iter().map(|variance| variance.powf(-WHITENING / 2.0)).collect();
        let mut features = Self { centre, directions, weights, outside_mean: 0.0, outside_weight: 0.0 };
        features.weigh_outside(&less(reference, &features.centre), &variances);
        Some(features)
    }

    /// Weighs the energy outside by the rows that the directions were not fitted to. They have pulled the centre towards
    /// themselves, which takes a share `2/n` off.
    fn weigh_outside(&mut self, centred: &Matrix, variances: &[f64]) {
        let energies: Vec<f64> =
            centred.rows().skip(fitted_rows(centred.height())).map(|row| self.outside(row)).collect();
        let count = energies.len() as f64;
        let mean = energies.iter().sum::<f64>() / count;
        let variance = energies.iter().map(|energy| (energy - mean).powi(2)).sum::<f64>() / count;
        let kept: f64 = variances.iter().zip(&self.weights).map(|(variance, weight)| variance * weight * weight).sum();
        let typical = kept / variances.len() as f64;
        self.outside_mean = mean * (1.0 + 2.0 / centred.height() as f64);
        if variance.sqrt() > 1e-6 * variances.iter().sum::<f64>() {
            self.outside_weight = OUTSIDE * (typical / variance).sqrt();
        }
    }

    /// Squared length outside the directions of a vector less the centre.
    fn outside(&self, centred: &[f32]) -> f64 {
        let inside: f64 = self.directions.rows().map(|direction| f64::from(dot(direction, centred)).powi(2)).sum();
        (f64::from(dot(centred, centred)) - inside).max(0.0)
    }

    /// Length of the vectors.
    pub(crate) fn dim(&self) -> usize {
        self.centre.len()
    }

    /// How many features.
    pub(crate) fn count(&self) -> usize {
        self.weights.len() + 1
    }

    /// Whether sizes agree and all is finite: what was read back may be damaged.
    pub(crate) fn is_sound(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        self.directions.width == self.dim()
            && self.directions.values.len() == self.weights.len() * self.dim()
            && finite(&self.centre)
            && finite(&self.directions.values)
            && self.weights.iter().all(|weight| weight.is_finite())
            && (self.outside_mean + self.outside_weight).is_finite()
    }

    /// Adds the features of `vector` to `sum` (shape `[count]`). `scratch` is room to work in.
    ///
    /// # Errors
    /// [`Unusable`]; then `sum` is unchanged.
    pub(crate) fn add(&self, vector: &[f32], scratch: &mut Vec<f32>, sum: &mut [f64]) -> Result<(), Unusable> {
        if vector.len() != self.dim() {
            return Err(Unusable::Dimensions { given: vector.len(), wanted: self.dim() });
        }
        scratch.clear();
        scratch.extend(vector.iter().zip(&self.centre).map(|(value, centre)| value - centre));
        let energy = dot(scratch, scratch);
        if !energy.is_finite() {
            return Err(Unusable::NotFinite);
        }
        let mut inside = 0.0;
        for ((sum, direction), weight) in sum.iter_mut().zip(self.directions.rows()).zip(&self.weights) {
            let along = f64::from(dot(direction, scratch));
            inside += along * along;
            *sum += along * weight;
        }
        if let Some(last) = sum.last_mut() {
            *last += ((f64::from(energy) - inside).max(0.0) - self.outside_mean) * self.outside_weight;
        }
        Ok(())
    }
}

/// How many of a reference's first rows the directions are fitted to; the others tell what is usual.
pub(crate) fn fitted_rows(rows: usize) -> usize {
    rows / 3
}

fn less(rows: &Matrix, centre: &[f32]) -> Matrix {
    let mut centred = rows.clone();
    for at in 0..centred.height() {
        centred.row_mut(at).iter_mut().zip(centre).for_each(|(value, centre)| *value -= centre);
    }
    centred
}

fn mean(reference: &Matrix) -> Vec<f32> {
    let mut sum = vec![0.0_f64; reference.width];
    for row in reference.rows() {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sum.iter().map(|sum| (sum / reference.height().max(1) as f64) as f32).collect()
}
