//! Streams without drift, drawn from the reference: what the score does when nothing happens.
//!
//! Double bootstrap: each stream redraws the reference's mean *and* the observations, because the mean that the detector
//! knows is itself a draw; streams about the known mean give thresholds at which the true rate is 2-5 times the stated one.
//! Observations that hang together are drawn in blocks (Politis and Romano, "The stationary bootstrap", 1994).

use super::bank::LAMBDAS;
use super::dependence::Dependence;
use super::linear::Matrix;
use super::norm::Norm;

/// Features are padded to this many, so that the loops below are made of full vectors.
const LANES: usize = 16;

/// A reference of features to draw streams from.
pub(crate) struct Bootstrap<'a> {
    /// Centred features, padded with zeros, shape `[n, width]`.
    rows: Matrix,
    /// Vectors whose mean is the reference's.
    reference: usize,
    /// The last feature: what lies outside, whose mean is known from `rows` only.
    outside: usize,
    dependence: Dependence,
    rng: &'a mut fastrand::Rng,
}

/// One stream and the bank that watches it.
pub(crate) struct Stream {
    means: [Vec<f32>; 3],
    shift: Vec<f32>,
    at: usize,
}

impl<'a> Bootstrap<'a> {
    /// `rows` are centred features in the order of the reference, at least one; its mean is known from `reference` vectors.
    pub(crate) fn new(rows: &[Vec<f64>], reference: usize, dependence: Dependence, rng: &'a mut fastrand::Rng) -> Self {
        let width = rows[0].len().next_multiple_of(LANES);
        let mut padded = Matrix::zeros(rows.len(), width);
        let scale = dependence.shortfall.sqrt();
        for (at, row) in rows.iter().enumerate() {
            padded.row_mut(at).iter_mut().zip(row).for_each(|(to, from)| *to = (from * scale) as f32);
        }
        Self { rows: padded, reference, outside: rows[0].len().saturating_sub(1), dependence, rng }
    }

    /// A stream with a newly drawn reference.
    pub(crate) fn stream(&mut self) -> Stream {
        let (width, count) = (self.rows.width, self.rows.height());
        let mut stream = Stream { means: std::array::from_fn(|_| vec![0.0; width]), shift: vec![0.0; width], at: 0 };
        stream.at = self.rng.usize(..count);
        let mut shift = vec![0.0; width];
        for _ in 0..self.reference {
            self.step(&mut stream);
            super::linear::add_scaled(&mut shift, 1.0 / self.reference as f32, self.rows.row(stream.at));
        }
        shift[self.outside] *= (self.reference as f32 / count as f32).sqrt();
        stream.shift = shift;
        stream.at = self.rng.usize(..count);
        stream
    }

    fn step(&mut self, stream: &mut Stream) {
        let count = self.rows.height();
        let jump = self.dependence.block <= 1.0 || self.rng.f64() * self.dependence.block < 1.0;
        stream.at = if jump { self.rng.usize(..count) } else { (stream.at + 1) % count };
    }

    /// Takes one observation; the squared lengths of the bank's means after it.
    pub(crate) fn advance(&mut self, stream: &mut Stream) -> [f64; 3] {
        self.step(stream);
        let row = self.rows.row(stream.at);
        let mut lengths = [0.0; 3];
        for ((means, lambda), length) in stream.means.iter_mut().zip(LAMBDAS).zip(&mut lengths) {
            *length = f64::from(approach(means, lambda as f32, row, &stream.shift));
        }
        lengths
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

/// Observations before a bank has forgotten its start.
const SETTLE: usize = 1024;

/// Expectation of `‖m_j‖²/trΣ` when nothing happens, over `streams` settled streams.
pub(crate) fn sizes(bootstrap: &mut Bootstrap<'_>, trace: f64, streams: usize) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for _ in 0..streams {
        let mut stream = bootstrap.stream();
        let mut last = [0.0; 3];
        for at in 0..2 * SETTLE {
            let lengths = bootstrap.advance(&mut stream);
            if at >= SETTLE {
                last.iter_mut().zip(lengths).for_each(|(sum, length)| *sum += length);
            }
        }
        sums.iter_mut().zip(last).for_each(|(sum, last)| *sum += last / SETTLE as f64);
    }
    sums.map(|sum| sum / (streams as f64 * trace))
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
