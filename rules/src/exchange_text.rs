//! What was asked and answered in one exchange, masked: text has no other way into the agent.

use std::fmt;

use crate::mask::Masker;

/// Bytes looked at behind a cut, so that what stands on it is recognised whole.
const BEYOND: usize = 4 << 10;

/// Text in which personal data and secrets have been replaced by tokens. It can only be made by masking, so whoever holds
/// one may store and show it. `Debug` says how long it is and no more.
#[derive(Clone, PartialEq, Eq)]
pub struct MaskedText(Box<str>);

impl MaskedText {
    /// `text`, masked.
    pub fn of(masker: &Masker, text: &str) -> Self {
        Self(masker.mask(text).text.into())
    }

    /// The beginning of `text`, masked, in at most `most` bytes; and whether anything was cut off.
    ///
    /// What the cut goes through is left out whole: half a card number is no card number to a recogniser. So the text is
    /// masked twice, up to the cut and beyond it, and kept as far as both agree.
    pub fn of_cut(masker: &Masker, text: &str, most: usize) -> (Self, bool) {
        let cut = text.floor_char_boundary(most);
        if cut == text.len() {
            let masked = masker.mask(text).text;
            let kept = masked.floor_char_boundary(most);
            return (Self(masked[..kept].into()), kept < masked.len());
        }
        let beyond = text.floor_char_boundary(Self::worth_gathering(most));
        let (short, long) = (masker.mask(&text[..cut]).text, masker.mask(&text[..beyond]).text);
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

    use crate::mask::{MaskOptions, OwnPattern};

    /// Knows `own` beside the rest.
    fn masker(own: &str) -> Masker {
        let own = vec![OwnPattern { name: "n".into(), regex: own.into() }];
        Masker::new(b"salt of the tests", &MaskOptions { own, digits: 4, ..MaskOptions::default() }).unwrap()
    }

    #[test]
    fn a_cut_leaves_no_half_of_a_secret() {
        let masker = masker("[A-Z]{8}");
        let token = masker.mask("ABCDEFGH").text;
        for (why, text, most, expected) in [
            ("short", "say ABCDEFGH", 100, (format!("say {token}"), false)),
            ("through the word", "say ABCDEFGH now", 8, ("say ".into(), true)),
            ("through its last letter", "say ABCDEFGH now", 11, ("say ".into(), true)),
            ("behind it", "say ABCDEFGH now", 12, (format!("say {token}"), true)),
            ("to nothing", "ABCDEFGH", 3, (String::new(), true)),
            ("through a card", "pay 4111 1111 1111 1111", 18, ("pay ".into(), true)),
            ("through an address", "to alice@example.org", 12, ("to ".into(), true)),
            ("inside a character", "日本語", 4, ("日".into(), true)),
            ("between characters", "日本語", 6, ("日本".into(), true)),
            ("everything", "日本語", 9, ("日本語".into(), false)),
            ("nothing", "", 0, (String::new(), false)),
        ] {
            let (masked, cut) = MaskedText::of_cut(&masker, text, most);
            let shown: String = masked.as_str().chars().take(most.max(12)).collect();
            assert_eq!((shown, cut), expected, "{why}");
        }
    }

    #[test]
    fn a_mask_longer_than_what_it_hides_stays_within_the_bound() {
        let (masked, cut) = MaskedText::of_cut(&masker("[XYZ]"), "X Y Z", 10);
        assert!(masked.as_str().starts_with("<N:") && masked.as_str().len() == 10 && cut, "{}", masked.as_str());
    }

    #[test]
    fn debug_prints_no_text() {
        let text = ExchangeText { prompt: Some(MaskedText::of(&masker("x"), "hello")), ..ExchangeText::default() };
        assert!(!format!("{text:?}").contains("hello"));
        assert_eq!(text.bytes(), 5);
    }
}
