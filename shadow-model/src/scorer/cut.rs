//! What is left of texts that are longer than a model reads.

use super::Pair;
use crate::Tokens;
use crate::tokens::MOST_TEXT;

/// Bytes that the tokens of a window come from at most: a tokenizer takes some 300 bytes of memory for each byte it is
/// given, so what cannot matter is left out before.
pub(crate) fn worth_reading(window: usize) -> usize {
    window.saturating_mul(32).saturating_add(1024).min(MOST_TEXT)
}

/// A text's beginning of at most `most` bytes, and whether something was cut off.
pub(crate) fn beginning(text: &str, most: usize) -> (&str, bool) {
    let kept = &text[..text.floor_char_boundary(most)];
    (kept, kept.len() < text.len())
}

/// A text's end of at most `most` bytes, and whether something was cut off.
pub(crate) fn end(text: &str, most: usize) -> (&str, bool) {
    let kept = &text[text.ceil_char_boundary(text.len().saturating_sub(most))..];
    (kept, kept.len() < text.len())
}

/// Cuts a pair to a window: the prompt keeps what its tokenizer put before it and its end, the response its beginning; it
/// is cut only where it fills the window alone, then one token of the prompt stays to predict its first.
pub(super) fn pair(prompt: Tokens, mut response: Tokens, beginning: &[u32], window: usize) -> Pair {
    if prompt.len() + response.len() <= window {
        return Pair { prompt, response, truncated: false };
    }
    let least = prompt.len().min(1);
    response.truncate(window - least);
    let room = window - response.len();
    let head = if prompt.starts_with(beginning) && beginning.len() < room { beginning } else { &[] };
    let tail = &prompt[prompt.len() - (room - head.len()).min(prompt.len() - head.len())..];
    Pair { prompt: [head, tail].concat(), response, truncated: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why; prompt, response and window; what is left of both, and whether that is told.
    type Case = (&'static str, &'static [u32], &'static [u32], usize, &'static [u32], &'static [u32], bool);

    #[test]
    fn the_end_of_the_prompt_and_the_whole_response_stay() {
        let cases: [Case; 7] = [
            ("both fit", &[0, 1, 2], &[3], 4, &[0, 1, 2], &[3], false),
            ("the prompt keeps its mark and its end", &[0, 1, 2, 3], &[4, 5], 4, &[0, 3], &[4, 5], true),
            ("room for one token is for the end", &[0, 1, 2, 3], &[4, 5, 6], 4, &[3], &[4, 5, 6], true),
            ("the response is cut where it fills the window", &[0, 1], &[2, 3, 4, 5], 3, &[1], &[2, 3], true),
            ("without a prompt the response has it all", &[], &[2, 3, 4, 5], 3, &[], &[2, 3, 4], true),
            ("no response", &[0, 1, 2, 3], &[], 3, &[0, 2, 3], &[], true),
            ("a prompt without the mark", &[1, 2, 3], &[4], 2, &[3], &[4], true),
        ];
        for (why, prompt, response, window, kept, answer, truncated) in cases {
            let expected = Pair { prompt: kept.to_vec(), response: answer.to_vec(), truncated };
            assert_eq!(pair(prompt.to_vec(), response.to_vec(), &[0], window), expected, "{why}");
        }
    }

    #[test]
    fn characters_stay_whole() {
        let text = "é".repeat(MOST_TEXT);
        assert_eq!(beginning(&text, MOST_TEXT), (&text[..MOST_TEXT], true));
        assert_eq!(end(&format!("a{}", &text[..MOST_TEXT]), MOST_TEXT), (&text[..MOST_TEXT], true));
        assert_eq!((beginning("é", 2), end("é", 2)), (("é", false), ("é", false)));
    }
}
