//! Texts as the numbers that a model reads.

use std::path::Path;

use tokenizers::Tokenizer;

use crate::folder::read_text;
use crate::{Folder, ModelError, Result};

/// The longest text that is read, in bytes: longer ones are cut at a character before they are tokenised, for no model
/// here reads that far and time grows with length.
pub const MOST_TEXT: usize = 4 << 20;

/// The ids of one text.
pub type Tokens = Vec<u32>;

/// A folder's tokenizer.
pub struct Vocabulary {
    tokenizer: Tokenizer,
}

impl Vocabulary {
    /// Reads `tokenizer.json`; what it says of padding and truncation is left out, for batches here are packed otherwise.
    ///
    /// # Errors
    /// Where it is missing or unreadable, or gives ids that the model of `rows` embeddings does not have.
    pub fn open(folder: &Folder, rows: usize) -> Result<Self> {
        Self::at(folder.path(), rows)
    }

    /// The same of a folder that may have no `config.json`, as one with a GGUF file.
    ///
    /// # Errors
    /// As [`Vocabulary::open`].
    pub fn at(folder: &Path, rows: usize) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let tokenizer = read(&path)?;
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        if largest as usize >= rows {
            let what = format!(
                "gives ids up to {largest}, the model has {rows} embeddings (`vocab_size` of config.json): tokenizer and model do not belong together"
            );
            return Err(ModelError::file(&path, what));
        }
        Ok(Self { tokenizer })
    }

    /// The ids of a text, with the special tokens of its tokenizer (`[CLS]`, `<s>`).
    ///
    /// # Errors
    /// Where the tokenizer refuses it.
    pub fn encode(&self, text: &str) -> Result<Tokens> {
        self.ids(text, true)
    }

    /// The ids of a text that goes on: without special tokens.
    ///
    /// # Errors
    /// Where the tokenizer refuses it.
    pub fn encode_plain(&self, text: &str) -> Result<Tokens> {
        self.ids(text, false)
    }

    fn ids(&self, text: &str, special: bool) -> Result<Tokens> {
        let text = &text[..text.floor_char_boundary(MOST_TEXT)];
        let encoding = self.tokenizer.encode_fast(text, special).map_err(|why| ModelError::Text(why.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The tokenizer itself.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
}

fn read(path: &Path) -> Result<Tokenizer> {
    let text = read_text(path)?;
    let mut tokenizer: Tokenizer =
        text.parse().map_err(|why| ModelError::file(path, format!("not a tokenizer: {why}")))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|why| ModelError::file(path, why))?;
    Ok(tokenizer)
}
