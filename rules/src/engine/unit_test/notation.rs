//! The values of a test's input series: `1 2 _ stale 0+10x5 _x3 NaN`, one sample an interval.

use crate::STALE_NAN_BITS;
use crate::promql::parse_number;

/// One item of the notation, however long: `0+1x1000000` is one run.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// `None` is no sample.
    start: Option<f64>,
    step: f64,
    count: usize,
}

/// Samples by their place in time.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(Vec<Run>);

impl Values {
    /// One item an interval, `None` where there is no sample. Steps are added up, as promtool adds them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        self.0.iter().flat_map(|run| {
            let added = std::iter::successors(Some(run.start), |last| Some(last.map(|value| value + run.step)));
            added.take(run.count)
        })
    }

    /// How many there are, at most `most`.
    pub(super) fn count_up_to(&self, most: usize) -> usize {
        self.0.iter().fold(0, |sum: usize, run| sum.saturating_add(run.count)).min(most)
    }
}

/// Reads `text`.
///
/// # Errors
/// The byte where it goes wrong, and what would be right.
pub(super) fn values(text: &str) -> Result<Values, (usize, String)> {
    let mut all = Vec::new();
    for (begin, line) in lines(text) {
        if line.trim_start().starts_with('#') {
            continue;
        }
        if begin > 0 && !all.is_empty() {
            let why = "values are one line: promtool takes a second one for another series; fold them (values: >-)";
            return Err((begin + line.len() - line.trim_start().len(), why.to_owned()));
        }
        let mut rest = line;
        while let Some(space) = rest.find(|c: char| !c.is_whitespace()) {
            let word = rest[space..].split_whitespace().next().unwrap_or("");
            let at = line.len() - rest.len() + space;
            all.push(item(word).map_err(|why| (begin + at, format!("{word:?}: {why}")))?);
            rest = &line[at + word.len()..];
        }
    }
    Ok(Values(all))
}

/// Lines that are not blank, each with the byte where it begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = 0;
    let placed = text.split('\n').map(move |line| {
        let begin = next;
        next += line.len() + 1;
        (begin, line)
    });
    placed.filter(|(_, line)| !line.trim().is_empty())
}

fn item(word: &str) -> Result<Run, String> {
    if word.starts_with("{{") {
        return Err("native histograms are not supported; use series of _bucket, _sum and _count".to_owned());
    }
    let (what, times) = repeated(word)?;
    let count = times.map_or(1, |n| n.saturating_add(usize::from(what != "_")));
    match what {
        "_" => Ok(Run { start: None, step: 0.0, count }),
        "stale" if times.is_none() => Ok(Run { start: Some(f64::from_bits(STALE_NAN_BITS)), step: 0.0, count }),
        _ => {
            let (start, step) = start_and_step(what, times.is_some())?;
            Ok(Run { start: Some(start), step, count })
        }
    }
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
    match (wordy, plain) {
        (true, _) => digits.parse().ok().map(|value: f64| sign * value),
        (false, true) => parse_number(digits, false).map(|value| sign * value),
        (false, false) => None,
    }
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
            ("010 1_000 08", "8 1000 8"),
            ("_x0 1", "1"),
            ("1 2\n", "1 2"),
            ("\n1 2\n# a comment line\n", "1 2"),
        ] {
            let shown: Vec<String> = values(text)
                .unwrap_or_else(|why| panic!("{text}: {why:?}"))
                .iter()
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
    fn a_long_run_takes_no_memory() {
        let long = values("_x5 0+0.1x1000000000000 stale").unwrap();
        assert_eq!(long.iter().nth(8), Some(Some(0.1 + 0.1 + 0.1)), "added up, not multiplied");
        assert_eq!(long.count_up_to(1000), 1000);
        assert_eq!(values("_x5 1").unwrap().count_up_to(1000), 6);
    }

    #[test]
    fn what_is_none_is_refused_with_its_place() {
        for (text, at, said) in [
            ("1 x", 2, "not a number"),
            ("1 2+3", 2, "needs a count"),
            ("1+1xq", 0, "how often"),
            ("{{schema:1}}", 0, "native histograms"),
            ("1 2\n  3 4\n", 6, "one line"),
            ("# why\n1 q", 8, "not a number"),
            ("1x99999999999999999999", 0, "how often"),
            ("1--1x2", 0, "not a number"),
        ] {
            let (place, why) = values(text).unwrap_err();
            assert!(place == at && why.contains(said), "{text}: {place} {why}");
        }
    }
}
