//! Values that are digits: a chain of digit groups is read once, and each recogniser looks at the groups.

pub(super) mod calling;
mod card;
mod chain;
mod code;
mod labelled;
mod national;
mod phone;
pub(super) mod resident;

use super::bytes::{before, byte, is_alnum, is_word, run_end, run_start, word_before};
use super::scan::Step;
use super::span::{Form, Span};
use super::{Kind, email, iban, ip};
use chain::{Chain, Sep};

/// Words that run into a number and only say what it is.
const LABELS: [&str; 14] =
    ["tel", "phone", "mobile", "mob", "cell", "fax", "call", "ph", "vx", "wx", "wechat", "whatsapp", "ip", "id"];

/// Furthest that a separator, or what is none, is looked at.
const SEPARATOR: usize = 8;

/// Most groups of one value.
const VALUE: usize = 7;

/// Asks the recognisers of numbers about the digits at `at`.
pub(super) fn wake(bytes: &[u8], at: usize) -> Step {
    let previous = before(bytes, at);
    if let Some(span) = labelled::find(bytes, at) {
        return Step::Hit(span);
    }
    if previous.is_ascii_alphabetic() && !follows_label(bytes, at) {
        let to = run_end(bytes, at, is_alnum);
        return iban::at_check_digits(bytes, at).unwrap_or(Step::skip(to, (to + 1).max(at + iban::REACH)));
    }
    let run = run_end(bytes, at, |b| b.is_ascii_digit());
    if run - at < 7 && !chain::may_go_on(bytes, run) {
        let to = run_end(bytes, run, is_alnum);
        return Step::skip(to, (to + 2).max(at + labelled::REACH));
    }
    let chain = Chain::read(bytes, at);
    let behind = run_end(bytes, chain.end(), is_alnum);
    let looked = (behind + SEPARATOR).max(at + labelled::REACH);
    // shorter than an address, a telephone number, a card
    if chain.digits() < 4 || chain.digits() < 7 && chain.len() < 4 {
        return Step::skip(behind, looked);
    }
    let looked = match byte(bytes, chain.end()) {
        b'.' | b'-' | b'+' => looked.max(email::continues_reach(bytes, chain.end())),
        _ => looked,
    };
    match walk(&chain) {
        Ok(span) => Step::Hit(span),
        // what follows may belong to a value that begins in this chain
        Err(group) if group < chain.len() => Step::skip(chain.range(group, group).start, looked),
        Err(_) => Step::skip(behind, looked),
    }
}

/// `tel13812345678`: letters run into the digits, but they only say what follows.
fn follows_label(bytes: &[u8], at: usize) -> bool {
    let start = run_start(bytes, at, 9, |b| b.is_ascii_alphabetic());
    let word = &bytes[start..at];
    !is_word(before(bytes, start)) && LABELS.iter().any(|label| word.eq_ignore_ascii_case(label.as_bytes()))
}

/// Tries the groups from left to right; where there is nothing, the first group that was not tried.
fn walk(chain: &Chain<'_>) -> Result<Span, usize> {
    let tried = if chain.is_full() { chain.len() - VALUE + 1 } else { chain.len() };
    for group in 0..tried {
        let found = match chain.sep(group) {
            Sep::Start if !opens(chain) => None,
            Sep::Start | Sep::Space | Sep::Wide | Sep::Line | Sep::Paren => recognise(chain, group),
            Sep::Dash | Sep::Slash => address(chain, group),
            Sep::Dot => None,
        };
        if let Some((_, span)) = found {
            return Ok(span);
        }
    }
    Err(tried)
}

fn recognise(chain: &Chain<'_>, group: usize) -> Option<(usize, Span)> {
    resident::find(chain, group)
        .or_else(|| card::find(chain, group))
        .or_else(|| address(chain, group))
        .or_else(|| phone::find(chain, group))
}

/// Whether a value may begin at the start of the chain.
fn opens(chain: &Chain<'_>) -> bool {
    let (bytes, at) = (chain.bytes(), chain.start());
    let previous = before(bytes, at);
    let earlier = before(bytes, at.saturating_sub(1));
    match previous {
        b'_' | b'$' => false,
        b'.' => !is_alnum(earlier),
        b',' => !earlier.is_ascii_digit() || chain.group(0).len() != 3,
        b'-' => !is_code(bytes, at - 1),
        0xa5 => earlier != 0xc2, // yen or yuan sign
        0xac => earlier != 0x82, // euro sign
        _ => true,
    }
}

/// Whether letters and digits before `at` look like part of a code (`SN4711-`, `550e8400-`, `ORD-`), not like a name.
fn is_code(bytes: &[u8], at: usize) -> bool {
    let start = run_start(bytes, at, 12, is_word);
    let word = &bytes[start..at];
    word.iter().any(|b| b.is_ascii_digit() || *b == b'_')
        || (word.len() >= 2 && word.iter().all(u8::is_ascii_uppercase))
}

/// An IPv4 address, unless a word before it says that it is a version.
fn address(chain: &Chain<'_>, group: usize) -> Option<(usize, Span)> {
    let last = group + 3;
    let dotted = last < chain.len() && (group + 1..=last).all(|g| chain.sep(g) == Sep::Dot);
    if !dotted || !address_ends(chain, last) {
        return None;
    }
    let mut octets = [0_u8; 4];
    for (octet, g) in octets.iter_mut().zip(group..) {
        let text = chain.group(g);
        *octet = std::str::from_utf8(text).ok()?.parse().ok()?;
        if text.len() > 1 && text[0] == b'0' {
            return None;
        }
    }
    let range = chain.range(group, last);
    let version = ["version", "versions", "ver", "release", "v", "section", "chapter", "版本", "版本号", "章节", "第"];
    let told = word_before(chain.bytes(), range.start, 14, &version);
    (!told && ip::is_personal(octets.into())).then_some((last, Span { range, kind: Kind::Ip, form: Form::Ip }))
}

/// Ranges (`10.1.0.1-10.1.0.9`) end with an address; `1.2.3.4-beta` is a version.
fn address_ends(chain: &Chain<'_>, last: usize) -> bool {
    let end = chain.range(last, last).end;
    let suffixed = byte(chain.bytes(), end) == b'-' && byte(chain.bytes(), end + 1).is_ascii_alphabetic();
    let ranged = last + 1 < chain.len() && chain.sep(last + 1) == Sep::Dash;
    !suffixed && (ranged || chain.closes(last))
}

/// Whether what follows the digits lets a value end at `end`.
fn ends(bytes: &[u8], end: usize) -> bool {
    let next = byte(bytes, end);
    if is_word(next) || next == b'@' || next == b'%' {
        return false;
    }
    !(matches!(next, b'.' | b'-' | b'+') && email::continues(bytes, end))
}
