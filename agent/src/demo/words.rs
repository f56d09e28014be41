//! Real words for prompts and answers, as many as asked for.

use std::sync::LazyLock;

/// Plain prose, written for this file; its words are repeated in order.
const PROSE: &str = "A ship may be loaded until the water reaches the line that is painted on her side. \
    Before there was such a line, owners sent out old vessels with more cargo than they could carry, because the \
    freight was paid and the loss was insured. The crews paid with their lives. One man asked for a mark that \
    everybody could see from the quay, and after years of debate it became the law. The mark does not make the ship \
    stronger and it does not calm the sea. It only shows, early and to everyone, that something has changed: that \
    she lies deeper today than she did yesterday, and that somebody should look into the hold before she sails. \
    Write a function that reads a list of measured values, keeps the last hour of them, and says when the newest \
    ones no longer look like the others. Explain each step, name the cases in which it will be wrong, and add a \
    test for an empty list, for a single value, and for values that are not numbers.";

static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| PROSE.split_whitespace().collect());

/// Word `number` of the endless text.
pub(crate) fn word(number: u64) -> &'static str {
    WORDS[(number % WORDS.len() as u64) as usize]
}

/// `count` words beginning at word `from` (any number), separated by single spaces.
pub(crate) fn text(from: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 6);
    for word in WORDS.iter().cycle().skip(from % WORDS.len()).take(count) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// How many words `text` has; the stand-in engine takes a word for a token.
pub(crate) fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_words_as_asked_for() {
        for (why, from, wanted) in [("none", 3, 0), ("one", 5, 1), ("more than there are", 70, 5000)] {
            assert_eq!(count(&text(from, wanted)), wanted, "{why}");
        }
        assert!(text(2, 3).starts_with("may be loaded"));
    }
}
