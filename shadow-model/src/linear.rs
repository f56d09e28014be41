//! A linear layer, `y = x·Wᵀ + b`, one interface for every device and number.
//!
//! On the CPU the weights are packed once for the kernels of rten-gemm ([`packed`]) or turned into 8-bit integers
//! ([`int8`]); elsewhere, and where gradients are wanted, the product is candle's.

mod int8;
mod packed;

use std::sync::Arc;

use candle_core::Tensor;

use crate::activation::Activation;
use crate::numbers::{Numbers, Products};
use crate::{Result, Weights};

/// Whether a layer adds a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bias {
    /// `name.bias` must be there.
    With,
    /// There is none.
    Without,
}

/// A linear layer of `inputs` to `outputs` numbers.
#[derive(Clone)]
pub(crate) struct Linear {
    form: Form,
    bytes: u64,
}

#[derive(Clone)]
enum Form {
    Plain { weight: Tensor, bias: Option<Tensor> },
    Packed(Arc<packed::Packed>),
    Int8(Arc<int8::Int8>),
}

impl Linear {
    /// Reads `name.weight` of shape `[outputs, inputs]`, and `name.bias` of shape `[outputs]`.
    ///
    /// # Errors
    /// Where a tensor is missing, of another shape, or cannot be read.
    pub fn load(
        weights: &Weights,
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: Bias,
        numbers: &Numbers,
    ) -> Result<Self> {
        let tensor = |part: &str, shape: &[usize]| {
            weights.tensor(&format!("{name}.{part}"), shape, numbers.dtype, &numbers.device)
        };
        let weight = tensor("weight", &[outputs, inputs])?;
        let bias = (bias == Bias::With).then(|| tensor("bias", &[outputs])).transpose()?;
        Self::from_tensor(&weight, bias.as_ref(), numbers)
    }

    /// From a weight of shape `[outputs, inputs]` and a bias of shape `[outputs]` on the device and in the numbers of `numbers`.
    ///
    /// With [`Products::Plain`] the tensors themselves are kept, so variables stay variables.
    ///
    /// # Errors
    /// Where the weight has not two dimensions, or is no f32 on the CPU for packed and 8-bit products.
    pub fn from_tensor(weight: &Tensor, bias: Option<&Tensor>, numbers: &Numbers) -> Result<Self> {
        let form = match numbers.products {
            Products::Plain => Form::Plain { weight: weight.clone(), bias: bias.cloned() },
            Products::Packed => Form::Packed(Arc::new(packed::Packed::new(weight, bias)?)),
            Products::Int8 => Form::Int8(Arc::new(int8::Int8::new(weight, bias)?)),
        };
        let width = if numbers.products == Products::Int8 { 1 } else { numbers.dtype.size_in_bytes() };
        let bytes = (weight.elem_count() * width) as u64;
        Ok(Self { form, bytes })
    }

    /// `x·Wᵀ + b` for `x` of shape `[.., inputs]`, contiguous: shape `[.., outputs]`.
    ///
    /// # Errors
    /// Where the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, Activation::Identity)
    }

    /// `activation(x·Wᵀ + b)`, in one pass where the form allows.
    ///
    /// # Errors
    /// As [`Linear::forward`].
    pub fn forward_with(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        match &self.form {
            Form::Plain { weight, bias } => activation.of(&plain(x, weight, bias.as_ref())?),
            Form::Packed(packed) => Ok(x.apply_op1_no_bwd(&packed::Product { packed, activation })?),
            Form::Int8(int8) => Ok(x.apply_op1_no_bwd(&int8::Product { int8, activation })?),
        }
    }

    /// Bytes that the weight takes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// One product of two matrices, whatever the leading dimensions: candle is slow at many small ones.
fn plain(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let inputs = x.dim(candle_core::D::Minus1)?;
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = weight.dim(0)?;
    }
    let y = x.reshape(((), inputs))?.matmul(&weight.t()?)?;
    let y = if let Some(bias) = bias { y.broadcast_add(bias)? } else { y };
    Ok(y.reshape(shape)?)
}

#[cfg(test)]
mod tests;
