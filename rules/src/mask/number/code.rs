//! Codes of a few digits that a word beside them calls secret: `PIN 4821`, `verification code: 482 193`, `验证码482193`,
//! `482193 is your one-time password`.

use super::super::Kind;
use super::super::bytes::{before, byte, is_alnum, run_start};
use super::super::scan::among;
use super::super::span::{Form, Span};

/// What says that a code follows, and whether it may stand right before it, without `:`, `=` or `is`.
const BEFORE: [(&str, Joint); 34] = [
    ("otp", Joint::Any),
    ("pin", Joint::Any),
    ("pincode", Joint::Any),
    ("pin code", Joint::Any),
    ("pin number", Joint::Any),
    ("otp code", Joint::Any),
    ("passcode", Joint::Any),
    ("verification code", Joint::Any),
    ("security code", Joint::Any),
    ("confirmation code", Joint::Any),
    ("authentication code", Joint::Any),
    ("auth code", Joint::Any),
    ("access code", Joint::Any),
    ("login code", Joint::Any),
    ("one-time code", Joint::Any),
    ("one time code", Joint::Any),
    ("one-time password", Joint::Any),
    ("one time password", Joint::Any),
    ("2fa code", Joint::Any),
    ("mfa code", Joint::Any),
    ("sms code", Joint::Any),
    ("your code", Joint::Sign),
    ("password", Joint::Sign),
    ("cvv", Joint::Any),
    ("cvc", Joint::Any),
    ("cvv2", Joint::Any),
    ("验证码", Joint::Any),
    ("校验码", Joint::Any),
    ("动态码", Joint::Any),
    ("短信码", Joint::Any),
    ("安全码", Joint::Any),
    ("确认码", Joint::Any),
    ("密码", Joint::Any),
    ("口令", Joint::Any),
];

/// What may stand between a word and its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    /// Nothing too.
    Any,
    /// `:`, `=`, `is` or the like.
    Sign,
}

const SIGNS: [&str; 8] = [":", "：", "=", "＝", "是", "为", " is", "#"];

/// Last bytes of words and signs, `| 0x20`; the cheapest question, asked first.
const MAY_TELL: [bool; 256] = among(b"pnerdvc2:=s#\xa1\xa4\xba\xbd\xaf");

/// What says that a code stands before, and the words of which one follows it.
const BEHIND: [&str; 5] = [" is your ", "是您的", "为您的", "是你的", "是本次"];
const CALLED: [&[u8]; 5] = [b"code", b"otp", b"pin", b"password", "码".as_bytes()];

/// How far behind a code its word may stand, in bytes.
const WINDOW: usize = 32;

/// Furthest that a refusal has looked: a grouped code, and what stands behind it.
pub(super) const REACH: usize = 64;

/// The code whose digits are `at..run`; no digit and no letter stands before it.
pub(super) fn find(bytes: &[u8], at: usize, run: usize) -> Option<Span> {
    let digits = run - at;
    if !(3..=8).contains(&digits) {
        return None;
    }
    let end = grouped(bytes, run).filter(|_| digits == 3).unwrap_or(run);
    let start = if before(bytes, at) == b'-' { prefixed(bytes, at)? } else { at };
    let label = label(bytes, start);
    let card = label.is_some_and(|label| label.starts_with("cv"));
    let long = end - at > 3;
    let told = if long { label.is_some() || told_behind(bytes, end) } else { card };
    (told && ends(bytes, end)).then_some(Span { range: start..end, kind: Kind::Secret, form: Form::Plain })
}

/// End of three more digits behind a space or dash.
fn grouped(bytes: &[u8], run: usize) -> Option<usize> {
    let three = bytes.get(run + 1..run + 4)?;
    let shaped = matches!(bytes[run], b' ' | b'-') && three.iter().all(u8::is_ascii_digit);
    (shaped && !byte(bytes, run + 4).is_ascii_digit()).then_some(run + 4)
}

/// `G-482193`: start of the one capital before the dash.
fn prefixed(bytes: &[u8], at: usize) -> Option<usize> {
    let letter = at.checked_sub(2)?;
    (bytes[letter].is_ascii_uppercase() && !is_alnum(before(bytes, letter))).then_some(letter)
}

/// A date or a decimal goes on behind a dot or dash.
fn ends(bytes: &[u8], end: usize) -> bool {
    let (next, second) = (byte(bytes, end), byte(bytes, end + 1));
    !is_alnum(next) && next != b'_' && !(matches!(next, b'.' | b'-' | b'/' | b':' | b',') && is_alnum(second))
}

/// The word before `at` that calls what follows a code.
fn label(bytes: &[u8], at: usize) -> Option<&'static str> {
    let spaces = |at: usize| run_start(bytes, at, 4, |b| matches!(b, b' ' | b'"' | b'\'' | b'`' | b'*'));
    let (mut end, mut joint) = (spaces(at), Joint::Any);
    if !MAY_TELL[usize::from(before(bytes, end) | 0x20)] {
        return None;
    }
    // "is:" has two
    for _ in 0..2 {
        if let Some(sign) = SIGNS.iter().find(|sign| ends_with(&bytes[..end], sign)) {
            (end, joint) = (spaces(end - sign.len()), Joint::Sign);
        }
    }
    let mut words = BEFORE.iter().filter(|(_, wanted)| *wanted == Joint::Any || joint == Joint::Sign);
    let found = words.find(|(word, _)| {
        let apart = !word.is_ascii() || !is_alnum(before(bytes, end.saturating_sub(word.len())));
        apart && ends_with(&bytes[..end], word)
    });
    found.map(|(word, _)| *word)
}

fn ends_with(bytes: &[u8], word: &str) -> bool {
    bytes.len() >= word.len() && bytes[bytes.len() - word.len()..].eq_ignore_ascii_case(word.as_bytes())
}

/// Whether what stands behind `end` says that it was a code.
fn told_behind(bytes: &[u8], end: usize) -> bool {
    let Some(words) = BEHIND.iter().find(|words| bytes[end..].starts_with(words.as_bytes())) else { return false };
    let from = end + words.len();
    let window = &bytes[from..bytes.len().min(from + WINDOW)];
    let sentence = window.iter().position(|b| matches!(b, b'.' | b'<' | 0..=0x1f)).unwrap_or(window.len());
    let said = |word: &&[u8]| window[..sentence].windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    CALLED.iter().any(said)
}
