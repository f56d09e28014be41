//! What an exchange said, found in copies of its bodies: the last question and the first answer.
//!
//! Only for the share of exchanges that is looked at in this way (`text.sample`). What is gathered here is as it was
//! written; [`Said::masked`] is the only way out of it.

mod gather;
mod place;
mod sampler;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

use memchr::memmem;
use plimsoll_rules::mask::Masker;
use plimsoll_rules::{Endpoint, ExchangeText, MaskedText};

use place::Place;
pub(super) use sampler::Sampler;
pub(super) use walk::Walk;

/// A text and whether there was more of it than was gathered.
type Gathered = Option<(String, bool)>;

/// Prompt and response of one exchange, not masked yet.
pub(super) struct Said {
    pub(super) prompt: Gathered,
    pub(super) response: Gathered,
}

impl Said {
    /// Masked, each part cut to `most` bytes; `None` when there is no text at all.
    pub(super) fn masked(self, masker: &Masker, most: usize) -> Option<Arc<ExchangeText>> {
        if self.prompt.is_none() && self.response.is_none() {
            return None;
        }
        let mask = |text: Gathered| match text {
            Some((text, over)) => {
                let (masked, cut) = MaskedText::of_cut(masker, &text, most);
                (Some(masked), cut || over)
            }
            None => (None, false),
        };
        let (prompt, prompt_truncated) = mask(self.prompt);
        let (response, response_truncated) = mask(self.response);
        Some(Arc::new(ExchangeText { prompt, response, prompt_truncated, response_truncated }))
    }
}

/// A walk through an answer, document or stream, whose text is to be cut to `most` bytes.
pub(super) fn answer(most: usize) -> Walk {
    Walk::new(Place::Answer, MaskedText::worth_gathering(most))
}

/// What a request asks: the last user message of a chat or of the Responses API, else the prompt or the input. `head` is
/// the beginning of its body; `tail`, when that is not all, its end.
pub(super) fn prompt(endpoint: Endpoint, head: &[u8], tail: &[u8], most: usize) -> Gathered {
    let mut walk = Walk::new(Place::Request(endpoint), MaskedText::worth_gathering(most));
    walk.push(head);
    let (messages, broke_off) = (walk.has_messages(), walk.is_inside_question());
    let found = walk.finish();
    if tail.is_empty() || !messages {
        return found;
    }
    // The last message is at the end, or so long that the beginning of it is where the copy stopped.
    last_message(tail, most).or(found.filter(|_| broke_off))
}

/// The last user message in the end of a request that was too long to be kept whole. A quote inside a string is escaped, so
/// what looks like a key is one, if perhaps of another object; then it is no message.
fn last_message(tail: &[u8], most: usize) -> Gathered {
    let role = memmem::find(tail, b"\"role\"");
    let content = memmem::find(tail, b"\"content\"");
    let start = [role, content].into_iter().flatten().min()?;
    let mut walk = Walk::new(Place::Request(Endpoint::Chat), MaskedText::worth_gathering(most));
    walk.push(b"{\"messages\":[{");
    walk.push(&tail[start..]);
    walk.finish()
}
