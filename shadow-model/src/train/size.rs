//! How much a training trains, and how much memory it takes, told before a weight is read.

use candle_core::DType;

use super::loss::MOST_LOGITS;
use super::recipe::{Method, Recipe, Recompute};
use crate::decoder::{Checkpoint, Config, Part};
use crate::{ModelError, Result};

/// Parameters and bytes of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Numbers of the model.
    pub parameters: u64,
    /// Numbers that are trained.
    pub trained: u64,
    /// Bytes of a step where every layer is computed again.
    pub least: u64,
    /// Bytes of a step where no layer is.
    pub most: u64,
}

impl Size {
    /// The size of a training of a model.
    ///
    /// # Errors
    /// Where a target is no matrix of a layer.
    pub(crate) fn of(checkpoint: &Checkpoint, recipe: &Recipe) -> Result<Self> {
        let (config, dtype) = (&checkpoint.config, checkpoint.numbers.dtype);
        let (parameters, trained) = (parameters(config), trained(config, recipe)?);
        let (width, rows, layers) = (dtype.size_in_bytes() as u64, recipe.batch_tokens, config.layers.len() as u64);
        // with the largest matrix as it is widened
        let widened = (config.hidden * config.inner) as u64 * width;
        let frozen = if recipe.method == Method::Full { 0 } else { checkpoint.frozen_bytes() + widened };
        // value, derivative as it is summed and on the host, two moments: f32
        let state = frozen + trained * 4 * 5;
        let logits = 3 * 4 * MOST_LOGITS.min(rows * config.vocabulary) as u64;
        let inputs = (rows * config.hidden) as u64 * width * layers;
        let layer = kept_bytes(config, rows, dtype);
        // the layer at work and its derivatives
        let least = state + logits + inputs + 2 * layer;
        Ok(Self { parameters, trained, least, most: least + layer * layers.saturating_sub(1) })
    }

    /// Whether a step can keep to a bound.
    ///
    /// # Errors
    /// Where it takes more even with every layer computed again.
    pub(crate) fn within(&self, memory: Option<u64>) -> Result<()> {
        let Some(memory) = memory.filter(|&memory| memory < self.least) else { return Ok(()) };
        let least = self.least.div_ceil(1 << 20);
        Err(ModelError::Recipe(format!(
            "memory: found {memory} bytes, expected at least {least} MiB: so much this training takes with every layer computed \
             again; fewer --batch-tokens take less"
        )))
    }

    /// Bytes of a step with a bound on them.
    pub(crate) fn expected(&self, recompute: Recompute, memory: Option<u64>) -> u64 {
        match recompute {
            Recompute::Always => self.least,
            Recompute::AsNeeded => self.most.min(memory.unwrap_or(u64::MAX)).max(self.least),
        }
    }
}

/// Bytes that one layer keeps for its backward pass over so many rows: its input, queries, keys and values (before their
/// norm too), what attention mixes, the rows after it, and gate and up.
pub(super) fn kept_bytes(config: &Config, rows: usize, dtype: DType) -> u64 {
    let (queries, keys) = (config.heads * config.head, config.kv_heads * config.head);
    let before_norm = if config.normed_heads { queries + keys } else { 0 };
    let numbers = 2 * config.hidden + 2 * queries + 2 * keys + 2 * config.inner + before_norm;
    (rows * numbers * dtype.size_in_bytes()) as u64
}

fn parameters(config: &Config) -> u64 {
    let part = |part: Part| {
        let (inputs, outputs) = part.shape(config);
        inputs * outputs + if part.biased(config) { outputs } else { 0 }
    };
    let norms = 2 * config.hidden + if config.normed_heads { 2 * config.head } else { 0 };
    let layer = Part::ALL.into_iter().map(part).sum::<usize>() + norms;
    let tables = if config.tied { 1 } else { 2 };
    (tables * config.vocabulary * config.hidden + config.layers.len() * layer + config.hidden) as u64
}

fn trained(config: &Config, recipe: &Recipe) -> Result<u64> {
    let Some(form) = recipe.form() else { return Ok(parameters(config)) };
    let part = |part: Part| {
        let (inputs, outputs) = part.shape(config);
        form.rank * (inputs + outputs) + if form.dora { outputs } else { 0 }
    };
    let layer = recipe.parts()?.into_iter().map(part).sum::<usize>();
    Ok((config.layers.len() * layer) as u64)
}
