//! How surprising a text is to a language model: −ln p of each token of a prompt, and of a response given its prompt.

pub(crate) mod cut;
mod pass;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::decoder::{Batch, Checkpoint, Decoder, Head, Load, Predicted, Target};
use crate::train::{Example, packed};
use crate::{Options, Result, Tokens, Vocabulary};

/// A decoder that scores.
pub struct Scorer {
    vocabulary: Vocabulary,
    /// What the tokenizer puts before every text.
    beginning: Tokens,
    decoder: Decoder,
    head: Head,
    window: usize,
    memory: Option<u64>,
}

/// A prompt and a response in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    prompt: Tokens,
    response: Tokens,
    truncated: bool,
}

impl Pair {
    /// Tokens of both.
    pub fn tokens(&self) -> usize {
        self.prompt.len() + self.response.len()
    }

    /// Whether some of the texts was cut off to fit the model's window.
    pub fn truncated(&self) -> bool {
        self.truncated
    }
}

/// What a model makes of a pair.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Of the prompt's tokens but the first, which nothing predicts; `None` where that leaves none.
    pub prompt: Option<Nll>,
    /// Of the response's tokens given the prompt; without a prompt all but the first. `None` where that leaves none.
    pub response: Option<Nll>,
    /// Tokens that were read, of prompt and response.
    pub tokens: usize,
    /// Whether some of the texts was cut off to fit the model's window.
    pub truncated: bool,
}

/// The negative log-likelihood of a text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Nll {
    /// Of all tokens, in nats.
    pub total: f64,
    /// How many tokens were predicted.
    pub tokens: usize,
    /// Of each, in nats.
    pub per_token: Vec<f32>,
}

impl Nll {
    /// Nats per token.
    pub fn mean(&self) -> f64 {
        self.total / self.tokens.max(1) as f64
    }

    fn of(per_token: &[f32]) -> Option<Self> {
        let total = per_token.iter().map(|&nats| f64::from(nats)).sum();
        (!per_token.is_empty()).then(|| Self { total, tokens: per_token.len(), per_token: per_token.to_vec() })
    }
}

/// How well a model knows the answers of an example.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AnswerScore {
    /// −ln p of all answer tokens, nats.
    pub nll: f64,
    /// How many there are.
    pub tokens: usize,
    /// Of those, how many are the likeliest where they stand: all of them where greedy decoding gives the answer.
    pub right: usize,
}

impl AnswerScore {
    fn of(tokens: &[Predicted]) -> Self {
        let nll = tokens.iter().map(|token| f64::from(token.nll)).sum();
        Self { nll, tokens: tokens.len(), right: tokens.iter().filter(|token| token.first).count() }
    }
}

impl Scorer {
    /// Opens a folder with a Llama, Qwen2 or Qwen3: `tokenizer.json` beside `config.json` and safetensors, or beside one
    /// `.gguf` file.
    ///
    /// # Errors
    /// Where a file is missing or unreadable, is not what the model needs, or the weights take more memory than allowed.
    pub fn open(folder: &Path, options: &Options) -> Result<Self> {
        let checkpoint = Checkpoint::open(folder, options)?;
        let vocabulary = Vocabulary::at(folder, checkpoint.config.vocabulary)?;
        let decoder = Decoder::load(&checkpoint)?;
        Ok(Self {
            beginning: vocabulary.encode("")?,
            vocabulary,
            head: Head::load(&checkpoint, decoder.embeddings())?,
            window: decoder.config().window,
            memory: options.memory,
            decoder,
        })
    }

    /// Reads at most this many tokens of a pair, where the model would read more; at least 2.
    #[cfg(test)]
    pub(crate) fn with_window(mut self, tokens: usize) -> Self {
        self.window = tokens.clamp(2, self.decoder.config().window);
        self
    }

    /// The most tokens of a pair that are read.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> u64 {
        self.decoder.bytes()
    }

    /// The tokens of a pair, the prompt's with the special tokens of its tokenizer. Where both do not fit the window, the
    /// end of the prompt and the whole response are kept, of a response that is longer alone its beginning.
    ///
    /// # Errors
    /// Where the tokenizer refuses a text.
    pub fn tokenize(&self, prompt: &str, response: &str) -> Result<Pair> {
        let most = cut::worth_reading(self.window);
        let (prompt, prompt_cut) = cut::end(prompt, most);
        let (response, response_cut) = cut::beginning(response, most);
        let prompt = self.vocabulary.encode(prompt)?;
        let mut pair = cut::pair(prompt, self.vocabulary.encode_plain(response)?, &self.beginning, self.window);
        pair.truncated |= prompt_cut || response_cut;
        Ok(pair)
    }

    /// The scores of pairs, in their order. Pairs with one prompt have it read once.
    ///
    /// # Errors
    /// Where a pair alone takes more memory than allowed, or the device fails.
    pub fn score(&self, pairs: &[Pair]) -> Result<Vec<Score>> {
        let mut scores: Vec<_> = pairs
            .iter()
            .map(|pair| Score { tokens: pair.tokens(), truncated: pair.truncated, ..Score::default() })
            .collect();
        let work = pass::shared(pairs, &|load| self.decoder.fits(load, self.memory));
        let loads: Vec<Load> = work.iter().map(|work| work.load(pairs)).collect();
        for pass in self.decoder.passes(&loads, self.memory)? {
            let works: Vec<_> = pass.into_iter().map(|number| &work[number]).collect();
            self.pass(pairs, &works, &mut scores)?;
        }
        Ok(scores)
    }

    fn pass(&self, pairs: &[Pair], works: &[&pass::Shared], scores: &mut [Score]) -> Result<()> {
        let mut pass = pass::Pass::default();
        let placed: Vec<_> = works.iter().map(|work| pass.add(pairs, work)).collect();
        let nll = self.nll(&pass.batch, &pass.targets)?;
        for (work, placed) in works.iter().zip(placed) {
            let prompt = Nll::of(&nll[placed.prompt]);
            for (&number, response) in work.pairs.iter().zip(placed.responses) {
                scores[number].prompt.clone_from(&prompt);
                scores[number].response = Nll::of(&nll[response]);
            }
        }
        Ok(())
    }

    /// How well the answers of examples are known, in their order.
    ///
    /// # Errors
    /// Where an example alone takes more memory than allowed, or the device fails.
    pub fn answers(&self, examples: &[Example]) -> Result<Vec<AnswerScore>> {
        let load = |example: &Example| {
            let rows = example.tokens();
            Load { rows, longest: rows, segments: 1 }
        };
        let loads: Vec<Load> = examples.iter().map(load).collect();
        let mut scores = vec![AnswerScore::default(); examples.len()];
        for pass in self.decoder.passes(&loads, self.memory)? {
            let (batch, targets) = packed(pass.iter().map(|&number| &examples[number]));
            let all = self.predict(&batch, &targets)?;
            let mut rest = all.as_slice();
            for number in pass {
                let (own, after) = rest.split_at(examples[number].learnt());
                (scores[number], rest) = (AnswerScore::of(own), after);
            }
        }
        Ok(scores)
    }

    /// −ln p of targets in a batch.
    pub(crate) fn nll(&self, batch: &Batch, targets: &[Target]) -> Result<Vec<f32>> {
        Ok(self.predict(batch, targets)?.iter().map(|token| token.nll).collect())
    }

    fn predict(&self, batch: &Batch, targets: &[Target]) -> Result<Vec<Predicted>> {
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let all = self.head.predict(&self.decoder.hidden(batch)?, targets)?;
        if all.iter().all(|token| token.nll.is_finite()) {
            return Ok(all);
        }
        Err(candle_core::Error::Msg("the model gives numbers that are not finite".to_owned()).into())
    }

    /// The passes for work of these loads.
    pub(crate) fn passes(&self, loads: &[Load]) -> Result<Vec<Vec<usize>>> {
        self.decoder.passes(loads, self.memory)
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// What the tokenizer puts before every text.
    pub(crate) fn beginning(&self) -> &[u32] {
        &self.beginning
    }
}
