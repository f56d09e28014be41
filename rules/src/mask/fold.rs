//! The text as recognisers read it: full-width and mathematical letters and digits as their ASCII twins, invisible characters
//! left out, and the escapes of JSON (`\n`, `\u0040`), URLs (`%40`) and HTML (`&#64;`) as what they stand for.
//!
//! Only what may stand inside or beside a value is folded; full-width commas and colons stay, for Chinese text is full of
//! them, and so do superscripts and circled digits, which people use as marks beside numbers. No fold makes a `<` or `>`,
//! so none makes or breaks a token.

use std::ops::Range;

use super::bytes::byte;

/// A text with its folds, and the way back.
#[derive(Debug)]
pub(super) struct Folded {
    /// The folded text.
    pub(super) text: String,
    /// Behind each fold: place in `text`, place in the text as it was. Ascending.
    places: Vec<(usize, usize)>,
}

/// What a fold makes of some bytes, and how many they are.
type Fold = (Option<char>, usize);

impl Folded {
    /// Folds `text`.
    pub(super) fn new(text: &str) -> Self {
        let mut folded = Self { text: String::with_capacity(text.len()), places: Vec::new() };
        let (bytes, mut from) = (text.as_bytes(), 0);
        while let Some(offset) = bytes[from..].iter().position(|b| LEADS[usize::from(*b)]) {
            let at = from + offset;
            folded.text.push_str(&text[from..at]);
            from = match fold(bytes, at) {
                Some((twin, length)) => {
                    folded.text.extend(twin);
                    folded.places.push((folded.text.len(), at + length));
                    at + length
                }
                None => {
                    let length = text[at..].chars().next().map_or(1, char::len_utf8);
                    folded.text.push_str(&text[at..at + length]);
                    at + length
                }
            };
        }
        folded.text.push_str(&text[from..]);
        folded
    }

    /// The range of the text that a range of the folded text stands for.
    pub(super) fn original(&self, range: &Range<usize>) -> Range<usize> {
        self.origin(range.start)..self.origin(range.end)
    }

    /// The range of the folded text that holds all that is left of a range of the text.
    pub(super) fn folded(&self, range: &Range<usize>) -> Range<usize> {
        let place = |at: usize| {
            let behind = self.places.partition_point(|(_, original)| *original <= at);
            let (folded, original) = behind.checked_sub(1).map_or((0, 0), |last| self.places[last]);
            let next = self.places.get(behind).map_or(self.text.len(), |(folded, _)| *folded);
            // inside a fold there is no place but its ends
            (folded + at - original).min(next)
        };
        let (start, end) = (place(range.start), place(range.end));
        let fits = |at: &usize| self.text.is_char_boundary(*at);
        (0..=start).rev().find(fits).unwrap_or(0)..(end..=self.text.len()).find(fits).unwrap_or(end)
    }

    fn origin(&self, at: usize) -> usize {
        let behind = self.places.partition_point(|(folded, _)| *folded <= at);
        let (folded, original) = behind.checked_sub(1).map_or((0, 0), |last| self.places[last]);
        original + at - folded
    }
}

/// Whether a fold begins at `at`.
pub(super) fn is_foldable(bytes: &[u8], at: usize) -> bool {
    fold(bytes, at).is_some()
}

fn fold(bytes: &[u8], at: usize) -> Option<Fold> {
    let (second, third) = (byte(bytes, at + 1), byte(bytes, at + 2));
    match bytes[at] {
        b'\\' => backslash(bytes, at),
        b'%' => percent(bytes, at),
        b'&' if second == b'#' => reference(bytes, at),
        0xef => three(second, third).map(|twin| (twin, 3)),
        // zero-width space and joiners, marks of direction, word joiner
        0xe2 if second == 0x80 && matches!(third, 0x8b..=0x8f | 0xaa..=0xae) => Some((None, 3)),
        0xe2 if second == 0x81 && matches!(third, 0xa0..=0xa4) => Some((None, 3)),
        // soft hyphen, combining grapheme joiner
        0xc2 if second == 0xad => Some((None, 2)),
        0xcd if second == 0x8f => Some((None, 2)),
        // Arabic-Indic and Persian digits
        0xd9 if matches!(second, 0xa0..=0xa9) => Some((Some(char::from(second - 0xa0 + b'0')), 2)),
        0xdb if matches!(second, 0xb0..=0xb9) => Some((Some(char::from(second - 0xb0 + b'0')), 2)),
        0xf0 if second == 0x9d => mathematical(bytes, at).map(|twin| (Some(twin), 4)),
        _ => None,
    }
}

/// Full-width and small forms, and the byte order mark, after their first byte `0xEF`.
fn three(second: u8, third: u8) -> Option<Option<char>> {
    let ascii = match (second, third) {
        (0xbb, 0xbf) => return Some(None),
        (0xbc, 0x80..) => third - 0x80 + 0x20,
        (0xbd, 0x80..=0xbf) => third - 0x80 + 0x60,
        (0xb9, 0xab) => b'@',
        (0xb9, 0xa3) => b'-',
        (0xb9, 0x92) => b'.',
        _ => return None,
    };
    let inside = ascii.is_ascii_alphanumeric() || matches!(ascii, b'+' | b'-' | b'.' | b'@' | b'_');
    inside.then_some(Some(char::from(ascii)))
}

/// Bold, italic, script and the other letters and digits of U+1D400..U+1D7FF.
fn mathematical(bytes: &[u8], at: usize) -> Option<char> {
    let point = (u32::from(byte(bytes, at + 2)) & 0x3f) << 6 | u32::from(byte(bytes, at + 3)) & 0x3f | 0x1_d000;
    let letter = |n: u32| u8::try_from(n).ok().map(|n| char::from(if n < 26 { b'A' + n } else { b'a' + n - 26 }));
    match point {
        0x1_d400..=0x1_d6a3 => letter((point - 0x1_d400) % 52),
        0x1_d7ce..=0x1_d7ff => char::from_digit((point - 0x1_d7ce) % 10, 10),
        _ => None,
    }
}

/// `\n`, `\"`, `\u4f60`, also with more than one backslash, as in JSON inside JSON.
fn backslash(bytes: &[u8], at: usize) -> Option<Fold> {
    let slashes = bytes[at..].iter().take(8).take_while(|b| **b == b'\\').count();
    let behind = at + slashes;
    let twin = match byte(bytes, behind) {
        b'n' | b'r' => '\n',
        b't' => ' ',
        sign @ (b'"' | b'\'' | b'/') => char::from(sign),
        b'u' => return Some((Some(safe(char::from_u32(hex(bytes, behind + 1, 4)?))), slashes + 5)),
        _ => return None,
    };
    Some((Some(twin), slashes + 1))
}

/// `%40`, and the two to four of one character that is not ASCII.
fn percent(bytes: &[u8], at: usize) -> Option<Fold> {
    let octet = |n: usize| {
        let value = (byte(bytes, at + 3 * n) == b'%').then(|| hex(bytes, at + 3 * n + 1, 2))?;
        u8::try_from(value?).ok()
    };
    let first = octet(0).filter(|first| *first >= 0x20)?;
    let length = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let octets: Vec<u8> = (0..length).map_while(octet).collect();
    match std::str::from_utf8(&octets).ok().and_then(|text| text.chars().next()) {
        Some(twin) => Some((Some(safe(Some(twin))), 3 * length)),
        None => Some((Some(char::REPLACEMENT_CHARACTER), 3)),
    }
}

/// `&#64;`, `&#x40;`.
fn reference(bytes: &[u8], at: usize) -> Option<Fold> {
    let end = bytes[at..].iter().take(10).position(|b| *b == b';')?;
    let text = std::str::from_utf8(&bytes[at + 2..at + end]).ok()?;
    let point = match text.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some((Some(safe(char::from_u32(point.ok()?))), end + 1))
}

fn hex(bytes: &[u8], at: usize, digits: usize) -> Option<u32> {
    let text = bytes.get(at..at + digits).filter(|text| text.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// What an escape stands for, as far as recognisers may see it.
fn safe(decoded: Option<char>) -> char {
    match decoded {
        Some('<' | '>') | None => '|',
        Some(control) if control.is_control() => '\n',
        Some(other) => other,
    }
}

/// First bytes of what may be folded.
const LEADS: [bool; 256] = super::scan::among(b"\\%&\xc2\xcd\xd9\xdb\xe2\xef\xf0");
