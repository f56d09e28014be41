//! An expression as PromQL text again. Parentheses are kept from the source, so none need to be added.

use std::fmt::{self, Display, Formatter, Write};

use super::ast::{Aggregate, At, Binary, Expr, LabelChoice, Node, Number, Shift, Side, Sign, Subquery, Written};
use super::duration::format_millis;
use super::matcher::{Matcher, Selector};
use crate::labels::METRIC_NAME;

/// Words that are never metric names.
const RESERVED: [&str; 8] = ["bool", "on", "ignoring", "group_left", "group_right", "atan2", "inf", "nan"];

/// Whether `name` is a metric name that can stand without quotes.
pub(super) fn plain_metric_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.starts_with(|c: char| allowed(c) && !c.is_ascii_digit())
        && name.chars().all(allowed)
        && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name))
}

fn plain_label_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| allowed(c) && !c.is_ascii_digit()) && name.chars().all(allowed)
}

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                c if c < ' ' || c == '\u{7f}' => write!(f, "\\x{:02x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

struct LabelName<'a>(&'a str);

impl Display for LabelName<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if plain_label_name(self.0) { f.write_str(self.0) } else { Quoted(self.0).fmt(f) }
    }
}

fn comma_separated<T: Display>(f: &mut Formatter<'_>, items: impl IntoIterator<Item = T>) -> fmt::Result {
    for (i, item) in items.into_iter().enumerate() {
        write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
    }
    Ok(())
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => Quoted(text).fmt(f),
            Self::Selector(selector, shift) => write!(f, "{selector}{shift}"),
            Self::Range(selector, shift, range_ms) => write!(f, "{selector}[{}]{shift}", format_millis(*range_ms)),
            Self::Subquery(subquery) => subquery.fmt(f),
            Self::Paren(inner) => write!(f, "({inner})"),
            Self::Unary(Sign::Plus, inner) => write!(f, "+{inner}"),
            Self::Unary(Sign::Minus, inner) => write!(f, "-{inner}"),
            Self::Binary(binary) => binary.fmt(f),
            Self::Aggregate(aggregate) => aggregate.fmt(f),
            Self::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                comma_separated(f, &call.args)?;
                f.write_char(')')
            }
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.duration {
            return f.write_str(&format_millis((self.value * 1000.0).round() as i64));
        }
        f.write_str(&format_float(self.value))
    }
}

/// A float as Prometheus writes it: the shortest decimal that reads back, `+Inf`, `-Inf`, `NaN`.
pub fn format_float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    format!("{value}")
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let quoted = self.name.as_deref().filter(|name| !plain_metric_name(name));
        if let (Some(name), None) = (&self.name, quoted) {
            f.write_str(name)?;
        }
        if self.matchers.is_empty() && quoted.is_none() {
            return Ok(());
        }
        f.write_char('{')?;
        if let Some(name) = quoted {
            write!(f, "{}{}", Quoted(name), if self.matchers.is_empty() { "" } else { ", " })?;
        }
        comma_separated(f, &self.matchers)?;
        f.write_char('}')
    }
}

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let label = if self.label == METRIC_NAME { LabelName(METRIC_NAME) } else { LabelName(&self.label) };
        write!(f, "{label}{}{}", self.op.name(), Quoted(&self.value))
    }
}

impl Display for Shift {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(At::Millis(millis)) => write!(f, " @ {}", millis as f64 / 1000.0)?,
            Some(At::Start) => f.write_str(" @ start()")?,
            Some(At::End) => f.write_str(" @ end()")?,
            None => {}
        }
        match self.offset_ms {
            0 => Ok(()),
            millis => write!(f, " offset {}", format_millis(millis)),
        }
    }
}

impl Display for Subquery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let step = self.step_ms.map(format_millis).unwrap_or_default();
        write!(f, "{}[{}:{step}]{}", self.inner, format_millis(self.range_ms), self.shift)
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.left, self.op.name())?;
        if self.returns_bool {
            f.write_str(" bool")?;
        }
        match &self.matching.labels {
            LabelChoice::Only(names) => write_names(f, " on ", names)?,
            LabelChoice::Except(names, Written::Yes) => write_names(f, " ignoring ", names)?,
            LabelChoice::Except(_, Written::No) => {}
        }
        if let Some(group) = &self.matching.group {
            let word = if group.many == Side::Left { " group_left " } else { " group_right " };
            write_names(f, word, &group.include)?;
        }
        write!(f, " {}", self.right)
    }
}

fn write_names(f: &mut Formatter<'_>, word: &str, names: &[String]) -> fmt::Result {
    write!(f, "{word}(")?;
    comma_separated(f, names.iter().map(|name| LabelName(name)))?;
    f.write_char(')')
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.name())?;
        match &self.grouping {
            Some(LabelChoice::Only(names)) => write_names(f, " by ", names)?,
            Some(LabelChoice::Except(names, _)) => write_names(f, " without ", names)?,
            None => {}
        }
        let space = if self.grouping.is_some() { " " } else { "" };
        write!(f, "{space}(")?;
        if let Some(parameter) = &self.parameter {
            write!(f, "{parameter}, ")?;
        }
        write!(f, "{})", self.inner)
    }
}
