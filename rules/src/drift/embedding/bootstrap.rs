//! Streams without drift, drawn from the reference: what the score does when nothing happens.
//!
//! Double bootstrap: each stream redraws the reference's mean *and* the observations, because the mean that the detector
//! knows is itself a draw; streams about the known mean give thresholds at which the true rate is 2-5 times the stated one.
//! Observations that hang together are drawn in blocks (Politis and Romano, "The stationary bootstrap", 1994).

use super::bank::{Shift, lambdas};
use super::dependence::Dependence;
use super::linear::Matrix;
use super::norm::Norm;

/// Features are padded to this many, so that the loops below are made of full vectors.
const LANES: usize = 8;

/// A reference of features to draw streams from.
pub(crate) struct Bootstrap<'a> {
    /// Centred features but the last, padded with zeros, shape `[n, width]`.
    rows: Matrix,
    /// The last feature, centred: the distance, whose mean is known from `rows` only.
    distances: Vec<f32>,
    /// Vectors whose mean is the reference's.
    reference: usize,
    /// The last feature of `rows`: what lies outside, whose mean is known from `rows` only.
    outside: usize,
    lambdas: [f64; 3],
    dependence: Dependence,
    rng: &'a mut fastrand::Rng,
}

/// One stream and the bank that watches it.
pub(crate) struct Stream {
    means: [Vec<f32>; 3],
    distances: [f32; 3],
    shift: Vec<f32>,
    distance_shift: f32,
    at: usize,
}

impl<'a> Bootstrap<'a> {
    /// `rows` are centred features in the order of the reference, at least one; its mean is known from `reference` vectors.
    pub(crate) fn new(rows: &[Vec<f64>], reference: usize, dependence: Dependence, rng: &'a mut fastrand::Rng) -> Self {
        let scale = dependence.shortfall.sqrt();
        let last = rows[0].len().saturating_sub(1);
        let distances = rows.iter().map(|row| (row[last] * scale) as f32).collect();
        let mut padded = Matrix::zeros(rows.len(), last.max(1).next_multiple_of(LANES));
        for (at, row) in rows.iter().enumerate() {
            padded.row_mut(at).iter_mut().zip(&row[..last]).for_each(|(to, from)| *to = (from * scale) as f32);
        }
        let lambdas = lambdas(dependence.stretch());
        Self { rows: padded, distances, reference, outside: last.saturating_sub(1), lambdas, dependence, rng }
    }

    /// A stream with a newly drawn reference.
    pub(crate) fn stream(&mut self) -> Stream {
        let (width, count) = (self.rows.width, self.rows.height());
        let mut stream = Stream {
            means: std::array::from_fn(|_| vec![0.0; width]),
            distances: [0.0; 3],
            shift: vec![0.0; width],
            distance_shift: 0.0,
            at: self.rng.usize(..count),
        };
        let share = 1.0 / self.reference as f32;
        for _ in 0..self.reference {
            self.step(&mut stream);
            super::linear::add_scaled(&mut stream.shift, share, self.rows.row(stream.at));
            stream.distance_shift += share * self.distances[stream.at];
        }
        let known_from_fewer = (self.reference as f32 / count as f32).sqrt();
        stream.shift[self.outside] *= known_from_fewer;
        stream.distance_shift *= known_from_fewer;
        stream.at = self.rng.usize(..count);
        stream
    }

    fn step(&mut self, stream: &mut Stream) {
        let count = self.rows.height();
        let jump = self.dependence.block <= 1.0 || self.rng.f64() * self.dependence.block < 1.0;
        stream.at = if jump { self.rng.usize(..count) } else { (stream.at + 1) % count };
    }

    /// Takes one observation; where the bank's means are after it.
    pub(crate) fn advance(&mut self, stream: &mut Stream) -> [Shift; 3] {
        self.step(stream);
        let row = self.rows.row(stream.at);
        let beyond = self.distances[stream.at] - stream.distance_shift;
        let mut shifts = [Shift::default(); 3];
        for (at, shift) in shifts.iter_mut().enumerate() {
            let lambda = self.lambdas[at] as f32;
            stream.distances[at] += lambda * (beyond - stream.distances[at]);
            shift.distance = f64::from(stream.distances[at]);
            shift.length = f64::from(approach(&mut stream.means[at], lambda, row, &stream.shift));
        }
        shifts
    }

    /// The weights of the bank.
    pub(crate) fn lambdas(&self) -> [f64; 3] {
        self.lambdas
    }
}

/// `m <- m + λ(x - shift - m)`; returns `‖m‖²`. All of one length, a multiple of [`LANES`].
fn approach(means: &mut [f32], lambda: f32, row: &[f32], shift: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let blocks = means.chunks_exact_mut(LANES).zip(row.chunks_exact(LANES)).zip(shift.chunks_exact(LANES));
    for ((means, row), shift) in blocks {
        for at in 0..LANES {
            means[at] += lambda * (row[at] - shift[at] - means[at]);
            lanes[at] += means[at] * means[at];
        }
    }
    lanes.iter().sum()
}

/// Observations before a bank has forgotten its start, by how far its memory is stretched.
const SETTLE: usize = 1024;

/// Expectations without drift, over `streams` settled streams: of `‖m_j‖²/trΣ`, and of the distance's mean squared.
pub(crate) fn sizes(bootstrap: &mut Bootstrap<'_>, trace: f64, streams: usize) -> ([f64; 3], [f64; 3]) {
    let stretch = bootstrap.dependence.stretch() as usize;
    let (settle, streams) = (SETTLE * stretch, (streams / stretch).max(1));
    let (mut lengths, mut distances) = ([0.0; 3], [0.0; 3]);
    let share = 1.0 / (settle * streams) as f64;
    for _ in 0..streams {
        let mut stream = bootstrap.stream();
        (0..settle).for_each(|_| {
            bootstrap.advance(&mut stream);
        });
        for _ in 0..settle {
            for (at, shift) in bootstrap.advance(&mut stream).iter().enumerate() {
                lengths[at] += share * shift.length / trace;
                distances[at] += share * shift.distance.powi(2);
            }
        }
    }
    (lengths, distances)
}

/// The records of one stream's score: `(observation, score)` at each new maximum, ascending in both.
pub(crate) fn records(bootstrap: &mut Bootstrap<'_>, norm: &Norm, length: usize) -> Vec<(u32, f64)> {
    let mut stream = bootstrap.stream();
    let mut records = Vec::new();
    let mut highest = f64::NEG_INFINITY;
    for at in 1..=length {
        let score = norm.score(&bootstrap.advance(&mut stream), 0.0).score;
        if score > highest {
            highest = score;
            records.push((at as u32, score));
        }
    }
    records
}
