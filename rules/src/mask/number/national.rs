//! Telephone numbers as people of one country write them among themselves.
//!
//! What only counts digits (ten in a row, three and four with a dash) needs a word before it that says so; what has the
//! shape of a numbering plan stands for itself. Sources: ITU-T E.123 and national numbering plans.

use super::super::span::Form;
use super::chain::Sep;
use super::phone::{Candidate, canonical};

const SPACED: [Sep; 3] = [Sep::Space, Sep::Dash, Sep::Dot];

/// The canonical form of a candidate in one of the national forms.
pub(super) fn form(candidate: &Candidate<'_>) -> Option<Form> {
    chinese_mobile(candidate)
        .or_else(|| chinese_landline(candidate))
        .or_else(|| north_american(candidate))
        .or_else(|| with_trunk_zero(candidate))
        .or_else(|| labelled(candidate))
}

/// Area, exchange, subscriber (NANP): neither area nor exchange begins with 0 or 1, no area is `x11`.
pub(super) fn is_north_american(digits: &[u8]) -> bool {
    digits.len() == 10 && digits[0] >= b'2' && digits[3] >= b'2' && digits[1..3] != *b"11"
}

/// A mobile number or a landline with its area, without trunk zero.
pub(super) fn is_chinese(digits: &[u8]) -> bool {
    is_chinese_mobile(digits) || is_chinese_landline(digits)
}

fn is_chinese_mobile(digits: &[u8]) -> bool {
    digits.len() == 11 && digits[0] == b'1' && digits[1] >= b'3'
}

/// `10` and `2x` have eight digits, the other areas (three digits) seven or eight; no subscriber begins with 0, 1 or 9.
fn is_chinese_landline(digits: &[u8]) -> bool {
    let area = match digits {
        [b'1', b'0', ..] | [b'2', b'0'..=b'9', ..] => 2,
        [b'3'..=b'9', ..] => 3,
        _ => return false,
    };
    let lengths = if area == 2 { 8..=8 } else { 7..=8 };
    lengths.contains(&(digits.len() - area.min(digits.len()))) && (b'2'..=b'8').contains(&digits[area])
}

fn chinese_mobile(c: &Candidate<'_>) -> Option<Form> {
    let digits = c.digits();
    let skip = if digits.len() == 13 && digits.starts_with(b"86") { 2 } else { 0 };
    let grouped = match skip {
        0 => [&[11][..], &[3, 4, 4], &[3, 8], &[7, 4]].iter().any(|g| c.is_grouped(g)) && c.is_uniform(&SPACED),
        _ => [&[13][..], &[2, 11], &[2, 3, 4, 4], &[2, 3, 8]].iter().any(|g| c.is_grouped(g)),
    };
    (grouped && is_chinese_mobile(&digits[skip..])).then(|| canonical("+86", skip, 11, None))
}

/// `010-12345678`, `(0755) 8888 8888`, `021-6552-9988-801`: the last group may be an extension.
fn chinese_landline(c: &Candidate<'_>) -> Option<Form> {
    let digits = c.digits();
    let area = c.chain.group(c.from).len();
    if !digits.starts_with(b"0") || !(3..=4).contains(&area) || c.to == c.from {
        return None;
    }
    let last = c.chain.group(c.to).len();
    let extended = c.to - c.from >= 2 && c.chain.sep(c.to) == Sep::Dash && (1..=5).contains(&last);
    let shapes = [&[4, 4][..], &[8], &[7], &[3, 4]];
    let fits = |to: usize| {
        let rest = c.chain.lengths(c.from + 1, to);
        shapes.iter().any(|shape| rest.clone().eq(shape.iter().copied()))
    };
    let take = match (fits(c.to), extended && fits(c.to - 1)) {
        (true, _) => digits.len(),
        (false, true) => digits.len() - last,
        _ => return None,
    };
    is_chinese_landline(&digits[1..take]).then(|| canonical("+86", 1, take - 1, None))
}

/// `(415) 555-2671`, `415-555-2671`, `1.415.555.2671`; with spaces alone only when labelled.
fn north_american(c: &Candidate<'_>) -> Option<Form> {
    let digits = c.digits();
    let skip = usize::from(digits.len() == 11 && digits[0] == b'1');
    let grouped = match skip {
        0 => c.is_grouped(&[3, 3, 4]) || (c.is_grouped(&[3, 7]) && c.first_sep() == Sep::Paren),
        _ => c.is_grouped(&[1, 3, 3, 4]) || c.is_grouped(&[11]),
    };
    if !grouped || !is_north_american(&digits[skip..]) {
        return None;
    }
    let written = c.is_uniform(&[Sep::Dash, Sep::Dot]) && c.to > c.from || c.has_parenthesis();
    (written || c.is_labelled()).then(|| canonical("+1", skip, 10, None))
}

/// Groups after a trunk zero: Britain, Germany, Japan, Korea, Australia and their neighbours.
fn with_trunk_zero(c: &Candidate<'_>) -> Option<Form> {
    const SHAPES: [&[usize]; 14] = [
        &[5, 6],
        &[5, 3, 3],
        &[4, 3, 4],
        &[4, 7],
        &[3, 4, 4],
        &[2, 4, 4],
        &[4, 3, 3],
        &[3, 8],
        &[4, 8],
        &[3, 7],
        &[4, 6],
        &[5, 7],
        &[3, 3, 4],
        &[2, 8],
    ];
    let digits = c.digits();
    let zero = digits[0] == b'0' && (b'1'..=b'9').contains(&digits[1]);
    let grouped = SHAPES.iter().any(|shape| c.is_grouped(shape));
    let written = c.is_uniform(&SPACED) || c.has_parenthesis() || (c.is_uniform(&[Sep::Slash]) && c.is_labelled());
    (zero && (10..=12).contains(&digits.len()) && grouped && written)
        .then(|| canonical(country(digits), 1, digits.len() - 1, None))
}

/// The country whose plan a number with trunk zero most likely follows; `0` when none stands out.
fn country(digits: &[u8]) -> &'static str {
    match (digits.len(), digits) {
        (
            11,
            [b'0', b'7', b'0'..=b'9', ..]
            | [b'0', b'2', b'0' | b'3' | b'4' | b'8' | b'9', ..]
            | [b'0', b'1', b'1'..=b'9', ..],
        ) => "+44",
        (11, [b'0', b'8' | b'9', b'0', ..]) => "+81",
        (10, [b'0', b'4', ..]) => "+61",
        _ => "0",
    }
}

/// Weak forms behind a word such as "phone" or `电话`.
fn labelled(c: &Candidate<'_>) -> Option<Form> {
    let digits = c.digits();
    let pairs = c.is_grouped(&[2, 2, 2, 2, 2]) && digits[0] == b'0' && digits[1] != b'0';
    let landline = c.to == c.from && digits[0] == b'0' && is_chinese_landline(&digits[1..]);
    let prefix = match digits.len() {
        7 if c.is_grouped(&[3, 4]) && digits[0] >= b'2' => "",
        8 if c.is_grouped(&[4, 4]) && digits[0] >= b'2' => "",
        10 if pairs => "+33",
        10 if c.to == c.from && is_north_american(digits) => "+1",
        10 if (c.is_grouped(&[5, 5]) || c.to == c.from) && digits[0] >= b'6' => "+91",
        10 if c.is_grouped(&[10]) && digits.starts_with(b"400") => "",
        10 if c.is_grouped(&[3, 4, 3]) && digits[0] == b'4' => "",
        10..=12 if landline => "+86",
        10..=11 if c.to == c.from && digits[0] == b'0' && digits[1] != b'0' => country(digits),
        10..=11 if c.has_parenthesis() => "",
        _ => return None,
    };
    let skip = usize::from(digits[0] == b'0');
    c.is_labelled().then(|| canonical(prefix, skip, digits.len() - skip, None))
}
