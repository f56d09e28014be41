//! Whether to train now: quality fell, nothing else explains it, there is enough to learn from, and nobody said stop.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

const DAY_MS: i64 = 86_400_000;
/// Days that are looked back on, today included.
const LOOK_BACK: i64 = 3;

/// What is asked before a training.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// An alert whose value is at least this (evidence in nats) is enough at once: 9.21 is one false alarm in 10 000 tasks.
    pub at_once: f64,
    /// A weaker one has to fire on so many of the last three days.
    pub days: usize,
    /// Least new examples after curation.
    pub examples: u64,
    /// Of those, least that were failures.
    pub failures: u64,
    /// Least time between the end of one run and the beginning of the next.
    pub cooldown: Duration,
    /// Most runs within `period`.
    pub runs: usize,
    /// The period of the budget.
    pub period: Duration,
}

/// An alert that says that quality fell.
#[derive(Clone, Debug, PartialEq)]
pub struct Fall {
    /// Its name.
    pub alert: String,
    /// Its value.
    pub value: f64,
    /// Since when it is active.
    pub since: Timestamp,
}

/// What is known at one moment.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Alerts of quality that fire.
    pub falls: Vec<Fall>,
    /// Days since 1970 (UTC) on which one has fired, today included.
    pub days: BTreeSet<i64>,
    /// Alerts that fire and explain a fall without the model: latency, errors, a broken split, a release.
    pub explained_by: Vec<String>,
    /// New examples after curation.
    pub examples: u64,
    /// Of those, failures.
    pub failures: u64,
    /// Ends of earlier runs.
    pub ended: Vec<Timestamp>,
    /// An experiment that runs.
    pub experiment: Option<String>,
    /// Two gates in a row refused: people decide.
    pub circuit_open: bool,
}

/// Why a training begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The alert.
    pub alert: String,
    /// Its value.
    pub value: f64,
    /// Since when it was active, milliseconds since 1970.
    pub since_ms: i64,
    /// Days of the last three on which it fired.
    pub days: usize,
}

/// What is in the way of a training.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Hold {
    /// Nothing fell.
    #[error("no alert of quality fires")]
    Calm,
    /// Not on enough days, and not strongly enough for one.
    #[error("the evidence is {value:.2} nats, below {at_once}, on {found} of the last 3 days; {needed} are needed")]
    Weak {
        /// Evidence, nats.
        value: f64,
        /// What is enough at once.
        at_once: f64,
        /// Days on which it fired.
        found: usize,
        /// Days that are needed.
        needed: usize,
    },
    /// Something else explains it.
    #[error("explained by {by}")]
    Explained {
        /// Alerts that fire, or a release.
        by: String,
    },
    /// Two gates refused.
    #[error("two gates refused in a row; plimsoll versions close-circuit once somebody has looked")]
    CircuitOpen,
    /// An experiment runs.
    #[error("the experiment {id} runs")]
    Experiment {
        /// Its id.
        id: String,
    },
    /// Too soon after the last one.
    #[error("the last run ended {ago} s ago, {cooldown} s have to pass")]
    Cooldown {
        /// Seconds since then.
        ago: u64,
        /// Seconds that have to pass.
        cooldown: u64,
    },
    /// The budget is used up.
    #[error("{runs} runs within {period} s are the budget")]
    Budget {
        /// Runs.
        runs: usize,
        /// Seconds.
        period: u64,
    },
    /// Too little to learn from.
    #[error("{found} new examples; {needed} are needed")]
    Examples {
        /// There are.
        found: u64,
        /// Least.
        needed: u64,
    },
    /// Too few failures among them.
    #[error("{found} corrected failures among the new examples; {needed} are needed")]
    Failures {
        /// There are.
        found: u64,
        /// Least.
        needed: u64,
    },
}

impl Hold {
    /// Its name, without figures.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Weak { .. } => "weak",
            Self::Explained { .. } => "explained",
            Self::CircuitOpen => "circuit_open",
            Self::Experiment { .. } => "experiment",
            Self::Cooldown { .. } => "cooldown",
            Self::Budget { .. } => "budget",
            Self::Examples { .. } => "examples",
            Self::Failures { .. } => "failures",
        }
    }
}

/// The day of a moment, counted from 1970 in UTC.
#[must_use]
pub fn day(at: Timestamp) -> i64 {
    at.millis().div_euclid(DAY_MS)
}

impl Trigger {
    /// Whether to train; else all that is in the way, which is told.
    ///
    /// # Errors
    /// Every [`Hold`].
    pub fn decide(&self, evidence: &Evidence, now: Timestamp) -> Result<Reason, Vec<Hold>> {
        let mut holds = Vec::new();
        let (today, days) = (day(now), &evidence.days);
        let found = days.iter().filter(|&&day| day > today - LOOK_BACK && day <= today).count();
        let strongest = evidence.falls.iter().max_by(|a, b| a.value.total_cmp(&b.value));
        match strongest {
            None => holds.push(Hold::Calm),
            Some(fall) if fall.value < self.at_once && found < self.days => {
                holds.push(Hold::Weak { value: fall.value, at_once: self.at_once, found, needed: self.days });
            }
            Some(_) => {}
        }
        if !evidence.explained_by.is_empty() {
            holds.push(Hold::Explained { by: evidence.explained_by.join(", ") });
        }
        if evidence.circuit_open {
            holds.push(Hold::CircuitOpen);
        }
        holds.extend(evidence.experiment.clone().map(|id| Hold::Experiment { id }));
        self.budget(evidence, now, &mut holds);
        if evidence.examples < self.examples {
            holds.push(Hold::Examples { found: evidence.examples, needed: self.examples });
        }
        if evidence.failures < self.failures {
            holds.push(Hold::Failures { found: evidence.failures, needed: self.failures });
        }
        match strongest {
            Some(fall) if holds.is_empty() => {
                Ok(Reason { alert: fall.alert.clone(), value: fall.value, since_ms: fall.since.millis(), days: found })
            }
            _ => Err(holds),
        }
    }

    fn budget(&self, evidence: &Evidence, now: Timestamp, holds: &mut Vec<Hold>) {
        let last = evidence.ended.iter().max().map(|&ended| now.since(ended));
        if let Some(ago) = last.filter(|&ago| ago < self.cooldown) {
            holds.push(Hold::Cooldown { ago: ago.as_secs(), cooldown: self.cooldown.as_secs() });
        }
        let recent = evidence.ended.iter().filter(|&&ended| now.since(ended) < self.period).count();
        if recent >= self.runs {
            holds.push(Hold::Budget { runs: self.runs, period: self.period.as_secs() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 100 * DAY_MS + 5_000;

    fn trigger() -> Trigger {
        let (cooldown, period) = (Duration::from_secs(86_400), Duration::from_secs(30 * 86_400));
        Trigger { at_once: 9.21, days: 2, examples: 2000, failures: 200, cooldown, runs: 4, period }
    }

    fn fallen(value: f64, days: &[i64]) -> Evidence {
        let since = Timestamp::from_millis(NOW - 1000);
        Evidence {
            falls: vec![Fall { alert: "Fell".into(), value, since }],
            days: days.iter().copied().collect(),
            examples: 2000,
            failures: 200,
            ..Evidence::default()
        }
    }

    fn holds(change: impl FnOnce(&mut Evidence)) -> Vec<String> {
        let mut evidence = fallen(12.0, &[100]);
        change(&mut evidence);
        let holds = trigger().decide(&evidence, Timestamp::from_millis(NOW)).err().unwrap_or_default();
        holds.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn strong_evidence_is_enough_at_once_and_weak_evidence_on_two_days_of_three() {
        let decide = |evidence: &Evidence| trigger().decide(evidence, Timestamp::from_millis(NOW));
        for (value, days, enough) in [
            (9.21, &[100][..], true),
            (9.2, &[100], false),
            (3.1, &[99, 100], true),
            (3.1, &[98, 100], true),
            (3.1, &[97, 100], false),
            (3.1, &[98, 99], true),
            (3.1, &[101, 100], false),
        ] {
            assert_eq!(decide(&fallen(value, days)).is_ok(), enough, "{value} {days:?}");
        }
        let reason = decide(&fallen(10.0, &[99, 100])).unwrap();
        assert_eq!((reason.alert.as_str(), reason.value, reason.days), ("Fell", 10.0, 2));
    }

    #[test]
    fn everything_that_is_in_the_way_is_told() {
        let at = |ago: i64| Timestamp::from_millis(NOW - ago * 1000);
        let one = |hold: &str| vec![hold.to_owned()];
        assert_eq!(holds(|_| {}), Vec::<String>::new());
        assert_eq!(holds(|e| e.falls.clear()), one("no alert of quality fires"));
        let slow = |e: &mut Evidence| e.explained_by = vec!["Slow".into(), "Errors".into()];
        assert_eq!(holds(slow), one("explained by Slow, Errors"));
        assert_eq!(holds(|e| e.experiment = Some("a".into())), one("the experiment a runs"));
        assert!(holds(|e| e.circuit_open = true)[0].starts_with("two gates refused"));
        assert_eq!(holds(|e| e.ended = vec![at(60)]), one("the last run ended 60 s ago, 86400 s have to pass"));
        assert_eq!(holds(|e| e.ended = vec![at(90_000)]), Vec::<String>::new());
        let often = |e: &mut Evidence| e.ended = [1, 2, 3, 4].map(|days| at(days * 90_000)).to_vec();
        assert_eq!(holds(often), one("4 runs within 2592000 s are the budget"));
        let few = holds(|e| (e.examples, e.failures) = (1999, 199));
        assert_eq!(
            few,
            ["1999 new examples; 2000 are needed", "199 corrected failures among the new examples; 200 are needed"]
        );
    }
}
