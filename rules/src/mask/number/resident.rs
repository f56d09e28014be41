//! Chinese resident ids (GB 11643): region, birthday, sequence, and a check character (ISO 7064 MOD 11-2).

use super::super::Kind;
use super::super::bytes::{byte, is_word};
use super::super::span::{Form, Span};
use super::chain::{Chain, Sep};

/// First two digits of a region (GB/T 2260).
const PROVINCES: [u8; 35] = [
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54, 61, 62, 63,
    64, 65, 71, 81, 82, 83,
];

const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

/// The id that begins with `group`, and its last group.
pub(super) fn find(chain: &Chain<'_>, group: usize) -> Option<(usize, Span)> {
    (group..chain.len().min(group + 4)).rev().find_map(|last| {
        let mut digits = [0_u8; 18];
        let length = chain.copy(group, last, &mut digits)?;
        if !chain.is_uniform_but_broken(group, last, &[Sep::Space, Sep::Dash]) || !is_id_grouping(chain, group, last) {
            return None;
        }
        let mut range = chain.range(group, last);
        let valid = match length {
            17 if matches!(byte(chain.bytes(), range.end), b'X' | b'x') && last + 1 == chain.len() => {
                range.end += 1;
                check_character(&digits[..17]) == b'X' && !is_word(byte(chain.bytes(), range.end))
            }
            18 => check_character(&digits[..17]) == digits[17] && chain.closes(last),
            15 => is_old(&digits[..15]) && chain.closes(last),
            _ => false,
        };
        let born = if length == 15 { valid } else { valid && is_modern(&digits) };
        born.then_some((last, Span { range, kind: Kind::CnId, form: Form::Resident }))
    })
}

fn is_id_grouping(chain: &Chain<'_>, from: usize, to: usize) -> bool {
    let printed = [&[6, 8, 4][..], &[6, 8, 3], &[6, 4, 4, 4], &[6, 4, 4, 3], &[6, 6, 3]];
    // in two pieces only where a line was broken
    let broken = to == from + 1 && chain.line_ends(from, to) == 1;
    from == to || broken || printed.iter().any(|wanted| chain.is_grouped(from, to, wanted))
}

/// Region and birthday of the 18-character form.
pub(super) fn is_modern(digits: &[u8]) -> bool {
    let year = number(&digits[6..10]);
    is_region(digits) && (1900..2100).contains(&year) && is_day(year, number(&digits[10..12]), number(&digits[12..14]))
}

/// Region and birthday of the 15-digit form, which has no check character: the region must be a county's.
fn is_old(digits: &[u8]) -> bool {
    let (city, county) = (number(&digits[2..4]), number(&digits[4..6]));
    let year = 1900 + number(&digits[6..8]);
    is_region(digits)
        && (1..=53).contains(&city)
        && county >= 1
        && is_day(year, number(&digits[8..10]), number(&digits[10..12]))
}

fn is_region(digits: &[u8]) -> bool {
    PROVINCES.iter().any(|province| u32::from(*province) == number(&digits[..2]))
}

fn is_day(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=last).contains(&day)
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |n, digit| n * 10 + u32::from(digit.wrapping_sub(b'0')))
}

fn check_character(digits: &[u8]) -> u8 {
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit.wrapping_sub(b'0')) * weight).sum();
    b"10X98765432"[sum as usize % 11]
}

/// Turns the last 15 digits of `canonical`, when it has no more, into the 18 characters of the same person.
pub(in super::super) fn modernise(canonical: &mut Vec<u8>) {
    if canonical.len() == 15 {
        canonical.splice(6..6, *b"19");
        canonical.push(check_character(&canonical[..17]));
    }
}
