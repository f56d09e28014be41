//! Quantities as people write them: `5s`, `30d`, `2GiB`. Each knows its own text form and says what would be right.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, written as Prometheus writes it: `500ms`, `5s`, `1h30m`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const SPAN_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

impl Span {
    /// A whole number of seconds.
    pub const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Reads `1h30m` and the like.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a duration; write a number and a unit, such as 500ms, 5s, 10m or 30d");
        let (mut rest, mut total) = (text.trim(), 0_u64);
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |n| digits + n);
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            let (_, millis) = SPAN_UNITS.iter().find(|(u, _)| *u == &rest[digits..unit_end]).ok_or_else(wrong)?;
            total = number.checked_mul(*millis).and_then(|m| total.checked_add(m)).ok_or_else(wrong)?;
            rest = &rest[unit_end..];
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, millis) in SPAN_UNITS {
            if rest >= millis && (unit != "w" && unit != "y" || rest.is_multiple_of(millis)) {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

/// An amount of memory or disk, written `512MiB`, `2GiB`, `1e9` is refused: give the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const BYTE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

impl ByteSize {
    /// Reads `64MiB` and the like.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a size; write a whole number and a unit, such as 64MiB or 2GiB");
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = text[digits..].trim();
        let (_, bytes) = BYTE_UNITS.iter().find(|(u, _)| *u == unit).ok_or_else(wrong)?;
        number.checked_mul(*bytes).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, bytes) =
            BYTE_UNITS.into_iter().find(|(_, b)| self.0 >= *b && self.0.is_multiple_of(*b)).unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

/// How many false alarms are borne in how much time, written `1 per 30d`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlarmBudget {
    /// So many on average; above 0.
    pub count: f64,
    /// In each of these; longer than 0 s.
    pub per: Span,
}

impl AlarmBudget {
    /// Reads `1 per 30d`, `0.5 per 1w`.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a rate of false alarms; write NUMBER per DURATION, such as 1 per 30d");
        let (count, per) = text.split_once(" per ").ok_or_else(wrong)?;
        let count: f64 = count.trim().parse().map_err(|_| wrong())?;
        let per = Span::parse(per.trim())?;
        if !(count > 0.0 && count.is_finite()) || per.0.is_zero() {
            return Err(wrong());
        }
        Ok(Self { count, per })
    }
}

impl fmt::Display for AlarmBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.count, self.per)
    }
}

/// A share written `5%`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(pub f64);

impl Share {
    /// Reads `5%`, or `0.05`.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = match text.trim().strip_suffix('%') {
            Some(number) => (number.trim(), 100.0),
            None => (text.trim(), 1.0),
        };
        let number = number.parse::<f64>().ok().filter(|number| number.is_finite());
        number
            .map(|number| Self(number / unit))
            .ok_or_else(|| format!("{text:?} is not a share; write one such as 5% or 0.05"))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // rounded to what a person writes: 0.07 * 100 is 7.000000000000001
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Self::parse(&text).map_err(de::Error::custom),
            other => other.as_f64().map(Self).ok_or_else(|| de::Error::custom(format!("{other} is not a share"))),
        }
    }
}

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["number", "string"], "format": "share", "examples": ["5%"]})
    }
}

/// How much worse still counts as no worse: a share such as `3%`, or a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// As a number; `3%` is 0.03.
    pub value: f64,
    /// It was written as a percentage.
    pub percent: bool,
}

impl Default for Margin {
    /// 3 %.
    fn default() -> Self {
        Self { value: 0.03, percent: true }
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.percent { Share(self.value).fmt(f) } else { self.value.fmt(f) }
    }
}

impl Margin {
    /// Reads `3%`, or `0.03`.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        Share::parse(text).map(|Share(value)| Self { value, percent: text.trim().ends_with('%') })
    }
}

impl Serialize for Margin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.percent { serializer.collect_str(self) } else { serializer.serialize_f64(self.value) }
    }
}

impl<'de> Deserialize<'de> for Margin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Self::parse(&text).map_err(de::Error::custom),
            other => {
                let value = other.as_f64().ok_or_else(|| de::Error::custom(format!("{other} is not a margin")))?;
                Ok(Self { value, percent: false })
            }
        }
    }
}

impl JsonSchema for Margin {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Margin".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Share::json_schema(generator)
    }
}

/// Text forms of one kind of quantity: serde, JSON Schema with our own `format`.
macro_rules! as_text {
    ($type:ident, $format:literal, $example:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": $format, "examples": [$example]})
            }
        }
    };
}
as_text!(Span, "duration", "5s");
as_text!(ByteSize, "size", "64MiB");
as_text!(AlarmBudget, "false_alarms", "1 per 30d");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_print_what_they_read() {
        for (why, input, expected) in [
            ("plain", "5s", "5s"),
            ("compound", "1h30m", "1h30m"),
            ("carried over", "90s", "1m30s"),
            ("milliseconds", "500ms", "500ms"),
            ("days", "30d", "30d"),
            ("zero", "0s", "0s"),
        ] {
            assert_eq!(Span::parse(input).unwrap().to_string(), expected, "{why}");
        }
        for (why, input, expected) in [("binary", "2GiB", "2GiB"), ("decimal", "3MB", "3MB"), ("bytes", "7B", "7B")] {
            assert_eq!(ByteSize::parse(input).unwrap().to_string(), expected, "{why}");
        }
    }

    #[test]
    fn a_budget_prints_what_it_reads() {
        for (why, input, expected) in [
            ("the usual one", "1 per 30d", "1 per 30d"),
            ("a fraction", "0.5 per 1w", "0.5 per 1w"),
            ("spaces", " 2  per  90s ", "2 per 1m30s"),
        ] {
            assert_eq!(AlarmBudget::parse(input).unwrap().to_string(), expected, "{why}");
        }
    }

    #[test]
    fn a_share_prints_what_it_reads() {
        for (input, expected) in [("5%", "5%"), ("0.05", "5%"), (" 7 % ", "7%"), ("0.1%", "0.1%"), ("200%", "200%")] {
            assert_eq!(Share::parse(input).unwrap().to_string(), expected);
        }
        for input in ["", "%", "five", "NaN", "inf%"] {
            assert!(Share::parse(input).is_err(), "{input}");
        }
    }

    #[test]
    fn what_is_not_a_quantity_is_refused() {
        for input in ["", "5", "s", "5 parsecs", "-1s", "1e3s", "99999999999999999999s", "18446744073709551615y", "5s5"]
        {
            assert!(Span::parse(input).is_err(), "{input}");
        }
        for input in ["", "5", "GiB", "1.5GiB", "-1B", "99999999999GiB", "5 apples"] {
            assert!(ByteSize::parse(input).is_err(), "{input}");
        }
        for input in [
            "",
            "1",
            "1 per",
            "per 30d",
            "0 per 30d",
            "-1 per 30d",
            "NaN per 30d",
            "inf per 1d",
            "1 per 0s",
            "1 in 30d",
        ] {
            assert!(AlarmBudget::parse(input).is_err(), "{input}");
        }
    }
}
