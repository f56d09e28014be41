//! Texts in, vectors out: a model of a folder, or the hashed embedding that needs none.
//!
//! Equal to sentence-transformers on the same folder: it truncates, pools and normalises as the folder's files say.

mod groups;
mod model;
mod reading;

use std::path::Path;

use plimsoll_rules::text::HashedEmbedder;

use self::model::Model;
pub(crate) use self::model::bert_needs;
use self::reading::Reading;
use crate::{ModelError, Options, Result, Tokens};

/// Turns texts into vectors of one length.
pub struct Embedder {
    kind: Kind,
}

enum Kind {
    Hashed(HashedEmbedder),
    Model { reading: Box<Reading>, model: Box<Model> },
}

impl Embedder {
    /// Opens the model of a folder.
    ///
    /// # Errors
    /// Where the folder, one of its files, a value or a tensor is missing or not what it should be; where the weights do not
    /// have the SHA-256 or the memory that `options` say; where the device is not there.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        let (model, reading) = Model::open(path, options)?;
        Ok(Self { kind: Kind::Model { reading: Box::new(reading), model: Box::new(model) } })
    }

    /// The embedding without weights: hashed character n-grams, 384 numbers.
    pub fn hashed() -> Self {
        Self { kind: Kind::Hashed(HashedEmbedder::default()) }
    }

    /// Lets each text begin with the prompt of this name in `config_sentence_transformers.json`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn with_prompt(mut self, name: &str) -> Result<Self> {
        match &mut self.kind {
            Kind::Hashed(_) => Err(ModelError::Text(format!("prompt `{name}`: the hashed embedding has none"))),
            Kind::Model { reading, .. } => reading.choose(name).map(|()| self),
        }
    }

    /// Numbers of a vector.
    pub fn dimensions(&self) -> usize {
        match &self.kind {
            Kind::Hashed(hashed) => hashed.dimensions(),
            Kind::Model { model, .. } => model.dimensions(),
        }
    }

    /// Tokens that are read of a text, special ones included; the rest is left out.
    pub fn max_tokens(&self) -> usize {
        match &self.kind {
            Kind::Hashed(_) => crate::tokens::MOST_TEXT,
            Kind::Model { reading, .. } => reading.most_tokens(),
        }
    }

    /// The tokens of a text with its prompt, cut to [`Embedder::max_tokens`]; the time it takes does not grow with what is
    /// cut off. For the hashed embedding they are its characters.
    ///
    /// # Errors
    /// Where the tokenizer refuses the text.
    pub fn tokenize(&self, text: &str) -> Result<Tokens> {
        match &self.kind {
            Kind::Hashed(_) => {
                let end = text.floor_char_boundary(crate::tokens::MOST_TEXT);
                Ok(text[..end].chars().map(u32::from).collect())
            }
            Kind::Model { reading, .. } => reading.tokens(text),
        }
    }

    /// The vectors of texts, in their order. What stands beside a text changes nothing but rounding.
    ///
    /// # Errors
    /// Where a text has no tokens, more than [`Embedder::max_tokens`], or some that are not the model's; where the memory
    /// allowed does not hold one text; where the device fails.
    pub fn embed_tokens(&self, texts: &[Tokens]) -> Result<Vec<Vec<f32>>> {
        match &self.kind {
            Kind::Hashed(hashed) => {
                let text = |text: &Tokens| text.iter().filter_map(|&sign| char::from_u32(sign)).collect::<String>();
                Ok(texts.iter().map(|signs| hashed.embed(&text(signs))).collect())
            }
            Kind::Model { reading, model } => model.embed(texts, reading.prompt_tokens()),
        }
    }

    /// The vectors of texts, in their order.
    ///
    /// # Errors
    /// As [`Embedder::tokenize`] and [`Embedder::embed_tokens`].
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let tokens = texts.iter().map(|text| self.tokenize(text)).collect::<Result<Vec<_>>>()?;
        self.embed_tokens(&tokens)
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> u64 {
        match &self.kind {
            Kind::Hashed(_) => 0,
            Kind::Model { model, .. } => model.bytes(),
        }
    }
}

#[cfg(test)]
mod tests;
