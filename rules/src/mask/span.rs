//! A recognised piece of text: where it is, what it is, and the form in which equal values are equal.

use std::net::IpAddr;
use std::ops::Range;

use super::Kind;
use super::number::resident;

/// One recognised piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Bytes of the text.
    pub(super) range: Range<usize>,
    /// What it is.
    pub(super) kind: Kind,
    /// How its canonical form is made.
    pub(super) form: Form,
}

/// How a canonical form is made from the text of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As written.
    Plain,
    /// Letters in lower case.
    Lower,
    /// Letters and digits only, in upper case.
    Compact,
    /// Without white space and the ASCII and middle dots and dashes between parts.
    NoSeparators,
    /// As [`Form::Compact`]; the old 15 digits become the 18 characters of the same person.
    Resident,
    /// The address as the standard library prints it.
    Ip,
    /// No white space, written or escaped.
    NoSpace,
    /// A phone number in E.164: `prefix`, then digits `skip..skip + take` of the span without digit `trunk`.
    Phone {
        /// Country code, when the text has none.
        prefix: &'static str,
        /// Digits left out at the start.
        skip: u8,
        /// Digits taken; what follows is an extension.
        take: u8,
        /// Position (counted from `skip`) of a trunk zero that is left out.
        trunk: Option<u8>,
    },
}

impl Form {
    /// Writes the canonical form of `text` into `out`.
    pub(super) fn canonical(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Plain => out.extend_from_slice(text),
            Self::Lower => out.extend(text.iter().map(u8::to_ascii_lowercase)),
            Self::Compact => compact(text, out),
            Self::NoSeparators => {
                let sign = |b: &u8| matches!(b, b' ' | b'-' | b'.' | 0xc2 | 0xb7);
                out.extend(text.iter().filter(|b| !sign(b)));
            }
            Self::Resident => {
                compact(text, out);
                resident::modernise(out);
            }
            Self::Ip => ip(text, out),
            Self::NoSpace => no_space(text, out),
            Self::Phone { prefix, skip, take, trunk } => {
                out.extend_from_slice(prefix.as_bytes());
                let digits = text.iter().copied().filter(u8::is_ascii_digit).skip(usize::from(skip));
                let taken = digits.take(usize::from(take)).enumerate();
                out.extend(taken.filter(|(at, _)| trunk != u8::try_from(*at).ok()).map(|(_, digit)| digit));
            }
        }
    }
}

fn compact(text: &[u8], out: &mut Vec<u8>) {
    out.extend(text.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase));
}

fn ip(text: &[u8], out: &mut Vec<u8>) {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
    match parsed {
        Some(address) => out.extend_from_slice(address.to_canonical().to_string().as_bytes()),
        None => out.extend_from_slice(text),
    }
}

fn no_space(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((first, more)) = rest.split_first() {
        let escaped = *first == b'\\' && matches!(more.first(), Some(b'n' | b'r' | b't'));
        if !escaped && !first.is_ascii_whitespace() {
            out.push(*first);
        }
        rest = if escaped { &more[1..] } else { more };
    }
}
