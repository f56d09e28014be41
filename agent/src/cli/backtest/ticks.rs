//! Times and spans as people and files write them.

use std::time::Duration;

use plimsoll_rules::Timestamp;

/// From here on a bare number is milliseconds: as seconds it would lie in the year 5138.
const MILLIS_FROM: f64 = 1e11;

/// Seconds or milliseconds since 1970, RFC 3339, or `2014-04-10 07:15:00`, which is taken as UTC.
pub(in crate::cli) fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return from_number(number);
    }
    let padded = if text.len() == 10 { format!("{text}T00:00:00Z") } else { format!("{text}Z") };
    Timestamp::from_rfc3339(text).or_else(|| Timestamp::from_rfc3339(&padded))
}

/// Seconds, or milliseconds where the number is that large.
pub(super) fn from_number(number: f64) -> Option<Timestamp> {
    let seconds = if number.abs() >= MILLIS_FROM { number / 1000.0 } else { number };
    number.is_finite().then(|| Timestamp::from_secs_f64(seconds))
}

/// `3d4h`, `12m30s`: the two largest units.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [("d", seconds / 86_400), ("h", seconds / 3600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    let Some(first) = units.iter().position(|(_, count)| *count > 0) else { return "0s".into() };
    let shown = units[first..].iter().take(2).filter(|(_, count)| *count > 0);
    shown.map(|(unit, count)| format!("{count}{unit}")).collect()
}

/// `2014-04-10 07:15:00`, UTC.
pub(super) fn clock(at: Timestamp) -> String {
    at.rfc3339().get(..19).unwrap_or_default().replace('T', " ")
}

/// Round moments in `from..=until`, at most about eight, each with the text of its tick.
pub(super) fn axis(from: Timestamp, until: Timestamp) -> Vec<(Timestamp, String)> {
    const STEPS: [i64; 22] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
        604_800, 2_592_000, 31_536_000,
    ];
    let length = (until.millis() - from.millis()).max(1) / 1000;
    let step = STEPS.into_iter().find(|step| length / step <= 8).unwrap_or(STEPS[STEPS.len() - 1]) * 1000;
    let mut at = from.millis().div_euclid(step) * step;
    let mut ticks = Vec::new();
    while at <= until.millis() && ticks.len() < 100 {
        if at >= from.millis() {
            let whole = Timestamp::from_millis(at).rfc3339();
            let (day, time) = (whole.get(5..10).unwrap_or_default(), whole.get(11..19).unwrap_or_default());
            let text = match step {
                86_400_000.. => whole.get(..10).unwrap_or_default().to_owned(),
                60_000.. => format!("{day} {}", time.get(..5).unwrap_or_default()),
                _ => time.to_owned(),
            };
            ticks.push((Timestamp::from_millis(at), text));
        }
        at += step;
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_usual_form() {
        for (text, expected) in [
            ("1397114100", Some(1_397_114_100_000)),
            ("1397114100.5", Some(1_397_114_100_500)),
            ("1397114100500", Some(1_397_114_100_500)),
            ("2014-04-10 07:15:00", Some(1_397_114_100_000)),
            ("2014-04-10T07:15:00.5Z", Some(1_397_114_100_500)),
            ("2014-04-10T09:15:00+02:00", Some(1_397_114_100_000)),
            ("2014-04-10", Some(1_397_088_000_000)),
            ("10/04/2014", None),
            ("inf", None),
            ("", None),
        ] {
            assert_eq!(moment(text).map(Timestamp::millis), expected, "{text}");
        }
    }

    #[test]
    fn spans_and_ticks_are_short() {
        for (seconds, expected) in [(0, "0s"), (59, "59s"), (3600, "1h"), (93_784, "1d2h"), (754, "12m34s")] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        let texts = |from, until| axis(at(from), at(until)).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(0, 20), ["00:00:00", "00:00:05", "00:00:10", "00:00:15", "00:00:20"]);
        assert_eq!(
            texts(50, 130),
            [
                "00:00:50", "00:01:00", "00:01:10", "00:01:20", "00:01:30", "00:01:40", "00:01:50", "00:02:00",
                "00:02:10"
            ]
        );
        assert_eq!(texts(0, 86_400)[1], "01-01 03:00");
        assert_eq!(texts(0, 86_400 * 8)[1], "1970-01-02");
    }
}
