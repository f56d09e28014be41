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

/// Start of the run of bytes of a class that ends before `at`, at most `most` long.
pub(super) fn run_start(bytes: &[u8], at: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
    let floor = at.saturating_sub(most);
    bytes[floor..at].iter().rposition(|b| !class(*b)).map_or(floor, |last| floor + last + 1)
}

/// Whether one of `words` (lower case) stands in the `reach` bytes before `at`; ASCII words must stand apart.
pub(super) fn word_before(bytes: &[u8], at: usize, reach: usize, words: &[&str]) -> bool {
    (at.saturating_sub(reach)..at).any(|start| {
        // only where a word begins: at a letter behind none, or at a character that is not ASCII
        let (first, previous) = (bytes[start].to_ascii_lowercase(), before(bytes, start));
        let begins = if first.is_ascii() {
            first.is_ascii_lowercase() && !previous.is_ascii_alphabetic()
        } else {
            first >= 0xc0
        };
        begins && words.iter().any(|word| word.as_bytes()[0] == first && stands(bytes, start, at, word.as_bytes()))
    })
}

/// Whether `word` stands at `start`, before `at`, and no longer word begins with it.
fn stands(bytes: &[u8], start: usize, at: usize, word: &[u8]) -> bool {
    let end = start + word.len();
    let same = end <= at && bytes[start..end].eq_ignore_ascii_case(word);
    same && !(word[0].is_ascii() && byte(bytes, end).is_ascii_lowercase())
}
