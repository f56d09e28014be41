//! Full-width letters and digits (`１３８`, `ａ＠ｂ．ｃｏｍ`) as their ASCII twins, with the way back to the text.
//!
//! Only what may stand inside a value is folded; full-width commas and colons stay, for Chinese text is full of them.

use std::ops::Range;

/// A text with its full-width forms folded.
#[derive(Debug)]
pub(super) struct Folded {
    /// The folded text.
    pub(super) text: String,
    /// Position in `text` of each folded character, ascending. Each was three bytes and is one.
    folds: Vec<usize>,
}

/// The ASCII twin of a full-width character of U+FF0B..U+FF5A, given its second and third byte after `0xEF`.
pub(super) fn twin(second: u8, third: u8) -> Option<u8> {
    let ascii = match second {
        0xbc if third >= 0x80 => third - 0x80 + 0x20,
        0xbd if (0x80..0xc0).contains(&third) => third - 0x80 + 0x60,
        _ => return None,
    };
    (ascii.is_ascii_alphanumeric() || matches!(ascii, b'+' | b'-' | b'.' | b'@' | b'_')).then_some(ascii)
}

impl Folded {
    /// Folds `text`.
    pub(super) fn new(text: &str) -> Self {
        let mut folded = Self { text: String::with_capacity(text.len()), folds: Vec::new() };
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| byte == 0xef) {
            // a first byte of 0xef is that of a character of three bytes
            let (character, after) = (&rest[at..at + 3], &rest[at + 3..]);
            folded.text.push_str(&rest[..at]);
            match twin(character.as_bytes()[1], character.as_bytes()[2]) {
                Some(ascii) => {
                    folded.folds.push(folded.text.len());
                    folded.text.push(char::from(ascii));
                }
                None => folded.text.push_str(character),
            }
            rest = after;
        }
        folded.text.push_str(rest);
        folded
    }

    /// The range of the text that a range of the folded text stands for.
    pub(super) fn original(&self, range: &Range<usize>) -> Range<usize> {
        let origin = |at: usize| at + 2 * self.folds.partition_point(|fold| *fold < at);
        origin(range.start)..origin(range.end)
    }
}
