//! Passwords that a sentence tells: `my password is ...`, `password for the router is ...`, `密码是...`.

use super::assignment::{REACH, chosen};
use super::bytes::{before, byte, run_end};
use super::scan::Step;

/// What may stand between the word and `is`: `for the guest network`.
const BETWEEN: usize = 40;

/// Chinese for `is` behind the word.
const IS: [&str; 7] = ["是", "为", "就是", "设为", "改为", "改成", "设成"];

/// The password that a sentence tells behind the `w` at `at`, if that is the one of `password`, `passwd` or `pwd`.
pub(super) fn at_w(bytes: &[u8], at: usize) -> Step {
    let long = before(bytes, at) | 0x20 == b's' && at >= 4 && bytes[at - 4..at].eq_ignore_ascii_case(b"pass");
    if !long && before(bytes, at) | 0x20 != b'p' {
        return Step::skip(at + 1, at + 1);
    }
    let end = run_end(&bytes[..bytes.len().min(at + 8)], at, |b| b.is_ascii_alphabetic());
    if ![&b"word"[..], b"wd"].iter().any(|tail| bytes[at..end].eq_ignore_ascii_case(tail)) {
        return Step::skip(at + 1, at + 9);
    }
    let nothing = Step::skip(end, at + REACH);
    let found = english(bytes, end).or_else(|| chinese(bytes, end)).and_then(|start| chosen(bytes, start));
    found.unwrap_or(nothing)
}

/// The password that a sentence tells behind the last byte of `密码` at `at`.
pub(super) fn at_ma(bytes: &[u8], at: usize) -> Step {
    if before(bytes, at) != 0xa0 || !bytes[..=at].ends_with("密码".as_bytes()) {
        return Step::skip(at + 1, at + 1);
    }
    let found = chinese(bytes, at + 1).and_then(|start| chosen(bytes, start));
    found.unwrap_or(Step::skip(at + 1, at + REACH))
}

/// Behind the first ` is ` (or ` is: `) that only words stand before.
fn english(bytes: &[u8], at: usize) -> Option<usize> {
    let limited = &bytes[..bytes.len().min(at + BETWEEN)];
    let words = run_end(limited, at, |b| b.is_ascii_alphabetic() || matches!(b, b' ' | b'\'' | b'-'));
    let is = bytes[at..words].windows(3).position(|three| three.eq_ignore_ascii_case(b" is"))?;
    let behind = at + is + 3;
    let signed = behind + usize::from(byte(bytes, behind) == b':');
    let start = run_end(&bytes[..bytes.len().min(signed + 4)], signed, |b| b == b' ');
    (start > signed).then_some(start)
}

/// Behind `是` or another word for it, and a colon.
fn chinese(bytes: &[u8], at: usize) -> Option<usize> {
    let spaces = |at: usize| run_end(&bytes[..bytes.len().min(at + 3)], at.min(bytes.len()), |b| b == b' ');
    let from = spaces(at);
    let word = IS.iter().find(|word| bytes[from..].starts_with(word.as_bytes()))?;
    let behind = spaces(from + word.len());
    let colon = ["：", ":"].iter().find(|colon| bytes[behind..].starts_with(colon.as_bytes()));
    Some(spaces(behind + colon.map_or(0, |colon| colon.len())))
}
