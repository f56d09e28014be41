//! One false-alarm budget for several signals: the average of e-detectors is an e-detector.
//!
//! Each signal holds a share of the budget (the shares add up to 1) and its detector the run length that this share
//! buys; the sum of "run length waited for / run length bought" over the signals is the evidence, and 1 is an alarm.
//! A signal that comes late takes its share from the others, in proportion; a share that was given up is not handed
//! on: neither can make an alarm out of what has been seen already. The largest term explains.
//!
//! A budget is spent once. Either [`Combination::observe`] alone raises alarms, or each detector does at the run length of
//! [`Combination::arl`], whose rates add up to the budget; counting both kinds of alarm spends it up to twice. The agent and
//! `plimsoll drift watch` do the second: an alarm then belongs to one signal, and has its latch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alarm::{Crossing, Latch};
use super::{Alarm, Calm, Change, DriftError, FalseAlarms, within};
use crate::Timestamp;

/// How far a detector is: [`super::ScalarDetector::run_length`] and the run length it was set to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalLevel {
    /// Observations one waits for such evidence while nothing changes.
    pub run_length: f64,
    /// Observations between two false alarms that the detector was set to, see [`Combination::arl`].
    pub arl: f64,
}

/// A signal's part of the evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Which signal.
    pub signal: String,
    /// Its share of the budget.
    pub weight: f64,
    /// Its term; 1 alone is an alarm.
    pub term: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    weight: f64,
    term: f64,
    since: Timestamp,
}

/// How much longer than its share of the budget a signal's run length must be: `1 + 0.15·(1 − 1/n)·1000/m` for `signals` = n
/// that alarm each for themselves and references of `observations` = m, at most `1.3`.
///
/// A detector's run length is a mean over references, `E[1/λ]`, but it is rates that add up over signals, and `E[λ]` is more
/// than `1/E[1/λ]`: every reference is a draw, and one that drew badly alarms early. That spread falls as `1/m`. The
/// constant is measured at m = 1000 (`make sim-drift-watch`).
pub fn reference_margin(signals: usize, observations: u64) -> f64 {
    let others = 1.0 - 1.0 / signals.max(1) as f64;
    1.0 + 0.15 * others * (1000.0 / observations.max(1) as f64).min(2.0)
}

/// The evidence of several signals together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Combination {
    budget: FalseAlarms,
    parts: BTreeMap<String, Part>,
    latch: Latch,
    /// The signal that gave most to the alarm that stands.
    blamed: Option<String>,
}

impl Combination {
    /// Of no signal yet.
    pub fn new(budget: FalseAlarms, calm: Calm) -> Self {
        Self { budget, parts: BTreeMap::new(), latch: Latch::new(calm), blamed: None }
    }

    /// Adds a signal with `share` of the budget; the others shrink to `1 − share`. The first one gets all of it. A
    /// signal that is there already stays as it is.
    ///
    /// # Errors
    /// [`DriftError::OutOfRange`] unless `share` lies between 0 and 1, both excluded.
    pub fn join(&mut self, signal: &str, share: f64, now: Timestamp) -> Result<(), DriftError> {
        within(share > 0.0 && share < 1.0, "a share of the false alarms", "between 0 and 1", share)?;
        if self.parts.contains_key(signal) {
            return Ok(());
        }
        let first = self.parts.is_empty();
        for part in self.parts.values_mut() {
            part.weight *= 1.0 - share;
            part.term *= 1.0 - share;
        }
        let weight = if first { 1.0 } else { share };
        self.parts.insert(signal.to_owned(), Part { weight, term: 0.0, since: now });
        Ok(())
    }

    /// Adds a signal so that all have the same share, as long as all were added so.
    pub fn join_equally(&mut self, signal: &str, now: Timestamp) {
        let others = self.parts.len() as f64;
        // 1/(n+1) lies between 0 and 1 for every n > 0, and the first signal's share does not matter.
        let share = if others == 0.0 { 0.5 } else { 1.0 / (others + 1.0) };
        let joined = self.join(signal, share, now);
        debug_assert!(joined.is_ok());
    }

    /// Removes a signal; its share is not handed on.
    pub fn leave(&mut self, signal: &str) {
        self.parts.remove(signal);
    }

    /// How many signals share the budget.
    pub fn signals(&self) -> usize {
        self.parts.len()
    }

    /// The run length to set a signal's detector to, at `rate` observations a second.
    ///
    /// Ask again after a `join`: the share has become smaller.
    pub fn arl(&self, signal: &str, rate: f64) -> f64 {
        let weight = self.parts.get(signal).map_or(1.0, |part| part.weight);
        self.budget.arl(rate / weight)
    }

    /// Takes in how far a signal's detector is; a signal that has not joined is left out.
    ///
    /// After [`Change::Raised`] or [`Change::Confirmed`] the terms start afresh; the detectors of the other signals may
    /// go on.
    pub fn observe(&mut self, signal: &str, level: SignalLevel, now: Timestamp) -> Change {
        let Some(part) = self.parts.get_mut(signal) else { return Change::None };
        let term = level.run_length / level.arl;
        if !term.is_finite() {
            return Change::Refused;
        }
        part.term = term;
        let score = self.score();
        if score < 1.0 {
            return self.latch.quiet(now, 1);
        }
        let (alternative, since) = self.leader().unwrap_or((0, now));
        if self.latch.standing().is_none() {
            self.blamed = self.parts.keys().nth(alternative).cloned();
        }
        self.parts.values_mut().for_each(|part| (part.term, part.since) = (0.0, now));
        self.latch.crossed(now, &Crossing { evidence: score.ln(), since, alternative })
    }

    /// The evidence: 1 is an alarm.
    pub fn score(&self) -> f64 {
        self.parts.values().map(|part| part.term).sum()
    }

    fn leader(&self) -> Option<(usize, Timestamp)> {
        let best = self.parts.values().enumerate().max_by(|a, b| a.1.term.total_cmp(&b.1.term))?;
        Some((best.0, best.1.since))
    }

    /// The alarm that stands, and the signal that gave most to it.
    pub fn alarm(&self) -> Option<(&Alarm, &str)> {
        self.latch.standing().zip(self.blamed.as_deref())
    }

    /// The alarm falls because the new state was accepted.
    pub fn accept(&mut self) {
        self.latch.clear();
    }

    /// What each signal adds, the largest first.
    pub fn contributions(&self) -> Vec<Contribution> {
        let part = |(signal, part): (&String, &Part)| Contribution {
            signal: signal.clone(),
            weight: part.weight,
            term: part.term,
        };
        let mut all: Vec<Contribution> = self.parts.iter().map(part).collect();
        all.sort_by(|a, b| b.term.total_cmp(&a.term));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn shares_add_up_and_late_signals_take_theirs_from_all() {
        let mut all = Combination::new(FalseAlarms::new(1.0, Duration::from_secs(10_000)).unwrap(), Calm::default());
        for (count, signal) in ["a", "b", "c"].into_iter().enumerate() {
            all.join_equally(signal, at(0));
            let weights: Vec<f64> = all.contributions().iter().map(|part| part.weight).collect();
            assert!(weights.iter().all(|weight| (weight - 1.0 / (count + 1) as f64).abs() < 1e-12), "{weights:?}");
        }
        assert!((all.arl("a", 2.0) - 60_000.0).abs() < 1e-6, "a third of the budget, two observations a second");
        all.leave("a");
        assert!((all.arl("b", 1.0) - 30_000.0).abs() < 1e-6, "what was given up is not handed on");
        assert!(all.join("d", 1.0, at(0)).is_err());
    }

    #[test]
    fn small_references_and_many_signals_need_a_margin() {
        for (why, signals, observations, margin) in [
            ("one signal has its own run length", 1, 100, 1.0),
            ("none", 0, 0, 1.0),
            ("five, as measured", 5, 1000, 1.12),
            ("a long reference", 5, 10_000, 1.012),
            ("beyond what was measured", 1_000_000, 64, 1.3),
        ] {
            assert!((reference_margin(signals, observations) - margin).abs() < 1e-6, "{why}");
        }
    }

    #[test]
    fn the_largest_term_explains() {
        let mut all = Combination::new(FalseAlarms::new(1.0, Duration::from_secs(1000)).unwrap(), Calm::default());
        ["a", "b"].iter().for_each(|signal| all.join_equally(signal, at(0)));
        let level = |run_length: f64| SignalLevel { run_length, arl: 2000.0 };
        assert_eq!(all.observe("a", level(700.0), at(1)), Change::None);
        assert_eq!(all.observe("b", level(1200.0), at(2)), Change::None);
        assert_eq!(all.contributions()[0].signal, "b");
        assert_eq!(all.observe("nobody", level(1e9), at(2)), Change::None);
        assert_eq!(all.observe("a", level(f64::NAN), at(2)), Change::Refused);
        assert_eq!(all.observe("a", level(900.0), at(3)), Change::Raised);
        assert_eq!(all.alarm().unwrap().1, "b", "it gave more");
    }
}
