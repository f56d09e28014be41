//! Prometheus durations: `1h30m` to milliseconds and back.

use std::time::Duration;

/// Units from the longest to the shortest, with their length in milliseconds.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The longest, in milliseconds: Prometheus counts nanoseconds in 64 bits with a sign.
pub(super) const LONGEST: i64 = i64::MAX / 1_000_000;

/// Parses a Prometheus duration such as `5m` or `1h30m`; `0` needs no unit.
///
/// # Errors
/// A sentence that says what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let millis = if text == "0" { 0 } else { parse_millis(text)? };
    Ok(Duration::from_millis(millis.unsigned_abs()))
}

/// Milliseconds in `text`: whole numbers with units, longest first, each unit once.
pub(super) fn parse_millis(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a duration; write one like 30s, 5m or 1h30m");
    let mut total = 0_i64;
    let (mut rest, mut next_unit) = (text, 0);
    while !rest.is_empty() || total == 0 && next_unit == 0 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        let place = UNITS.iter().position(|(name, _)| *name == unit).filter(|p| *p >= next_unit).ok_or_else(wrong)?;
        if number.is_empty() {
            return Err(wrong());
        }
        // digits that do not fit are too many
        let number: i64 = number.parse().unwrap_or(i64::MAX);
        let span = number.checked_mul(UNITS[place].1).and_then(|span| total.checked_add(span));
        let span = span.filter(|span| *span <= LONGEST);
        total = span.ok_or_else(|| format!("{text:?} is out of range; durations go up to 292y"))?;
        (rest, next_unit) = (&rest[digits + letters..], place + 1);
    }
    Ok(total)
}

/// `millis` as PromQL writes it: years, weeks and days only where they come out even.
pub(super) fn format_millis(millis: i64) -> String {
    if millis == 0 {
        return "0s".into();
    }
    let mut out = String::from(if millis < 0 { "-" } else { "" });
    let mut left = millis.unsigned_abs();
    for (unit, length) in UNITS {
        let length = length.unsigned_abs();
        let even_only = matches!(unit, "y" | "w" | "d");
        if left >= length && (!even_only || left.is_multiple_of(length)) {
            out.push_str(&format!("{}{unit}", left / length));
            left %= length;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, expected) in [
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1y2w3d4h5m6s7ms", Some(33_019_506_007)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("30m1h", None),
            ("5m5m", None),
            ("1.5h", None),
            ("-5m", None),
            ("5", None),
            ("", None),
            ("m", None),
            ("5µ", None),
            ("99999999999999999999s", None),
            ("9999999999y", None),
            ("292y", Some(9_208_512_000_000)),
            ("293y", None),
            ("9223372036854ms", Some(9_223_372_036_854)),
            ("9223372036855ms", None),
            ("292y999w", None),
        ] {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_millis()), expected, "{text}");
        }
        for text in ["300y", "99999999999999999999s"] {
            let said = parse_duration(text).unwrap_err();
            assert_eq!(said, format!("{text:?} is out of range; durations go up to 292y"));
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for (millis, expected) in [
            (300_000, "5m"),
            (5_400_000, "1h30m"),
            (90_000_000, "25h"),
            (86_400_000, "1d"),
            (604_800_000, "1w"),
            (61_001, "1m1s1ms"),
            (-1_500, "-1s500ms"),
        ] {
            assert_eq!(format_millis(millis), expected);
            assert_eq!(parse_millis(expected.trim_start_matches('-')), Ok(i64::abs(millis)));
        }
    }
}
