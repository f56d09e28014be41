//! How often something as strange has happened before: what returns every day is no news.

use serde::{Deserialize, Serialize};

use super::exact;
use super::residual::MEMORY;
use super::tail::Tail;

/// Samples that count as one occasion.
const OCCASION: u32 = 150;
/// An occasion counts as like one whose strangeness was up to `e^0.2` more.
const MARGIN: f64 = 0.2;

/// The strangest moment of each [`OCCASION`] samples, counted by size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Habit {
    peaks: Tail,
    #[serde(with = "exact::number")]
    peak: f64,
    samples: u32,
}

impl Habit {
    pub(super) fn new() -> Self {
        Self { peaks: Tail::new(-7.0, 3.0, MEMORY / f64::from(OCCASION)), peak: 0.0, samples: 0 }
    }

    /// How many earlier occasions were as strange as `strangeness` or more; then learns it.
    pub(super) fn earlier(&mut self, strangeness: f64) -> f64 {
        let earlier = self.peaks.at_least(strangeness, MARGIN);
        self.peak = self.peak.max(strangeness);
        self.samples += 1;
        if self.samples == OCCASION {
            self.peaks.add(self.peak);
            (self.peak, self.samples) = (0.0, 0);
        }
        earlier
    }
}
