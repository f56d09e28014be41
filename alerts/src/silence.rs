//! Silences: what the direct receivers are not told for a while. Alertmanagers have their own.

use std::collections::BTreeMap;

use plimsoll_rules::Timestamp;

use crate::matcher::Matcher;

/// Silences kept at most; the API refuses more.
pub const SILENCES_MOST: usize = 1000;

/// One silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Names it.
    pub id: String,
    /// An alert that meets all of them is not told.
    pub matchers: Vec<Matcher>,
    /// From then on.
    pub starts_at: Timestamp,
    /// Until then.
    pub ends_at: Timestamp,
    /// Who wanted it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// Where a silence is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceState {
    /// Not begun.
    Pending,
    /// Mutes.
    Active,
    /// Over.
    Expired,
}

impl SilenceState {
    /// Alertmanager's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

/// A silence that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// It would mute every alert.
    #[error("a silence needs a matcher that not everything meets; this one would mute every alert")]
    Everything,
    /// It ends before it starts.
    #[error("endsAt must lie after startsAt")]
    Backwards,
    /// It is over already.
    #[error("endsAt lies in the past")]
    Over,
    /// There are too many.
    #[error("there are {SILENCES_MOST} silences already; let some expire first")]
    TooMany,
    /// There is no such silence.
    #[error("there is no silence {id:?}")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// It could not be made durable.
    #[error("the silence cannot be written to the database: {why}")]
    Disk {
        /// What the database said.
        why: String,
    },
}

impl Silence {
    /// Where it stands at `now`.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if now >= self.ends_at {
            SilenceState::Expired
        } else if now < self.starts_at {
            SilenceState::Pending
        } else {
            SilenceState::Active
        }
    }

    /// Whether it may be taken at `now`.
    ///
    /// # Errors
    /// [`SilenceError::Everything`], [`SilenceError::Backwards`], [`SilenceError::Over`].
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), SilenceError> {
        if self.matchers.iter().all(Matcher::takes_nothing) {
            return Err(SilenceError::Everything);
        }
        if self.ends_at <= self.starts_at {
            return Err(SilenceError::Backwards);
        }
        if self.ends_at <= now {
            return Err(SilenceError::Over);
        }
        Ok(())
    }

    /// Whether it mutes an alert with `labels` at `now`.
    pub(crate) fn mutes(&self, labels: &BTreeMap<String, String>, now: Timestamp) -> bool {
        self.state(now) == SilenceState::Active && self.matchers.iter().all(|matcher| matcher.matches(labels))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn silence(matcher: &str, from: i64, until: i64) -> Silence {
        Silence {
            id: "s1".into(),
            matchers: vec![Matcher::parse(matcher).unwrap()],
            starts_at: Timestamp::from_millis(from * 1000),
            ends_at: Timestamp::from_millis(until * 1000),
            created_by: "ada".into(),
            comment: "upgrade".into(),
        }
    }

    #[test]
    fn a_silence_mutes_what_it_matches_in_its_time() {
        let labels = [("alertname".to_owned(), "Hot".to_owned())].into();
        for (now, matcher, state, mutes) in [
            (9, "alertname=Hot", SilenceState::Pending, false),
            (10, "alertname=Hot", SilenceState::Active, true),
            (10, "alertname=Cold", SilenceState::Active, false),
            (20, "alertname=Hot", SilenceState::Expired, false),
        ] {
            let (silence, now) = (silence(matcher, 10, 20), Timestamp::from_millis(now * 1000));
            assert_eq!((silence.state(now), silence.mutes(&labels, now)), (state, mutes), "{now:?}");
        }
    }

    #[test]
    fn a_silence_that_makes_no_sense_is_refused() {
        let now = Timestamp::from_millis(15_000);
        assert_eq!(silence("a=b", 10, 20).check(now), Ok(()));
        assert_eq!(silence("a=~.*", 10, 20).check(now), Err(SilenceError::Everything));
        assert_eq!(Silence { matchers: vec![], ..silence("a=b", 10, 20) }.check(now), Err(SilenceError::Everything));
        assert_eq!(silence("a=b", 20, 10).check(now), Err(SilenceError::Backwards));
        assert_eq!(silence("a=b", 1, 10).check(now), Err(SilenceError::Over));
    }
}
