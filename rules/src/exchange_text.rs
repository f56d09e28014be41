//! What was asked and answered in one exchange, masked: text has no other way into the agent.

use std::fmt;

/// Replaces personal data and secrets.
pub type Masker = dyn Fn(&str) -> String + Send + Sync;

/// Bytes looked at behind a cut, so that what stands on it is recognised whole.
const BEYOND: usize = 4 << 10;

/// Text in which personal data and secrets have been replaced by tokens. It can only be made by masking, so whoever holds
/// one may store and show it. `Debug` says how long it is and no more.
#[derive(Clone, PartialEq, Eq)]
pub struct MaskedText(Box<str>);

impl MaskedText {
    /// `text`, masked.
    pub fn of(masker: &Masker, text: &str) -> Self {
        Self(masker(text).into())
    }

    /// The beginning of `text`, masked, in at most `most` bytes; and whether anything was cut off.
    ///
    /// What the cut goes through is left out whole: half a card number is no card number to a recogniser. So the text is
    /// masked twice, up to the cut and beyond it, and kept as far as both agree.
    pub fn of_cut(masker: &Masker, text: &str, most: usize) -> (Self, bool) {
        let cut = text.floor_char_boundary(most);
        if cut == text.len() {
            let masked = masker(text);
            let kept = masked.floor_char_boundary(most);
            return (Self(masked[..kept].into()), kept < masked.len());
        }
        let beyond = text.floor_char_boundary(Self::worth_gathering(most));
        let (short, long) = (masker(&text[..cut]), masker(&text[..beyond]));
        let same = short.bytes().zip(long.bytes()).take_while(|(a, b)| a == b).count();
        let kept = short.floor_char_boundary(same.min(most));
        (Self(short[..kept].into()), true)
    }

    /// How many bytes of a text are worth gathering when it is to be cut to `most`.
    pub const fn worth_gathering(most: usize) -> usize {
        most.saturating_add(BEYOND)
    }

    /// The text, which is masked.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MaskedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskedText({} bytes)", self.0.len())
    }
}

/// What one exchange said, as far as it was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExchangeText {
    /// What was asked last: the last user message, the prompt or the input. `None` when there was no text in it, or none
    /// that could be read.
    pub prompt: Option<MaskedText>,
    /// What the first choice answered, refusals included, tool calls not; empty when the model said nothing. `None` when
    /// there was no text in it, or none that could be read.
    pub response: Option<MaskedText>,
    /// The prompt was longer.
    pub prompt_truncated: bool,
    /// The response was longer.
    pub response_truncated: bool,
}

impl ExchangeText {
    /// Bytes of text held.
    pub fn bytes(&self) -> usize {
        [&self.prompt, &self.response].into_iter().flatten().map(|text| text.as_str().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recognises whole words of eight digits.
    fn masker(text: &str) -> String {
        let word = |word: &str| match word.len() == 8 && word.bytes().all(|b| b.is_ascii_digit()) {
            true => "<N:1>".to_owned(),
            false => word.to_owned(),
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_cut_leaves_no_half_of_a_secret() {
        for (why, text, most, expected) in [
            ("short", "say 12345678", 100, ("say <N:1>", false)),
            ("through the number", "say 12345678 now", 8, ("say ", true)),
            ("through its last digit", "say 12345678 now", 11, ("say ", true)),
            ("behind it", "say 12345678 now", 12, ("say <N:1>", true)),
            ("to nothing", "12345678", 3, ("", true)),
            ("inside a character", "日本語", 4, ("日", true)),
            ("between characters", "日本語", 6, ("日本", true)),
            ("everything", "日本語", 9, ("日本語", false)),
            ("nothing", "", 0, ("", false)),
        ] {
            let (masked, cut) = MaskedText::of_cut(&masker, text, most);
            assert_eq!((masked.as_str(), cut), expected, "{why}");
        }
    }

    #[test]
    fn a_mask_longer_than_what_it_hides_stays_within_the_bound() {
        let long = |text: &str| text.replace('1', "<LONG:1>");
        let (masked, cut) = MaskedText::of_cut(&long, "1111", 10);
        assert_eq!((masked.as_str(), cut), ("<LONG:1><L", true));
    }

    #[test]
    fn debug_prints_no_text() {
        let text = ExchangeText { prompt: Some(MaskedText::of(&masker, "hello")), ..ExchangeText::default() };
        assert!(!format!("{text:?}").contains("hello"));
        assert_eq!(text.bytes(), 5);
    }
}
