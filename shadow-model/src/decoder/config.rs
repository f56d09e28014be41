//! What `config.json` says of a decoder, checked.

use serde_json::Value;

use super::rope::{self, Frequencies};
use crate::{Family, Folder, Result, Settings};

/// The shape of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub family: Family,
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Width of a row.
    pub hidden: usize,
    /// Width inside the feed-forward part.
    pub inner: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head: usize,
    /// The most positions of one text.
    pub window: usize,
    /// What is added to the mean square before its root.
    pub eps: f32,
    /// How far back each layer looks, in tokens with the own one; `None` is all the way.
    pub layers: Vec<Option<usize>>,
    /// How positions turn queries and keys.
    pub frequencies: Frequencies,
    /// Whether the output matrix is the embedding.
    pub tied: bool,
    pub biases: Biases,
    /// Whether queries and keys are normalised per head (Qwen3).
    pub normed_heads: bool,
}

/// Which products have a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Biases {
    pub query_key_value: bool,
    pub output: bool,
    pub feed_forward: bool,
}

impl Config {
    /// Reads a folder's `config.json`, as transformers 4 and 5 write it.
    ///
    /// # Errors
    /// Where the model is no decoder, or a key is missing, has a value that cannot be used or does not fit another.
    pub fn read(folder: &Folder) -> Result<Self> {
        let (settings, family) = (folder.config(), folder.family()?);
        if !family.is_decoder() {
            return Err(settings.wrong("model_type", settings.text("model_type")?, "llama, qwen2 or qwen3"));
        }
        activation(settings)?;
        let hidden = settings.count("hidden_size")?;
        let heads = settings.count("num_attention_heads")?;
        let kv_heads = settings.optional_count("num_key_value_heads")?.unwrap_or(heads);
        if !heads.is_multiple_of(kv_heads) {
            let expected = format!("a divisor of `num_attention_heads` ({heads})");
            return Err(settings.wrong("num_key_value_heads", kv_heads, expected));
        }
        let head = head(settings, family, hidden, heads)?;
        let attention_bias = settings.flag_or("attention_bias", false)?;
        let biases = Biases {
            query_key_value: family == Family::Qwen2 || attention_bias,
            output: family != Family::Qwen2 && attention_bias,
            feed_forward: family == Family::Llama && settings.flag_or("mlp_bias", false)?,
        };
        Ok(Self {
            family,
            vocabulary: settings.count("vocab_size")?,
            hidden,
            inner: settings.count("intermediate_size")?,
            heads,
            kv_heads,
            head,
            window: settings.count("max_position_embeddings")?,
            eps: eps(settings)?,
            layers: layers(settings, family)?,
            frequencies: rope::read(settings, head)?,
            tied: settings.flag_or("tie_word_embeddings", false)?,
            biases,
            normed_heads: family == Family::Qwen3,
        })
    }

    /// What scores of attention are multiplied by: 1/√head.
    #[expect(clippy::cast_precision_loss, reason = "heads are narrow")]
    pub fn scale(&self) -> f32 {
        1.0 / (self.head as f32).sqrt()
    }
}

fn activation(settings: &Settings) -> Result<()> {
    match settings.get("hidden_act").and_then(Value::as_str) {
        None | Some("silu" | "swish") => Ok(()),
        Some(other) => Err(settings.wrong("hidden_act", format!("`{other}`"), "`silu`")),
    }
}

fn head(settings: &Settings, family: Family, hidden: usize, heads: usize) -> Result<usize> {
    let otherwise = if family == Family::Qwen3 { 128 } else { hidden / heads };
    let given = settings.optional_count("head_dim")?;
    if given.is_none() && family != Family::Qwen3 && !hidden.is_multiple_of(heads) {
        return Err(settings.wrong("num_attention_heads", heads, format!("a divisor of `hidden_size` ({hidden})")));
    }
    let head = given.unwrap_or(otherwise);
    if head.is_multiple_of(2) { Ok(head) } else { Err(settings.wrong("head_dim", head, "an even number")) }
}

#[expect(clippy::cast_possible_truncation, reason = "the models compute with it in f32")]
fn eps(settings: &Settings) -> Result<f32> {
    let eps = settings.number_or("rms_norm_eps", 1e-6)?;
    if eps > 0.0 { Ok(eps as f32) } else { Err(settings.wrong("rms_norm_eps", eps, "a number above 0")) }
}

/// How far each layer looks back: by `layer_types`, or, for Qwen2 and Qwen3, the layers from `max_window_layers` on.
fn layers(settings: &Settings, family: Family) -> Result<Vec<Option<usize>>> {
    let count = settings.count("num_hidden_layers")?;
    let slides = family != Family::Llama && settings.flag_or("use_sliding_window", false)?;
    let window = if slides { Some(settings.optional_count("sliding_window")?.unwrap_or(4096)) } else { None };
    let Some(types) = settings.get("layer_types") else {
        let first = if window.is_some() { settings.optional_count("max_window_layers")?.unwrap_or(28) } else { count };
        return Ok((0..count).map(|layer| window.filter(|_| layer >= first)).collect());
    };
    let names = types.as_array().filter(|names| names.len() == count);
    let names = names.ok_or_else(|| settings.wrong("layer_types", types, format!("a list of {count} names")))?;
    let layer = |name: &Value| match name.as_str() {
        Some("full_attention") => Ok(None),
        Some("sliding_attention") => {
            let missing = || {
                settings.wrong("sliding_window", "nothing that applies", "a number: `layer_types` has sliding layers")
            };
            window.map(Some).ok_or_else(missing)
        }
        _ => Err(settings.wrong("layer_types", name, "full_attention or sliding_attention")),
    };
    names.iter().map(layer).collect()
}

#[cfg(test)]
mod tests;
