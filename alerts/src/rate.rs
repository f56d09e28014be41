//! How many messages a service takes a minute: a token bucket.

use std::time::Duration;

use plimsoll_rules::Timestamp;

/// Messages a minute; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_minute: u32,
}

impl Rate {
    /// `per_minute` messages in any minute; 0 counts as 1.
    pub const fn per_minute(per_minute: u32) -> Self {
        Self { per_minute: if per_minute == 0 { 1 } else { per_minute } }
    }

    /// How many may go out at once. A quarter: what a bucket holds and what flows in within a minute must not exceed
    /// the limit together.
    fn burst(self) -> f64 {
        f64::from(self.per_minute.div_ceil(4))
    }

    /// Tokens a second. The bucket of a single message a minute is empty for the whole minute.
    fn flow(self) -> f64 {
        (f64::from(self.per_minute) - self.burst()).max(0.5) / 60.0
    }
}

/// Tokens left for one sink.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    rate: Option<Rate>,
    tokens: f64,
    at: Timestamp,
}

impl Bucket {
    /// From now on at `rate`; no rate, no limit. A bucket that has a rate already keeps what is left in it.
    pub(crate) fn set_rate(&mut self, rate: Option<Rate>) {
        if self.rate != rate {
            self.tokens = rate.map_or(0.0, Rate::burst);
            self.rate = rate;
        }
    }

    /// Messages that may go out at `now`; `None` when there is no limit.
    pub(crate) fn left(&self, now: Timestamp) -> Option<usize> {
        let rate = self.rate?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the burst")]
        Some(self.filled(rate, now) as usize)
    }

    /// When the next message may go out.
    pub(crate) fn ready_at(&self, now: Timestamp) -> Timestamp {
        let Some(rate) = self.rate else { return now };
        let missing = 1.0 - self.filled(rate, now);
        // A millisecond more: timestamps are whole ones, and a token that is a rounding error short is none.
        if missing <= 0.0 {
            now
        } else {
            now + Duration::from_secs_f64(missing / rate.flow()) + Duration::from_millis(1)
        }
    }

    /// A message goes out.
    pub(crate) fn take(&mut self, now: Timestamp) {
        if let Some(rate) = self.rate {
            self.tokens = (self.filled(rate, now) - 1.0).max(0.0);
            self.at = now;
        }
    }

    fn filled(&self, rate: Rate, now: Timestamp) -> f64 {
        let more = now.since(self.at).as_secs_f64() * rate.flow();
        (self.tokens + more).min(rate.burst())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000 + millis)
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let mut bucket = Bucket::default();
        bucket.take(at(0));
        assert_eq!((bucket.left(at(0)), bucket.ready_at(at(0))), (None, at(0)));
    }

    #[test]
    fn a_burst_goes_out_and_then_one_at_a_time() {
        let mut bucket = Bucket::default();
        bucket.set_rate(Some(Rate::per_minute(20)));
        for left in (0..5).rev() {
            assert_eq!(bucket.ready_at(at(0)), at(0));
            bucket.take(at(0));
            assert_eq!(bucket.left(at(0)), Some(left));
        }
        assert_eq!(bucket.ready_at(at(0)), at(4001), "15 a minute flow in");
        bucket.set_rate(Some(Rate::per_minute(20)));
        assert_eq!(bucket.left(at(0)), Some(0), "the same rate again fills nothing");
    }

    proptest! {
        /// However messages are asked for, no minute sees more than the rate allows.
        #[test]
        fn no_minute_sees_more(rate in 1_u32..200, pauses in prop::collection::vec(0_i64..20_000, 1..400)) {
            let (mut bucket, mut now, mut sent) = (Bucket::default(), at(0), Vec::new());
            bucket.set_rate(Some(Rate::per_minute(rate)));
            for pause in pauses {
                let ready = bucket.ready_at(now);
                now = ready.max(now);
                bucket.take(now);
                sent.push(now.millis());
                now = now + Duration::from_millis(pause.unsigned_abs() % 700);
            }
            for (i, first) in sent.iter().enumerate() {
                let within = sent[i..].iter().take_while(|at| **at < first + 60_000).count();
                prop_assert!(within <= rate as usize, "{} messages in a minute at rate {}", within, rate);
            }
        }
    }
}
