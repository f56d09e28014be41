//! A product with a weight that is trained, or frozen beside a low-rank change of it that is (LoRA, rsLoRA, DoRA; see
//! [`crate::peft`]), and what a change of its result asks of both.

use candle_core::{D, DType, Tensor};
use rayon::prelude::*;

use super::backward::{on_cpu, with};
use super::parameters::{Gradients, Slot};
use super::random::at;
use crate::Result;

/// A parameter of the model: its number where it is trained, and its value.
pub(super) type Trainable = (Option<Slot>, Tensor);

/// `x·Wᵀ + b`.
pub(crate) struct Trained {
    /// `[outputs, inputs]`
    pub weight: Trainable,
    /// `[outputs]`
    pub bias: Option<Trainable>,
    pub lora: Option<Lora>,
}

/// The low-rank change of a weight.
pub(crate) struct Lora {
    /// `[rank, inputs]`
    pub a: (Slot, Tensor),
    /// `[outputs, rank]`
    pub b: (Slot, Tensor),
    /// `[outputs]`
    pub magnitude: Option<(Slot, Tensor)>,
    pub scale: f64,
    /// The share of its input's numbers that is dropped in training.
    pub dropout: f64,
    /// Tells its stream of dropped numbers from others'.
    pub number: u64,
    /// Of DoRA, `[outputs]` in f32: ‖W + s·B·A‖ by row, and the magnitude over it.
    pub sizes: Option<(Tensor, Tensor)>,
}

/// What is the same in one pass of training.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// The stream that dropped numbers are drawn from; `None` drops nothing.
    pub key: Option<u64>,
}

impl Trained {
    /// `[rows, outputs]` for `[rows, inputs]`.
    ///
    /// # Errors
    /// Where the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor, turn: Turn) -> Result<Tensor> {
        let weight = self.weight.1.to_dtype(x.dtype())?;
        let base = x.matmul(&weight.t()?)?;
        let y = match &self.lora {
            Some(lora) => lora.forward(x, &weight, base, turn)?,
            None => base,
        };
        let Some((_, bias)) = &self.bias else { return Ok(y) };
        Ok(y.broadcast_add(&bias.to_dtype(x.dtype())?)?)
    }

    /// What a change `grad` of its result asks of its input `x`, `None` where that is not wanted; what it asks of the
    /// parameters is added to `gradients`.
    ///
    /// # Errors
    /// As [`Trained::forward`].
    pub fn backward(
        &self,
        x: &Tensor,
        grad: &Tensor,
        turn: Turn,
        gradients: &mut Gradients,
        wanted: bool,
    ) -> Result<Option<Tensor>> {
        if let Some((Some(slot), _)) = &self.bias {
            gradients.add(*slot, &grad.sum(0)?)?;
        }
        if let Some(slot) = self.weight.0 {
            gradients.add(slot, &grad.t()?.matmul(x)?)?;
        }
        let weight = self.weight.1.to_dtype(x.dtype())?;
        match &self.lora {
            Some(lora) => lora.backward(x, &weight, grad, turn, gradients, wanted),
            None => Ok(if wanted { Some(grad.matmul(&weight)?) } else { None }),
        }
    }

    /// To be called whenever parameters have changed.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn refresh(&mut self) -> Result<()> {
        let Some(lora) = &mut self.lora else { return Ok(()) };
        let Some((_, magnitude)) = &lora.magnitude else { return Ok(()) };
        let norm = row_norms(&self.weight.1, &lora.a.1, &lora.b.1, lora.scale)?;
        lora.sizes = Some((norm.clone(), (magnitude / norm)?));
        Ok(())
    }
}

/// ‖W + s·B·A‖ of each row, in f32.
///
/// # Errors
/// Where the shapes do not fit.
pub(super) fn row_norms(weight: &Tensor, a: &Tensor, b: &Tensor, scale: f64) -> Result<Tensor> {
    let sum = (weight.to_dtype(DType::F32)? + (b.matmul(a)? * scale)?)?;
    Ok(sum.sqr()?.sum(D::Minus1)?.sqrt()?)
}

impl Lora {
    fn forward(&self, x: &Tensor, weight: &Tensor, base: Tensor, turn: Turn) -> Result<Tensor> {
        let dropped = self.dropped(x, turn)?;
        let low = self.low(dropped.as_ref().unwrap_or(x))?;
        let Some(ratio) = self.ratio(x.dtype())? else { return Ok((base + low)?) };
        match dropped {
            None => Ok((base + low)?.broadcast_mul(&ratio)?),
            // as PEFT: what is dropped is seen by the change of size too
            Some(dropped) => {
                let seen = dropped.matmul(&weight.t()?)?;
                let turned = (&seen + low)?.broadcast_mul(&ratio)?;
                Ok(((base + turned)? - seen)?)
            }
        }
    }

    fn backward(
        &self,
        x: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
        turn: Turn,
        gradients: &mut Gradients,
        wanted: bool,
    ) -> Result<Option<Tensor>> {
        let dropped = self.dropped(x, turn)?;
        let seen = dropped.as_ref().unwrap_or(x);
        let turned = self.turned(seen, weight, grad, gradients)?;
        let (a, b) = (self.a.1.to_dtype(x.dtype())?, self.b.1.to_dtype(x.dtype())?);
        let inner = (turned.matmul(&b)? * self.scale)?;
        gradients.add(self.b.0, &(turned.t()?.matmul(&seen.matmul(&a.t()?)?)? * self.scale)?)?;
        gradients.add(self.a.0, &inner.t()?.matmul(seen)?)?;
        if !wanted {
            return Ok(None);
        }
        let low = inner.matmul(&a)?;
        if dropped.is_none() {
            return Ok(Some((turned.matmul(weight)? + low)?));
        }
        let low = if self.magnitude.is_some() { ((turned - grad)?.matmul(weight)? + low)? } else { low };
        let low = self.dropped(&low, turn)?.unwrap_or(low);
        Ok(Some((grad.matmul(weight)? + low)?))
    }

    /// What is asked before DoRA's sizes; adds what is asked of the magnitude.
    fn turned(&self, seen: &Tensor, weight: &Tensor, grad: &Tensor, gradients: &mut Gradients) -> Result<Tensor> {
        let (Some((slot, _)), Some((norm, ratio))) = (&self.magnitude, &self.sizes) else { return Ok(grad.clone()) };
        let whole = (seen.matmul(&weight.t()?)? + self.low(seen)?)?;
        gradients.add(*slot, &((grad * whole)?.to_dtype(DType::F32)?.sum(0)? / norm)?)?;
        Ok(grad.broadcast_mul(&ratio.to_dtype(grad.dtype())?)?)
    }

    /// `s·x·Aᵀ·Bᵀ`
    fn low(&self, x: &Tensor) -> Result<Tensor> {
        let (a, b) = (self.a.1.to_dtype(x.dtype())?, self.b.1.to_dtype(x.dtype())?);
        Ok((x.matmul(&a.t()?)? * self.scale)?.matmul(&b.t()?)?)
    }

    fn ratio(&self, dtype: DType) -> Result<Option<Tensor>> {
        Ok(self.sizes.as_ref().map(|(_, ratio)| ratio.to_dtype(dtype)).transpose()?)
    }

    /// The input with a share of its numbers zero and the rest larger by it; `None` where nothing is dropped.
    fn dropped(&self, x: &Tensor, turn: Turn) -> Result<Option<Tensor>> {
        let Some(key) = turn.key.filter(|_| self.dropout > 0.0) else { return Ok(None) };
        let (key, kept) = (at(key, self.number), 1.0 / (1.0 - self.dropout));
        if on_cpu(x) {
            let numbers = with([x], |[x]| Ok(dropped(x, key, self.dropout, kept as f32)))?;
            return Ok(Some(Tensor::from_vec(numbers, x.shape(), x.device())?));
        }
        x.device().set_seed(key)?;
        let keep = Tensor::rand(0.0_f32, 1.0, x.shape(), x.device())?.ge(self.dropout)?;
        Ok(Some((x * (keep.to_dtype(x.dtype())? * kept)?)?))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^32")]
fn dropped(x: &[f32], key: u64, share: f64, kept: f32) -> Vec<f32> {
    let least = (share * 2.0_f64.powi(32)) as u64;
    let number = |(position, x): (usize, &f32)| if at(key, position as u64) >> 32 >= least { x * kept } else { 0.0 };
    x.par_iter().enumerate().map(number).collect()
}
