//! Texts as the numbers that a model reads.

use std::path::Path;

use tokenizers::{ModelWrapper, PostProcessor, Tokenizer, TruncationDirection};

use crate::folder::read_text;
use crate::{Folder, ModelError, Result};

/// The longest text that is read, in bytes: longer ones are cut at a character before they are tokenised, for no model
/// here reads that far and time grows with length.
pub const MOST_TEXT: usize = 4 << 20;

/// Bytes of text that are read at first for each token wanted; few languages have longer tokens.
const BYTES_PER_TOKEN: usize = 12;
/// Tokens near the end of what was read may come out otherwise if more is read; so many more are asked for.
const MARGIN: usize = 64;

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
    /// Where it is missing or unreadable, gives ids that the model of `rows` embeddings does not have, or is of another
    /// kind of model.
    pub fn open(folder: &Folder, rows: usize) -> Result<Self> {
        let vocabulary = Self::read(&folder.path().join("tokenizer.json"), rows)?;
        vocabulary.suits(folder.path(), folder.family()?.is_decoder())?;
        Ok(vocabulary)
    }

    /// The same of a decoder at `path`: a folder that may have no `config.json`, or the GGUF file in it.
    ///
    /// # Errors
    /// As [`Vocabulary::open`].
    pub fn at(path: &Path, rows: usize) -> Result<Self> {
        let folder = if path.is_file() { path.parent().unwrap_or(path) } else { path };
        let vocabulary = Self::read(&folder.join("tokenizer.json"), rows)?;
        vocabulary.suits(folder, true)?;
        Ok(vocabulary)
    }

    fn read(path: &Path, rows: usize) -> Result<Self> {
        let tokenizer = read(path)?;
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        if largest as usize >= rows {
            let what = format!(
                "gives ids up to {largest}, the model has {rows} embeddings (`vocab_size` of config.json): tokenizer and model do not belong together"
            );
            return Err(ModelError::file(path, what));
        }
        Ok(Self { tokenizer })
    }

    /// An encoder reads its own tokens around each text, a decoder reads no WordPiece: ids that happen to be small enough
    /// would give vectors that mean nothing.
    fn suits(&self, folder: &Path, decoder: bool) -> Result<()> {
        let around = self.encode("")?.len();
        let what = match (decoder, self.tokenizer.get_model()) {
            (true, ModelWrapper::WordPiece(_)) => {
                "a WordPiece tokenizer, an encoder's (BERT); a decoder (Llama, Qwen) needs its own".to_owned()
            }
            (false, _) if around < 2 => format!(
                "puts {around} tokens around a text, as a decoder's does; an encoder (BERT) needs two, such as [CLS] and [SEP]"
            ),
            _ => return Ok(()),
        };
        Err(ModelError::file(&folder.join("tokenizer.json"), what))
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

    /// The ids of a text with the special tokens, at most `most` of them: what is too much is cut off before the special
    /// token at the end. Only as much of the text is read as is needed.
    ///
    /// # Errors
    /// Where the tokenizer refuses it.
    pub fn encode_cut(&self, text: &str, most: usize) -> Result<Tokens> {
        let wrong = |why: tokenizers::Error| ModelError::Text(why.to_string());
        let added = self.tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        let kept = most.saturating_sub(added);
        let text = &text[..text.floor_char_boundary(MOST_TEXT)];
        let mut length = kept.saturating_mul(BYTES_PER_TOKEN).max(MARGIN);
        loop {
            let part = beginning(text, length);
            let mut encoding = self.tokenizer.encode_fast(part, false).map_err(wrong)?;
            if part.len() == text.len() || encoding.len() >= kept + MARGIN {
                encoding.truncate(kept, 0, TruncationDirection::Right);
                let encoding = self.tokenizer.post_process(encoding, None, true).map_err(wrong)?;
                return Ok(encoding.get_ids().to_vec());
            }
            length = length.saturating_mul(4);
        }
    }

    /// Whether a token is special to the tokenizer, as `[SEP]` is.
    pub fn is_special(&self, token: u32) -> bool {
        self.tokenizer.get_added_tokens_decoder().get(&token).is_some_and(|token| token.special)
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

/// At most `length` bytes of a text, whole words where it has any.
fn beginning(text: &str, length: usize) -> &str {
    let part = &text[..text.floor_char_boundary(length)];
    if part.len() == text.len() {
        return part;
    }
    part.rfind(char::is_whitespace).filter(|&end| end > part.len() / 2).map_or(part, |end| &part[..end])
}

fn read(path: &Path) -> Result<Tokenizer> {
    let text = read_text(path)?;
    let mut tokenizer: Tokenizer =
        text.parse().map_err(|why| ModelError::file(path, format!("not a tokenizer: {why}")))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|why| ModelError::file(path, why))?;
    Ok(tokenizer)
}
