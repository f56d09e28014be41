//! A Hugging Face folder: its configuration, and what kind of model it holds.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{ModelError, Result};

/// The largest configuration or tokenizer file that is read, in bytes.
pub(crate) const MOST_BYTES: u64 = 256 << 20;

/// The largest number of anything that a configuration may state (layers, heads, tokens, ...): more would be asked of
/// memory before the weights could disagree, and products of two of them stay far from overflow.
pub(crate) const MOST_COUNT: usize = 1 << 24;

/// What a folder's model is, by the `model_type` of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// BERT and its like: an encoder that reads both ways.
    Bert,
    /// RoBERTa, XLM-RoBERTa: BERT with positions that begin after the padding's.
    Roberta,
    /// Llama: a decoder.
    Llama,
    /// Qwen2 and Qwen2.5: a decoder with biases on query, key and value.
    Qwen2,
    /// Qwen3: a decoder with normalised queries and keys.
    Qwen3,
}

impl Family {
    /// All that are supported, by the name in `model_type`.
    pub const NAMES: [(&str, Self); 6] = [
        ("bert", Self::Bert),
        ("roberta", Self::Roberta),
        ("xlm-roberta", Self::Roberta),
        ("llama", Self::Llama),
        ("qwen2", Self::Qwen2),
        ("qwen3", Self::Qwen3),
    ];

    /// Its name in `model_type`, the first where there are several.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, family)| *family == self).map_or("", |(name, _)| name)
    }

    /// Whether it predicts the next token.
    pub fn is_decoder(self) -> bool {
        matches!(self, Self::Llama | Self::Qwen2 | Self::Qwen3)
    }
}

/// A folder with a model.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    config: Settings,
}

impl Folder {
    /// Reads `config.json` of the folder.
    ///
    /// # Errors
    /// Where the folder or the file is missing, unreadable, or not an object of JSON.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            let what = if path.exists() { "not a folder" } else { "no such folder" };
            return Err(ModelError::file(
                path,
                format!("{what}; a Hugging Face folder has config.json, tokenizer.json and model.safetensors"),
            ));
        }
        Ok(Self { path: path.to_owned(), config: Settings::read(&path.join("config.json"))? })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.json`.
    pub fn config(&self) -> &Settings {
        &self.config
    }

    /// Another JSON file of the folder; `None` where there is none.
    ///
    /// # Errors
    /// Where it is there and cannot be read or is not an object of JSON.
    pub fn settings(&self, name: &str) -> Result<Option<Settings>> {
        let path = self.path.join(name);
        path.exists().then(|| Settings::read(&path)).transpose()
    }

    /// What kind of model it holds.
    ///
    /// # Errors
    /// Where `model_type` is none of [`Family::NAMES`].
    pub fn family(&self) -> Result<Family> {
        let name = self.config.text("model_type")?;
        let known = Family::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, family)| *family).ok_or_else(|| {
            let names: Vec<_> = Family::NAMES.iter().map(|(name, _)| *name).collect();
            self.config.wrong("model_type", format!("`{name}`"), format!("one of {}", names.join(", ")))
        })
    }
}

/// A JSON file whose values are asked for by key.
#[derive(Clone, Debug)]
pub struct Settings {
    path: PathBuf,
    values: Value,
}

impl Settings {
    /// Reads a file that holds an object, or a list of objects as `modules.json` does.
    ///
    /// # Errors
    /// Where it cannot be read or is no JSON.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let values =
            serde_json::from_str(&text).map_err(|why| ModelError::file(path, format!("not valid JSON: {why}")))?;
        Ok(Self { path: path.to_owned(), values })
    }

    /// The value of a key; `None` where there is none or it is null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// All of it.
    pub fn values(&self) -> &Value {
        &self.values
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A positive whole number.
    ///
    /// # Errors
    /// Where it is missing or something else.
    pub fn count(&self, key: &str) -> Result<usize> {
        self.optional_count(key)?.ok_or_else(|| self.wrong(key, "nothing", "a positive whole number"))
    }

    /// A positive whole number, if it is there.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn optional_count(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .filter(|&number| (1..=MOST_COUNT).contains(&number));
        let right = format!("a positive whole number up to {MOST_COUNT}");
        number.map(Some).ok_or_else(|| self.wrong(key, value, right))
    }

    /// A finite number, `default` where it is missing.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_f64().filter(|number| number.is_finite()).ok_or_else(|| self.wrong(key, value, "a number"))
    }

    /// true or false, `default` where it is missing.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.wrong(key, value, "true or false"))
    }

    /// A text.
    ///
    /// # Errors
    /// Where it is missing or something else.
    pub fn text(&self, key: &str) -> Result<&str> {
        let found = || self.get(key).map_or("nothing".to_owned(), ToString::to_string);
        self.get(key).and_then(Value::as_str).ok_or_else(|| self.wrong(key, found(), "a text"))
    }

    /// The error for a value that cannot be used.
    pub fn wrong(&self, key: &str, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> ModelError {
        ModelError::setting(&self.path, key, found, expected)
    }
}

/// A text file of bounded size.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let size = std::fs::metadata(path).map_err(|why| match why.kind() {
        std::io::ErrorKind::NotFound => ModelError::file(
            path,
            "no such file; a Hugging Face folder has config.json, tokenizer.json and model.safetensors",
        ),
        _ => ModelError::file(path, why),
    });
    let size = size?.len();
    if size > MOST_BYTES {
        return Err(ModelError::file(path, format!("{size} bytes, at most {MOST_BYTES} are read")));
    }
    std::fs::read_to_string(path).map_err(|why| ModelError::file(path, why))
}
