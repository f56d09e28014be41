//! BERT (Devlin et al., arXiv 1810.04805) and RoBERTa (Liu et al., arXiv 1907.11692): texts in, one vector for each token out.

use candle_core::{DType, Tensor};

use crate::activation::Activation;
use crate::folder::Settings;
use crate::linear::{Bias, Linear};
use crate::numbers::{Numbers, Products};
use crate::ops::{Batch, Norm, attention, feed_forward};
use crate::{Family, Folder, Result, Weights};

/// What `config.json` says of a model.
#[derive(Clone, Debug)]
pub(crate) struct BertConfig {
    vocabulary: usize,
    /// Numbers of a token's vector.
    pub width: usize,
    layers: usize,
    heads: usize,
    /// Numbers between the two layers of a feed-forward block.
    pub middle: usize,
    positions: usize,
    /// Positions that are left out before the first token's (RoBERTa counts from the padding's on).
    offset: usize,
    types: usize,
    eps: f64,
    activation: Activation,
}

impl BertConfig {
    /// Reads and checks it.
    ///
    /// # Errors
    /// Where a value is missing, cannot be, or asks for what is not supported.
    pub fn of(folder: &Folder) -> Result<Self> {
        let config = folder.config();
        let (width, heads) = (config.count("hidden_size")?, config.count("num_attention_heads")?);
        if !width.is_multiple_of(heads) {
            return Err(config.wrong("num_attention_heads", heads, format!("a divisor of `hidden_size` = {width}")));
        }
        let kind = config.get("position_embedding_type");
        if let Some(kind) = kind.filter(|kind| kind.as_str() != Some("absolute")) {
            return Err(config.wrong("position_embedding_type", kind, "\"absolute\""));
        }
        let positions = config.count("max_position_embeddings")?;
        let offset = offset(config, folder.family()?)?;
        if offset >= positions {
            return Err(config.wrong("max_position_embeddings", positions, format!("more than {offset}")));
        }
        Ok(Self {
            vocabulary: config.count("vocab_size")?,
            width,
            layers: config.count("num_hidden_layers")?,
            heads,
            middle: config.count("intermediate_size")?,
            positions,
            offset,
            types: config.optional_count("type_vocab_size")?.unwrap_or(2),
            eps: config.number_or("layer_norm_eps", 1e-12)?,
            activation: activation(config)?,
        })
    }

    /// Tokens that it can read at once.
    pub fn most_tokens(&self) -> usize {
        self.positions - self.offset
    }

    /// Rows of the table of tokens.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Heads of an attention.
    pub fn heads(&self) -> usize {
        self.heads
    }
}

/// RoBERTa's first position is the one after the padding token's number.
fn offset(config: &Settings, family: Family) -> Result<usize> {
    if family != Family::Roberta {
        return Ok(0);
    }
    let Some(value) = config.get("pad_token_id") else { return Ok(2) };
    let padding = value.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|&number| number < 1 << 20);
    padding.map(|number| number + 1).ok_or_else(|| config.wrong("pad_token_id", value, "a token's number"))
}

fn activation(config: &Settings) -> Result<Activation> {
    let name = config.get("hidden_act").map_or(Ok("gelu"), |_| config.text("hidden_act"))?;
    let known = Activation::NAMES.iter().find(|(known, _)| *known == name);
    known.map(|(_, activation)| *activation).ok_or_else(|| {
        let names: Vec<_> = Activation::NAMES.iter().map(|(name, _)| *name).collect();
        config.wrong("hidden_act", format!("`{name}`"), format!("one of {}", names.join(", ")))
    })
}

/// The model.
pub(crate) struct Bert {
    tokens: Tensor,
    /// A position's vector and that of the first segment, added.
    places: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    config: BertConfig,
    numbers: Numbers,
}

struct Layer {
    qkv: Linear,
    out: Linear,
    out_norm: Norm,
    up: Linear,
    down: Linear,
    down_norm: Norm,
}

impl Bert {
    /// Reads the weights, which may stand under `bert.` or `roberta.` as a model with a head has them.
    ///
    /// # Errors
    /// Where one is missing, of another shape, or cannot be read.
    pub fn load(config: BertConfig, weights: &Weights, numbers: &Numbers) -> Result<Self> {
        let prefix = ["", "bert.", "roberta."]
            .into_iter()
            .find(|prefix| weights.has(&format!("{prefix}embeddings.word_embeddings.weight")));
        let prefix = prefix.unwrap_or("");
        let table = |name: &str, rows: usize| {
            let name = format!("{prefix}embeddings.{name}.weight");
            weights.tensor(&name, &[rows, config.width], numbers.dtype, &numbers.device)
        };
        // the largest first: its bytes as they are read are gone before the rest comes
        let tokens = table("word_embeddings", config.vocabulary)?;
        let places = table("position_embeddings", config.positions)?.narrow(0, config.offset, config.most_tokens())?;
        let first = table("token_type_embeddings", config.types)?.narrow(0, 0, 1)?;
        let norm = format!("{prefix}embeddings.LayerNorm");
        let norm = Norm::load(weights, &norm, config.width, config.eps, numbers)?;
        let mut layers: Vec<Layer> = Vec::new();
        for index in 0..config.layers {
            let before = layers.last().map_or(&norm, |layer| &layer.down_norm);
            let layer = Layer::load(&format!("{prefix}encoder.layer.{index}"), before, &config, weights, numbers)?;
            layers.push(layer);
        }
        Ok(Self { tokens, places: places.broadcast_add(&first)?, norm, layers, numbers: numbers.clone(), config })
    }

    /// The last layer's vectors, of shape `[rows of the batch, width]`.
    ///
    /// # Errors
    /// Where a text is longer than the model reads, a token is not one of its own, or the device fails.
    pub fn hidden(&self, batch: &Batch) -> Result<Tensor> {
        let index = |numbers: &[u32]| Tensor::new(numbers, &self.numbers.device);
        let tokens = self.tokens.index_select(&index(&batch.ids)?, 0)?;
        let places = self.places.index_select(&index(&batch.positions)?, 0)?;
        let mask = batch.mask(self.numbers.dtype, &self.numbers.device)?;
        let mut x = self.norm.of_sum(&tokens, &places)?;
        for layer in &self.layers {
            x = layer.forward(&x, &self.config, batch, mask.as_ref())?;
        }
        Ok(x)
    }

    /// Whether its batches are without padding.
    pub fn packs(&self) -> bool {
        self.numbers.products != Products::Plain
    }

    /// What it is built for.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// The configuration.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> u64 {
        let tables = (self.tokens.elem_count() + self.places.elem_count()) * self.tokens.dtype().size_in_bytes();
        tables as u64 + self.layers.iter().map(Layer::bytes).sum::<u64>()
    }
}

impl Layer {
    /// `before` is the norm whose output it reads.
    fn load(name: &str, before: &Norm, config: &BertConfig, weights: &Weights, numbers: &Numbers) -> Result<Self> {
        let (width, middle) = (config.width, config.middle);
        let linear = |part: &str, inputs, numbers: &Numbers| {
            Linear::load(weights, &format!("{name}.{part}"), inputs, width, Bias::With, numbers)
        };
        let norm = |part: &str| Norm::load(weights, &format!("{name}.{part}"), width, config.eps, numbers);
        let tensor = |part: &str, shape: &[usize]| {
            weights.tensor(&format!("{name}.intermediate.dense.{part}"), shape, numbers.dtype, &numbers.device)
        };
        let out_norm = norm("attention.output.LayerNorm")?;
        let (up, up_bias) = (tensor("weight", &[middle, width])?, tensor("bias", &[middle])?);
        Ok(Self {
            qkv: qkv(&format!("{name}.attention.self"), before, width, weights, numbers)?,
            out: linear("attention.output.dense", width, numbers)?,
            up: Linear::after(&out_norm, &up, Some(&up_bias), numbers)?,
            out_norm,
            down: linear("output.dense", middle, &numbers.of_long_tails())?,
            down_norm: norm("output.LayerNorm")?,
        })
    }

    fn forward(&self, x: &Tensor, config: &BertConfig, batch: &Batch, mask: Option<&Tensor>) -> Result<Tensor> {
        let context = attention(&self.qkv.forward(x)?, config.heads, batch, mask)?;
        let x = self.out_norm.of_sum(&self.out.forward(&context)?, x)?;
        self.down_norm.of_sum(&feed_forward(&x, &self.up, &self.down, config.activation)?, &x)
    }

    fn bytes(&self) -> u64 {
        [&self.qkv, &self.out, &self.up, &self.down].iter().map(|layer| layer.bytes()).sum()
    }
}

/// Query, key and value as one product.
fn qkv(name: &str, before: &Norm, width: usize, weights: &Weights, numbers: &Numbers) -> Result<Linear> {
    let part = |kind: &str, shape: &[usize]| {
        let parts = ["query", "key", "value"].into_iter();
        let parts = parts
            .map(|part| weights.tensor(&format!("{name}.{part}.{kind}"), shape, DType::F32, &candle_core::Device::Cpu));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let all = Tensor::cat(&parts, 0)?;
        Ok::<_, crate::ModelError>(all.to_dtype(numbers.dtype)?.to_device(&numbers.device)?)
    };
    Linear::after(before, &part("weight", &[width, width])?, Some(&part("bias", &[width])?), numbers)
}
