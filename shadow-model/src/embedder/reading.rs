//! How an embedder reads a text: prompt, lower case, tokens, and where it is cut.

use std::collections::BTreeMap;

use crate::folder::Settings;
use crate::{Folder, ModelError, Result, Tokens, Vocabulary};

/// Files in which sentence-transformers says how texts are cut, by the age of the folder.
const CUTS: [&str; 3] =
    ["sentence_bert_config.json", "sentence_roberta_config.json", "sentence_xlm-roberta_config.json"];

/// How texts are read.
pub(super) struct Reading {
    vocabulary: Vocabulary,
    most_tokens: usize,
    lower_case: bool,
    prompts: BTreeMap<String, String>,
    prompt: String,
    prompt_tokens: usize,
    dimensions: Option<usize>,
}

impl Reading {
    /// Of a folder whose model reads `most_tokens` at once.
    pub fn of(folder: &Folder, vocabulary: Vocabulary, most_tokens: usize) -> Result<Self> {
        let cut = CUTS.iter().find_map(|name| folder.settings(name).transpose()).transpose()?;
        let given = match cut.as_ref().map(|cut| cut.optional_count("max_seq_length")).transpose()?.flatten() {
            Some(given) => Some(given),
            None => longest_of_tokenizer(folder)?,
        };
        let lower_case = cut.as_ref().map_or(Ok(false), |cut| cut.flag_or("do_lower_case", false))?;
        let settings = folder.settings("config_sentence_transformers.json")?;
        let mut reading = Self {
            vocabulary,
            most_tokens: given.map_or(most_tokens, |given| given.min(most_tokens)),
            lower_case,
            prompts: settings.as_ref().map_or(Ok(BTreeMap::new()), prompts)?,
            prompt: String::new(),
            prompt_tokens: 0,
            dimensions: settings.as_ref().map_or(Ok(None), |settings| settings.optional_count("truncate_dim"))?,
        };
        if let Some(settings) = settings.filter(|settings| settings.get("default_prompt_name").is_some()) {
            let name = settings.text("default_prompt_name")?;
            reading.choose(name).map_err(|why| settings.wrong("default_prompt_name", name, why))?;
        }
        Ok(reading)
    }

    /// Lets texts begin with a prompt.
    pub fn choose(&mut self, name: &str) -> Result<()> {
        let Some(prompt) = self.prompts.get(name) else {
            let names: Vec<_> = self.prompts.keys().map(String::as_str).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(ModelError::Text(format!("prompt `{name}`: the folder has {known}")));
        };
        self.prompt.clone_from(prompt);
        // as sentence-transformers counts: a special token at the end is not the prompt's
        let tokens = self.cut(prompt)?;
        let special = tokens.last().is_some_and(|&last| self.vocabulary.is_special(last));
        self.prompt_tokens = if prompt.is_empty() { 0 } else { tokens.len() - usize::from(special) };
        Ok(())
    }

    /// Tokens of the prompt that stand before a text's.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    pub fn most_tokens(&self) -> usize {
        self.most_tokens
    }

    /// Numbers that are kept of a vector, where the folder says so.
    pub fn dimensions(&self) -> Option<usize> {
        self.dimensions
    }

    /// The tokens of a text after its prompt.
    pub fn tokens(&self, text: &str) -> Result<Tokens> {
        if self.prompt.is_empty() { self.cut(text) } else { self.cut(&[self.prompt.as_str(), text].concat()) }
    }

    fn cut(&self, text: &str) -> Result<Tokens> {
        if !self.lower_case {
            return self.vocabulary.encode_cut(text, self.most_tokens);
        }
        let lower: String = text.chars().flat_map(char::to_lowercase).collect();
        self.vocabulary.encode_cut(&lower, self.most_tokens)
    }
}

/// What `tokenizer_config.json` says; a number beyond all texts stands for none.
fn longest_of_tokenizer(folder: &Folder) -> Result<Option<usize>> {
    let Some(settings) = folder.settings("tokenizer_config.json")? else { return Ok(None) };
    let longest = settings.number_or("model_max_length", 1e30)?;
    if longest.is_nan() || longest < 1.0 {
        return Err(settings.wrong("model_max_length", longest, "at least 1"));
    }
    Ok((longest < 1e9).then_some(longest as usize))
}

fn prompts(settings: &Settings) -> Result<BTreeMap<String, String>> {
    let Some(value) = settings.get("prompts") else { return Ok(BTreeMap::new()) };
    let pair = |(name, prompt): (&String, &serde_json::Value)| Some((name.clone(), prompt.as_str()?.to_owned()));
    let all = value.as_object().and_then(|prompts| prompts.iter().map(pair).collect());
    all.ok_or_else(|| settings.wrong("prompts", value, "an object of names and texts"))
}
