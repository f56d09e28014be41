//! Anomaly score of one series (CPU, latency, rates), sample by sample: seasons, level shifts, spikes, changes of
//! variance, flat lines and gaps, in one pass, never looking ahead, in bounded memory (about 20 KiB).
//!
//! 1. *Residuals* of the value against its slow level, against the usual at this half-hour of the day and at this hour of
//!    the week. Beside them the length of a run in which nothing new came.
//! 2. *Surprise* of each: `-log10` of the share of earlier moments at which it was as large, with a margin, so that a
//!    record by a hair is none. This is free of the distribution: no value needs to be Gaussian or the series stationary.
//! 3. *Evidence*: the mean of the surprises is how strange a moment is, and again the surprise of that, so that scores of
//!    different series compare; less `2.75 log10(1 + n)` for `n` earlier occasions that were as strange: what has happened
//!    three times is the norm here (a job that runs every night is no news).
//! 4. *Confirmation*: a moment is judged four samples later, by how strange those were too: a spike that stands alone is
//!    less of an incident than one that goes on. Only what is sure even then is said at once.
//!    A run of equal values eight times as long as the longest usual one is evidence by itself: the series is stuck.
//! 5. *Refractory*: one incident, one high score.
//!
//! The score is `1 - 10^-evidence`. Constants were chosen once for all series, see `docs/detect.md`.

mod confirm;
mod exact;
mod expectation;
mod habit;
mod refractory;
mod residual;
mod stillness;
mod tail;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use confirm::{Confirm, LATER, Moment};
use expectation::{Level, Season};
use habit::Habit;
use refractory::Refractory;
use residual::{MEMORY, Residual};
use stillness::Stillness;
use tail::Tail;

/// Samples that are learned before anything is judged.
const LEARNING: u64 = 100;
/// The mean surprise must exceed earlier ones by `e^0.2` to count as larger.
const MARGIN: f64 = 0.2;
/// Evidence against an incident for each tenfold of earlier ones.
const HABIT: f64 = 2.75;
/// Values are clamped to this, so that no difference overflows.
const LARGEST: f64 = 1e300;
/// Weight of the surprise at a silence, where that of each residual is 1.
const SILENCE: f64 = 0.5;
/// Weights of all surprises that are averaged: three expectations, and silence.
const WEIGHTS: f64 = 3.0 + SILENCE;

/// What an alarm is; the score itself has no setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnomalyOptions {
    /// Score from which a sample is an alarm, `0..=1`.
    pub threshold: f64,
}

impl AnomalyOptions {
    /// The threshold that is built in: about one alarm in 5000 over the first 20 000 rows of stationary noise of most
    /// distributions, twice as many with an autocorrelation of 0.9, and fewer as time goes on. Measured by
    /// `rules/examples/sim_anomaly.rs`, its output is in `docs/detect.md`.
    pub const THRESHOLD: f64 = 0.9;
}

impl Default for AnomalyOptions {
    fn default() -> Self {
        Self { threshold: Self::THRESHOLD }
    }
}

/// What was said of one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// `0..1`, always finite: `0.9` is evidence of ten to one against "as usual", for this moment or, where that was
    /// not sure by itself, for the one four samples before. It is no rate of alarms: see [`AnomalyOptions::THRESHOLD`].
    pub anomaly: f64,
    /// Whether [`anomaly`](Self::anomaly) is at the threshold or above.
    pub alarm: bool,
    /// What the value was expected to be at this hour, from earlier samples; `None` for the first.
    pub expected: Option<f64>,
}

/// The value before, and the smallest change so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Last {
    #[serde(with = "exact::number")]
    value: f64,
    #[serde(with = "exact::number")]
    step: f64,
}

/// Scores one series, online. Its state is serialisable, and resumes to the bit.
///
/// ```
/// use plimsoll_rules::{Timestamp, anomaly::{AnomalyOptions, AnomalyScorer}};
/// let mut scorer = AnomalyScorer::new(AnomalyOptions::default());
/// for minute in 0..2000_i64 {
///     let score = scorer.score(Timestamp::from_millis(minute * 60_000), (minute % 7) as f64);
///     assert!(!score.alarm);
/// }
/// assert!(scorer.score(Timestamp::from_millis(2000 * 60_000), 100.0).alarm);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnomalyScorer {
    options: AnomalyOptions,
    samples: u64,
    level: Level,
    last: Option<Last>,
    day: Season,
    week: Season,
    residuals: [Residual; 3],
    stillness: Stillness,
    strangeness: Tail,
    habit: Habit,
    confirm: Confirm,
    refractory: Refractory,
}

impl AnomalyScorer {
    /// A scorer that has seen nothing.
    pub fn new(options: AnomalyOptions) -> Self {
        Self {
            options,
            samples: 0,
            level: Level::slow(),
            last: None,
            day: Season::day(),
            week: Season::week(),
            residuals: [Residual::new(), Residual::new(), Residual::new()],
            stillness: Stillness::new(),
            strangeness: Tail::new(-7.0, 3.0, MEMORY),
            habit: Habit::new(),
            confirm: Confirm::default(),
            refractory: Refractory::default(),
        }
    }

    /// Samples with a value that were seen.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Scores `value`, in the series' own unit, at `at`; then learns it. Times may be uneven and may even go back.
    ///
    /// NaN and infinities are missing values: the score is 0, and the silence counts against the next value.
    pub fn score(&mut self, at: Timestamp, value: f64) -> Score {
        let expected = (self.samples > 0).then(|| self.day.expected(at.millis()));
        if !value.is_finite() {
            self.stillness.miss();
            return Score { anomaly: 0.0, alarm: false, expected };
        }
        let value = value.clamp(-LARGEST, LARGEST);
        let silence = self.stillness.hear(at.millis(), value);
        let strangeness = (self.surprise_of(at.millis(), value) + SILENCE * silence.surprise) / WEIGHTS;
        let evidence = self.evidence(strangeness, silence.stuck);
        self.samples += 1;
        let anomaly = 1.0 - 10_f64.powf(-evidence);
        Score { anomaly, alarm: anomaly >= self.options.threshold, expected }
    }

    /// Surprise over all residuals, summed.
    fn surprise_of(&mut self, at_ms: i64, value: f64) -> f64 {
        let residuals = [self.level.residual(value), self.day.residual(at_ms, value), self.week.residual(at_ms, value)];
        let step = self.step_to(value);
        self.residuals.iter_mut().zip(residuals).map(|(usual, residual)| usual.surprise(residual, step)).sum()
    }

    /// The smallest change from one value to the next so far, `value` included; 0 while there was none.
    fn step_to(&mut self, value: f64) -> f64 {
        let last = self.last.unwrap_or(Last { value, step: f64::INFINITY });
        let change = (value - last.value).abs();
        let step = if change > 0.0 { last.step.min(change) } else { last.step };
        self.last = Some(Last { value, step });
        if step.is_finite() { step } else { 0.0 }
    }

    /// Powers of ten against "this is as usual", of this moment if it is sure, else of that [`LATER`] samples before.
    fn evidence(&mut self, strangeness: f64, stuck: f64) -> f64 {
        let surprise = self.strangeness.surprise(strangeness, MARGIN);
        self.strangeness.add(strangeness);
        let evidence = surprise - HABIT * (1.0 + self.habit.earlier(strangeness)).log10();
        let judged = self.confirm.judge(Moment { evidence, strangeness });
        if self.samples < LEARNING + LATER as u64 {
            return 0.0;
        }
        self.refractory.pass(self.samples, judged.unwrap_or(0.0).max(stuck))
    }
}
