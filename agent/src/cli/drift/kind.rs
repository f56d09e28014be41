//! What a column is: told by `--columns`, or inferred from the first rows of both files.

use super::odd::is_numeric;
use super::read::Cell;

/// Rows of each file that are looked at.
pub(super) const HEAD: usize = 1_000;
/// Names that times go by; other names that begin with `timestamp` are times too.
const TIME_NAMES: [&str; 5] = ["time", "ts", "date", "datetime", "created_at"];

/// How a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers.
    Numeric,
    /// A few values that come again.
    Categorical,
    /// What people or models write.
    Text,
    /// Not at all.
    Skip,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::Categorical => "categorical",
            Self::Text => "text",
            Self::Skip => "skip",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Numeric, Self::Categorical, Self::Text, Self::Skip].into_iter().find(|kind| kind.word() == word)
    }
}

/// A cell of the first rows, kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kept {
    Missing,
    Number(f64),
    Text(String),
}

impl Kept {
    pub(super) fn of(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Missing => Self::Missing,
            Cell::Number(number) => Self::Number(number),
            Cell::Text(text) => Self::Text(text.to_owned()),
        }
    }

    pub(super) fn cell(&self) -> Cell<'_> {
        match self {
            Self::Missing => Cell::Missing,
            Self::Number(number) => Cell::Number(*number),
            Self::Text(text) => Cell::Text(text),
        }
    }
}

/// A number, or what stands for a missing one in a column of numbers. `None`: neither.
pub(super) fn number(text: &str) -> Option<Option<f64>> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return Some((!number.is_nan()).then_some(number));
    }
    let absent = ["", "na", "n/a", "null", "none", "<na>"];
    absent.iter().any(|word| text.eq_ignore_ascii_case(word)).then_some(None)
}

/// The kind of a column by its name and its first cells, with the reason where it is skipped.
pub(super) fn infer<'c>(name: &str, cells: impl Iterator<Item = &'c Kept> + Clone) -> (Kind, Option<&'static str>) {
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("timestamp") || TIME_NAMES.contains(&lower.as_str()) {
        return (Kind::Skip, Some("times always differ"));
    }
    let there = cells.filter(|cell| **cell != Kept::Missing);
    // a word for a missing value is neither a number nor odd
    let count_as = |cell: &&Kept| match cell {
        Kept::Number(_) => Some(true),
        Kept::Text(text) => number(text).map_or(Some(false), |found| found.map(|_| true)),
        Kept::Missing => None,
    };
    if there.clone().next().is_none() {
        return (Kind::Skip, Some("its first rows are empty"));
    }
    let counted = |what: bool| there.clone().filter(|cell| count_as(cell) == Some(what)).count() as u64;
    let (numbers, odd) = (counted(true), counted(false));
    if odd == 0 || is_numeric(numbers, odd) {
        return (Kind::Numeric, None);
    }
    let texts: Vec<&str> = there
        .filter_map(|cell| match cell {
            Kept::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    if texts.iter().all(|text| is_moment(text)) {
        return (Kind::Skip, Some("times always differ"));
    }
    let distinct = texts.iter().collect::<std::collections::HashSet<_>>().len() as f64 / texts.len() as f64;
    let words = texts.iter().map(|text| words(text)).sum::<usize>() as f64 / texts.len() as f64;
    if words >= 3.0 && distinct > 0.2 {
        return (Kind::Text, None);
    }
    if words < 1.5 && distinct > 0.9 && texts.len() >= 50 {
        return (Kind::Skip, Some("it looks like an identifier: every value is another"));
    }
    (if distinct > 0.5 && texts.len() >= 50 { Kind::Text } else { Kind::Categorical }, None)
}

/// Words; a character of a script without spaces counts as one.
fn words(text: &str) -> usize {
    text.split_whitespace().count() + text.chars().filter(|c| ('\u{2e80}'..='\u{d7ff}').contains(c)).count() / 2
}

/// `2026-08-04T10:00:00Z` and the like.
fn is_moment(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    digits(0..4) && digits(5..7) && digits(8..10) && bytes[4] == b'-' && bytes[7] == b'-' && text.len() <= 35
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_what_a_reader_would_say() {
        let repeat = |values: &[&str]| -> Vec<Kept> {
            (0..200).map(|at| Kept::Text(values[at % values.len()].to_owned())).collect()
        };
        let each = |value: fn(usize) -> String| -> Vec<Kept> { (0..200).map(|at| Kept::Text(value(at))).collect() };
        for (name, cells, expected) in [
            ("tokens", repeat(&["1", "2.5", "NaN", "-1e3"]), Kind::Numeric),
            ("one in a hundred", each(|at| if at == 3 { "oops".into() } else { at.to_string() }), Kind::Numeric),
            (
                "one in ten",
                each(|at| if at % 10 == 0 { "oops".into() } else { (at % 30).to_string() }),
                Kind::Categorical,
            ),
            ("code", repeat(&["200", "404"]), Kind::Numeric),
            ("finish_reason", repeat(&["stop", "length"]), Kind::Categorical),
            ("truth", repeat(&["true", "false"]), Kind::Categorical),
            ("model", repeat(&["llama 3 8b instruct", "qwen 2 7b chat x"]), Kind::Categorical),
            ("prompt", each(|at| format!("where is my card number {at} please")), Kind::Text),
            ("query", each(|at| format!("我想找第{at}家餐馆")), Kind::Text),
            ("id", each(|at| format!("req-{at}")), Kind::Skip),
            ("Timestamp_ms", repeat(&["1", "2"]), Kind::Skip),
            ("when", each(|at| format!("2026-01-{:02} 10:00:00", at % 28 + 1)), Kind::Skip),
            ("empty", vec![Kept::Missing; 10], Kind::Skip),
        ] {
            assert_eq!(infer(name, cells.iter()).0, expected, "{name}");
        }
        assert_eq!(infer("n", [Kept::Number(1.0), Kept::Missing].iter()).0, Kind::Numeric);
        for (text, expected) in [("5", Some(Some(5.0))), ("n/a", Some(None)), ("nan", Some(None)), ("five", None)] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
