//! When one sink may be tried again.

use std::time::Duration;

use plimsoll_rules::Timestamp;

use crate::backoff::{PROBE, RETRY};
use crate::verdict::Failure;

/// News that was never tried waits at most this long after the last attempt, however long the sink has been failing:
/// what failed may have been one alert, not the sink.
const NEWS_WAITS: Duration = Duration::from_secs(15);

/// Opens and closes the way to one sink.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    failures: u32,
    last_attempt: Timestamp,
    opens_at: Timestamp,
    /// The sink itself asked for the wait, or does not want us: news does not shorten it.
    strict: bool,
    disabled: Option<Failure>,
}

impl Gate {
    /// When the next attempt may start; `news` says that something waits that was never tried.
    pub(crate) fn ready_at(&self, news: bool) -> Timestamp {
        if news && !self.strict { self.opens_at.min(self.last_attempt + NEWS_WAITS) } else { self.opens_at }
    }

    /// Why the sink is disabled, if it is.
    pub(crate) fn disabled(&self) -> Option<&Failure> {
        self.disabled.as_ref()
    }

    /// Failures in a row; 0 when it works.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// It answered well.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It did not answer, or asked for patience; `dice` is a random number in [0, 1).
    pub(crate) fn failed(&mut self, now: Timestamp, after: Option<Duration>, dice: f64) {
        self.failures = if self.disabled.is_some() { 1 } else { self.failures.saturating_add(1) };
        self.disabled = None;
        self.last_attempt = now;
        self.opens_at = now + RETRY.wait(self.failures, dice).max(after.unwrap_or_default());
        self.strict = after.is_some();
    }

    /// It does not want us.
    pub(crate) fn disable(&mut self, failure: Failure, now: Timestamp, dice: f64) {
        self.failures = if self.disabled.is_some() { self.failures.saturating_add(1) } else { 1 };
        self.disabled = Some(failure);
        self.last_attempt = now;
        self.opens_at = now + PROBE.wait(self.failures, dice);
        self.strict = true;
    }

    /// Opens at once: the configuration changed, or this is the last chance before the end.
    pub(crate) fn open(&mut self) {
        self.opens_at = Timestamp::default();
        self.strict = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    enum Event {
        Failed(Option<u64>),
        Disabled,
        Succeeded,
        Open,
    }

    /// Seconds after the last event at which the gate opens, for old matters and for news, with the longest jitter.
    fn check(events: &[Event]) -> (f64, f64) {
        let (mut gate, now) = (Gate::default(), Timestamp::from_millis(1_000_000));
        for event in events {
            match event {
                Event::Failed(after) => gate.failed(now, after.map(Duration::from_secs), 1.0),
                Event::Disabled => gate.disable(Failure::new("http_401", ""), now, 1.0),
                Event::Succeeded => gate.succeeded(),
                Event::Open => gate.open(),
            }
        }
        let wait = |news| gate.ready_at(news).since(now).as_secs_f64();
        (wait(false), wait(true))
    }

    #[test]
    fn the_gate_opens_when_it_should() {
        use Event::{Disabled, Failed, Open, Succeeded};
        for (why, events, expected) in [
            ("new", vec![], (0.0, 0.0)),
            ("one failure", vec![Failed(None)], (1.0, 1.0)),
            ("three", vec![Failed(None), Failed(None), Failed(None)], (4.0, 4.0)),
            ("long dead: news waits 15 s", (0..20).map(|_| Failed(None)).collect(), (300.0, 15.0)),
            ("a wish binds news too", vec![Failed(Some(60))], (60.0, 60.0)),
            ("a wish shorter than the backoff", vec![Failed(None), Failed(None), Failed(Some(1))], (4.0, 4.0)),
            ("success forgets", vec![Failed(None), Failed(None), Succeeded, Failed(None)], (1.0, 1.0)),
            ("disabled", vec![Disabled], (60.0, 60.0)),
            ("disabled twice", vec![Disabled, Disabled], (120.0, 120.0)),
            ("disabled after failures starts anew", vec![Failed(None), Failed(None), Disabled], (60.0, 60.0)),
            ("a failure after disabled starts anew", vec![Disabled, Disabled, Failed(None)], (1.0, 1.0)),
            ("opened by hand", vec![Disabled, Open], (0.0, 0.0)),
        ] {
            assert_eq!(check(&events), expected, "{why}");
        }
    }
}
