//! Llama, Qwen2 and Qwen3: one decoder that reads texts and gives what each of its rows holds after the last layer.
//!
//! Texts are read as a [`Batch`]: without padding, and a shared beginning once.

mod attention;
mod batch;
mod checkpoint;
mod config;
mod fused;
mod head;
mod layer;
pub(crate) mod ops;
mod part;
mod rope;
#[cfg(test)]
pub(crate) mod tests;

use candle_core::Tensor;

pub(crate) use batch::{Batch, Load};
pub(crate) use checkpoint::Checkpoint;
pub(crate) use config::{Biases, Config};
pub(crate) use head::{Head, Predicted, Target};
pub(crate) use layer::{Layer, Pass, norm_heads};
pub(crate) use part::Part;
pub(crate) use rope::{Frequencies, plain as plain_frequencies};

use crate::numbers::{Numbers, Products};
use crate::{ModelError, Result};

/// The rows that one pass is worth: more make a product no faster.
const CPU_ROWS: usize = 1024;
const GPU_ROWS: usize = 8192;

/// A decoder without its output matrix.
pub(crate) struct Decoder {
    config: Config,
    numbers: Numbers,
    embeddings: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    bytes: u64,
}

impl Decoder {
    /// Reads the layers.
    ///
    /// # Errors
    /// Where a tensor is missing, of another shape, or cannot be read.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let config = checkpoint.config.clone();
        let layer = |number| Layer::load(checkpoint, number);
        Ok(Self {
            embeddings: checkpoint.embeddings()?,
            layers: (0..config.layers.len()).map(layer).collect::<Result<_>>()?,
            norm: checkpoint.vector("norm.weight", config.hidden)?,
            numbers: checkpoint.numbers.clone(),
            bytes: checkpoint.bytes(),
            config,
        })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of the weights.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The embeddings, `[vocabulary, hidden]`.
    pub fn embeddings(&self) -> &Tensor {
        &self.embeddings
    }

    /// What the rows of a batch hold after the last layer and its norm: `[rows, hidden]`.
    ///
    /// # Errors
    /// Where a text is longer than the model's window, an id is none of its vocabulary, or the device fails.
    pub fn hidden(&self, batch: &Batch) -> Result<Tensor> {
        self.accepts(batch)?;
        let Numbers { dtype, device, .. } = &self.numbers;
        let pass = Pass::new(batch, &self.config, *dtype, device)?;
        let ids = Tensor::new(batch.ids(), device)?;
        let mut x = self.embeddings.index_select(&ids, 0)?.to_dtype(*dtype)?;
        for layer in &self.layers {
            x = layer.forward(&x, &pass)?;
        }
        ops::rms_norm(&x, &self.norm, self.config.eps)
    }

    /// What some of a batch's rows hold: `[rows.len(), hidden]`.
    ///
    /// # Errors
    /// As [`Decoder::hidden`].
    pub fn rows(&self, batch: &Batch, rows: &[usize]) -> Result<Tensor> {
        let index: Vec<u32> = rows.iter().filter_map(|&row| u32::try_from(row).ok()).collect();
        Ok(self.hidden(batch)?.index_select(&Tensor::new(index, &self.numbers.device)?, 0)?)
    }

    fn accepts(&self, batch: &Batch) -> Result<()> {
        let (longest, window) = (batch.longest(), self.config.window);
        if longest > window {
            return Err(ModelError::Text(format!("{longest} tokens, the model reads {window}")));
        }
        match batch.ids().iter().find(|&&id| id as usize >= self.config.vocabulary) {
            Some(id) => Err(ModelError::Text(format!("id {id}, the model has {} embeddings", self.config.vocabulary))),
            None => Ok(()),
        }
    }

    /// Bytes that a pass takes at most beside the weights.
    pub fn pass_bytes(&self, load: Load) -> u64 {
        Self::cost(&self.config, &self.numbers, load)
    }

    /// The same of a model that is not loaded.
    pub fn cost(config: &Config, numbers: &Numbers, load: Load) -> u64 {
        let Load { rows, longest, segments } = load;
        let width = numbers.dtype.size_in_bytes();
        let (queries, keys) = (config.heads * config.head, config.kv_heads * config.head);
        let live = 4 * config.hidden + 3 * queries + 4 * keys + 2 * config.head;
        let inner = 3 * layer::INNER.min(rows * config.inner).max(config.inner);
        let scores = if numbers.products != Products::Plain {
            rayon::current_num_threads() * fused::block_numbers(config, longest)
        } else {
            let scores = 3 * attention::MOST_SCORES.min(2 * rows * longest * config.heads).max(longest * config.heads);
            scores + 4 * rows * longest + 4 * (2 * rows + segments * longest) * queries
        };
        ((rows * live + inner + scores) * width) as u64 + Head::pass_bytes(config, rows)
    }

    /// The passes in which work of these loads is done, each a list of their numbers: as few as fit `memory`, which
    /// counts the weights too, and the rows that a pass is worth.
    ///
    /// # Errors
    /// Where one alone takes more memory than allowed.
    pub fn passes(&self, loads: &[Load], memory: Option<u64>) -> Result<Vec<Vec<usize>>> {
        let needed = |load| self.bytes + self.pass_bytes(load);
        batch::passes(loads, Self::worth(&self.numbers), memory.unwrap_or(u64::MAX), &needed)
    }

    /// Whether work of this load is worth one pass and fits `memory`.
    pub fn fits(&self, load: Load, memory: Option<u64>) -> bool {
        load.rows <= Self::worth(&self.numbers) && self.bytes + self.pass_bytes(load) <= memory.unwrap_or(u64::MAX)
    }

    /// The rows that one pass is worth.
    pub fn worth(numbers: &Numbers) -> usize {
        if numbers.products != Products::Plain { CPU_ROWS } else { GPU_ROWS }
    }
}
