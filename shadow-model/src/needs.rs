//! What a model is and what it needs, by the headers of its files and its tokenizer: no weights are read.

use std::path::Path;

use candle_core::{DType, Device};

use crate::bert::BertConfig;
use crate::decoder::{Checkpoint, Decoder, Load};
use crate::embedder::bert_needs;
use crate::gguf::Gguf;
use crate::numbers::{Numbers, Products};
use crate::{Family, Folder, Options, Place, Precision, Result, Vocabulary, Weights};

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Texts to vectors.
    Embed,
    /// How surprising texts are.
    Score,
    /// How good an answer is.
    Reward,
}

/// What a model is and what it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Needs {
    /// Its family, as `model_type` names it.
    pub model_type: &'static str,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it predicts the next token.
    pub is_decoder: bool,
    /// Numbers in its weights.
    pub parameters: u64,
    /// Bytes of its weights as they are stored.
    pub stored: u64,
    /// Numbers of a token's vector.
    pub dimensions: usize,
    /// The most tokens that it reads at once.
    pub max_tokens: usize,
    /// Bytes that weights and one pass take, by how it computes: `f32` and `int8` on the CPU, `bf16` on a GPU, `gguf` where
    /// the weights stay in the blocks of a GGUF file.
    pub memory: Vec<(&'static str, u64)>,
}

/// The ways in which weights as safetensors can be computed with.
const WAYS: [(&str, DType, Products); 3] = [
    ("f32", DType::F32, Products::Packed),
    ("bf16", DType::BF16, Products::Plain),
    ("int8", DType::F32, Products::Int8),
];

impl Needs {
    /// Of the model in a folder, or of a GGUF file beside its `tokenizer.json`.
    ///
    /// # Errors
    /// Where a file is missing or unreadable, the model is none that is supported, or the tokenizer is another model's.
    pub fn of(path: &Path) -> Result<Self> {
        if Gguf::find(path)?.is_some() {
            return Self::of_decoder(path, Purpose::Score, &[("gguf", DType::F32, Products::Packed)]);
        }
        let folder = Folder::open(path)?;
        match (purpose(&folder), folder.family()?.is_decoder()) {
            (Purpose::Embed, false) => Self::of_encoder(&folder),
            (purpose, _) => Self::of_decoder(path, purpose, &WAYS),
        }
    }

    fn of_encoder(folder: &Folder) -> Result<Self> {
        let (config, weights) = (BertConfig::of(folder)?, Weights::open(folder)?);
        Vocabulary::open(folder, config.vocabulary())?;
        let way = |(name, dtype, products)| (name, bert_needs(&config, &weights, &numbers(dtype, products)));
        Ok(Self {
            model_type: folder.family()?.name(),
            purpose: Purpose::Embed,
            is_decoder: false,
            parameters: weights.parameters(),
            stored: weights.bytes(),
            dimensions: config.width,
            max_tokens: config.most_tokens(),
            memory: WAYS.map(way).into(),
        })
    }

    fn of_decoder(path: &Path, purpose: Purpose, ways: &[(&'static str, DType, Products)]) -> Result<Self> {
        let options = Options { place: Place::Cpu, precision: Precision::F32, ..Options::default() };
        let mut checkpoint = match purpose {
            Purpose::Score => Checkpoint::open(path, &options)?,
            Purpose::Embed | Purpose::Reward => Checkpoint::trunk(path, &options)?,
        };
        Vocabulary::at(path, checkpoint.config.vocabulary)?;
        let mut memory = Vec::new();
        for &(name, dtype, products) in ways {
            checkpoint.numbers = numbers(dtype, products);
            let rows = Decoder::worth(&checkpoint.numbers);
            let longest = rows.min(checkpoint.config.window);
            let load = Load { rows, longest, segments: rows / longest };
            memory.push((name, checkpoint.bytes() + Decoder::cost(&checkpoint.config, &checkpoint.numbers, load)));
        }
        let (parameters, stored) = checkpoint.stored();
        let config = &checkpoint.config;
        Ok(Self {
            model_type: config.family.name(),
            purpose,
            is_decoder: true,
            parameters,
            stored,
            dimensions: config.hidden,
            max_tokens: config.window,
            memory,
        })
    }
}

fn numbers(dtype: DType, products: Products) -> Numbers {
    Numbers { device: Device::Cpu, dtype, products }
}

/// By its architecture and by the files of sentence-transformers.
fn purpose(folder: &Folder) -> Purpose {
    let architectures = folder.config().get("architectures").and_then(serde_json::Value::as_array);
    let names = architectures.into_iter().flatten().filter_map(serde_json::Value::as_str);
    match folder.family().map(Family::is_decoder) {
        _ if names.into_iter().any(|name| name.ends_with("ForSequenceClassification")) => Purpose::Reward,
        Ok(true) if !folder.path().join("modules.json").exists() => Purpose::Score,
        _ => Purpose::Embed,
    }
}
