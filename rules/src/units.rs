//! Quantities that would be confused as bare numbers: a point in time is a type.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, as Prometheus counts them; may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch, rounded to the millisecond; NaN becomes the epoch, overflow saturates.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1000.0).round() as i64)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch.
    pub fn secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// `2026-01-02T03:04:05.678Z` (proleptic Gregorian; Howard Hinnant's `civil_from_days`).
    pub fn rfc3339(self) -> String {
        let (days, millis) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let z = days + 719_468;
        let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1000)
    }

    /// Reads `2026-08-04T10:00:00.000+02:00`, the profile of ISO 8601 that JSON uses; digits below the millisecond are cut.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
        };
        let mark = |at: usize, marks: &str| text.get(at..=at).is_some_and(|c| marks.contains(c));
        let marked = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")].iter().all(|(at, marks)| mark(*at, marks));
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
        if !marked || !fits {
            return None;
        }
        let rest = text.get(19..)?;
        let (fraction, zone) = rest.split_at(rest.find(['Z', 'z', '+', '-'])?);
        let digits = if fraction.is_empty() { "0" } else { fraction.strip_prefix('.')? };
        let millis = digits.parse::<u64>().ok().and(format!("0.{digits}").parse::<f64>().ok())? * 1000.0;
        let offset = match (zone.get(..1)?, zone.get(1..)?) {
            ("Z" | "z", "") => 0,
            (sign, clock) => {
                let (hours, minutes) = clock.split_once(':')?;
                let minutes = hours.parse::<i64>().ok().filter(|h| *h < 24)? * 60 + minutes.parse::<i64>().ok()?;
                if sign == "-" { -minutes } else { minutes }
            }
        };
        // Days since 1970, counted from March so that leap days come last (Howard Hinnant's civil calendar).
        let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
        let of_era = y.rem_euclid(400);
        let days =
            y.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day - 719_469;
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset * 60;
        Some(Self::from_millis(seconds * 1000 + millis as i64))
    }

    /// How long ago `earlier` was, or zero when it lies in the future (a clock may go backwards).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    /// Seconds since the epoch with millisecond precision, as in Prometheus' JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_rfc_3339() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59.999Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).rfc3339(), expected);
        }
    }

    #[test]
    fn times_are_read_as_they_are_printed() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-08-04T10:00:00.000Z", Some(1_785_837_600_000)),
            ("2026-08-04T12:00:00.25+02:00", Some(1_785_837_600_250)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199_000)),
            ("2026-03-01T00:00:00-01:30", Some(1_772_328_600_000)),
            ("2026-13-01T00:00:00Z", None),
            ("2026-08-04", None),
            ("2026-08-04T10:00:00", None),
            ("2026-08-04T10:00:00.Z", None),
            ("2026-08-04T10:00:00+0200", None),
            ("tomorrow", None),
            ("２０２６-08-04T10:00:00Z", None),
        ] {
            assert_eq!(Timestamp::from_rfc3339(text).map(Timestamp::millis), millis, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_printed_time_is_read_back(millis in -62_135_596_800_000_i64..253_402_300_799_000) {
            let at = Timestamp::from_millis(millis);
            proptest::prop_assert_eq!(Timestamp::from_rfc3339(&at.rfc3339()), Some(at));
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,40}") {
            let _ = Timestamp::from_rfc3339(&text);
        }
    }
}
