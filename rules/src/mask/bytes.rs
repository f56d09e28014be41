//! Classes of bytes, and words that stand nearby. Bytes above 127 belong to no class: Chinese text is a boundary.

/// Letter or digit.
pub(super) fn is_alnum(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// Letter, digit or `_`.
pub(super) fn is_word(byte: u8) -> bool {
    is_alnum(byte) || byte == b'_'
}

/// What a base64url body is made of.
pub(super) fn is_base64url(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

/// The byte before `at`, and `0` at the start.
pub(super) fn before(bytes: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(0, |at| byte(bytes, at))
}

/// The byte at `at`, and `0` beyond the end.
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// End of the run of bytes of a class that begins at `at`.
pub(super) fn run_end(bytes: &[u8], at: usize, class: impl Fn(u8) -> bool) -> usize {
    bytes[at..].iter().position(|b| !class(*b)).map_or(bytes.len(), |length| at + length)
}

/// Start of the run of bytes of a class that ends before `at`, at most `most` long and not before `floor`.
pub(super) fn run_start(bytes: &[u8], at: usize, floor: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
    let floor = floor.max(at.saturating_sub(most));
    bytes[floor..at].iter().rposition(|b| !class(*b)).map_or(floor, |last| floor + last + 1)
}

/// Whether one of `words` (lower case) stands in the `reach` bytes before `at`; ASCII words must stand apart.
pub(super) fn word_before(bytes: &[u8], at: usize, reach: usize, words: &[&str]) -> bool {
    let from = at.saturating_sub(reach);
    words.iter().any(|word| {
        let word = word.as_bytes();
        let stands = |start: usize| {
            let end = start + word.len();
            bytes[start..end].eq_ignore_ascii_case(word) && (!word[0].is_ascii() || apart(bytes, start, end))
        };
        (from..(at + 1).saturating_sub(word.len())).any(stands)
    })
}

fn apart(bytes: &[u8], start: usize, end: usize) -> bool {
    !before(bytes, start).is_ascii_alphabetic() && !byte(bytes, end).is_ascii_lowercase()
}
