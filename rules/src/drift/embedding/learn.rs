//! From reference vectors to a detector.

use super::bootstrap::{Bootstrap, records, sizes};
use super::dependence::dependence;
use super::detector::EmbeddingDetector;
use super::error::LearnError;
use super::features::{Features, fitted_rows};
use super::law::Law;
use super::linear::Matrix;
use super::norm::{Norm, traces};
use super::{LEAST_ARL, LEAST_REFERENCE, MOST_ARL, MOST_DIMENSIONS, MOST_REFERENCE};

/// Streams drawn to find the threshold.
const STREAMS: usize = 512;
/// Observations of each.
const LENGTH: usize = 4096;
/// Streams drawn to find what the means' lengths are without drift.
const SIZE_STREAMS: usize = 128;

/// How a detector is to behave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmbeddingSettings {
    /// Mean observations between false alarms, [`LEAST_ARL`] to [`MOST_ARL`].
    pub arl: f64,
    /// A shift of the mean up to this many root-mean-square spreads of the reference (`√trΣ`) is of no interest; at least 0.
    pub dead_zone: f64,
    /// Seed of the bootstrap: equal seeds and references give equal detectors.
    pub seed: u64,
}

impl Default for EmbeddingSettings {
    fn default() -> Self {
        Self { arl: 10_000.0, dead_zone: 0.0, seed: 0 }
    }
}

/// Refuses a run length out of range, NaN too.
pub(super) fn checked_run_length(arl: f64) -> Result<f64, LearnError> {
    if (LEAST_ARL..=MOST_ARL).contains(&arl) { Ok(arl) } else { Err(LearnError::RunLength { given: arl }) }
}

/// See [`EmbeddingDetector::learn`].
pub(super) fn learn<V: AsRef<[f32]>>(
    vectors: &[V],
    settings: &EmbeddingSettings,
) -> Result<EmbeddingDetector, LearnError> {
    checked_run_length(settings.arl)?;
    let reference = usable(vectors)?;
    let mut rng = fastrand::Rng::with_seed(settings.seed);
    let constant = LearnError::Constant { count: reference.height() };
    let features = Features::learn(&reference, &mut rng).ok_or(constant.clone())?;
    let rows = centred(&features, &reference);
    let (trace, squared) = traces(&rows, features.count() - 1);
    let mut norm = Norm { trace, spread: (2.0 * squared).sqrt(), sizes: [1.0; 3], distances: [1.0; 3] };
    if !norm.is_sound() {
        return Err(constant);
    }
    let dependence = dependence(&rows, features.count() - 1, (trace, squared));
    let mut bootstrap = Bootstrap::new(&rows, reference.height(), dependence, &mut rng);
    (norm.sizes, norm.distances) = sizes(&mut bootstrap, trace, SIZE_STREAMS);
    if features.distance_is_constant() {
        norm.distances = [1.0; 3];
    }
    let stretch = dependence.stretch() as usize;
    let length = LENGTH * stretch;
    let streams: Vec<_> = (0..STREAMS / stretch).map(|_| records(&mut bootstrap, &norm, length)).collect();
    let law = Law::fit(&streams, length);
    if !norm.is_sound() || !law.is_sound() {
        return Err(constant);
    }
    let lambdas = bootstrap.lambdas();
    Ok(EmbeddingDetector::new(features, lambdas, (norm, law), settings, reference.height()))
}

/// The finite vectors of the first one's length.
fn usable<V: AsRef<[f32]>>(vectors: &[V]) -> Result<Matrix, LearnError> {
    let width = vectors.first().map_or(0, |vector| vector.as_ref().len());
    if vectors.len() >= LEAST_REFERENCE && !(1..=MOST_DIMENSIONS).contains(&width) {
        return Err(LearnError::Dimensions { given: width });
    }
    let finite = |vector: &&[f32]| vector.len() == width && super::linear::dot(vector, vector).is_finite();
    let values: Vec<f32> =
        vectors.iter().map(AsRef::as_ref).filter(finite).take(MOST_REFERENCE).flatten().copied().collect();
    let have = values.len() / width.max(1);
    if have < LEAST_REFERENCE {
        return Err(LearnError::TooFew { have, need: LEAST_REFERENCE });
    }
    Ok(Matrix { width, values })
}

/// The features of the reference vectors that the directions were not fitted to, less their mean.
fn centred(features: &Features, reference: &Matrix) -> Vec<Vec<f64>> {
    let mut scratch = Vec::new();
    let fitted = fitted_rows(reference.height());
    let mut rows = vec![vec![0.0; features.count()]; reference.height() - fitted];
    for (row, vector) in rows.iter_mut().zip(reference.rows().skip(fitted)) {
        // A vector that was usable a moment ago still is.
        let _ = features.add(vector, &mut scratch, row);
    }
    let share = 1.0 / rows.len() as f64;
    let mean: Vec<f64> = (0..features.count()).map(|at| rows.iter().map(|row| row[at]).sum::<f64>() * share).collect();
    rows.iter_mut().for_each(|row| row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean));
    rows
}
