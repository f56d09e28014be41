//! How good an answer is to a reward model: a decoder with one number on the last token (`*ForSequenceClassification`
//! with one label; Skywork-Reward-V2, arXiv 2507.01352).

use std::path::Path;

use candle_core::DType;

use crate::decoder::{Batch, Checkpoint, Decoder, Load};
use crate::linear::Linear;
use crate::scorer::cut::{end, worth_reading};
use crate::{Folder, ModelError, Options, Result, Tokens, Vocabulary};

/// A reward model.
pub struct Reward {
    vocabulary: Vocabulary,
    decoder: Decoder,
    head: Linear,
    /// The token that fills shorter texts up: not counted as the last one of a text.
    padding: Option<u32>,
    layout: Layout,
    memory: Option<u64>,
}

/// How a conversation is written for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// `<|im_start|>user`, Qwen's.
    ChatMl,
    /// The same with an empty thought before the answer, Qwen3's.
    Thinking,
    /// `<|start_header_id|>user<|end_header_id|>`, Llama 3's.
    Llama3,
    /// `User: `, where the vocabulary has neither.
    Plain,
}

impl Reward {
    /// Opens a folder with a Llama, Qwen2 or Qwen3 for sequence classification with one label.
    ///
    /// # Errors
    /// Where the model is another, a file is missing or unreadable, or the weights take more memory than allowed.
    pub fn open(folder: &Path, options: &Options) -> Result<Self> {
        let checkpoint = Checkpoint::trunk(folder, options)?;
        let config = Folder::open(folder)?;
        classifies(&config)?;
        let vocabulary = Vocabulary::at(folder, checkpoint.config.vocabulary)?;
        let has = |token: &str| vocabulary.tokenizer().token_to_id(token).is_some();
        let layout = match (has("<|im_start|>"), has("<|start_header_id|>")) {
            (true, _) if has("<think>") => Layout::Thinking,
            (true, _) => Layout::ChatMl,
            (_, true) => Layout::Llama3,
            _ => Layout::Plain,
        };
        let padding = config.config().get("pad_token_id").and_then(serde_json::Value::as_u64);
        Ok(Self {
            vocabulary,
            head: checkpoint.head("score", checkpoint.config.hidden, 1)?,
            padding: padding.and_then(|id| u32::try_from(id).ok()),
            layout,
            memory: options.memory,
            decoder: Decoder::load(&checkpoint)?,
        })
    }

    /// The most tokens of a text that are read.
    pub fn window(&self) -> usize {
        self.decoder.config().window
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> u64 {
        self.decoder.bytes()
    }

    /// A question and its answer as the model's conversation, in tokens; where it does not fit the window, its end.
    ///
    /// # Errors
    /// Where the tokenizer refuses a text.
    pub fn tokenize(&self, question: &str, answer: &str) -> Result<Tokens> {
        self.tokenize_text(&self.layout.write(question, answer))
    }

    /// A conversation that is written out already, in tokens; where it does not fit the window, its end.
    ///
    /// # Errors
    /// Where the tokenizer refuses it.
    pub fn tokenize_text(&self, text: &str) -> Result<Tokens> {
        let (text, _) = end(text, worth_reading(self.window()));
        let mut tokens = self.vocabulary.encode(text)?;
        tokens.drain(..tokens.len().saturating_sub(self.window()));
        Ok(tokens)
    }

    /// The rewards of conversations, in their order: any number, larger is better.
    ///
    /// # Errors
    /// Where a conversation has no tokens, takes more memory alone than allowed, or the device fails.
    pub fn score(&self, texts: &[Tokens]) -> Result<Vec<f32>> {
        if texts.iter().any(Vec::is_empty) {
            return Err(ModelError::Text("no tokens, so there is no last one".to_owned()));
        }
        let load = |text: &Tokens| Load { rows: text.len(), longest: text.len(), segments: 1 };
        let loads: Vec<_> = texts.iter().map(load).collect();
        let mut scores = vec![0.0; texts.len()];
        for pass in self.decoder.passes(&loads, self.memory)? {
            let rewards = self.pass(pass.iter().map(|&number| &texts[number]))?;
            pass.into_iter().zip(rewards).for_each(|(number, reward)| scores[number] = reward);
        }
        Ok(scores)
    }

    fn pass<'a>(&self, texts: impl Iterator<Item = &'a Tokens>) -> Result<Vec<f32>> {
        let (mut batch, mut last) = (Batch::default(), Vec::new());
        for text in texts {
            let segment = batch.add(text, None);
            let within = text.iter().rposition(|&token| Some(token) != self.padding).unwrap_or(0);
            last.push(batch.rows(segment).start + within);
        }
        let rows = self.decoder.rows(&batch, &last)?;
        Ok(self.head.forward(&rows)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }
}

fn classifies(folder: &Folder) -> Result<()> {
    let names = folder.config().get("architectures").cloned().unwrap_or_default();
    let name = names.get(0).and_then(serde_json::Value::as_str).unwrap_or("nothing");
    if name.ends_with("ForSequenceClassification") {
        return Ok(());
    }
    let expected = "one that ends in ForSequenceClassification: a reward model";
    Err(folder.config().wrong("architectures", format!("`{name}`"), expected))
}

impl Layout {
    fn write(self, question: &str, answer: &str) -> String {
        match self {
            Self::Thinking => Self::ChatMl.write(question, &format!("<think>\n\n</think>\n\n{answer}")),
            Self::ChatMl => {
                format!("<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n")
            }
            Self::Llama3 => format!(
                "<|start_header_id|>user<|end_header_id|>\n\n{question}<|eot_id|>\
                 <|start_header_id|>assistant<|end_header_id|>\n\n{answer}<|eot_id|>"
            ),
            Self::Plain => format!("User: {question}\n\nAssistant: {answer}"),
        }
    }
}

#[cfg(test)]
mod tests;
