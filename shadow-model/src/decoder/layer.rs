//! One layer of a decoder: attention, then the feed-forward part, each on the normalised rows and added to them.

use candle_core::Tensor;

use super::attention::Plan;
use super::checkpoint::{Checkpoint, Projection};
use super::{Config, ops};
use crate::Result;
use crate::linear::Bias;

/// The most numbers inside the feed-forward part at once, in each of three tensors: they stay in reach of the cache, and
/// a long text takes no more memory there than a short one.
pub(super) const INNER: usize = 2 << 20;

/// A layer.
pub(super) struct Layer {
    before_attention: Tensor,
    query: Projection,
    key: Projection,
    value: Projection,
    /// The weights that normalise queries and keys, per head.
    head_norms: Option<(Tensor, Tensor)>,
    output: Projection,
    before_feed_forward: Tensor,
    gate: Projection,
    up: Projection,
    down: Projection,
    /// How far back it looks.
    window: Option<usize>,
}

impl Layer {
    /// Reads the layer of a number.
    ///
    /// # Errors
    /// Where a tensor is missing, of another shape, or cannot be read.
    pub fn load(checkpoint: &Checkpoint, number: usize) -> Result<Self> {
        let config = &checkpoint.config;
        let (hidden, inner, biases) = (config.hidden, config.inner, config.biases);
        let (queries, keys) = (config.heads * config.head, config.kv_heads * config.head);
        let projection = |name: &str, inputs: usize, outputs: usize, biased: bool| {
            let bias = if biased { Bias::With } else { Bias::Without };
            checkpoint.projection(&format!("layers.{number}.{name}"), inputs, outputs, bias)
        };
        let norm = |name: &str, length| checkpoint.vector(&format!("layers.{number}.{name}.weight"), length);
        let head_norms =
            || -> Result<_> { Ok((norm("self_attn.q_norm", config.head)?, norm("self_attn.k_norm", config.head)?)) };
        Ok(Self {
            before_attention: norm("input_layernorm", hidden)?,
            query: projection("self_attn.q_proj", hidden, queries, biases.query_key_value)?,
            key: projection("self_attn.k_proj", hidden, keys, biases.query_key_value)?,
            value: projection("self_attn.v_proj", hidden, keys, biases.query_key_value)?,
            head_norms: config.normed_heads.then(head_norms).transpose()?,
            output: projection("self_attn.o_proj", queries, hidden, biases.output)?,
            before_feed_forward: norm("post_attention_layernorm", hidden)?,
            gate: projection("mlp.gate_proj", hidden, inner, biases.feed_forward)?,
            up: projection("mlp.up_proj", hidden, inner, biases.feed_forward)?,
            down: projection("mlp.down_proj", inner, hidden, biases.feed_forward)?,
            window: config.layers.get(number).copied().flatten(),
        })
    }

    /// The rows after the layer: `[rows, hidden]` to `[rows, hidden]`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let x = (x + self.attention(&ops::rms_norm(x, &self.before_attention, pass.config.eps)?, pass)?)?;
        let normed = ops::rms_norm(&x, &self.before_feed_forward, pass.config.eps)?;
        Ok((x + self.feed_forward(&normed, pass.config.inner)?)?)
    }

    fn attention(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let (mut q, mut k) = (self.query.forward(x)?, self.key.forward(x)?);
        if let Some((query, key)) = &self.head_norms {
            (q, k) = (norm_heads(&q, query, pass.config)?, norm_heads(&k, key, pass.config)?);
        }
        let (q, k) = (ops::rope(&q, &pass.cos, &pass.sin)?, ops::rope(&k, &pass.cos, &pass.sin)?);
        let mixed = pass.plan.attend(&q, &k, &self.value.forward(x)?, pass.config, self.window)?;
        self.output.forward(&mixed)
    }

    fn feed_forward(&self, x: &Tensor, inner: usize) -> Result<Tensor> {
        let (rows, step) = (x.dim(0)?, (INNER / inner).max(1));
        let part = |begin| {
            let x = x.narrow(0, begin, step.min(rows - begin))?;
            self.down.forward(&ops::silu_mul(&self.gate.forward(&x)?, &self.up.forward(&x)?)?)
        };
        let parts = (0..rows).step_by(step).map(part).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&parts, 0)?)
    }
}

/// What the layers share in one pass.
pub(super) struct Pass<'a> {
    pub config: &'a Config,
    pub plan: Plan<'a>,
    /// Cosine and sine of each row's position, `[rows, head / 2]`.
    pub cos: Tensor,
    pub sin: Tensor,
}

/// Normalises each head of `[rows, heads · head]`.
fn norm_heads(x: &Tensor, weight: &Tensor, config: &Config) -> Result<Tensor> {
    let heads = x.reshape(((), config.head))?;
    Ok(ops::rms_norm(&heads, weight, config.eps)?.reshape(x.shape())?)
}
