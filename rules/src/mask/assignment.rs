//! Values that their names call secret: `password: ...`, `API_KEY=...`, `密码：...`, `Authorization: Bearer ...`.
//!
//! The name decides how strange the value must be: after `password` a digit or a sign among the letters is enough, after
//! `token` or `key` it must look random. Code that only moves a secret about (`password = input.text`) stays readable.

use super::Kind;
use super::bytes::{before, byte, is_alnum, is_word, run_end, run_start};
use super::scan::Step;
use super::span::{Form, Span};
use super::{api_key, jwt};

/// Longest name and longest value looked at.
const NAME: usize = 64;
const VALUE: usize = 1024;

/// Most spaces behind `Bearer`.
const SPACES: usize = 8;

/// Longest header of cookies, and longest phrase of words.
const COOKIES: usize = 4096;
const PHRASE: usize = 256;

/// Fewest words of a phrase: two are rather `str = None` or "is required".
const WORDS: usize = 3;

/// Furthest that a refusal has looked.
pub(super) const REACH: usize = VALUE + NAME;

/// Whose values people choose.
const CHOSEN: [&[u8]; 8] = [b"password", b"passwd", b"passcode", b"pwd", b"pass", b"pin", b"psw", b"pw"];

/// Whose values machines make. A name ends in one of them (`AWS_SECRET_ACCESS_KEY`, `clientSecret`).
const MADE: [&[u8]; 14] = [
    b"apikey",
    b"accesskey",
    b"secretkey",
    b"privatekey",
    b"encryptionkey",
    b"signingkey",
    b"masterkey",
    b"accountkey",
    b"secret",
    b"token",
    b"authorization",
    b"credential",
    b"credentials",
    b"sharedkey",
];

/// Whose values are several words.
const PHRASES: [&[u8]; 4] = [b"passphrase", b"seedphrase", b"recoveryphrase", b"mnemonic"];

/// The same in Chinese, before a colon.
const CHINESE: [(&str, Value); 9] = [
    ("密码", Value::Chosen),
    ("口令", Value::Chosen),
    ("密钥", Value::Made),
    ("秘钥", Value::Made),
    ("令牌", Value::Made),
    ("密码是", Value::Chosen),
    ("密码为", Value::Chosen),
    ("私钥", Value::Made),
    ("助记词", Value::Phrase),
];

/// Who made a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// A person.
    Chosen,
    /// A machine.
    Made,
    /// A person, of several words: all of the line.
    Phrase,
    /// A machine, as pairs: all of the line.
    Cookies,
}

/// The value behind a `:` or `=` (of `length` bytes) at `at`, when a name before it calls it secret.
pub(super) fn at_sign(bytes: &[u8], at: usize, length: usize) -> Step {
    let Some(value) = named(bytes, at) else { return Step::skip(at + length, at + length) };
    let nothing = Step::skip(at + length, at + REACH);
    let after = at + length + usize::from(matches!(byte(bytes, at + length), b'=' | b'>'));
    let start = value_start(bytes, after);
    let scheme = run_end(&bytes[..bytes.len().min(start + 8)], start.min(bytes.len()), is_alnum);
    match &bytes[start.min(scheme)..scheme].to_ascii_lowercase()[..] {
        b"basic" => return opaque(bytes, scheme).or_else(|| basic(bytes, scheme)).unwrap_or(nothing),
        b"bearer" | b"token" => return opaque(bytes, scheme).unwrap_or(nothing),
        _ => {}
    }
    match value {
        Value::Phrase => phrase(bytes, start).or_else(|| secret(bytes, start, Value::Chosen)).unwrap_or(nothing),
        Value::Cookies => cookies(bytes, at, start).unwrap_or(Step::skip(at + length, at + COOKIES + NAME)),
        Value::Chosen | Value::Made => secret(bytes, start, value).unwrap_or(nothing),
    }
}

/// The password at `at`, which a sentence tells.
pub(super) fn chosen(bytes: &[u8], at: usize) -> Option<Step> {
    let quoted = usize::from(matches!(byte(bytes, at), b'"' | b'\'' | b'`'));
    secret(bytes, at + quoted, Value::Chosen)
}

/// Several words up to the end of the line, or of their quotes.
fn phrase(bytes: &[u8], start: usize) -> Option<Step> {
    let end = line_end(bytes, start, PHRASE, opened(before(bytes, start)));
    let text = bytes.get(start..end)?;
    let kept = text.len() - text.iter().rev().take_while(|b| matches!(b, b' ' | b'.' | b',' | b';')).count();
    let words = text[..kept].split(|b| *b == b' ').filter(|word| !word.is_empty()).count();
    let code = text.iter().any(|b| matches!(b, b'=' | b'(' | b')' | b'{' | b'}' | b'[' | b']'));
    (words >= WORDS && !code).then(|| hit(start..start + kept, Kind::Secret))
}

/// The whole of a `Cookie:` or `Set-Cookie:` header, whose sign stands at `at`.
fn cookies(bytes: &[u8], at: usize, start: usize) -> Option<Step> {
    let name = run_start(bytes, at, NAME, |b| is_word(b) || b == b'-');
    // `"cookie": "a=b"`, or `'Cookie: a=b'` in a command
    let quote = opened(before(bytes, start)).or(opened(before(bytes, name)));
    let end = line_end(bytes, start, COOKIES, quote);
    let text = bytes.get(start..end)?.trim_ascii_end();
    (text.len() >= 6 && text.contains(&b'=')).then(|| hit(start..start + text.len(), Kind::Secret))
}

fn opened(byte: u8) -> Option<u8> {
    Some(byte).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))
}

/// End of the line at `start`: a control character, a `<` or the closing quote; of at most `most` bytes, whole characters.
fn line_end(bytes: &[u8], start: usize, most: usize, quote: Option<u8>) -> usize {
    let limited = &bytes[..bytes.len().min(start + most)];
    let mut end = run_end(limited, start.min(limited.len()), |b| b >= 0x20 && b != b'<' && Some(b) != quote);
    while end > start && (0x80..0xc0).contains(&byte(bytes, end)) {
        end -= 1;
    }
    end
}

/// The token of `Bearer ...`, whatever stands before it.
pub(super) fn bearer(bytes: &[u8], at: usize) -> Step {
    let told = bytes.get(at..at + 7).is_some_and(|word| word.eq_ignore_ascii_case(b"bearer "));
    if !told || is_alnum(before(bytes, at)) {
        return Step::skip(at + 1, at + 7);
    }
    opaque(bytes, at + 6).unwrap_or(Step::skip(at + 1, at + REACH))
}

/// A random-looking value after white space.
fn opaque(bytes: &[u8], at: usize) -> Option<Step> {
    let start = run_end(&bytes[..bytes.len().min(at + SPACES)], at, |b| b == b' ');
    (start > at).then(|| secret(bytes, start, Value::Made)).flatten()
}

/// User and password in base64 (RFC 7617), which are too short to look random: what is decoded has a colon.
fn basic(bytes: &[u8], at: usize) -> Option<Step> {
    let start = run_end(&bytes[..bytes.len().min(at + SPACES)], at, |b| b == b' ');
    let limited = &bytes[..bytes.len().min(start + VALUE)];
    let body = run_end(limited, start, |b| is_alnum(b) || matches!(b, b'+' | b'/'));
    let end = run_end(&bytes[..bytes.len().min(body + 2)], body, |b| b == b'=');
    let sextet = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let octets = bytes[start..body].chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0_u32, |bits, b| bits << 6 | u32::from(sextet(*b))) << (6 * (4 - four.len()));
        bits.to_be_bytes().into_iter().skip(1).take(four.len() * 3 / 4)
    });
    let (mut colon, mut readable) = (false, true);
    for octet in octets {
        colon |= octet == b':';
        readable &= octet >= 0x20 && octet != 0x7f;
    }
    (start > at && body - start >= 6 && colon && readable).then(|| hit(start..end, Kind::Secret))
}

/// Who makes the values of the name that ends before `at`.
fn named(bytes: &[u8], at: usize) -> Option<Value> {
    let end = run_start(bytes, at, 4, |b| matches!(b, b' ' | b'"' | b'\'' | b'`' | b'*' | b']'));
    if before(bytes, end) >= 0x80 {
        let ends = |(word, _): &&(&str, Value)| bytes[..end].ends_with(word.as_bytes());
        return CHINESE.iter().find(ends).map(|(_, value)| *value);
    }
    if !may_end_name([before(bytes, end.saturating_sub(1)) | 0x20, before(bytes, end) | 0x20]) {
        return None;
    }
    let start = run_start(bytes, end, NAME, |b| is_word(b) || b == b'-');
    let mut name = Vec::with_capacity(end - start);
    name.extend(bytes[start..end].iter().filter(|b| is_alnum(**b)).map(u8::to_ascii_lowercase));
    if CHOSEN.iter().any(|word| ends_in(&name, word)) {
        return Some(Value::Chosen);
    }
    if matches!(&name[..], b"cookie" | b"setcookie") {
        return Some(Value::Cookies);
    }
    // "API key: ..." and "seed phrase: ..." in two words
    if matches!(&name[..], b"key" | b"phrase") {
        let word = run_start(bytes, start, 10, |b| is_alnum(b) || b == b' ');
        name.clear();
        name.extend(bytes[word..end].iter().filter(|b| is_alnum(**b)).map(u8::to_ascii_lowercase));
    }
    if PHRASES.iter().any(|word| name.ends_with(word)) {
        return Some(Value::Phrase);
    }
    MADE.iter().any(|word| name.ends_with(word)).then_some(Value::Made)
}

/// Whether one of the words ends in these two letters; the cheapest question, asked first.
fn may_end_name(last: [u8; 2]) -> bool {
    matches!(
        &last,
        b"rd"
            | b"wd"
            | b"se"
            | b"de"
            | b"ss"
            | b"in"
            | b"sw"
            | b"pw"
            | b"ey"
            | b"et"
            | b"en"
            | b"on"
            | b"al"
            | b"ls"
            | b"ie"
            | b"ic"
    )
}

/// Short words must be the whole name: `bypass` and `compass` do not name a password.
fn ends_in(name: &[u8], word: &[u8]) -> bool {
    let prefixed = [&b"db"[..], b"user", b"admin", b"root", b"login", b"smtp", b"mysql", b"redis", b"wifi", b"my"];
    let Some(rest) = name.strip_suffix(word) else { return false };
    word.len() > 4 || rest.is_empty() || prefixed.iter().any(|prefix| rest.ends_with(prefix))
}

fn value_start(bytes: &[u8], at: usize) -> usize {
    let spaces = run_end(&bytes[..bytes.len().min(at + 4)], at.min(bytes.len()), |b| b == b' ' || b == b'\t');
    spaces + usize::from(matches!(byte(bytes, spaces), b'"' | b'\'' | b'`'))
}

fn secret(bytes: &[u8], start: usize, made: Value) -> Option<Step> {
    let limited = &bytes[..bytes.len().min(start + VALUE)];
    let quote = before(bytes, start);
    let closing = run_end(limited, start, |b| b != quote && is_quoted(b));
    let quoted = matches!(quote, b'"' | b'\'' | b'`') && byte(bytes, closing) == quote;
    let mut end = if quoted { closing } else { run_end(limited, start, is_value) };
    while !quoted && end > start && matches!(bytes[end - 1], b'.' | b',' | b';' | b':' | b'*') {
        end -= 1;
    }
    let value = &bytes[start..end];
    if !strange(value, made, quoted) {
        return None;
    }
    Some(specific(bytes, start, end).unwrap_or_else(|| hit(start..end, Kind::Secret)))
}

/// A value that has a form of its own keeps its kind, so that it is the same token wherever it stands.
fn specific(bytes: &[u8], start: usize, end: usize) -> Option<Step> {
    if bytes[start..end].starts_with(b"eyJ") {
        let step = jwt::at_j(&bytes[start..end], 2);
        let whole = matches!(step, Step::Hit(span) if start + span.range.end == end);
        return whole.then(|| hit(start..end, Kind::Jwt));
    }
    api_key::is_key(&bytes[start..end]).then(|| hit(start..end, Kind::ApiKey))
}

fn hit(range: std::ops::Range<usize>, kind: Kind) -> Step {
    Step::Hit(Span { range, kind, form: Form::Plain })
}

fn is_value(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'"' | b'\''
                | b'`'
                | b','
                | b';'
                | b'<'
                | b'>'
                | b'('
                | b')'
                | b'{'
                | b'}'
                | b'['
                | b']'
                | b'|'
                | b'\\'
                | b'&'
        )
}

fn is_quoted(byte: u8) -> bool {
    (byte.is_ascii_graphic() || byte == b' ') && !matches!(byte, b'<' | b'>' | b'\\')
}

/// Whether a value may be a secret: no placeholder, no word, no expression.
fn strange(value: &[u8], made: Value, quoted: bool) -> bool {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let signs = value
        .iter()
        .filter(|b| {
            !is_word(**b)
                && !matches!(
                    b,
                    b' ' | b'.' | b'-' | b'/' | b':' | b'(' | b')' | b'[' | b']' | b'=' | b'{' | b'}' | b'*'
                )
        })
        .count();
    if matches!(value.first(), None | Some(b'$' | b'%' | b'{' | b'*' | b'/' | b'.' | b'=')) && !(quoted && digits > 1) {
        return false;
    }
    if value.iter().filter(|b| **b == b' ').count() > 1 {
        return false; // a sentence
    }
    match made {
        Value::Chosen | Value::Phrase => {
            value.len() >= if letters == 0 { 6 } else { 5 }
                && value.len() <= 128
                && (digits > 0 || signs > 0 || (quoted && mixed_case(value) && value.len() >= 8))
        }
        Value::Made | Value::Cookies => {
            value.len() >= 16
                && letters >= 2
                && (digits >= 2 || (value.len() >= 32 && mixed_case(value)))
                && entropy(value) >= 3.0
        }
    }
}

fn mixed_case(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase)
}

/// Shannon entropy of the bytes of `value`, in bits a byte (0 when empty).
fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 128];
    value.iter().for_each(|b| counts[usize::from(b & 127)] += 1);
    let total = value.len() as f64;
    counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n) / total).map(|p| -p * p.log2()).sum()
}
