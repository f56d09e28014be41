//! Own patterns: regular expressions of the configuration, all searched for at once, in linear time.

use regex_automata::meta::{Config, Regex};
use regex_automata::{Input, Match};

use super::span::{Form, Span};
use super::token::{MAX_TAG, is_tag_byte};
use super::{Kind, MaskError, OwnPattern};

/// Most own patterns.
pub(super) const MOST: usize = 100;

/// Largest compiled size of all patterns together, in bytes: `\w{1000}` would take more.
const COMPILED: usize = 8 << 20;

/// Own patterns, compiled together.
#[derive(Clone, Debug)]
pub(super) struct OwnPatterns {
    regex: Regex,
    tags: Vec<String>,
}

impl OwnPatterns {
    /// Compiles `patterns`; `None` when there are none.
    pub(super) fn new(patterns: &[OwnPattern]) -> Result<Option<Self>, MaskError> {
        if patterns.len() > MOST {
            return Err(MaskError::TooManyPatterns { have: patterns.len(), most: MOST });
        }
        for (at, pattern) in patterns.iter().enumerate() {
            check(pattern, &patterns[..at])?;
        }
        if patterns.is_empty() {
            return Ok(None);
        }
        let all: Vec<&str> = patterns.iter().map(|pattern| pattern.regex.as_str()).collect();
        let regex = compile(&all).map_err(|why| MaskError::Pattern { name: patterns[0].name.clone(), why })?;
        Ok(Some(Self { regex, tags: patterns.iter().map(|pattern| pattern.name.to_ascii_uppercase()).collect() }))
    }

    /// Tag of a pattern.
    pub(super) fn tag(&self, at: u16) -> &str {
        self.tags.get(usize::from(at)).map_or("OWN", String::as_str)
    }

    /// Whether `tag` is one of ours.
    pub(super) fn has_tag(&self, tag: &[u8]) -> bool {
        self.tags.iter().any(|own| own.as_bytes() == tag)
    }

    /// Matches in `text` between the tokens that it has already.
    pub(super) fn find(&self, text: &str, tokens: &[std::ops::Range<usize>]) -> Vec<Span> {
        let mut found = Vec::new();
        let mut from = 0;
        let ends = tokens.iter().map(|token| (token.start, token.end)).chain([(text.len(), text.len())]);
        for (to, next) in ends {
            let gap = Input::new(text).span(from..to);
            found.extend(self.regex.find_iter(gap).filter(|found| !found.is_empty()).map(span));
            from = next;
        }
        found
    }
}

fn span(found: Match) -> Span {
    let own = u16::try_from(found.pattern().as_usize()).unwrap_or(u16::MAX);
    Span { range: found.range(), kind: Kind::Own(own), form: Form::Plain }
}

fn check(pattern: &OwnPattern, earlier: &[OwnPattern]) -> Result<(), MaskError> {
    let name = pattern.name.clone();
    let tag = name.to_ascii_uppercase();
    let shaped =
        (1..=MAX_TAG).contains(&tag.len()) && tag.bytes().all(is_tag_byte) && !tag.as_bytes()[0].is_ascii_digit();
    if !shaped {
        return Err(MaskError::Name { name });
    }
    let taken = |other: &OwnPattern| other.name.eq_ignore_ascii_case(&name);
    if Kind::parse(&name.to_ascii_lowercase()).is_some() || earlier.iter().any(taken) {
        return Err(MaskError::NameTaken { name });
    }
    let regex = compile(&[&pattern.regex]).map_err(|why| MaskError::Pattern { name: name.clone(), why })?;
    if regex.is_match("") {
        return Err(MaskError::MatchesNothing { name });
    }
    Ok(())
}

fn compile(patterns: &[&str]) -> Result<Regex, String> {
    let config = Config::new().nfa_size_limit(Some(COMPILED)).hybrid_cache_capacity(1 << 20);
    Regex::builder().configure(config).build_many(patterns).map_err(|error| {
        let why = error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string);
        // the library draws the place below the pattern; the last line says what is wrong
        why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}
