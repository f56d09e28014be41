//! Which series a selector means: a name and label matchers.

use regex::Regex;

use super::regex_dialect;
use crate::labels::METRIC_NAME;
use crate::{Labels, Store};

/// Compares a label with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MatchOp {
    Equal,
    NotEqual,
    Matches,
    MatchesNot,
}

impl MatchOp {
    pub(super) const ALL: [(Self, &'static str); 4] =
        [(Self::Equal, "="), (Self::NotEqual, "!="), (Self::Matches, "=~"), (Self::MatchesNot, "!~")];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(op, _)| *op == self).map_or("", |(_, name)| name)
    }
}

/// One condition on one label; an absent label counts as empty.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    pub(super) label: String,
    pub(super) op: MatchOp,
    pub(super) value: String,
    pattern: Pattern,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.label, self.op, &self.value) == (&other.label, other.op, &other.value)
    }
}

/// What a matcher compares with; most patterns in use need no regular expression.
#[derive(Clone, Debug)]
enum Pattern {
    AnyOf(Vec<String>),
    Prefix(String),
    /// `.+`
    NotEmpty,
    Regex(Regex),
}

impl Pattern {
    fn of(pattern: &str) -> Result<Self, String> {
        let plain = |text: &str| !text.contains(|c: char| r"\.+*?()|[]{}^$".contains(c));
        if let Some(prefix) = pattern.strip_suffix(".*").filter(|prefix| plain(prefix)) {
            return Ok(Self::Prefix(prefix.to_owned()));
        }
        if pattern == ".+" {
            return Ok(Self::NotEmpty);
        }
        if pattern.split('|').all(plain) {
            return Ok(Self::AnyOf(pattern.split('|').map(str::to_owned).collect()));
        }
        regex_dialect::anchored(pattern).map(Self::Regex)
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::AnyOf(texts) => texts.iter().any(|other| other == text),
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::NotEmpty => !text.is_empty(),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

impl Matcher {
    /// # Errors
    /// A sentence on what is wrong with the regular expression.
    pub(super) fn new(label: String, op: MatchOp, value: String) -> Result<Self, String> {
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => Pattern::AnyOf(vec![value.clone()]),
            MatchOp::Matches | MatchOp::MatchesNot => Pattern::of(&value)?,
        };
        Ok(Self { label, op, value, pattern })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.pattern.matches(text) == matches!(self.op, MatchOp::Equal | MatchOp::Matches)
    }
}

/// `name{label="value", ...}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Selector {
    /// The name before the braces, or quoted within them.
    pub(super) name: Option<String>,
    pub(super) matchers: Vec<Matcher>,
}

impl Selector {
    /// The one metric name this can match, if there is only one.
    pub(super) fn exact_name(&self) -> Option<&str> {
        let by_label = || self.matchers.iter().find(|m| m.label == METRIC_NAME && m.op == MatchOp::Equal);
        self.name.as_deref().or_else(|| by_label().map(|matcher| matcher.value.as_str()))
    }

    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.name.as_deref().is_none_or(|name| labels.name() == name)
            && self.matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.label).unwrap_or("")))
    }

    /// Whether metric `name` may be meant.
    fn may_mean(&self, name: &str) -> bool {
        self.name.as_deref().is_none_or(|own| own == name)
            && self.matchers.iter().filter(|m| m.label == METRIC_NAME).all(|matcher| matcher.matches(name))
    }

    /// Every series of `store` that matches.
    pub(super) fn select<'s>(&'s self, store: &'s Store) -> impl Iterator<Item = &'s crate::store::Series> {
        let equal = self.matchers.iter().filter(|m| m.op == MatchOp::Equal && m.label != METRIC_NAME);
        let pairs = equal.filter(|m| !m.value.is_empty()).map(|m| (m.label.as_str(), m.value.as_str()));
        store.candidates(self.exact_name(), pairs).filter(|series| self.matches(&series.labels))
    }

    /// Name and reason of a metric that this may mean and whose source has failed.
    pub(super) fn unavailable<'s>(&'s self, store: &'s Store) -> Option<(&'s str, &'s str)> {
        if let Some(name) = self.exact_name() {
            return store.why_unavailable(name).map(|why| (name, why));
        }
        store.unavailable().find(|(name, _)| self.may_mean(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_compare() {
        use MatchOp::{Equal, Matches, MatchesNot, NotEqual};
        for (op, value, text, expected) in [
            (Equal, "a", "a", true),
            (Equal, "", "", true),
            (NotEqual, "a", "b", true),
            (Matches, "a|b", "b", true),
            (Matches, "a|b", "ab", false),
            (Matches, "pre.*", "prefix", true),
            (Matches, "pre.*", "xpre", false),
            (Matches, ".*", "", true),
            (Matches, ".+", "", false),
            (Matches, "a.c", "abc", true),
            (MatchesNot, "a.c", "abc", false),
            (Matches, "", "", true),
            (Matches, "a|", "", true),
        ] {
            let matcher = Matcher::new("l".into(), op, value.into()).unwrap();
            assert_eq!(matcher.matches(text), expected, "{text:?} {} {value:?}", op.name());
        }
    }
}
