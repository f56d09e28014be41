//! What is learnt from: texts in tokens, and which of their tokens are answers.

use std::ops::Range;

use super::chat::{Chat, Message};
use crate::decoder::{Batch, Target};
use crate::{Folder, ModelError, Result, Tokens, Vocabulary};

/// A text in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    ids: Tokens,
    /// The tokens that are to be predicted, in order.
    answers: Vec<Range<usize>>,
    truncated: bool,
}

impl Example {
    /// Tokens of it.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Tokens that are learnt.
    pub fn learnt(&self) -> usize {
        self.answers.iter().map(Range::len).sum()
    }

    /// Whether some of it was cut off.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// From tokens; the first of all is predicted by nothing.
    pub(crate) fn new(ids: Tokens, answers: Vec<Range<usize>>) -> Self {
        let predicted = |range: Range<usize>| range.start.max(1)..range.end;
        let answers = answers.into_iter().map(predicted).filter(|range| !range.is_empty()).collect();
        Self { ids, answers, truncated: false }
    }

    /// Everything that it is, in numbers: what tells it from others.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        let counts = [self.ids.len() as u64, self.answers.len() as u64];
        let ranges = self.answers.iter().flat_map(|range| [range.start as u64, range.end as u64]);
        counts.into_iter().chain(self.ids.iter().map(|&id| u64::from(id))).chain(ranges)
    }

    /// Cut to at most `most` tokens: what stands before the last answer loses its beginning, then that answer its end.
    fn cut(mut self, most: usize) -> Self {
        let Some(last) = self.answers.last().filter(|_| self.ids.len() > most) else { return self };
        let front = (self.ids.len() - most).min(last.start.saturating_sub(1));
        self.ids.drain(..front);
        self.ids.truncate(most);
        let moved = |range: Range<usize>| range.start.saturating_sub(front)..range.end.saturating_sub(front).min(most);
        Self { truncated: true, ..Self::new(self.ids, self.answers.into_iter().map(moved).collect()) }
    }
}

/// Examples as the rows of one pass, each a text of its own, and what the rows are to predict.
pub(crate) fn packed<'a>(examples: impl Iterator<Item = &'a Example>) -> (Batch, Vec<Target>) {
    let (mut batch, mut targets) = (Batch::default(), Vec::new());
    for example in examples {
        let segment = batch.add(&example.ids, None);
        let first = batch.rows(segment).start;
        let predicted = example.answers.iter().flat_map(Range::clone);
        targets.extend(predicted.map(|at| Target { row: first + at - 1, token: example.ids[at] }));
    }
    (batch, targets)
}

/// Makes examples of texts, by a model's tokenizer and its chat template.
pub struct Reader {
    vocabulary: Vocabulary,
    chat: Option<Chat>,
    /// What ends an answer, where the folder tells.
    end: Option<u32>,
    most: usize,
}

impl Reader {
    /// For the model of a folder, with at most `most` tokens an example.
    ///
    /// # Errors
    /// Where a file is missing or cannot be read.
    pub fn open(folder: &Folder, most: usize) -> Result<Self> {
        let config = folder.config();
        let vocabulary = Vocabulary::open(folder, config.count("vocab_size")?)?;
        let end = config.get("eos_token_id").and_then(|end| end.as_u64().or_else(|| end.get(0)?.as_u64()));
        let end = end.and_then(|end| u32::try_from(end).ok()).filter(|&end| vocabulary.is_special(end));
        let most = most.min(config.count("max_position_embeddings")?);
        Ok(Self { chat: Chat::open(folder)?, vocabulary, end, most })
    }

    /// A prompt, with the special tokens that the tokenizer puts before a text, and its response, which is learnt together
    /// with the token that ends a text.
    ///
    /// # Errors
    /// Where the tokenizer refuses a text, or nothing is left to learn.
    pub fn pair(&self, prompt: &str, response: &str) -> Result<Example> {
        let mut ids = self.vocabulary.encode(prompt)?;
        let begin = ids.len();
        ids.extend(self.vocabulary.encode_plain(response)?);
        if ids.len() == begin {
            return Err(ModelError::Text("an empty response: there is nothing to learn".to_owned()));
        }
        ids.extend(self.end);
        let answer = begin..ids.len();
        self.some(Example::new(ids, vec![answer]))
    }

    /// A conversation in the words of the model's chat template; what the assistant says is learnt.
    ///
    /// # Errors
    /// Where the folder has no template, it refuses the conversation, or nothing is left to learn.
    pub fn conversation(&self, messages: &[Message]) -> Result<Example> {
        let Some(chat) = &self.chat else {
            let what = "the model's folder has no chat template (`chat_template` of tokenizer_config.json, or \
                        chat_template.jinja); use prompt and response";
            return Err(ModelError::Text(what.to_owned()));
        };
        let (mut ids, mut answers) = (Tokens::new(), Vec::new());
        for (text, learnt) in chat.pieces(messages)? {
            let begin = ids.len();
            ids.extend(self.vocabulary.encode_plain(&text)?);
            if learnt {
                answers.push(begin..ids.len());
            }
        }
        self.some(Example::new(ids, answers))
    }

    fn some(&self, example: Example) -> Result<Example> {
        let example = example.cut(self.most);
        if example.answers.is_empty() {
            return Err(ModelError::Text("no answer in it: there is nothing to learn".to_owned()));
        }
        Ok(example)
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of answers, of which there may be one")]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_keeps_its_last_answer() {
        let example = |answers: &[Range<usize>]| Example::new((0..10).collect(), answers.to_vec());
        let (both, last) = ([2..4, 7..10], [7..10]);
        for (why, answers, most, ids, left) in [
            ("all fits", &both[..], 10, (0..10).collect::<Vec<u32>>(), &both[..]),
            ("the beginning goes", &both, 7, (3..10).collect(), &[1..1, 4..7]),
            ("one token before the answer stays", &last, 3, vec![6, 7, 8], &[1..3]),
            ("the first is predicted by nothing", &[0..10], 4, vec![0, 1, 2, 3], &[1..4]),
        ] {
            let cut = example(answers).cut(most);
            let left: Vec<_> = left.iter().filter(|range| !range.is_empty()).cloned().collect();
            assert_eq!((cut.ids, cut.answers, cut.truncated), (ids, left, most < 10), "{why}");
        }
    }

    #[test]
    fn each_row_predicts_the_next_token_of_its_own_text() {
        let examples = [Example::new(vec![1, 2, 3], vec![1..3]), Example::new(vec![4, 5, 6, 7], vec![2..3])];
        let (batch, targets) = packed(examples.iter());
        assert_eq!(batch.positions(), [0, 1, 2, 0, 1, 2, 3]);
        let expected = [(0, 2), (1, 3), (4, 6)].map(|(row, token)| Target { row, token });
        assert_eq!(targets, expected);
    }
}
