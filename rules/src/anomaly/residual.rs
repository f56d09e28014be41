//! What is left of a value once its expectation is taken away, over several spans, each against its own usual size.

use serde::{Deserialize, Serialize};

use super::exact;
use super::tail::Tail;

/// Spans of the moving means, in samples, with the weight of each in the mean surprise: a spike, a shift.
pub(super) const SPANS: [(f64, f64); 2] = [(1.0, 2.0), (8.0, 1.0)];
/// Share by which the usual size follows, once that many samples are known.
const SCALE_RATE: f64 = 0.0003;
/// Samples before a ratio to the usual size means anything.
const SETTLED: f64 = 30.0;
/// What the remains of older residuals may add to a single event.
const SLACK: f64 = 0.01;
/// Logarithms of the ratios that are told apart.
const RANGE: (f64, f64) = (-7.0, 12.0);
/// Half-life of what is remembered of the ratios, in samples.
pub(super) const MEMORY: f64 = 20_000.0;
/// A ratio must exceed earlier ones by `e^0.2` to count as larger.
const MARGIN: f64 = 0.2;

/// The residuals against one expectation: one [`Smoothed`] a span.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Residuals([Smoothed; SPANS.len()]);

impl Residuals {
    pub(super) fn new() -> Self {
        Self(SPANS.map(|(span, _)| Smoothed::new(span)))
    }

    /// Surprise (see [`Tail::surprise`]) of this residual, summed over the spans by their weights. A deviation of one
    /// `step`, the smallest change the series has shown, is a single event and no evidence by itself, whatever the span.
    pub(super) fn surprise(&mut self, residual: f64, step: f64) -> f64 {
        self.0.iter_mut().zip(SPANS).map(|(smoothed, (_, weight))| weight * smoothed.surprise(residual, step)).sum()
    }
}

/// An exponentially weighted mean of residuals, its usual size, and how its ratio to that has been distributed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Smoothed {
    #[serde(with = "exact::number")]
    rate: f64,
    #[serde(with = "exact::number")]
    mean: f64,
    /// Mean of `|mean|`.
    #[serde(with = "exact::number")]
    size: f64,
    #[serde(with = "exact::number")]
    seen: f64,
    ratios: Tail,
}

impl Smoothed {
    fn new(span: f64) -> Self {
        let ratios = Tail::new(RANGE.0, RANGE.1, MEMORY);
        Self { rate: 2.0 / (span + 1.0), mean: 0.0, size: 0.0, seen: 0.0, ratios }
    }

    fn surprise(&mut self, residual: f64, step: f64) -> f64 {
        self.mean += self.rate * (residual - self.mean);
        let size = self.mean.abs();
        let single = size <= step * self.rate * (1.0 + SLACK);
        let ratio = if self.seen <= SETTLED || single { 0.0 } else { size / self.size };
        self.seen += 1.0;
        self.size += SCALE_RATE.max(self.seen.recip()) * (size - self.size);
        let surprise = self.ratios.surprise(ratio, MARGIN);
        self.ratios.add(ratio);
        surprise
    }
}
