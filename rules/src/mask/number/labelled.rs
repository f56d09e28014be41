//! Numbers whose place in a sentence says what they are: birth dates, passports and social security numbers behind a word for
//! them, and Chinese number plates (GA 36) behind the character of their province.

use super::super::Kind;
use super::super::bytes::{before, byte, is_alnum, is_word, run_end, run_start, word_before};
use super::super::span::{Form, Span};
use super::code;

/// Furthest that a refusal has looked.
pub(super) const REACH: usize = if code::REACH > 48 { code::REACH } else { 48 };

/// How far before a number its word may stand, in bytes.
const LABEL_REACH: usize = 28;

const BIRTH: [&str; 9] = ["born", "birth", "birthday", "birthdate", "dob", "出生", "出生于", "生日", "生于"];
const PASSPORT: [&str; 3] = ["passport", "护照", "通行证"];
const SOCIAL: [&str; 3] = ["ssn", "social security", "social"];
const MONTHS: [&[u8]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
const PROVINCES: &str = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使";

/// The value whose first run of digits begins at `at`.
pub(super) fn find(bytes: &[u8], at: usize) -> Option<Span> {
    let previous = before(bytes, at);
    if previous.is_ascii_digit() {
        return None;
    }
    let run = run_end(&bytes[..bytes.len().min(at + 12)], at, |b| b.is_ascii_digit());
    let behind_letter = matches!(previous, b' ' | b'-') && before(bytes, at - 1).is_ascii_uppercase();
    if (behind_letter || previous == 0xb7 || previous.is_ascii_uppercase())
        && let Some(span) = plate(bytes, at)
    {
        return Some(span);
    }
    if previous.is_ascii_uppercase() {
        return passport(bytes, at, run);
    }
    if is_word(previous) {
        return None;
    }
    let told = match run - at {
        1 | 2 | 4 | 8 => birth_date(bytes, at, run),
        3 => social_security(bytes, at),
        9 => social_security(bytes, at).or_else(|| passport(bytes, at, run)),
        _ => None,
    };
    told.or_else(|| code::find(bytes, at, run))
}

/// Whether one of `words` stands before `at`, with no other number between.
fn labelled(bytes: &[u8], at: usize, words: &[&str]) -> bool {
    let reach = at - run_start(bytes, at, LABEL_REACH, |b| !b.is_ascii_digit());
    word_before(bytes, at, reach, words)
}

/// Whether a value may end at `end`.
fn ends(bytes: &[u8], end: usize) -> bool {
    let (next, second) = (byte(bytes, end), byte(bytes, end + 1));
    let goes_on = matches!(next, b'-' | b'.' | b'/') && is_alnum(second);
    !goes_on && !is_word(next)
}

/// `123-45-6789`, which no other number of daily use looks like; with spaces or in one piece only behind a word for it.
fn social_security(bytes: &[u8], at: usize) -> Option<Span> {
    let sep = byte(bytes, at + 3);
    let written = matches!(sep, b'-' | b' ') && byte(bytes, at + 6) == sep;
    let (group, serial, end) = if written { (at + 4, at + 7, at + 11) } else { (at + 3, at + 5, at + 9) };
    let (area, group, serial) = (bytes.get(at..at + 3)?, bytes.get(group..group + 2)?, bytes.get(serial..end)?);
    let digits = [area, group, serial].iter().all(|part| part.iter().all(u8::is_ascii_digit));
    let given = area != b"000" && area != b"666" && area[0] != b'9' && group != b"00" && serial != b"0000";
    let alone = !matches!(before(bytes, at), b'-' | b'.' | b'+' | b'$') && ends(bytes, end);
    let told = sep == b'-' || labelled(bytes, at, &SOCIAL);
    (digits && given && alone && told).then_some(Span { range: at..end, kind: Kind::Ssn, form: Form::Compact })
}

/// One or two capitals and six to eight digits, or nine digits.
fn passport(bytes: &[u8], at: usize, run: usize) -> Option<Span> {
    let start = run_start(bytes, at, 3, |b| b.is_ascii_uppercase());
    let shaped = match at - start {
        0 => run - at == 9,
        1 | 2 => (6..=8).contains(&(run - at)),
        _ => false,
    };
    let alone = !is_word(before(bytes, start)) && ends(bytes, run);
    (shaped && alone && labelled(bytes, start, &PASSPORT)).then_some(Span {
        range: start..run,
        kind: Kind::Passport,
        form: Form::Compact,
    })
}

/// `京A12345`, `粤B·D12345`, `沪A 12345`.
fn plate(bytes: &[u8], at: usize) -> Option<Span> {
    let from = run_start(bytes, at, 7, is_alnum);
    let end = run_end(&bytes[..bytes.len().min(from + 10)], from, is_alnum);
    let letter = match &bytes[..from] {
        [.., letter, 0xc2, 0xb7] if letter.is_ascii_uppercase() => from - 3,
        [.., letter, b' ' | b'-'] if letter.is_ascii_uppercase() => from - 2,
        [.., first] if *first >= 0x80 => from,
        _ => return None,
    };
    let province = std::str::from_utf8(bytes.get(letter.checked_sub(3)?..letter)?).ok()?;
    let serial = if letter == from { bytes.get(from + 1..end)? } else { &bytes[from..end] };
    let shaped = (5..=6).contains(&serial.len()) && bytes[letter].is_ascii_uppercase();
    let drawn = serial.iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase() && !matches!(b, b'I' | b'O'));
    let counted = serial.iter().filter(|b| b.is_ascii_digit()).count() >= 2;
    (PROVINCES.contains(province) && shaped && drawn && counted).then_some(Span {
        range: letter - 3..end,
        kind: Kind::Plate,
        form: Form::NoSeparators,
    })
}

/// A date behind a word for birth, in the usual orders.
fn birth_date(bytes: &[u8], at: usize, run: usize) -> Option<Span> {
    let month = month_before(bytes, at);
    let end = match (run - at, month) {
        (8, _) => is_date(&[number(bytes, at, at + 4), number(bytes, at + 4, at + 6), number(bytes, at + 6, run)])
            .then_some(run),
        (4, _) => chinese(bytes, at, run).or_else(|| separated(bytes, at, run)),
        (_, None) => separated(bytes, at, run).or_else(|| day_month(bytes, run)),
        (_, Some(_)) => year(bytes, ordinal(bytes, run)),
    }?;
    let start = month.filter(|_| run - at < 4).unwrap_or(at);
    (ends(bytes, end) && labelled(bytes, start, &BIRTH)).then_some(Span {
        range: start..end,
        kind: Kind::BirthDate,
        form: Form::Compact,
    })
}

fn number(bytes: &[u8], from: usize, to: usize) -> u32 {
    bytes[from..to].iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0'))
}

/// Year, month and day in this order or turned round, day and month in either.
fn is_date(parts: &[u32; 3]) -> bool {
    let day_and_month = |a: u32, b: u32| (1..=31).contains(&a) && (1..=31).contains(&b) && (a <= 12 || b <= 12);
    (1880..2100).contains(&parts[0]) && day_and_month(parts[1], parts[2])
        || ((1880..2100).contains(&parts[2]) || parts[2] < 100) && day_and_month(parts[0], parts[1])
}

/// `1985-03-05`, `5/3/1985`, `05.03.85`.
fn separated(bytes: &[u8], at: usize, run: usize) -> Option<usize> {
    let sep = byte(bytes, run);
    if !matches!(sep, b'-' | b'/' | b'.') {
        return None;
    }
    let second = digits_end(bytes, run + 1, 2)?;
    let end = (byte(bytes, second) == sep).then(|| digits_end(bytes, second + 1, 4))??;
    let parts = [number(bytes, at, run), number(bytes, run + 1, second), number(bytes, second + 1, end)];
    (is_date(&parts) && matches!(end - second, 2 | 3 | 5)).then_some(end)
}

/// `1985年3月5日`, `1985年3月`.
fn chinese(bytes: &[u8], at: usize, run: usize) -> Option<usize> {
    let sign = |at: usize, sign: &str| bytes.get(at..).is_some_and(|rest| rest.starts_with(sign.as_bytes()));
    let month = sign(run, "年").then(|| digits_end(bytes, run + 3, 2))??;
    let day = sign(month, "月").then(|| digits_end(bytes, month + 3, 2));
    let known = (1880..2100).contains(&number(bytes, at, run));
    let end = match day? {
        Some(day) if sign(day, "日") || sign(day, "号") => day + 3,
        Some(day) => day,
        None => month + 3,
    };
    known.then_some(end)
}

/// `5 March 1985`, `5th of March, 1985`.
fn day_month(bytes: &[u8], run: usize) -> Option<usize> {
    let mut at = skip_spaces(bytes, ordinal(bytes, run), b" ")?;
    if bytes.get(at..).is_some_and(|rest| rest.starts_with(b"of ")) {
        at += 3;
    }
    let end = run_end(&bytes[..bytes.len().min(at + 10)], at, |b| b.is_ascii_alphabetic());
    is_month(&bytes[at..end]).then(|| year(bytes, end))?
}

/// End of a year of four digits behind `at`.
fn year(bytes: &[u8], at: usize) -> Option<usize> {
    let from = skip_spaces(bytes, at, b" ,.")?;
    let end = digits_end(bytes, from, 4)?;
    (end - from == 4).then_some(end)
}

/// Behind the `th` of `5th`.
fn ordinal(bytes: &[u8], run: usize) -> usize {
    let suffix = bytes.get(run..run + 2).is_some_and(|suffix| [&b"st"[..], b"nd", b"rd", b"th"].contains(&suffix));
    run + if suffix { 2 } else { 0 }
}

/// Start of the name of a month that stands right before `at`.
fn month_before(bytes: &[u8], at: usize) -> Option<usize> {
    let end = run_start(bytes, at, 2, |b| b == b' ' || b == b'.');
    if end == at {
        return None;
    }
    let start = run_start(bytes, end, 10, |b| b.is_ascii_alphabetic());
    (is_month(&bytes[start..end])).then_some(start)
}

fn is_month(word: &[u8]) -> bool {
    word.get(..3).is_some_and(|first| MONTHS.iter().any(|month| first.eq_ignore_ascii_case(month))) && word.len() <= 9
}

fn skip_spaces(bytes: &[u8], at: usize, signs: &[u8]) -> Option<usize> {
    let end = run_end(&bytes[..bytes.len().min(at + 3)], at.min(bytes.len()), |b| signs.contains(&b));
    (end > at).then_some(end)
}

/// End of the digits at `at`, of which there are one to `most`.
fn digits_end(bytes: &[u8], at: usize, most: usize) -> Option<usize> {
    let end = run_end(&bytes[..bytes.len().min(at + most + 1)], at.min(bytes.len()), |b| b.is_ascii_digit());
    (end > at && end - at <= most).then_some(end)
}
