//! How long nothing new has come: equal values, missing values and gaps in time, in samples.

use serde::{Deserialize, Serialize};

use super::exact;
use super::residual::MEMORY;
use super::tail::Tail;

/// Share by which the usual step between samples follows.
const STEP_RATE: f64 = 0.05;
/// A run must exceed earlier ones by `e^0.2` to count as longer.
const MARGIN: f64 = 0.2;

/// The run of samples that told nothing new, and how long such runs have been.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stillness {
    last: Option<Last>,
    /// Milliseconds between samples; zero while unknown.
    #[serde(with = "exact::number")]
    step_ms: f64,
    #[serde(with = "exact::number")]
    run: f64,
    runs: Tail,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Last {
    at_ms: i64,
    #[serde(with = "exact::number")]
    value: f64,
}

impl Stillness {
    pub(super) fn new() -> Self {
        Self { last: None, step_ms: 0.0, run: 0.0, runs: Tail::new(0.0, 12.0, MEMORY) }
    }

    /// A row without a value makes the run longer.
    pub(super) fn miss(&mut self) {
        self.run += 1.0;
    }

    /// Surprise at the run that `value` continues or begins. A gap counts as the samples that would have filled it.
    pub(super) fn surprise(&mut self, at_ms: i64, value: f64) -> f64 {
        if let Some(last) = self.last {
            let gap = self.missing((at_ms.saturating_sub(last.at_ms)) as f64);
            self.run = if last.value == value { self.run + 1.0 + gap } else { gap };
        }
        self.last = Some(Last { at_ms, value });
        let surprise = self.runs.surprise(self.run, MARGIN);
        self.runs.add(self.run);
        surprise
    }

    /// Samples that are missing where `step_ms` passed since the last: none while that is less than three steps.
    fn missing(&mut self, step_ms: f64) -> f64 {
        let usual = self.step_ms;
        if step_ms > 0.0 {
            let follow = STEP_RATE * (step_ms.min(4.0 * usual) - usual);
            self.step_ms = if usual == 0.0 { step_ms } else { usual + follow };
        }
        let gap = if usual > 0.0 { step_ms / usual - 1.0 } else { 0.0 };
        if gap > 2.0 { gap } else { 0.0 }
    }
}
