//! One false-alarm budget for several signals.
//!
//! Each signal holds a share of the budget (the shares add up to 1), and its detector alarms for itself, at the run length
//! that this share buys: the rates add up to the budget. A signal that comes late takes its share from the others, in
//! proportion; a share that was given up is not handed on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DriftError, FalseAlarms, within};

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

/// One budget and who has which share of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Combination {
    budget: FalseAlarms,
    shares: BTreeMap<String, f64>,
}

impl Combination {
    /// Of no signal yet.
    pub fn new(budget: FalseAlarms) -> Self {
        Self { budget, shares: BTreeMap::new() }
    }

    /// Adds a signal with `share` of the budget; the others shrink to `1 − share`. The first one gets all of it. A
    /// signal that is there already stays as it is.
    ///
    /// # Errors
    /// [`DriftError::OutOfRange`] unless `share` lies between 0 and 1, both excluded.
    pub fn join(&mut self, signal: &str, share: f64) -> Result<(), DriftError> {
        within(share > 0.0 && share < 1.0, "a share of the false alarms", "between 0 and 1", share)?;
        if self.shares.contains_key(signal) {
            return Ok(());
        }
        let share = if self.shares.is_empty() { 1.0 } else { share };
        self.shares.values_mut().for_each(|other| *other *= 1.0 - share);
        self.shares.insert(signal.to_owned(), share);
        Ok(())
    }

    /// Adds a signal so that all have the same share, as long as all were added so.
    pub fn join_equally(&mut self, signal: &str) {
        let others = self.shares.len() as f64;
        // 1/(n+1) lies between 0 and 1 for every n > 0, and the first signal's share does not matter.
        let share = if others == 0.0 { 0.5 } else { 1.0 / (others + 1.0) };
        let joined = self.join(signal, share);
        debug_assert!(joined.is_ok());
    }

    /// Removes a signal; its share is not handed on.
    pub fn leave(&mut self, signal: &str) {
        self.shares.remove(signal);
    }

    /// How many signals share the budget.
    pub fn signals(&self) -> usize {
        self.shares.len()
    }

    /// The run length to set a signal's detector to, at `rate` observations a second.
    ///
    /// Ask again after a `join`: the share has become smaller.
    pub fn arl(&self, signal: &str, rate: f64) -> f64 {
        let share = self.shares.get(signal).copied().unwrap_or(1.0);
        self.budget.arl(rate / share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn shares_add_up_and_late_signals_take_theirs_from_all() {
        let mut all = Combination::new(FalseAlarms::new(1.0, Duration::from_secs(10_000)).unwrap());
        for (count, signal) in ["a", "b", "c"].into_iter().enumerate() {
            all.join_equally(signal);
            let shares = &all.shares;
            assert!(shares.values().all(|share| (share - 1.0 / (count + 1) as f64).abs() < 1e-12), "{shares:?}");
        }
        assert!((all.arl("a", 2.0) - 60_000.0).abs() < 1e-6, "a third of the budget, two observations a second");
        all.leave("a");
        assert!((all.arl("b", 1.0) - 30_000.0).abs() < 1e-6, "what was given up is not handed on");
        assert!(all.join("d", 1.0).is_err());
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
}
