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
mod ops;
mod rope;
#[cfg(test)]
mod tests;

use candle_core::Tensor;

pub(crate) use batch::Batch;
pub(crate) use checkpoint::Checkpoint;
pub(crate) use config::{Biases, Config};
pub(crate) use head::{Head, Target};
pub(crate) use rope::{Frequencies, plain as plain_frequencies};

use crate::numbers::Numbers;
use crate::{ModelError, Result, Tokens};
use layer::{Layer, Pass};

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
        let (cos, sin) = rope::tables(&self.config.frequencies, &batch.positions(), *dtype, device)?;
        let plan = attention::Plan::new(batch, &self.config, *dtype, device)?;
        let pass = Pass { config: &self.config, plan, cos, sin };
        let ids = Tensor::new(batch.ids(), device)?;
        let mut x = self.embeddings.index_select(&ids, 0)?.to_dtype(*dtype)?;
        for layer in &self.layers {
            x = layer.forward(&x, &pass)?;
        }
        ops::rms_norm(&x, &self.norm, self.config.eps)
    }

    /// What the last row of each text holds: `[texts, hidden]`.
    ///
    /// # Errors
    /// As [`Decoder::hidden`], and where a text has no tokens.
    pub fn hidden_last(&self, texts: &[Tokens]) -> Result<Tensor> {
        let mut batch = Batch::default();
        for text in texts {
            batch.add(text, None);
        }
        let last = |segment: &batch::Segment| segment.rows.clone().last().map(|row| row as u64 as u32);
        let last: Option<Vec<u32>> = batch.segments().iter().map(last).collect();
        let last = last.ok_or_else(|| ModelError::Text("no tokens, so there is no last one".to_owned()))?;
        Ok(self.hidden(&batch)?.index_select(&Tensor::new(last, &self.numbers.device)?, 0)?)
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

    /// Bytes that a pass over `rows` rows takes at most beside the weights, where no text is longer than `longest`.
    pub fn pass_bytes(&self, rows: usize, longest: usize) -> u64 {
        let config = &self.config;
        let width = self.numbers.dtype.size_in_bytes();
        let (queries, keys) = (config.heads * config.head, config.kv_heads * config.head);
        let live = 4 * config.hidden + 3 * queries + 4 * keys + 2 * config.head;
        let inner = 3 * layer::INNER.min(rows * config.inner).max(config.inner) * width;
        let scores = if self.numbers.device.is_cpu() {
            let groups = config.heads / config.kv_heads;
            let thread = 64.min(rows) * groups * (longest + 2 * config.head) + 2 * longest * config.head;
            4 * rayon::current_num_threads() * thread
        } else {
            let masks = 2 * rows * longest;
            (3 * attention::MOST_SCORES.max(longest * config.heads) + masks + 3 * rows * queries) * width
        };
        (rows * live * width + inner + scores) as u64
    }
}
