//! Payment card numbers (ISO/IEC 7812): a network's prefix, one of its lengths, and the Luhn checksum.

use super::super::Kind;
use super::super::bytes::word_before;
use super::super::span::{Form, Span};
use super::chain::{Chain, Sep};
use super::resident;

/// First and last prefix of a range (of equally many digits), shortest and longest number.
const NETWORKS: [(u32, u32, usize, usize); 24] = [
    (4, 4, 16, 16), // Visa
    (4, 4, 19, 19),
    (51, 55, 16, 16), // Mastercard
    (2221, 2720, 16, 16),
    (34, 34, 15, 15), // American Express
    (37, 37, 15, 15),
    (6011, 6011, 16, 19), // Discover
    (644, 659, 16, 19),
    (300, 305, 14, 16), // Diners Club
    (3095, 3095, 14, 16),
    (36, 36, 14, 16),
    (38, 39, 14, 16),
    (3528, 3589, 16, 19), // JCB
    (62, 62, 16, 19),     // UnionPay
    (81, 82, 16, 19),     // UnionPay, RuPay
    (9558, 9558, 19, 19), // ICBC before UnionPay
    (2200, 2204, 16, 19), // Mir
    (5018, 5018, 16, 19), // Maestro
    (5020, 5020, 16, 19),
    (5038, 5038, 16, 19),
    (5893, 5893, 16, 19),
    (6304, 6304, 16, 19),
    (6759, 6763, 16, 19),
    (508, 508, 16, 16), // RuPay
];

/// Words that make a 13-digit number an old Visa card.
const LABELS: [&str; 6] = ["card", "visa", "credit", "debit", "卡号", "信用卡"];

/// The card number that begins with `group`, and its last group.
pub(super) fn find(chain: &Chain<'_>, group: usize) -> Option<(usize, Span)> {
    (group..chain.len().min(group + 5)).rev().find_map(|last| {
        let mut digits = [0_u8; 19];
        let length = chain.copy(group, last, &mut digits).filter(|length| *length >= 13)?;
        let fits = chain.is_uniform_but_broken(group, last, &[Sep::Space, Sep::Wide, Sep::Dash])
            && (last >= group + 2 || chain.line_ends(group, last) == 0)
            && is_card_grouping(chain, group, last);
        let range = chain.range(group, last);
        let known = is_known(&digits[..length])
            || (length == 13 && digits[0] == b'4' && word_before(chain.bytes(), range.start, 40, &LABELS));
        let mistyped = length == 18 && resident::is_modern(&digits[..18]);
        (fits && known && !mistyped && is_luhn(&digits[..length]) && chain.closes(last) && !goes_on(chain, group, last))
            .then_some((last, Span { range, kind: Kind::Card, form: Form::Compact }))
    })
}

/// Nineteen digits in fours are no card of sixteen: only networks without numbers of nineteen print something behind sixteen.
fn goes_on(chain: &Chain<'_>, from: usize, to: usize) -> bool {
    let next = to + 1;
    let tail = next < chain.len() && chain.sep(next) == chain.sep(to) && chain.group(next).len() == 3;
    tail && to == from + 3 && matches!(chain.group(from)[0], b'6' | b'3' | b'8')
}

/// In one piece, in fours, or as American Express, Diners Club and UnionPay print theirs.
fn is_card_grouping(chain: &Chain<'_>, from: usize, to: usize) -> bool {
    let fours = (from..to).all(|group| chain.group(group).len() == 4) && (1..=4).contains(&chain.group(to).len());
    from == to
        || fours
        || [&[4, 6, 5][..], &[4, 6, 4], &[6, 13], &[6, 10], &[8, 8]]
            .iter()
            .any(|wanted| chain.is_grouped(from, to, wanted))
}

fn is_known(digits: &[u8]) -> bool {
    NETWORKS.iter().any(|(first, last, least, most)| {
        let width = first.ilog10() as usize + 1;
        let prefix = digits[..width].iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
        (*first..=*last).contains(&prefix) && (*least..=*most).contains(&digits.len())
    })
}

/// ISO/IEC 7812-1, annex B: every second digit from the right counts double, its digits summed; the sum ends in 0.
fn is_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let value = u32::from(digit - b'0') << (at % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}
