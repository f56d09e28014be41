//! What of a vector is watched: its coordinates along the reference's main directions, how much lies outside them, and how
//! far it is from the nearest of the reference's typical places.

use serde::{Deserialize, Serialize};

use super::basis::{Basis, principal};
use super::cells::Cells;
use super::error::Unusable;
use super::linear::{COLUMNS, Matrix, Turned, dot};

/// Directions kept at most. Chosen by guess, not tuned.
const MOST_DIRECTIONS: usize = COLUMNS;

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
    /// Orthonormal.
    directions: Turned,
    /// Shape `[rank]`.
    weights: Vec<f64>,
    outside: Scale,
    cells: Cells,
    distance: Scale,
}

/// What a number is usually, and what one of it weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Scale {
    mean: f64,
    weight: f64,
}

impl Scale {
    /// The mean of `values`, and the weight that gives them the standard deviation `wanted`; none where they vary by less
    /// than `least`.
    fn of(values: &[f64], wanted: f64, least: f64) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        Self { mean, weight: if spread > least { wanted / spread } else { 0.0 } }
    }

    fn apply(self, value: f64) -> f64 {
        (value - self.mean) * self.weight
    }
}

/// What a vector less the centre gives beside its coordinates.
struct Beside {
    /// Squared length outside the directions.
    outside: f64,
    /// Distance to the nearest cell.
    distance: f64,
}

impl Features {
    /// Learns from `reference` (shape `[n, dim]`, finite). `None` when all rows are equal.
    ///
    /// The directions and cells come from the first third alone: what lies outside directions that were fitted to the same
    /// rows is less than what will lie outside for new ones, and the difference would be taken for drift.
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
        let weights: Vec<f64> = variances.iter().map(|variance| variance.powf(-WHITENING / 2.0)).collect();
        let (rank, directions) = (weights.len(), Turned::of(&directions));
        let coordinates =
            less(&first, &centre).rows().flat_map(|row| directions.times(row).into_iter().take(rank)).collect();
        let coordinates = Matrix { width: rank, values: coordinates };
        let cells = Cells::learn(&coordinates, rng);
        let (outside, distance) = (Scale::default(), Scale::default());
        let mut features = Self { centre, directions, weights, outside, cells, distance };
        features.weigh(&less(reference, &features.centre), &variances);
        Some(features)
    }

    /// Weighs what is beside the coordinates by the rows that nothing was fitted to. They have pulled the centre towards
    /// themselves, which takes a share `2/n` off the energy outside.
    fn weigh(&mut self, centred: &Matrix, variances: &[f64]) {
        let beside = |row: &[f32]| self.beside(&self.directions.times(row), f64::from(dot(row, row)));
        let all: Vec<Beside> = centred.rows().skip(fitted_rows(centred.height())).map(beside).collect();
        let kept: f64 = variances.iter().zip(&self.weights).map(|(variance, weight)| variance * weight * weight).sum();
        let (typical, total) = (kept / variances.len() as f64, variances.iter().sum::<f64>());
        let outside: Vec<f64> = all.iter().map(|beside| beside.outside).collect();
        self.outside = Scale::of(&outside, OUTSIDE * typical.sqrt(), 1e-6 * total);
        self.outside.mean *= 1.0 + 2.0 / centred.height() as f64;
        let distances: Vec<f64> = all.iter().map(|beside| beside.distance).collect();
        self.distance = Scale::of(&distances, 1.0, 1e-6 * total.sqrt());
    }

    /// From the coordinates `along` of a vector less the centre, whose squared length is `energy`.
    fn beside(&self, along: &[f32; COLUMNS], energy: f64) -> Beside {
        let along = &along[..self.weights.len().min(COLUMNS)];
        let (inside, nearer) = (f64::from(dot(along, along)), f64::from(self.cells.nearer(along)));
        Beside { outside: (energy - inside).max(0.0), distance: (energy - nearer).max(0.0).sqrt() }
    }

    /// Length of the vectors.
    pub(crate) fn dim(&self) -> usize {
        self.centre.len()
    }

    /// How many features: one a direction, then the energy outside, then the distance.
    pub(crate) fn count(&self) -> usize {
        self.weights.len() + 2
    }

    /// Whether all vectors are equally far from what is usual, so that nothing can be said of the distance.
    pub(crate) fn distance_is_constant(&self) -> bool {
        self.distance.weight <= 0.0
    }

    /// Whether sizes agree and all is finite: what was read back may be damaged.
    pub(crate) fn is_sound(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        self.directions.0.len() == self.dim()
            && self.weights.len() <= COLUMNS
            && finite(&self.centre)
            && self.directions.0.iter().all(|column| finite(column))
            && self.weights.iter().all(|weight| weight.is_finite())
            && self.cells.is_sound(self.weights.len())
            && [self.outside, self.distance].iter().all(|scale| (scale.mean + scale.weight).is_finite())
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
        let along = self.directions.times(scratch);
        let Beside { outside, distance } = self.beside(&along, f64::from(energy));
        let coordinates = along.iter().zip(&self.weights).map(|(along, weight)| f64::from(*along) * weight);
        let beside = [self.outside.apply(outside), self.distance.apply(distance)];
        sum.iter_mut().zip(coordinates.chain(beside)).for_each(|(sum, feature)| *sum += feature);
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
