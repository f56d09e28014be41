//! One layer of a decoder: attention, then the feed-forward part, each on the normalised rows and added to them.

use candle_core::{DType, Device, Tensor};

use super::attention::Plan;
use super::checkpoint::{Checkpoint, Projection};
use super::{Batch, Config, Part, ops, rope};
use crate::Result;

/// The most numbers inside the feed-forward part at once, in each of three tensors: they stay in reach of the cache, and
/// a long text takes no more memory there than a short one.
pub(super) const INNER: usize = 2 << 20;

/// A layer whose products with weights are of the kind `P`.
pub(crate) struct Layer<P = Projection> {
    pub before_attention: Tensor,
    pub query: P,
    pub key: P,
    pub value: P,
    /// The weights that normalise queries and keys, per head.
    pub head_norms: Option<(Tensor, Tensor)>,
    pub output: P,
    pub before_feed_forward: Tensor,
    pub gate: P,
    pub up: P,
    pub down: P,
    /// How far back it looks.
    pub window: Option<usize>,
}

impl<P> Layer<P> {
    /// Reads the layer of a number: its vectors by `vector` of name and length, its products by `project`.
    ///
    /// # Errors
    /// Where one of the two fails.
    pub fn load_with(
        config: &Config,
        number: usize,
        vector: &mut dyn FnMut(&str, usize) -> Result<Tensor>,
        project: &mut dyn FnMut(Part) -> Result<P>,
    ) -> Result<Self> {
        let mut norm = |name: &str, length| vector(&format!("layers.{number}.{name}.weight"), length);
        Ok(Self {
            before_attention: norm("input_layernorm", config.hidden)?,
            query: project(Part::Query)?,
            key: project(Part::Key)?,
            value: project(Part::Value)?,
            head_norms: if config.normed_heads {
                Some((norm("self_attn.q_norm", config.head)?, norm("self_attn.k_norm", config.head)?))
            } else {
                None
            },
            output: project(Part::Output)?,
            before_feed_forward: norm("post_attention_layernorm", config.hidden)?,
            gate: project(Part::Gate)?,
            up: project(Part::Up)?,
            down: project(Part::Down)?,
            window: config.layers.get(number).copied().flatten(),
        })
    }
}

impl Layer {
    /// Reads the layer of a number.
    ///
    /// # Errors
    /// Where a tensor is missing, of another shape, or cannot be read.
    pub fn load(checkpoint: &Checkpoint, number: usize) -> Result<Self> {
        let vector = &mut |name: &str, length| checkpoint.vector(name, length);
        Self::load_with(&checkpoint.config, number, vector, &mut |part| checkpoint.projection(part, number))
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
pub(crate) struct Pass<'a> {
    pub config: &'a Config,
    pub batch: &'a Batch,
    pub plan: Plan<'a>,
    /// Cosine and sine of each row's position, `[rows, head / 2]`.
    pub cos: Tensor,
    pub sin: Tensor,
}

impl<'a> Pass<'a> {
    /// A pass over a batch.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn new(batch: &'a Batch, config: &'a Config, dtype: DType, device: &Device) -> Result<Self> {
        let (cos, sin) = rope::tables(&config.frequencies, &batch.positions(), dtype, device)?;
        Ok(Self { config, batch, plan: Plan::new(batch, config, dtype, device)?, cos, sin })
    }
}

/// Normalises each head of `[rows, heads · head]`.
pub(crate) fn norm_heads(x: &Tensor, weight: &Tensor, config: &Config) -> Result<Tensor> {
    let heads = x.reshape(((), config.head))?;
    Ok(ops::rms_norm(&heads, weight, config.eps)?.reshape(x.shape())?)
}
