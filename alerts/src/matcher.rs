//! Matchers over labels, in Alertmanager's words: `severity="critical"`, `team=~"a|b"`, `pod!="x"`, `env!~"dev.*"`.

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;

/// A matcher that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a matcher: {why}; write label=\"value\", label!=\"value\", label=~\"regex\" or label!~\"regex\""
)]
pub struct MatcherError {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// One condition on one label. A label that is not there counts as empty.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    value: String,
    equal: bool,
    /// Matches the whole value.
    regex: Option<Regex>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        let of = |m: &Self| (m.name.clone(), m.value.clone(), m.equal, m.regex.is_some());
        of(self) == of(other)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.operator(), self.value)
    }
}

impl Matcher {
    /// From its parts, as Alertmanager's API names them.
    ///
    /// # Errors
    /// The name is empty, or the value is no regular expression where one is wanted.
    pub fn new(name: &str, value: &str, equal: Equal, kind: Kind) -> Result<Self, MatcherError> {
        let wrong = |why: String| MatcherError { text: format!("{name}{value:?}"), why };
        if name.is_empty() {
            return Err(wrong("the label has no name".into()));
        }
        let regex = match kind {
            Kind::Text => None,
            Kind::Regex => Some(Regex::new(&format!("^(?s:{value})$")).map_err(|e| wrong(last_line(&e.to_string())))?),
        };
        Ok(Self { name: name.to_owned(), value: value.to_owned(), equal: equal == Equal::Is, regex })
    }

    /// Reads `name="value"` and the like; quotes may be left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MatcherError> {
        let wrong = |why: &str| MatcherError { text: text.to_owned(), why: why.to_owned() };
        let at = text.find(['=', '!']).ok_or_else(|| wrong("it has no operator"))?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let operators =
            [("=~", Equal::Is, Kind::Regex), ("!~", Equal::IsNot, Kind::Regex), ("!=", Equal::IsNot, Kind::Text)];
        let found = operators.into_iter().find(|(operator, ..)| rest.starts_with(operator));
        let (operator, equal, kind) = found.unwrap_or(("=", Equal::Is, Kind::Text));
        let value = rest.strip_prefix(operator).ok_or_else(|| wrong("it has no operator"))?.trim();
        let value = match value.strip_prefix('"') {
            Some(_) => serde_json::from_str::<String>(value).map_err(|_| wrong("the quotes do not fit"))?,
            None => value.to_owned(),
        };
        Self::new(name, &value, equal, kind).map_err(|e| wrong(&e.why))
    }

    /// Whether `labels` meet it.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        let same = self.regex.as_ref().map_or_else(|| value == self.value, |regex| regex.is_match(value));
        same == self.equal
    }

    /// The label, the value, and how they are compared.
    pub fn parts(&self) -> (&str, &str, Equal, Kind) {
        let equal = if self.equal { Equal::Is } else { Equal::IsNot };
        let kind = if self.regex.is_some() { Kind::Regex } else { Kind::Text };
        (&self.name, &self.value, equal, kind)
    }

    /// Whether it is met by labels without the one it names.
    pub(crate) fn takes_nothing(&self) -> bool {
        self.matches(&BTreeMap::new())
    }

    fn operator(&self) -> &'static str {
        match (self.equal, self.regex.is_some()) {
            (true, false) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (false, true) => "!~",
        }
    }
}

/// Whether a label shall be so, or not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equal {
    /// `=` or `=~`.
    Is,
    /// `!=` or `!~`.
    IsNot,
}

/// What a value is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The text as it is.
    Text,
    /// A regular expression over the whole value.
    Regex,
}

/// The last line of the regex crate's message says what is wrong; those before show where.
fn last_line(message: &str) -> String {
    message.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_read_as_they_print_and_match_whole_values() {
        let labels = [("severity", "critical"), ("team", "a\"b")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        for (text, printed, expected) in [
            (r#"severity="critical""#, r#"severity="critical""#, true),
            ("severity = critical", r#"severity="critical""#, true),
            (r#"severity!="critical""#, r#"severity!="critical""#, false),
            (r#"severity=~"crit|warn""#, r#"severity=~"crit|warn""#, false),
            (r#"severity=~"crit.*|warning""#, r#"severity=~"crit.*|warning""#, true),
            (r#"severity!~"info|none""#, r#"severity!~"info|none""#, true),
            (r#"team="a\"b""#, r#"team="a\"b""#, true),
            (r#"absent="""#, r#"absent="""#, true),
            ("absent!=", r#"absent!="""#, false),
        ] {
            let matcher = Matcher::parse(text).unwrap();
            assert_eq!((matcher.to_string().as_str(), matcher.matches(&labels)), (printed, expected), "{text}");
            assert_eq!(Matcher::parse(printed).unwrap(), matcher, "{text}");
        }
    }

    #[test]
    fn what_is_no_matcher_says_why() {
        for (text, why) in [
            ("severity", "it has no operator"),
            ("=x", "the label has no name"),
            ("a=\"b", "the quotes do not fit"),
            ("a=~(", "unclosed group"),
            ("a!x", "it has no operator"),
        ] {
            assert_eq!(Matcher::parse(text).unwrap_err().why, why, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,20}") {
            let _ = Matcher::parse(&text);
        }
    }
}
