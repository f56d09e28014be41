//! One layer in training: what its backward pass needs is kept, or computed again from its input.

use candle_core::Tensor;

use super::attention::{Attended, attention};
use super::backward;
use super::linear::{Trained, Turn};
use super::parameters::{Gradients, Slot};
use crate::Result;
use crate::decoder::{Layer, Pass, norm_heads, ops};

/// A layer of the decoder whose products are trained.
pub(super) struct TrainedLayer {
    pub layer: Layer<Trained>,
    /// The weights of its norms in the order in which they are read; empty where they are frozen.
    pub norms: Vec<Slot>,
}

/// What the backward pass of a layer needs.
pub(super) struct Kept {
    x: Tensor,
    /// Queries and keys before their norm, where they have one.
    before_norm: Option<(Tensor, Tensor)>,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mixed: Tensor,
    /// Of `mixed` the rows that go on.
    read: Tensor,
    /// Which of the rows go on; `None` is all.
    only: Option<Tensor>,
    /// After attention.
    middle: Tensor,
    gate: Tensor,
    up: Tensor,
}

impl Kept {
    /// What is asked of the rows that go on, as what is asked of all.
    fn spread(&self, grad: Tensor) -> Result<Tensor> {
        let Some(only) = &self.only else { return Ok(grad) };
        let all = Tensor::zeros((self.x.dim(0)?, grad.dim(1)?), grad.dtype(), grad.device())?;
        Ok(all.index_add(only, &grad, 0)?)
    }
}

impl TrainedLayer {
    /// The rows after the layer, and what its backward pass needs. After the last layer few rows are asked for: then `only`
    /// those, by their numbers, go on after attention.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn forward(&self, x: &Tensor, only: Option<&Tensor>, pass: &Pass<'_>, turn: Turn) -> Result<(Tensor, Kept)> {
        let (layer, eps) = (&self.layer, pass.config.eps);
        let normed = ops::rms_norm(x, &layer.before_attention, eps)?;
        let (q, k) = (layer.query.forward(&normed, turn)?, layer.key.forward(&normed, turn)?);
        let v = layer.value.forward(&normed, turn)?;
        let (before_norm, q, k) = match &layer.head_norms {
            None => (None, q, k),
            Some((query, key)) => {
                let normed = (norm_heads(&q, query, pass.config)?, norm_heads(&k, key, pass.config)?);
                (Some((q, k)), normed.0, normed.1)
            }
        };
        let (q, k) = (ops::rope(&q, &pass.cos, &pass.sin)?, ops::rope(&k, &pass.cos, &pass.sin)?);
        let mixed = pass.plan.attend(&q, &k, &v, pass.config, layer.window)?;
        let (through, read) = match only {
            None => (x.clone(), mixed.clone()),
            Some(only) => (x.index_select(only, 0)?, mixed.index_select(only, 0)?),
        };
        let middle = (through + layer.output.forward(&read, turn)?)?;
        let normed = ops::rms_norm(&middle, &layer.before_feed_forward, eps)?;
        let (gate, up) = (layer.gate.forward(&normed, turn)?, layer.up.forward(&normed, turn)?);
        let y = (&middle + layer.down.forward(&ops::silu_mul(&gate, &up)?, turn)?)?;
        let only = only.cloned();
        Ok((y, Kept { x: x.clone(), before_norm, q, k, v, mixed, read, only, middle, gate, up }))
    }

    /// What a change `grad` of the rows after the layer asks of those before it, `None` where that is not `wanted`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn backward(
        &self,
        kept: Kept,
        grad: &Tensor,
        pass: &Pass<'_>,
        turn: Turn,
        gradients: &mut Gradients,
        wanted: bool,
    ) -> Result<Option<Tensor>> {
        let (middle, mut kept) = (kept.middle.clone(), kept);
        let inner = self.feed_forward(&kept, grad, pass, turn, gradients)?;
        let grad = (grad + self.norm(&middle, &inner, After::Attention, pass, gradients)?)?;
        (kept.gate, kept.up) = (middle.clone(), middle); // their memory is free from here on
        let inner = self.attention(&kept, &grad, pass, turn, gradients, wanted)?;
        match inner {
            Some(inner) => {
                Ok(Some((kept.spread(grad)? + self.norm(&kept.x, &inner, After::Nothing, pass, gradients)?)?))
            }
            None => Ok(None),
        }
    }

    /// What is asked of the normalised rows that the feed-forward part reads.
    fn feed_forward(
        &self,
        kept: &Kept,
        grad: &Tensor,
        pass: &Pass<'_>,
        turn: Turn,
        gradients: &mut Gradients,
    ) -> Result<Tensor> {
        let layer = &self.layer;
        let x = ops::silu_mul(&kept.gate, &kept.up)?;
        let inner = some(layer.down.backward(&x, grad, turn, gradients, true)?)?;
        drop(x);
        let (gate, up) = backward::silu_mul(&kept.gate, &kept.up, &inner)?;
        drop(inner);
        let normed = ops::rms_norm(&kept.middle, &layer.before_feed_forward, pass.config.eps)?;
        let gate = some(layer.gate.backward(&normed, &gate, turn, gradients, true)?)?;
        Ok((gate + some(layer.up.backward(&normed, &up, turn, gradients, true)?)?)?)
    }

    /// What is asked of the normalised rows that attention reads.
    fn attention(
        &self,
        kept: &Kept,
        grad: &Tensor,
        pass: &Pass<'_>,
        turn: Turn,
        gradients: &mut Gradients,
        wanted: bool,
    ) -> Result<Option<Tensor>> {
        let layer = &self.layer;
        let mixed = kept.spread(some(layer.output.backward(&kept.read, grad, turn, gradients, true)?)?)?;
        let of = Attended { q: &kept.q, k: &kept.k, v: &kept.v, out: &kept.mixed };
        let [q, k, v] = attention(&of, &mixed, pass, layer.window)?;
        // turned back by the same angles
        let back = pass.sin.neg()?;
        let (mut q, mut k) = (ops::rope(&q, &pass.cos, &back)?, ops::rope(&k, &pass.cos, &back)?);
        if let (Some((query, key)), Some(before)) = (&layer.head_norms, &kept.before_norm) {
            q = self.head_norm(&before.0, query, &q, 1, pass, gradients)?;
            k = self.head_norm(&before.1, key, &k, 2, pass, gradients)?;
        }
        let normed = ops::rms_norm(&kept.x, &layer.before_attention, pass.config.eps)?;
        let wanted = wanted || !self.norms.is_empty();
        let q = layer.query.backward(&normed, &q, turn, gradients, wanted)?;
        let k = layer.key.backward(&normed, &k, turn, gradients, wanted)?;
        let v = layer.value.backward(&normed, &v, turn, gradients, wanted)?;
        let (Some(q), Some(k), Some(v)) = (q, k, v) else { return Ok(None) };
        Ok(Some(((q + k)? + v)?))
    }

    fn head_norm(
        &self,
        x: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
        number: usize,
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<Tensor> {
        let heads = |x: &Tensor| x.reshape(((), pass.config.head));
        let rows = (&heads(x)?, &heads(grad)?);
        Ok(before_norm(rows, weight, self.norms.get(number), pass, gradients)?.reshape(x.shape())?)
    }

    fn norm(
        &self,
        x: &Tensor,
        grad: &Tensor,
        which: After,
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<Tensor> {
        let (weight, slot) = match which {
            After::Nothing => (&self.layer.before_attention, self.norms.first()),
            After::Attention => (&self.layer.before_feed_forward, self.norms.last()),
        };
        before_norm((x, grad), weight, slot, pass, gradients)
    }

    /// Its products.
    pub fn products(&mut self) -> [&mut Trained; 7] {
        let Layer { query, key, value, output, gate, up, down, .. } = &mut self.layer;
        [query, key, value, output, gate, up, down]
    }
}

/// Where in a layer a norm stands.
#[derive(Clone, Copy)]
enum After {
    Nothing,
    Attention,
}

/// What is asked of the rows `x` before a norm, when `grad` is asked of those after it; what is asked of its weight is added
/// to `gradients` where that is trained.
fn before_norm(
    (x, grad): (&Tensor, &Tensor),
    weight: &Tensor,
    slot: Option<&Slot>,
    pass: &Pass<'_>,
    gradients: &mut Gradients,
) -> Result<Tensor> {
    let (dx, dw) = backward::rms_norm(x, weight, pass.config.eps, grad, slot.is_some())?;
    if let (Some(&slot), Some(dw)) = (slot, dw) {
        gradients.add(slot, &dw)?;
    }
    Ok(dx)
}

fn some(tensor: Option<Tensor>) -> Result<Tensor> {
    Ok(tensor.ok_or_else(|| candle_core::Error::Msg("a derivative that was wanted is missing".to_owned()))?)
}
