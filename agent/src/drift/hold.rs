//! An alarm that is raised once and held until its statistic has been calm, for detectors that leave that to us.

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{Calm, Change};
use serde::{Deserialize, Serialize};

use super::finding::Standing;

/// The alarm of one detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Hold {
    calm: Calm,
    alarm: Option<Standing>,
    above: bool,
    quiet: u64,
}

impl Hold {
    pub(super) fn new(calm: Calm) -> Self {
        Self { calm, alarm: None, above: false, quiet: 0 }
    }

    pub(super) fn standing(&self) -> Option<Standing> {
        self.alarm
    }

    /// Takes whether the statistic is above its threshold now.
    pub(super) fn judge(&mut self, now: Timestamp, above: bool) -> Change {
        let crossing = above && !std::mem::replace(&mut self.above, above);
        match (&mut self.alarm, above) {
            (None, true) => {
                self.alarm = Some(Standing { raised: now, confirmed: now, crossings: 1 });
                self.quiet = 0;
                Change::Raised
            }
            (Some(alarm), true) => {
                *alarm = Standing { confirmed: now, crossings: alarm.crossings + u64::from(crossing), ..*alarm };
                self.quiet = 0;
                Change::Confirmed
            }
            (Some(alarm), false) => {
                self.quiet += 1;
                if self.quiet < self.calm.observations || now.since(alarm.confirmed) < self.calm.time {
                    return Change::None;
                }
                self.alarm = None;
                Change::Fell
            }
            (None, false) => Change::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_alarm_is_raised_once_and_falls_after_calm() {
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        let mut hold = Hold::new(Calm { time: Duration::from_secs(10), observations: 2 });
        for (why, second, above, expected) in [
            ("calm", 0, false, Change::None),
            ("above", 1, true, Change::Raised),
            ("still above", 2, true, Change::Confirmed),
            ("below", 3, false, Change::None),
            ("above again", 4, true, Change::Confirmed),
            ("below for a second", 5, false, Change::None),
            ("below for long, too few", 60, false, Change::Fell),
            ("and again", 61, true, Change::Raised),
        ] {
            assert_eq!(hold.judge(at(second), above), expected, "{why}");
        }
        assert_eq!(hold.standing(), Some(Standing { raised: at(61), confirmed: at(61), crossings: 1 }));
    }
}
