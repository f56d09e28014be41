//! The values of a test's input series: `1 2 _ stale 0+10x5 _x3 NaN`, one sample an interval.

use crate::STALE_NAN_BITS;

/// Most samples of one series: ten years at a minute, or a slip.
const MOST: usize = 5_000_000;

/// Samples by their place in time; `None` is no sample.
pub(super) type Values = Vec<Option<f64>>;

/// Reads `text`.
///
/// # Errors
/// The byte where it goes wrong, and what would be right.
pub(super) fn values(text: &str) -> Result<Values, (usize, String)> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(|c: char| !c.is_whitespace()) {
        let word = rest[begin..].split_whitespace().next().unwrap_or("");
        let at = text.len() - rest.len() + begin;
        item(word, &mut all).map_err(|why| (at, format!("{word:?}: {why}")))?;
        rest = &text[at + word.len()..];
    }
    Ok(all)
}

fn item(word: &str, all: &mut Values) -> Result<(), String> {
    if word.starts_with("{{") {
        return Err("native histograms are not supported; use series of _bucket, _sum and _count".to_owned());
    }
    let (what, times) = repeated(word)?;
    let repeats = times.is_some();
    let count = times.map_or(1, |n| n.saturating_add(usize::from(what != "_")));
    if all.len() + count > MOST {
        return Err(format!("more than {MOST} samples in one series"));
    }
    match what {
        "_" => all.extend(std::iter::repeat_n(None, count)),
        "stale" if !repeats => all.push(Some(f64::from_bits(STALE_NAN_BITS))),
        _ => {
            let (start, step) = start_and_step(what, repeats)?;
            let mut value = start;
            for _ in 0..count {
                all.push(Some(value));
                value += step;
            }
        }
    }
    Ok(())
}

/// `what` and the count of `whatxcount`. As in promtool there are no hexadecimal numbers here: `0x2` is three zeros.
fn repeated(word: &str) -> Result<(&str, Option<usize>), String> {
    let Some((what, count)) = word.split_once('x').filter(|(what, _)| !what.is_empty()) else {
        return Ok((word, None));
    };
    let count = count.parse().map_err(|_| format!("{count:?} is not how often; write 0+10x5 or _x5"))?;
    Ok((what, Some(count)))
}

/// `a`, `a+b` and `a-b`. The sign that splits follows neither an exponent nor another sign.
fn start_and_step(what: &str, repeated: bool) -> Result<(f64, f64), String> {
    if let Some(number) = number(what) {
        return Ok((number, 0.0));
    }
    let split = what.char_indices().skip(1).filter(|(_, c)| matches!(c, '+' | '-')).find_map(|(at, sign)| {
        let (start, step) =
            (number(&what[..at])?, number(&what[at + 1..]).filter(|_| !what[at + 1..].starts_with(['+', '-']))?);
        Some((start, if sign == '-' { -step } else { step }))
    });
    match split {
        Some(both) if repeated => Ok(both),
        Some(_) => Err("a step needs a count, such as 0+10x5".to_owned()),
        None => Err("not a number, _, stale, a+bxn, a-bxn, axn or _xn".to_owned()),
    }
}

/// A number as PromQL writes it.
fn number(text: &str) -> Option<f64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let wordy = digits.eq_ignore_ascii_case("inf") || digits.eq_ignore_ascii_case("nan");
    let plain = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    (wordy || plain).then(|| digits.parse::<f64>().ok().map(|value| sign * value)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations() {
        for (text, expected) in [
            ("", ""),
            ("1 2.5 -3", "1 2.5 -3"),
            ("1+2x3", "1 3 5 7"),
            ("1-2x2", "1 -1 -3"),
            ("-2+4x2", "-2 2 6"),
            ("-1-1x1", "-1 -2"),
            ("5x2", "5 5 5"),
            ("1x0", "1"),
            ("10x1", "10 10"),
            ("0x2", "0 0 0"),
            ("0+0x2", "0 0 0"),
            ("1e2+1e1x1", "100 110"),
            ("1e+2 1e-1", "100 0.1"),
            ("_ 1 _x2 2", "_ 1 _ _ 2"),
            ("stale NaN Inf -inf +Inf", "stale NaN inf -inf inf"),
            ("0.5+0.25x2", "0.5 0.75 1"),
        ] {
            let shown: Vec<String> = values(text)
                .unwrap_or_else(|why| panic!("{text}: {why:?}"))
                .into_iter()
                .map(|value| match value {
                    None => "_".to_owned(),
                    Some(stale) if crate::is_stale(stale) => "stale".to_owned(),
                    Some(value) => value.to_string(),
                })
                .collect();
            assert_eq!(shown.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_its_place() {
        for (text, at, said) in [
            ("1 x", 2, "not a number"),
            ("1 2+3", 2, "needs a count"),
            ("1+1xq", 0, "how often"),
            ("{{schema:1}}", 0, "native histograms"),
            ("1x99999999999", 0, "more than"),
            ("1--1x2", 0, "not a number"),
        ] {
            let (place, why) = values(text).unwrap_err();
            assert!(place == at && why.contains(said), "{text}: {place} {why}");
        }
    }
}
