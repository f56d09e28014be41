//! Where a decoder's tensors come from: the safetensors of a folder, or its GGUF file. Both by the names of transformers.

use candle_core::quantized::QMatMul;
use candle_core::{DType, Tensor};

use super::{Config, Part};
use crate::gguf::Gguf;
use crate::linear::{Bias, Linear};
use crate::numbers::{Numbers, Products};
use crate::peft::Adapter;
use crate::{Folder, ModelError, Options, Result, Weights};

/// The tensors of one decoder, and the numbers it is to compute in.
pub(crate) struct Checkpoint {
    pub config: Config,
    pub numbers: Numbers,
    stored: Stored,
    /// Whether the output matrix is wanted.
    output: bool,
    adapter: Option<Adapter>,
}

enum Stored {
    /// With what stands before the names: `model.` where the trunk is part of something.
    Safetensors {
        weights: Weights,
        prefix: &'static str,
    },
    Gguf(Gguf),
}

/// A product with a weight, `x·Wᵀ + b`.
#[derive(Clone)]
pub(crate) enum Projection {
    /// With numbers.
    Dense(Linear),
    /// With blocks of few bits, as GGUF stores them.
    Quantized { weight: QMatMul, bias: Option<Tensor> },
}

impl Projection {
    /// `x·Wᵀ + b` for `x` of shape `[rows, inputs]`: shape `[rows, outputs]`.
    ///
    /// # Errors
    /// Where the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(linear) => linear.forward(x),
            Self::Quantized { weight, bias } => {
                let y = candle_core::Module::forward(weight, x)?;
                Ok(bias.as_ref().map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))?)
            }
        }
    }
}

impl Checkpoint {
    /// Opens a folder: its one `.gguf` file where it has one and no `config.json`, else its safetensors.
    ///
    /// # Errors
    /// Where the model is no decoder, a file is missing or unreadable, the SHA-256 differs, or the weights take more
    /// memory than allowed.
    pub fn open(folder: &std::path::Path, options: &Options) -> Result<Self> {
        Self::open_with(folder, options, true)
    }

    /// The same for whoever needs no output matrix: an embedder, a reward model.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn trunk(folder: &std::path::Path, options: &Options) -> Result<Self> {
        Self::open_with(folder, options, false)
    }

    fn open_with(folder: &std::path::Path, options: &Options, output: bool) -> Result<Self> {
        let mut numbers = Numbers::of(options)?;
        let checkpoint = if let Some(gguf) = Gguf::find(folder)? {
            let gguf = Gguf::open(&gguf)?;
            numbers.dtype = DType::F32; // the products with blocks are in f32
            Self { config: gguf.config()?, numbers, stored: Stored::Gguf(gguf), output, adapter: None }
        } else {
            let folder = Folder::open(folder)?;
            let config = Config::read(&folder)?;
            let weights = Weights::open(&folder)?;
            let prefix = if weights.has("embed_tokens.weight") { "" } else { "model." };
            Self { config, numbers, stored: Stored::Safetensors { weights, prefix }, output, adapter: None }
        };
        let checkpoint = checkpoint.with_adapter(options.adapter.as_deref())?;
        if let Some(sha256) = &options.sha256 {
            checkpoint.check(sha256)?;
        }
        let (needed, budget) = (checkpoint.bytes(), options.memory.unwrap_or(u64::MAX));
        if needed > budget { Err(ModelError::Memory { needed, budget }) } else { Ok(checkpoint) }
    }

    fn with_adapter(self, folder: Option<&std::path::Path>) -> Result<Self> {
        match (folder, &self.stored) {
            (None, _) => Ok(self),
            (Some(_), Stored::Gguf(_)) => Err(needs_safetensors()),
            (Some(folder), Stored::Safetensors { .. }) => {
                Ok(Self { adapter: Some(Adapter::read(folder, &self.config)?), ..self })
            }
        }
    }

    fn check(&self, sha256: &str) -> Result<()> {
        match &self.stored {
            Stored::Safetensors { weights, .. } => weights.check(sha256),
            Stored::Gguf(gguf) => gguf.check(sha256),
        }
    }

    /// Bytes that the weights take once they are loaded.
    pub fn bytes(&self) -> u64 {
        let weights = match &self.stored {
            Stored::Safetensors { weights, .. } => weights,
            Stored::Gguf(gguf) => return gguf.bytes(),
        };
        let (width, products) = (self.numbers.dtype.size_in_bytes(), self.numbers.products);
        let on_cpu = products != Products::Plain;
        let held = weights.held(|name, stored| match name.rsplit('.').nth(1).unwrap_or(name) {
            "embed_tokens" if on_cpu => stored,
            "lm_head" if !self.output || self.config.tied => 0,
            module if products == Products::Int8 && module.ends_with("_proj") => 1,
            _ => width,
        });
        // laid out anew on the CPU, the same tensor on a GPU
        let twice = self.output && self.config.tied && on_cpu;
        held + if twice { (self.config.vocabulary * self.config.hidden * width) as u64 } else { 0 }
    }

    /// Bytes that frozen weights take in training.
    pub fn frozen_bytes(&self) -> u64 {
        let Stored::Safetensors { weights, .. } = &self.stored else { return self.bytes() };
        let width = self.numbers.dtype.size_in_bytes();
        weights.held(|name, stored| match name.rsplit('.').nth(1).unwrap_or(name) {
            "lm_head" if self.config.tied => 0,
            "embed_tokens" if self.config.tied => width,
            module if self.numbers.device.is_cpu() && (module == "embed_tokens" || module.ends_with("_proj")) => {
                stored.min(width)
            }
            _ => width,
        })
    }

    /// Numbers in the weights, and bytes as they are stored.
    pub fn stored(&self) -> (u64, u64) {
        match &self.stored {
            Stored::Safetensors { weights, .. } => (weights.parameters(), weights.bytes()),
            Stored::Gguf(gguf) => (gguf.parameters(), gguf.stored_bytes()),
        }
    }

    /// The weight of a layer's part, `[outputs, inputs]`, with what an adapter adds to it, and its bias. With `narrow` it
    /// may be in fewer bits than the computation: on the CPU in the numbers in which it is stored.
    ///
    /// # Errors
    /// Where one is missing, of another shape, or cannot be read; where the weights are a GGUF's, in blocks of few bits.
    pub fn matrix(&self, part: Part, layer: usize, narrow: bool) -> Result<(Tensor, Option<Tensor>)> {
        let ((inputs, outputs), name) = (part.shape(&self.config), part.path(layer));
        let Stored::Safetensors { weights, prefix } = &self.stored else {
            return Err(needs_safetensors());
        };
        let Numbers { dtype, device, .. } = &self.numbers;
        let stored = format!("{prefix}{name}.weight");
        let fits = |kind: &DType| kind.is_float() && kind.size_in_bytes() <= dtype.size_in_bytes();
        let as_stored = weights.dtype(&stored).filter(|kind| narrow && device.is_cpu() && fits(kind));
        let dtype = &as_stored.unwrap_or(*dtype);
        let weight = match self.adapter.as_ref().and_then(|adapter| adapter.module(part, layer)) {
            None => weights.tensor(&stored, &[outputs, inputs], *dtype, device)?,
            Some(module) => {
                let plain = weights.tensor(&stored, &[outputs, inputs], DType::F32, &candle_core::Device::Cpu)?;
                module.merged(&plain)?.to_dtype(*dtype)?.to_device(device)?
            }
        };
        let bias = part.biased(&self.config).then(|| self.vector(&format!("{name}.bias"), outputs)).transpose()?;
        Ok((weight, bias))
    }

    /// The product with a layer's part.
    ///
    /// # Errors
    /// Where a tensor is missing, of another shape, or cannot be read.
    pub fn projection(&self, part: Part, layer: usize) -> Result<Projection> {
        match &self.stored {
            Stored::Safetensors { .. } => {
                let (weight, bias) = self.matrix(part, layer, false)?;
                Linear::from_tensor(&weight, bias.as_ref(), &self.numbers).map(Projection::Dense)
            }
            Stored::Gguf(gguf) => {
                let ((inputs, outputs), name) = (part.shape(&self.config), part.path(layer));
                let weight = gguf.quantized(&name, &[outputs, inputs], &self.numbers.device)?;
                let bias = part.biased(&self.config);
                let bias = bias.then(|| self.vector(&format!("{name}.bias"), outputs)).transpose()?;
                Ok(Projection::Quantized { weight: QMatMul::from_qtensor(weight)?, bias })
            }
        }
    }

    /// A tensor of one dimension.
    ///
    /// # Errors
    /// Where it is missing, of another shape, or cannot be read.
    pub fn vector(&self, name: &str, length: usize) -> Result<Tensor> {
        match &self.stored {
            Stored::Safetensors { weights, prefix } => {
                weights.tensor(&format!("{prefix}{name}"), &[length], self.numbers.dtype, &self.numbers.device)
            }
            Stored::Gguf(gguf) => gguf.tensor(name, &[length], self.numbers.dtype, &self.numbers.device),
        }
    }

    /// The embeddings, `[vocabulary, hidden]`: on the CPU in the numbers in which they are stored, for a row is widened
    /// when it is looked up.
    ///
    /// # Errors
    /// Where they are missing, of another shape, or cannot be read.
    pub fn embeddings(&self) -> Result<Tensor> {
        let shape = [self.config.vocabulary, self.config.hidden];
        let Numbers { dtype, device, .. } = &self.numbers;
        match &self.stored {
            Stored::Safetensors { weights, prefix } => {
                let name = format!("{prefix}embed_tokens.weight");
                let stored = weights.dtype(&name).filter(|stored| device.is_cpu() && stored.is_float());
                weights.tensor(&name, &shape, stored.unwrap_or(*dtype), device)
            }
            Stored::Gguf(gguf) => gguf.tensor("embed_tokens.weight", &shape, DType::F16, device),
        }
    }

    /// The output matrix in parts of at most `rows` of the vocabulary; `embeddings` where it is tied to them.
    ///
    /// # Errors
    /// Where it is missing, of another shape, or cannot be read.
    pub fn output(&self, embeddings: &Tensor, rows: usize) -> Result<Vec<Projection>> {
        let shape = [self.config.vocabulary, self.config.hidden];
        let Numbers { dtype, device, .. } = &self.numbers;
        if let Stored::Gguf(gguf) = &self.stored {
            let parts = gguf.output(&shape, rows, device)?.into_iter();
            let part = |part| Ok(Projection::Quantized { weight: QMatMul::from_qtensor(part)?, bias: None });
            return parts.map(part).collect();
        }
        let weight = self.output_matrix(embeddings)?;
        let part = |begin: usize| {
            let part = weight.narrow(0, begin, rows.min(shape[0] - begin))?.to_dtype(*dtype)?;
            Linear::from_tensor(&part, None, &exact(&self.numbers)).map(Projection::Dense)
        };
        (0..shape[0]).step_by(rows).map(part).collect()
    }

    /// The output matrix, `[vocabulary, hidden]`, on the CPU in the numbers in which it is stored.
    ///
    /// # Errors
    /// Where it is missing, of another shape, or cannot be read; where the weights are a GGUF's.
    pub fn output_matrix(&self, embeddings: &Tensor) -> Result<Tensor> {
        let (shape, Numbers { dtype, device, .. }) = ([self.config.vocabulary, self.config.hidden], &self.numbers);
        match &self.stored {
            Stored::Safetensors { .. } if self.config.tied => Ok(embeddings.clone()),
            Stored::Safetensors { weights, .. } => {
                let stored = weights.dtype("lm_head.weight").filter(|stored| device.is_cpu() && stored.is_float());
                weights.tensor("lm_head.weight", &shape, stored.unwrap_or(*dtype), device)
            }
            Stored::Gguf(_) => Err(needs_safetensors()),
        }
    }

    /// SHA-256 of the files of the weights, one after another.
    ///
    /// # Errors
    /// Where one cannot be read; where the weights are a GGUF's.
    pub fn sha256(&self) -> Result<String> {
        match &self.stored {
            Stored::Safetensors { weights, .. } => weights.sha256(),
            Stored::Gguf(_) => Err(needs_safetensors()),
        }
    }

    /// A matrix outside the trunk, such as a head of classes.
    ///
    /// # Errors
    /// Where it is missing, of another shape, or cannot be read.
    pub fn head(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        match &self.stored {
            Stored::Safetensors { weights, .. } => {
                Linear::load(weights, name, inputs, outputs, Bias::Without, &exact(&self.numbers))
            }
            Stored::Gguf(gguf) => Err(gguf.lacks(&format!("{name}.weight"), &[outputs, inputs])),
        }
    }
}

fn needs_safetensors() -> ModelError {
    ModelError::Text("adapters and training need the model as safetensors; this one is a GGUF file".to_owned())
}

/// The numbers for the output matrix and heads: 8-bit products there would move what is measured.
fn exact(numbers: &Numbers) -> Numbers {
    let products = if numbers.products == Products::Int8 { Products::Packed } else { numbers.products };
    Numbers { products, ..numbers.clone() }
}
