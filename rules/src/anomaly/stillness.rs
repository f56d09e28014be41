//! How long nothing new has come: equal values, missing values and gaps in time, in samples.

use serde::{Deserialize, Serialize};

use super::exact;
use super::residual::MEMORY;
use super::tail::Tail;

/// Share by which the usual step between samples follows.
const STEP_RATE: f64 = 0.05;
/// A run must exceed earlier ones by `e^0.2` to count as longer.
const MARGIN: f64 = 0.2;
/// A run of equal values that is this many times as long as earlier ones is no matter of chance: where a value repeats with
/// probability `q`, the longest of `n` runs is about `log n / log(1/q)`, and one eight times as long has `n^-7`.
const STUCK: f64 = 8.0;
/// Less than this, in powers of ten, is not called stuck: one moment in two hundred was in so long a run.
const SURE: f64 = 2.31;

/// What the silence up to a value says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    /// Surprise at the run that the value continues or begins, see [`Tail::surprise`].
    pub(super) surprise: f64,
    /// Powers of ten against "such a run of equal values is as usual", by itself; 0 while that is not sure.
    pub(super) stuck: f64,
}

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

    /// What the run that `value` continues or begins says. A gap counts as the samples that would have filled it.
    pub(super) fn hear(&mut self, at_ms: i64, value: f64) -> Silence {
        let mut equal = false;
        if let Some(last) = self.last {
            let gap = self.missing((at_ms.saturating_sub(last.at_ms)) as f64);
            equal = last.value == value && gap == 0.0;
            self.run = if last.value == value { self.run + 1.0 + gap } else { gap };
        }
        self.last = Some(Last { at_ms, value });
        let (surprise, longest) = (self.runs.surprise(self.run, MARGIN), self.runs.surprise(self.run, STUCK.ln()));
        self.runs.add(self.run);
        Silence { surprise, stuck: if equal && longest >= SURE { longest } else { 0.0 } }
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
