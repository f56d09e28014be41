//! What a value is expected to be: the slow level, and what is usual at this time of the day and of the week.

use serde::{Deserialize, Serialize};

use super::exact;

/// Samples over which the slow level is taken.
const LEVEL_SPAN: f64 = 2000.0;
/// Samples over which the level is taken that stands in for a part of the day or week not seen yet.
const STAND_IN_SPAN: f64 = 500.0;

/// A mean that follows at `1/span` once `span` samples are known, and is the plain mean before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Level {
    #[serde(with = "exact::number")]
    mean: f64,
    #[serde(with = "exact::number")]
    seen: f64,
    #[serde(with = "exact::number")]
    span: f64,
}

impl Level {
    pub(super) fn slow() -> Self {
        Self::over(LEVEL_SPAN)
    }

    fn over(span: f64) -> Self {
        Self { mean: 0.0, seen: 0.0, span }
    }

    /// The residual of `value` against what was known before; then learns it. The first is none.
    pub(super) fn residual(&mut self, value: f64) -> f64 {
        if self.seen == 0.0 {
            self.mean = value;
        }
        self.seen += 1.0;
        let residual = value - self.mean;
        self.mean += self.span.recip().max(self.seen.recip()) * residual;
        residual
    }
}

/// The mean of each part of a period that returns, learned from one whole visit of the part at a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Season {
    part_ms: i64,
    /// Share by which a part's mean follows its last visit, once it had some.
    #[serde(with = "exact::number")]
    rate: f64,
    parts: Vec<Part>,
    now: Option<usize>,
    #[serde(with = "exact::number")]
    visit: f64,
    #[serde(with = "exact::number")]
    count: f64,
    stand_in: Level,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Part {
    #[serde(with = "exact::number")]
    mean: f64,
    #[serde(with = "exact::number")]
    visits: f64,
}

impl Season {
    /// Half-hours of a day.
    pub(super) fn day() -> Self {
        Self::new(48, 30, 0.2)
    }

    /// Hours of a week.
    pub(super) fn week() -> Self {
        Self::new(168, 60, 0.5)
    }

    fn new(parts: usize, minutes: i64, rate: f64) -> Self {
        let (parts, stand_in) = (vec![Part::default(); parts], Level::over(STAND_IN_SPAN));
        Self { part_ms: minutes * 60_000, rate, parts, now: None, visit: 0.0, count: 0.0, stand_in }
    }

    /// What is expected at `at_ms` (milliseconds since 1970): the part's mean, or the recent level while it has none.
    pub(super) fn expected(&self, at_ms: i64) -> f64 {
        let part = self.parts.get(self.part(at_ms)).filter(|part| part.visits > 0.0);
        part.map_or(self.stand_in.mean, |part| part.mean)
    }

    /// The residual of `value` against what was known before; then learns it.
    pub(super) fn residual(&mut self, at_ms: i64, value: f64) -> f64 {
        let part = self.part(at_ms);
        if self.now.is_some_and(|now| now != part) {
            self.close();
        }
        if self.stand_in.seen == 0.0 {
            self.stand_in.mean = value;
        }
        let residual = value - self.expected(at_ms);
        self.stand_in.residual(value);
        self.now = Some(part);
        self.count += 1.0;
        // a mean of its own kind: the sum of huge values would overflow
        self.visit += (value - self.visit) / self.count;
        residual
    }

    /// Ends the visit to a part.
    fn close(&mut self) {
        if let Some(part) = self.now.and_then(|now| self.parts.get_mut(now)) {
            part.visits += 1.0;
            part.mean += self.rate.max(part.visits.recip()) * (self.visit - part.mean);
        }
        (self.visit, self.count) = (0.0, 0.0);
    }

    fn part(&self, at_ms: i64) -> usize {
        let parts = self.parts.len() as i64;
        (at_ms.div_euclid(self.part_ms).rem_euclid(parts)) as usize
    }
}
