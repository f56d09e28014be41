//! What has changed, in words: clusters of the reference, their shares then and now, examples and terms.
//!
//! This explains an alarm; it raises none. The reference falls into up to 32 clusters; a vector that is farther from all of
//! them than nearly every reference vector is counted as unlike anything known. Recent shares are decayed counts, so they
//! merge over pods by addition.

mod examples;
mod explain;
mod means;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::embedding::linear::{Matrix, dot};
use super::embedding::{LEAST_REFERENCE, LearnError, MOST_DIMENSIONS, MOST_REFERENCE, Unusable};
use crate::text::TermCounts;
use examples::Examples;
pub use explain::{ClusterShift, Explanation};

/// Clusters at most.
pub const CLUSTERS: usize = 32;
/// Observations after which a recent count weighs half.
const HALF_LIFE: f64 = 256.0;
/// Terms kept of the reference and of what is recent.
const TERMS: usize = 4000;
/// Texts after which the latest become the earlier ones: what is recent is 256 to 512 texts old at most.
const RECENT_TEXTS: u64 = 256;

/// Clusters of a reference, with counts of what came since.
///
/// Memory: `32·dim` floats, at most 8 examples of 200 characters for each cluster and time, and 3 tables of terms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmbeddingClusters {
    centres: Matrix,
    /// Half the squared length of each centre.
    half_squares: Vec<f32>,
    /// Squared distance beyond which a vector is unlike all clusters.
    far: f32,
    reference: Vec<f64>,
    recent: Vec<f64>,
    usual: Texts,
    earlier: Texts,
    latest: Texts,
}

/// What is kept of the texts of a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Texts {
    /// One for each cluster, and one for what is unlike all.
    examples: Vec<Examples>,
    terms: TermCounts,
}

impl Texts {
    fn none(places: usize) -> Self {
        Self { examples: vec![Examples::default(); places], terms: TermCounts::new(TERMS) }
    }

    fn add(&mut self, text: &str, at: usize, distance: f32) {
        self.examples[at].add(text, distance);
        self.terms.add(text);
    }

    fn merge(&mut self, other: &Self) {
        self.examples.iter_mut().zip(&other.examples).for_each(|(own, other)| own.merge(other));
        self.terms.merge(&other.terms);
    }
}

impl EmbeddingClusters {
    /// Learns from reference vectors, each with its masked text where there is one.
    ///
    /// Vectors that are not finite or of another length than the first are left out. Equal input and `seed` give equal
    /// clusters.
    ///
    /// # Errors
    /// [`LearnError`]: too few usable vectors, or of a length out of range.
    pub fn learn<V: AsRef<[f32]>, T: AsRef<str>>(reference: &[(V, Option<T>)], seed: u64) -> Result<Self, LearnError> {
        let width = reference.first().map_or(0, |(vector, _)| vector.as_ref().len());
        if reference.len() >= LEAST_REFERENCE && !(1..=MOST_DIMENSIONS).contains(&width) {
            return Err(LearnError::Dimensions { given: width });
        }
        let usable = |vector: &[f32]| vector.len() == width && dot(vector, vector).is_finite();
        let kept: Vec<_> =
            reference.iter().filter(|(vector, _)| usable(vector.as_ref())).take(MOST_REFERENCE).collect();
        if kept.len() < LEAST_REFERENCE {
            return Err(LearnError::TooFew { have: kept.len(), need: LEAST_REFERENCE });
        }
        let values = kept.iter().flat_map(|(vector, _)| vector.as_ref()).copied().collect();
        let centres = means::centres(&Matrix { width, values }, CLUSTERS, &mut fastrand::Rng::with_seed(seed));
        let mut clusters = Self::empty(centres);
        let mut distances = Vec::with_capacity(kept.len());
        for (vector, text) in kept {
            let (at, distance) = clusters.nearest(vector.as_ref());
            distances.push(distance);
            clusters.reference[at] += 1.0;
            if let Some(text) = text {
                clusters.usual.add(text.as_ref(), at, distance);
            }
        }
        distances.sort_by(f32::total_cmp);
        // Reference vectors have pulled the centres towards themselves; a tenth more makes up for that.
        clusters.far = distances[(distances.len() - 1) * 99 / 100] * 1.1;
        clusters.reference[clusters.centres.height()] = distances.len() as f64 / 100.0;
        Ok(clusters)
    }

    fn empty(centres: Matrix) -> Self {
        let half_squares = centres.rows().map(|centre| dot(centre, centre) / 2.0).collect();
        let places = centres.height() + 1;
        Self {
            centres,
            half_squares,
            far: f32::INFINITY,
            reference: vec![0.0; places],
            recent: vec![0.0; places],
            usual: Texts::none(places),
            earlier: Texts::none(places),
            latest: Texts::none(places),
        }
    }

    /// Takes a vector and, where there is one, its masked text. Returns the cluster, or `None` for one unlike all.
    ///
    /// # Errors
    /// [`Unusable`]; nothing is counted then.
    pub fn update(&mut self, vector: &[f32], text: Option<&str>) -> Result<Option<usize>, Unusable> {
        if vector.len() != self.centres.width {
            return Err(Unusable::Dimensions { given: vector.len(), wanted: self.centres.width });
        }
        if !dot(vector, vector).is_finite() {
            return Err(Unusable::NotFinite);
        }
        let (nearest, distance) = self.nearest(vector);
        let at = if distance > self.far { self.centres.height() } else { nearest };
        let keep = (-std::f64::consts::LN_2 / HALF_LIFE).exp();
        self.recent.iter_mut().for_each(|count| *count *= keep);
        self.recent[at] += 1.0;
        if let Some(text) = text {
            self.take_text(text, at, distance);
        }
        Ok((at < self.centres.height()).then_some(at))
    }

    fn take_text(&mut self, text: &str, at: usize, distance: f32) {
        if self.latest.terms.texts() >= RECENT_TEXTS {
            self.earlier = std::mem::replace(&mut self.latest, Texts::none(self.recent.len()));
        }
        self.latest.add(text, at, distance);
    }

    /// Adds what another pod counted since both learned the same clusters. `false`, and nothing is added, when theirs differ.
    #[must_use = "counts of other clusters are not added"]
    pub fn merge(&mut self, other: &Self) -> bool {
        if self.centres != other.centres || self.recent.len() != other.recent.len() {
            return false;
        }
        self.recent.iter_mut().zip(&other.recent).for_each(|(own, other)| *own += other);
        self.earlier.merge(&other.earlier);
        self.latest.merge(&other.latest);
        true
    }

    /// Forgets what is recent: after an alarm has been dealt with, or once another pod has taken the counts.
    pub fn restart(&mut self) {
        self.recent.iter_mut().for_each(|count| *count = 0.0);
        (self.earlier, self.latest) = (Texts::none(self.recent.len()), Texts::none(self.recent.len()));
    }

    /// Length of the vectors it takes.
    pub fn dimensions(&self) -> usize {
        self.centres.width
    }

    /// The nearest centre and the squared distance to it. `‖x-c‖² = ‖x‖² - 2(⟨x,c⟩ - ‖c‖²/2)`.
    fn nearest(&self, vector: &[f32]) -> (usize, f32) {
        let closeness = self.centres.rows().zip(&self.half_squares).map(|(centre, half)| dot(centre, vector) - half);
        let best = closeness.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0));
        (best.0, (dot(vector, vector) - 2.0 * best.1).max(0.0))
    }
}
