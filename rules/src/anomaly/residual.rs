//! What is left of a value once its expectation is taken away, against its own usual size.

use serde::{Deserialize, Serialize};

use super::exact;
use super::tail::Tail;

/// Share by which the usual size follows, once that many samples are known.
const SCALE_RATE: f64 = 0.0003;
/// Samples before a ratio to the usual size means anything.
const SETTLED: f64 = 30.0;
/// What rounding may add to a single event.
const SLACK: f64 = 0.01;
/// Logarithms of the ratios that are told apart.
const RANGE: (f64, f64) = (-7.0, 12.0);
/// Half-life of what is remembered of the ratios, in samples.
pub(super) const MEMORY: f64 = 20_000.0;
/// A ratio must exceed earlier ones by `e^0.2` to count as larger.
const MARGIN: f64 = 0.2;

/// The usual size of the residuals against one expectation, and how their ratio to it has been distributed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Residual {
    /// Mean of `|residual|`.
    #[serde(with = "exact::number")]
    size: f64,
    #[serde(with = "exact::number")]
    seen: f64,
    ratios: Tail,
}

impl Residual {
    pub(super) fn new() -> Self {
        Self { size: 0.0, seen: 0.0, ratios: Tail::new(RANGE.0, RANGE.1, MEMORY) }
    }

    /// Surprise (see [`Tail::surprise`]) of this residual; then learns it. A deviation of one `step`, the smallest change
    /// the series has shown, is a single event and no evidence by itself.
    pub(super) fn surprise(&mut self, residual: f64, step: f64) -> f64 {
        let size = residual.abs();
        let single = size <= step * (1.0 + SLACK);
        let ratio = if self.seen <= SETTLED || single { 0.0 } else { size / self.size };
        self.seen += 1.0;
        self.size += SCALE_RATE.max(self.seen.recip()) * (size - self.size);
        let surprise = self.ratios.surprise(ratio, MARGIN);
        self.ratios.add(ratio);
        surprise
    }
}
