//! From a statistic that crosses its threshold to an alarm that is raised once, stays, and goes away.
//!
//! A crossing raises the alarm and starts the statistic afresh. While the drift lasts it crosses again and again: each
//! crossing confirms the alarm that stands. The alarm falls once the signal has been [`Calm`] for long enough, or when
//! the new state is accepted as the baseline.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How long a signal must stay below its threshold before a standing alarm falls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calm {
    /// Time since the last crossing.
    pub time: Duration,
    /// Observations since the last crossing: a signal seen once a minute takes long to confirm a drift.
    pub observations: u64,
}

impl Default for Calm {
    fn default() -> Self {
        Self { time: Duration::from_secs(600), observations: 500 }
    }
}

/// An alarm that stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// When the statistic first crossed.
    pub raised: Timestamp,
    /// When it last crossed.
    pub confirmed: Timestamp,
    /// Where the change most likely happened.
    pub since: Timestamp,
    /// Log e-value of all crossings together, in nats.
    pub evidence: f64,
    /// Crossings, the first one included.
    pub crossings: u64,
    /// Which alternative earned most at the first crossing.
    pub alternative: usize,
    quiet: u64,
}

/// What an observation changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Nothing: no alarm stands, or the one that stood still does.
    None,
    /// The value was not finite; it was counted and left out.
    Refused,
    /// An alarm was raised.
    Raised,
    /// The standing alarm was confirmed by another crossing.
    Confirmed,
    /// The standing alarm fell.
    Fell,
}

/// The alarm of one detector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Latch {
    calm: Calm,
    standing: Option<Alarm>,
}

/// A statistic above its threshold.
pub(super) struct Crossing {
    pub(super) evidence: f64,
    pub(super) since: Timestamp,
    pub(super) alternative: usize,
}

impl Latch {
    pub(super) fn new(calm: Calm) -> Self {
        Self { calm, standing: None }
    }

    pub(super) fn standing(&self) -> Option<&Alarm> {
        self.standing.as_ref()
    }

    pub(super) fn clear(&mut self) {
        self.standing = None;
    }

    pub(super) fn crossed(&mut self, now: Timestamp, crossing: &Crossing) -> Change {
        let Crossing { evidence, since, alternative } = *crossing;
        let Some(alarm) = &mut self.standing else {
            let (confirmed, crossings, quiet) = (now, 1, 0);
            self.standing = Some(Alarm { raised: now, confirmed, since, evidence, crossings, alternative, quiet });
            return Change::Raised;
        };
        *alarm = Alarm {
            confirmed: now,
            evidence: alarm.evidence + evidence,
            crossings: alarm.crossings + 1,
            quiet: 0,
            ..*alarm
        };
        Change::Confirmed
    }

    #[inline]
    pub(super) fn quiet(&mut self, now: Timestamp, observations: u64) -> Change {
        let Some(alarm) = &mut self.standing else { return Change::None };
        alarm.quiet += observations;
        if alarm.quiet < self.calm.observations || now.since(alarm.confirmed) < self.calm.time {
            return Change::None;
        }
        self.standing = None;
        Change::Fell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_raised_once_confirmed_and_falls_after_calm() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let mut latch = Latch::new(Calm { time: Duration::from_secs(60), observations: 3 });
        let crossing = Crossing { evidence: 7.0, since: at(5), alternative: 2 };
        assert_eq!(latch.quiet(at(9), 1), Change::None);
        assert_eq!(latch.crossed(at(10), &crossing), Change::Raised);
        assert_eq!(latch.crossed(at(20), &crossing), Change::Confirmed);
        let alarm = *latch.standing().unwrap();
        assert_eq!((alarm.raised, alarm.confirmed, alarm.since), (at(10), at(20), at(5)));
        assert_eq!((alarm.evidence, alarm.crossings), (14.0, 2));
        assert_eq!(latch.quiet(at(100), 2), Change::None, "long enough, but too few observations");
        assert_eq!(latch.quiet(at(101), 1), Change::Fell);
        assert_eq!(latch.standing(), None);
    }
}
