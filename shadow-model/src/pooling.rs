//! From the vectors of a text's tokens to the one of the text, as the folder of sentence-transformers says.

use std::ops::Range;

use candle_core::{DType, Tensor};

use crate::folder::Settings;
use crate::{Folder, ModelError, Result};

/// What is made of the tokens' vectors; several stand beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// The first token's.
    Cls,
    /// The largest number at each place.
    Max,
    /// The mean.
    Mean,
    /// The sum divided by the square root of how many there are.
    MeanSqrtLength,
    /// The mean where the n-th token weighs n.
    WeightedMean,
    /// The last token's.
    LastToken,
}

impl Pool {
    /// Names of the new form (`pooling_mode`), keys of the old one, in the order in which several stand.
    const NAMES: [(&str, &str, Self); 6] = [
        ("cls", "pooling_mode_cls_token", Self::Cls),
        ("max", "pooling_mode_max_tokens", Self::Max),
        ("mean", "pooling_mode_mean_tokens", Self::Mean),
        ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", Self::MeanSqrtLength),
        ("weightedmean", "pooling_mode_weightedmean_tokens", Self::WeightedMean),
        ("lasttoken", "pooling_mode_lasttoken", Self::LastToken),
    ];

    /// What a token weighs in a sum, by its number in its text (from 0) and how many there are; `None` where it is no sum.
    fn weight(self, place: usize, prompt: usize, length: usize) -> Option<f32> {
        let counted = (length - prompt).max(1) as f32;
        Some(match self {
            Self::Cls => f32::from(u8::from(place == prompt)),
            Self::LastToken => f32::from(u8::from(place + 1 == length)),
            Self::Mean => 1.0 / counted,
            Self::MeanSqrtLength => 1.0 / counted.sqrt(),
            Self::WeightedMean => {
                let all: usize = (prompt + 1..=length).sum();
                (place + 1) as f32 / all as f32
            }
            Self::Max => return None,
        })
    }
}

/// How the vectors of a folder's model become a text's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pooling {
    pools: Vec<Pool>,
    /// Whether the vector is scaled to length 1.
    normalise: bool,
    /// Whether the tokens of a prompt count.
    pub prompt_counts: bool,
}

impl Pooling {
    /// Reads `modules.json` and the files it names. Without it: the mean, not normalised (the last token for a model that
    /// predicts the next), as sentence-transformers does.
    ///
    /// # Errors
    /// Where a file is missing or says what cannot be, or a module is of a kind that is not supported.
    pub fn of(folder: &Folder, width: usize) -> Result<Self> {
        let Some(modules) = folder.settings("modules.json")? else {
            let pool = if folder.family()?.is_decoder() { Pool::LastToken } else { Pool::Mean };
            return Ok(Self { pools: vec![pool], normalise: false, prompt_counts: true });
        };
        let list = modules.values().as_array();
        let list = list.ok_or_else(|| ModelError::file(modules.path(), "not a list of modules"))?;
        let mut pooling = Self { pools: Vec::new(), normalise: false, prompt_counts: true };
        for (index, module) in list.iter().enumerate() {
            let text = |key: &str| module.get(key).and_then(serde_json::Value::as_str).unwrap_or("");
            match text("type").rsplit('.').next().unwrap_or("") {
                "Transformer" if index == 0 && text("path").is_empty() => {}
                "Pooling" => pooling.read(folder, text("path"), width)?,
                "Normalize" if index + 1 == list.len() => pooling.normalise = true,
                _ => {
                    let expected = "a Transformer in the folder itself, then Pooling, then at most Normalize";
                    return Err(modules.wrong(&format!("[{index}]"), module, expected));
                }
            }
        }
        if pooling.pools.is_empty() {
            return Err(ModelError::file(modules.path(), "names no module of the type Pooling"));
        }
        Ok(pooling)
    }

    fn read(&mut self, folder: &Folder, path: &str, width: usize) -> Result<()> {
        let plain = std::path::Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let name = format!("{path}/config.json");
        let settings = if plain { folder.settings(&name)? } else { None };
        let settings = settings.ok_or_else(|| ModelError::file(&folder.path().join(&name), "no such file"))?;
        for key in ["word_embedding_dimension", "embedding_dimension"] {
            if let Some(found) = settings.optional_count(key)?.filter(|found| *found != width) {
                return Err(settings.wrong(key, found, format!("the model's `hidden_size` = {width}")));
            }
        }
        self.prompt_counts = settings.flag_or("include_prompt", true)?;
        self.pools = pools(&settings)?;
        Ok(())
    }

    /// Numbers of a text's vector.
    pub fn dimensions(&self, width: usize) -> usize {
        self.pools.len() * width
    }

    /// The vectors of texts whose tokens are the rows `spans` of `hidden`, of shape `[rows, width]`: shape
    /// `[texts, dimensions]`, f32 on the device. `prompt` tokens at the beginning of each do not count where the folder
    /// says so.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn of_rows(&self, hidden: &Tensor, spans: &[Range<usize>], prompt: usize) -> Result<Tensor> {
        let hidden = hidden.to_dtype(DType::F32)?;
        let prompt = if self.prompt_counts { 0 } else { prompt };
        let parts = self.pools.iter().map(|&pool| pooled(pool, &hidden, spans, prompt)).collect::<Result<Vec<_>>>()?;
        let vectors = Tensor::cat(&parts, 1)?;
        if !self.normalise {
            return Ok(vectors);
        }
        let length = vectors.sqr()?.sum_keepdim(1)?.sqrt()?.maximum(1e-12)?;
        Ok(vectors.broadcast_div(&length)?)
    }
}

/// Sums are a product with a matrix of what each token weighs: one step on any device, whatever the lengths.
fn pooled(pool: Pool, hidden: &Tensor, spans: &[Range<usize>], prompt: usize) -> Result<Tensor> {
    let rows = hidden.dim(0)?;
    let mut matrix = vec![0.0_f32; spans.len() * rows];
    for (row, span) in matrix.chunks_exact_mut(rows.max(1)).zip(spans) {
        // a text that is nothing but its prompt counts whole
        let prompt = if prompt < span.len() { prompt } else { 0 };
        for place in prompt..span.len() {
            let Some(weight) = pool.weight(place, prompt, span.len()) else { return largest(hidden, spans, prompt) };
            row[span.start + place] = weight;
        }
    }
    Ok(Tensor::from_vec(matrix, (spans.len(), rows), hidden.device())?.matmul(hidden)?)
}

fn largest(hidden: &Tensor, spans: &[Range<usize>], prompt: usize) -> Result<Tensor> {
    let each = spans.iter().map(|span| {
        let prompt = if prompt < span.len() { prompt } else { 0 };
        Ok(hidden.narrow(0, span.start + prompt, span.len() - prompt)?.max(0)?)
    });
    Ok(Tensor::stack(&each.collect::<Result<Vec<_>>>()?, 0)?)
}

/// One or several, of the new form or the old.
fn pools(settings: &Settings) -> Result<Vec<Pool>> {
    let Some(value) = settings.get("pooling_mode") else {
        let chosen = Pool::NAMES.iter().map(|(_, key, pool)| Ok(settings.flag_or(key, false)?.then_some(*pool)));
        let chosen: Vec<_> = chosen.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        return Ok(if chosen.is_empty() { vec![Pool::Mean] } else { chosen });
    };
    let one = std::slice::from_ref(value);
    let names = value.as_array().map_or(one, Vec::as_slice);
    let pool = |name: &serde_json::Value| {
        let known = Pool::NAMES.iter().find(|(known, ..)| name.as_str() == Some(*known));
        let names: Vec<_> = Pool::NAMES.iter().map(|(name, ..)| *name).collect();
        known
            .map(|(.., pool)| *pool)
            .ok_or_else(|| settings.wrong("pooling_mode", name, format!("one or several of {}", names.join(", "))))
    };
    if names.is_empty() {
        return Err(settings.wrong("pooling_mode", value, "at least one"));
    }
    names.iter().map(pool).collect()
}
