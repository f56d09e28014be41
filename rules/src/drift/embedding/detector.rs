//! The detector: vectors or ticks in, score and alarm out.

use serde::{Deserialize, Serialize};

use super::bank::Bank;
use super::error::{LearnError, Unusable};
use super::features::Features;
use super::law::Law;
use super::learn::{EmbeddingSettings, checked_run_length, learn};
use super::norm::Norm;
use super::tick::EmbeddingTick;

/// Watches embeddings against a reference. See the [module](super) for the method.
///
/// Plain data: what is read back goes on exactly where it was saved (check it with [`EmbeddingDetector::validate`]).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmbeddingDetector {
    features: Features,
    norm: Norm,
    law: Law,
    bank: Bank,
    arl: f64,
    threshold: f64,
    dead_zone: f64,
    reference: usize,
    seen: u64,
    #[serde(skip)]
    scratch: Vec<f32>,
    #[serde(skip)]
    sum: Vec<f64>,
}

/// Where a detector stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmbeddingReading {
    /// The largest standardised squared shift: about mean 0 and variance 1 for each memory when nothing happens.
    pub score: f64,
    /// The score that is reached once in `arl` observations when nothing happens.
    pub threshold: f64,
    /// `score >= threshold` now. Latch, cool-down and the like are the caller's.
    pub alarm: bool,
    /// Length of the shift behind the score, in root-mean-square spreads of the reference's features; noise included.
    pub shift: f64,
    /// Memory of the mean behind the score, in observations: 16, 64 or 256, and up to four times as much where observations
    /// hang together. A quick one tells of a large or recent shift.
    pub memory: u32,
    /// Observations since learning or the last restart.
    pub seen: u64,
}

impl EmbeddingDetector {
    /// Learns from reference vectors of one length, in the order in which they came (sessions make neighbours alike, and
    /// the threshold takes that into account). Vectors that are not finite or of another length than the first are left
    /// out; of more than [`MOST_REFERENCE`](super::MOST_REFERENCE) the first are taken.
    ///
    /// # Errors
    /// [`LearnError`]: too few, all equal, or settings out of range.
    pub fn learn<V: AsRef<[f32]>>(vectors: &[V], settings: &EmbeddingSettings) -> Result<Self, LearnError> {
        learn(vectors, settings)
    }

    pub(super) fn new(
        features: Features,
        lambdas: [f64; 3],
        (norm, law): (Norm, Law),
        settings: &EmbeddingSettings,
        reference: usize,
    ) -> Self {
        let (arl, dead_zone) = (settings.arl, settings.dead_zone.max(0.0));
        let (bank, threshold) = (Bank::new(features.count(), lambdas), law.threshold(arl));
        Self { features, norm, law, bank, arl, threshold, dead_zone, reference, seen: 0, scratch: vec![], sum: vec![] }
    }

    /// Takes one vector.
    ///
    /// # Errors
    /// [`Unusable`]; the detector is as before.
    pub fn update(&mut self, vector: &[f32]) -> Result<EmbeddingReading, Unusable> {
        self.sum.clear();
        self.sum.resize(self.features.count(), 0.0);
        self.features.add(vector, &mut self.scratch, &mut self.sum)?;
        self.bank.advance(&self.sum, 1);
        self.seen = self.seen.saturating_add(1);
        Ok(self.reading())
    }

    /// Adds one vector to a tick of this detector (start from `EmbeddingTick::default()`); the detector itself stands still.
    ///
    /// # Errors
    /// [`Unusable`]; the tick is as before.
    pub fn collect(&mut self, vector: &[f32], tick: &mut EmbeddingTick) -> Result<(), Unusable> {
        if tick.sum.len() != self.features.count() {
            *tick = EmbeddingTick { count: 0, sum: vec![0.0; self.features.count()] };
        }
        self.features.add(vector, &mut self.scratch, &mut tick.sum)?;
        tick.count = tick.count.saturating_add(1);
        Ok(())
    }

    /// Takes what all pods collected in one tick. Their order within the tick does not matter. A tick of another detector's
    /// shape, or one that is not finite, is left out.
    pub fn absorb(&mut self, tick: &EmbeddingTick) -> EmbeddingReading {
        if tick.sum.len() == self.features.count() && tick.sum.iter().all(|sum| sum.is_finite()) {
            self.bank.advance(&tick.sum, tick.count);
            self.seen = self.seen.saturating_add(tick.count);
        }
        self.reading()
    }

    /// Where it stands.
    pub fn reading(&self) -> EmbeddingReading {
        let shifts = self.bank.shifts();
        let peak = self.norm.score(&shifts, self.dead_zone);
        EmbeddingReading {
            score: peak.score,
            threshold: self.threshold,
            alarm: self.seen > 0 && peak.score >= self.threshold,
            shift: (shifts[peak.at].length / self.norm.trace).sqrt(),
            memory: self.bank.memory(peak.at),
            seen: self.seen,
        }
    }

    /// Forgets what was seen, keeps what was learned: after an alarm has been dealt with.
    pub fn restart(&mut self) {
        self.bank.restart();
        self.seen = 0;
    }

    /// Another run length, as when the signal's rate has changed; nothing is learned again.
    ///
    /// # Errors
    /// [`LearnError::RunLength`]; the detector is as before.
    pub fn set_run_length(&mut self, arl: f64) -> Result<(), LearnError> {
        self.arl = checked_run_length(arl)?;
        self.threshold = self.law.threshold(self.arl);
        Ok(())
    }

    /// Mean observations between false alarms.
    pub fn run_length(&self) -> f64 {
        self.arl
    }

    /// Length of the vectors it takes.
    pub fn dimensions(&self) -> usize {
        self.features.dim()
    }

    /// Vectors it learned from.
    pub fn reference_len(&self) -> usize {
        self.reference
    }

    /// Whether a detector that was read back can go on.
    ///
    /// # Errors
    /// [`LearnError::Saved`] with what does not fit.
    pub fn validate(&self) -> Result<(), LearnError> {
        let fits = [
            (self.features.is_sound(), "features of different sizes"),
            (
                self.bank.features() == self.features.count() && self.bank.is_sound(),
                "means of another size or not finite",
            ),
            (self.norm.is_sound(), "a spread that is not positive"),
            (self.law.is_sound(), "run lengths that do not ascend"),
            (checked_run_length(self.arl).is_ok() && self.threshold.is_finite(), "a run length out of range"),
            (self.dead_zone >= 0.0 && self.dead_zone.is_finite(), "a dead zone that is negative or not finite"),
        ];
        match fits.iter().find(|(fits, _)| !fits) {
            Some((_, reason)) => Err(LearnError::Saved { reason }),
            None => Ok(()),
        }
    }
}
