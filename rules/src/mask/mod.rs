//! Masking: private and secret values in a text are replaced by typed, stable tokens before anything keeps or shows it.
//!
//! `call 138-1234-5678` becomes `call <PHONE:3fa1c2d4>`. The token is a keyed hash of the value's canonical form: the same
//! number written in another way has the same token, and without the salt nobody can compute or search it. The scan is
//! one pass over the bytes (own patterns, if any, are a second), linear in the text, without backtracking. Masking what is
//! masked changes nothing.
//!
//! The collision arithmetic behind [`MaskOptions::digits`]: among `n` different values with tokens of `d` hexadecimal digits,
//! about `n² / (2 · 16^d)` pairs share a token. Eight digits merge 1 pair of 100 000 values, and 116 of a million; four
//! would merge 14 % of 10 000. More digits say more about the value to somebody who has stolen the salt.

mod api_key;
mod assignment;
mod bytes;
mod counts;
mod email;
mod fold;
mod iban;
mod ip;
mod jwt;
mod kind;
mod number;
mod own;
mod pem;
mod resolve;
mod scan;
mod settle;
mod span;
mod token;
mod told;
mod url;

use std::borrow::Cow;
use std::ops::Range;

pub use counts::Counts;
pub use kind::Kind;
pub use token::LEAST_SALT;

use fold::Folded;
use kind::KindSet;
use own::OwnPatterns;
use scan::{End, OnFoldable, Scan};
use span::Span;
use token::Tokens;

/// A pattern of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPattern {
    /// Its name, such as `employee_id`: letters, digits and `_`; the token shows it in upper case.
    pub name: String,
    /// A regular expression in the syntax of the `regex` crate.
    pub regex: String,
}

/// What is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskOptions {
    /// Built-in kinds that are left alone.
    pub off: Vec<Kind>,
    /// Own patterns, beside the built-in kinds.
    pub own: Vec<OwnPattern>,
    /// Hexadecimal digits of a token, 4 to 32.
    pub digits: usize,
}

impl Default for MaskOptions {
    fn default() -> Self {
        Self { off: Vec::new(), own: Vec::new(), digits: 8 }
    }
}

/// Why a [`Masker`] cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// The salt could be guessed.
    #[error("the salt has {have} bytes; at least {LEAST_SALT} are needed, such as 32 random ones in hexadecimal")]
    ShortSalt {
        /// Its length in bytes.
        have: usize,
    },
    /// Tokens would collide, or be longer than the hash.
    #[error("{have} digits; a token has 4 to 32")]
    Digits {
        /// What was asked for.
        have: usize,
    },
    /// A name that cannot stand in a token.
    #[error(
        "{name:?} is no name for a pattern; write 1 to 32 letters, digits and _, a letter first, such as employee_id"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A name twice, or of a built-in kind.
    #[error("the name {name:?} is taken; give each pattern its own")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// An expression that does not compile.
    #[error("the pattern {name:?} is no regular expression: {why}")]
    Pattern {
        /// The pattern's name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// An expression that matches the empty text.
    #[error("the pattern {name:?} matches the empty text; write one that needs at least one character")]
    MatchesNothing {
        /// The pattern's name.
        name: String,
    },
    /// More patterns than are searched for at once.
    #[error("{have} patterns; at most {most} can be searched for at once")]
    TooManyPatterns {
        /// What was asked for.
        have: usize,
        /// The bound.
        most: usize,
    },
}

impl MaskError {
    /// Name of the own pattern that is wrong, if it is one.
    pub fn pattern(&self) -> Option<&str> {
        match self {
            Self::Name { name }
            | Self::NameTaken { name }
            | Self::Pattern { name, .. }
            | Self::MatchesNothing { name } => Some(name),
            Self::ShortSalt { .. } | Self::Digits { .. } | Self::TooManyPatterns { .. } => None,
        }
    }
}

/// A text without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masked<'t> {
    /// The text; borrowed when nothing was found.
    pub text: Cow<'t, str>,
    /// What was replaced.
    pub counts: Counts,
}

/// One value that was found: where it is, and what stands for it. The value itself is `&text[finding.range]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
    /// What replaces it, such as `<PHONE:3fa1c2d4>`.
    pub token: String,
}

/// Finds and replaces private and secret values. Cheap to share (`&self` everywhere), some hundred bytes plus own patterns.
///
/// ```
/// use plimsoll_rules::mask::{MaskOptions, Masker};
///
/// let masker = Masker::new(b"sixteen bytes or more", &MaskOptions::default())?;
/// let masked = masker.mask("call 138-1234-5678 or +86 13812345678");
/// let (_, tokens) = masked.text.split_once(' ').unwrap_or_default();
/// let (first, second) = tokens.split_once(" or ").unwrap_or_default();
/// assert_eq!(first, second);
/// assert!(first.starts_with("<PHONE:"));
/// # Ok::<(), plimsoll_rules::mask::MaskError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Masker {
    tokens: Tokens,
    kinds: KindSet,
    own: Option<OwnPatterns>,
}

impl Masker {
    /// A masker under `salt`, which must stay secret, and stay the same for tokens to stay the same.
    ///
    /// # Errors
    /// What is wrong with the salt or the options.
    pub fn new(salt: &[u8], options: &MaskOptions) -> Result<Self, MaskError> {
        if salt.len() < LEAST_SALT {
            return Err(MaskError::ShortSalt { have: salt.len() });
        }
        if !(4..=32).contains(&options.digits) {
            return Err(MaskError::Digits { have: options.digits });
        }
        let tokens = Tokens::new(salt, options.digits).ok_or(MaskError::ShortSalt { have: salt.len() })?;
        let kinds = options.off.iter().fold(KindSet::ALL, |kinds, kind| kinds.without(*kind));
        Ok(Self { tokens, kinds, own: OwnPatterns::new(&options.own)? })
    }

    /// As [`Masker::mask`], with tokens that say the kind alone (`<PHONE>`): the same text for whatever salt, so that what is
    /// computed of it can be computed again.
    pub fn mask_to_kinds(&self, text: &str) -> String {
        let masked = self.mask(text).text;
        let (mut out, mut rest) = (String::with_capacity(masked.len()), &*masked);
        while let Some(at) = rest.find('<') {
            let (before, token) = rest.split_at(at);
            out.push_str(before);
            let length = token::token_len(token.as_bytes(), self.tokens.digits(), |tag| self.has_tag(tag));
            let shown = length.map_or(1, |length| length - self.tokens.digits() - 2);
            out.push_str(&token[..shown]);
            if length.is_some() {
                out.push('>');
            }
            rest = &token[length.unwrap_or(1)..];
        }
        out.push_str(rest);
        out
    }

    /// `text` with every value that [`Masker::find`] finds replaced by its token.
    pub fn mask<'t>(&self, text: &'t str) -> Masked<'t> {
        let (found, mut counts) = (self.find(text), Counts::default());
        if found.is_empty() {
            return Masked { text: Cow::Borrowed(text), counts };
        }
        found.iter().for_each(|finding| counts.count(finding.kind));
        Masked { text: Cow::Owned(replaced(text, &found)), counts }
    }

    /// `text` with the tokens of `found`, in order and disjoint, in the place of their ranges.
    pub fn replaced(text: &str, found: &[Finding]) -> String {
        replaced(text, found)
    }

    /// Every value found in `text`, in order, disjoint. What [`Masker::mask`] makes of the text has none.
    pub fn find(&self, text: &str) -> Vec<Finding> {
        let found = self.look(text);
        if self.own.is_none() || found.is_empty() {
            return found;
        }
        settle::settle(text, found, |text| self.look(text))
    }

    /// One look at `text`. Built-in kinds leave nothing for a second one; own patterns may.
    fn look(&self, text: &str) -> Vec<Finding> {
        let (scanned, mut canonical) = (self.scan(text), Vec::new());
        let finding = |span: &Span| {
            let mut token = String::with_capacity(32);
            self.write_token(&scanned, span, &mut canonical, &mut token);
            Finding { range: scanned.original(span), kind: span.kind, token }
        };
        scanned.spans.iter().map(finding).collect()
    }

    fn scan<'t>(&self, text: &'t str) -> Scanned<'t> {
        if let Some((spans, tokens)) = self.scan_as(text, OnFoldable::Stop) {
            let spans = self.with_own(spans, |own| own.find(text, &tokens));
            return Scanned { text, folded: None, spans };
        }
        let folded = Folded::new(text);
        let (spans, tokens) = self.scan_as(&folded.text, OnFoldable::Pass).unwrap_or_default();
        // a pattern may be meant for what is written as well as for what it stands for
        let spans = self.with_own(spans, |own| own.find(&folded.text, &tokens));
        let spans = self.with_own(spans, |own| {
            let written: Vec<Range<usize>> = tokens.iter().map(|token| folded.original(token)).collect();
            let found = own.find(text, &written).into_iter();
            found
                .map(|span| Span { range: folded.folded(&span.range), ..span })
                .filter(|s| !s.range.is_empty())
                .collect()
        });
        Scanned { text, folded: Some(folded), spans }
    }

    fn with_own(&self, spans: Vec<Span>, find: impl FnOnce(&OwnPatterns) -> Vec<Span>) -> Vec<Span> {
        match &self.own {
            Some(own) => resolve::resolve(spans, find(own)),
            None => spans,
        }
    }

    /// Values of built-in kinds in `text` and the tokens that it has already; `None` when it has characters that were to stop
    /// the scan.
    fn scan_as(&self, text: &str, foldable: OnFoldable) -> Option<(Vec<Span>, Vec<Range<usize>>)> {
        let token = |text: &[u8]| token::token_len(text, self.tokens.digits(), |tag| self.has_tag(tag));
        let mut scan = Scan::new(text.as_bytes(), self.kinds, &token);
        (scan.run(foldable) == End::Done).then_some((scan.found, scan.tokens))
    }

    fn write_token(&self, scanned: &Scanned<'_>, span: &Span, canonical: &mut Vec<u8>, out: &mut String) {
        canonical.clear();
        span.form.canonical(&scanned.source().as_bytes()[span.range.clone()], canonical);
        self.tokens.write(self.tag(span.kind), canonical, out);
    }

    fn has_tag(&self, tag: &[u8]) -> bool {
        let builtin = Kind::BUILTIN.iter().any(|kind| kind.tag().as_bytes() == tag);
        builtin || self.own.as_ref().is_some_and(|own| own.has_tag(tag))
    }

    /// Name of a kind in reports: of the configuration for a built-in one, the pattern's own name in lower case otherwise.
    pub fn kind_name(&self, kind: Kind) -> String {
        match kind {
            Kind::Own(_) => self.tag(kind).to_ascii_lowercase(),
            builtin => builtin.name().to_owned(),
        }
    }

    fn tag(&self, kind: Kind) -> &str {
        match (kind, &self.own) {
            (Kind::Own(at), Some(own)) => own.tag(at),
            _ => kind.tag(),
        }
    }
}

/// `text` with tokens in the place of what was found.
fn replaced(text: &str, found: &[Finding]) -> String {
    let (mut out, mut at) = (String::with_capacity(text.len() + 16), 0);
    for finding in found {
        out.push_str(&text[at..finding.range.start]);
        out.push_str(&finding.token);
        at = finding.range.end;
    }
    out.push_str(&text[at..]);
    out
}

/// Values of a text, with their places in the text or in its folded form.
struct Scanned<'t> {
    text: &'t str,
    folded: Option<Folded>,
    spans: Vec<Span>,
}

impl Scanned<'_> {
    /// The text that the spans are places of.
    fn source(&self) -> &str {
        self.folded.as_ref().map_or(self.text, |folded| &folded.text)
    }

    /// The place of a span in the text as it was given.
    fn original(&self, span: &Span) -> Range<usize> {
        self.folded.as_ref().map_or_else(|| span.range.clone(), |folded| folded.original(&span.range))
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
