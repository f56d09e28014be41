//! What an alarm says: which way, how much in the signal's own unit, since when, how sure.

use serde::{Deserialize, Serialize};

use super::{Alternative, ScalarReference};
use crate::Timestamp;

/// Which way a signal went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Larger than before.
    Up,
    /// Smaller than before.
    Down,
    /// More spread out.
    Wider,
    /// Less spread out.
    Narrower,
    /// More very large values.
    UpperTail,
    /// More very small values.
    LowerTail,
}

impl From<Alternative> for Direction {
    fn from(alternative: Alternative) -> Self {
        match alternative {
            Alternative::Location(shift) if shift > 0.0 => Self::Up,
            Alternative::Location(_) => Self::Down,
            Alternative::Scale(factor) if factor > 1.0 => Self::Wider,
            Alternative::Scale(_) => Self::Narrower,
            Alternative::Tail(share) if share > 0.0 => Self::UpperTail,
            Alternative::Tail(_) => Self::LowerTail,
        }
    }
}

/// Six quantiles in the signal's own unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// 5 %.
    pub p05: f64,
    /// 25 %.
    pub p25: f64,
    /// The median.
    pub p50: f64,
    /// 75 %.
    pub p75: f64,
    /// 95 %.
    pub p95: f64,
    /// 99 %.
    pub p99: f64,
}

impl Quantiles {
    fn by(at: impl Fn(f64) -> f64) -> Self {
        Self { p05: at(0.05), p25: at(0.25), p50: at(0.5), p75: at(0.75), p95: at(0.95), p99: at(0.99) }
    }

    /// Of the reference.
    pub fn of_reference(reference: &ScalarReference) -> Self {
        Self::by(|probability| reference.quantile(probability))
    }

    /// Of values in ascending order; `None` of nothing. The smallest value with at least that share up to it.
    pub fn of_sorted(sorted: &[f64]) -> Option<Self> {
        let last = sorted.len().checked_sub(1)?;
        let at =
            |probability: f64| sorted[((probability * sorted.len() as f64).ceil() as usize).clamp(1, last + 1) - 1];
        Some(Self::by(at))
    }
}

/// How much of the reference lay between two neighbouring quantile marks, and how much of the recent values does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShareShift {
    /// Where the category, or the bin, stood in the reference.
    pub reference: f64,
    /// Where it stands now.
    pub recent: f64,
}

/// A quantile before and after, in the signal's own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MovedQuantile {
    /// `p50`, `p95` or `p99`.
    pub name: &'static str,
    /// In the reference.
    pub reference: f64,
    /// Lately.
    pub recent: f64,
}

/// Why a detector says what it says; also made while no alarm stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Which way.
    pub direction: Direction,
    /// The alternative that earned most.
    pub alternative: Alternative,
    /// Where the change most likely happened.
    pub since: Timestamp,
    /// Log e-value in nats: how sure.
    pub evidence: f64,
    /// What was usual.
    pub reference: Quantiles,
    /// What has been seen since the change; absent where no values were kept.
    pub recent: Option<Quantiles>,
    /// Values behind `recent`.
    pub recent_values: usize,
    /// Share of the recent values above the reference's median: 0.5 where nothing has moved.
    pub above_median: Option<f64>,
}

impl Explanation {
    /// Which of `p50`, `p95` and `p99` moved most, by `|recent − reference|` over the reference's spread about it: for `p50`
    /// from 25 to 75 %, for the others from the median up to them; with both values. `None` without recent values.
    ///
    /// Where a spread is 0 and the quantile moved, that one is named.
    pub fn moved_most(&self) -> Option<MovedQuantile> {
        let (before, now) = (self.reference, self.recent?);
        let moved = [
            ("p50", before.p50, now.p50, before.p75 - before.p25),
            ("p95", before.p95, now.p95, before.p95 - before.p50),
            ("p99", before.p99, now.p99, before.p99 - before.p50),
        ];
        let size = |(_, before, now, spread): &(&str, f64, f64, f64)| match (now - before).abs() {
            0.0 => 0.0,
            moved => moved / spread.abs(),
        };
        // of equals the first: the median
        let (name, reference, recent, _) =
            moved.into_iter().reduce(|most, next| if size(&next) > size(&most) { next } else { most })?;
        Some(MovedQuantile { name, reference, recent })
    }

    /// How far the median moved, in the signal's own unit.
    pub fn median_shift(&self) -> Option<f64> {
        self.recent.map(|recent| recent.p50 - self.reference.p50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_that_moved_most_is_named() {
        let usual = Quantiles { p05: 0.1, p25: 0.2, p50: 0.3, p75: 0.4, p95: 0.7, p99: 0.9 };
        for (why, recent, expected) in [
            ("nothing moved", usual, "p50"),
            ("all of it", Quantiles { p50: 0.8, p95: 1.2, p99: 1.4, ..usual }, "p50"),
            ("the slow ones", Quantiles { p95: 2.0, p99: 2.2, ..usual }, "p95"),
            ("the slowest", Quantiles { p95: 0.72, p99: 5.0, ..usual }, "p99"),
        ] {
            let why_it = Explanation {
                direction: Direction::Up,
                alternative: Alternative::Location(1.0),
                since: Timestamp::from_millis(0),
                evidence: 1.0,
                reference: usual,
                recent: Some(recent),
                recent_values: 100,
                above_median: None,
            };
            assert_eq!(why_it.moved_most().unwrap().name, expected, "{why}");
            assert_eq!(Explanation { recent: None, ..why_it }.moved_most(), None);
        }
    }
}
