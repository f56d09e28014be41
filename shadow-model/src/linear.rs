//! A linear layer, `y = x·Wᵀ + b`, one interface for every device and number.
//!
//! On the CPU the weights are packed once for the kernels of rten-gemm ([`packed`]) or turned into 8-bit integers
//! ([`int8`]); elsewhere, and where gradients are wanted, the product is candle's.

mod int8;
mod packed;

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::activation::Activation;
use crate::numbers::{Numbers, Products};
use crate::ops::{Norm, block_of, numbers};
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
    Rows(Arc<dyn Rows>),
}

/// A layer on the CPU that works on some rows at a time.
pub(crate) trait Rows: Send + Sync {
    /// Numbers of a row that comes in.
    fn inputs(&self) -> usize;

    /// Numbers of a row that goes out.
    fn outputs(&self) -> usize;

    /// Fills `y` of shape `[rows, outputs]` for `x` of shape `[rows, inputs]`.
    fn rows(&self, x: &[f32], y: &mut [f32]) -> candle_core::Result<()>;

    /// `[.., outputs]` for an input of shape `[.., inputs]`; `outputs` may be those of a later layer.
    fn shape(&self, input: &[usize], outputs: usize) -> candle_core::Result<Shape> {
        match input.split_last() {
            Some((last, leading)) if *last == self.inputs() => Ok(Shape::from([leading, &[outputs]].concat())),
            _ => candle_core::bail!("linear: input of shape {input:?}, the last must be {}", self.inputs()),
        }
    }
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
        Self::new(weight, bias, None, numbers)
    }

    /// [`Linear::from_tensor`] for a layer that reads what `norm` gives, whose magnitudes its 8-bit form takes into account.
    ///
    /// # Errors
    /// As [`Linear::from_tensor`].
    pub fn after(norm: &Norm, weight: &Tensor, bias: Option<&Tensor>, numbers: &Numbers) -> Result<Self> {
        Self::new(weight, bias, norm.magnitudes().as_deref(), numbers)
    }

    fn new(weight: &Tensor, bias: Option<&Tensor>, magnitudes: Option<&[f32]>, numbers: &Numbers) -> Result<Self> {
        let form = match numbers.products {
            Products::Plain => Form::Plain { weight: weight.clone(), bias: bias.cloned() },
            Products::Packed => Form::Rows(Arc::new(packed::Packed::new(weight, bias)?)),
            Products::Int8 => Form::Rows(Arc::new(int8::Int8::new(weight, bias, magnitudes)?)),
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
            Form::Rows(layer) => Ok(x.apply_op1_no_bwd(&Product { layer: layer.as_ref(), activation })?),
        }
    }

    /// The layer for rows on the CPU, where it has that form.
    pub fn rows(&self) -> Option<&dyn Rows> {
        if let Form::Rows(layer) = &self.form { Some(layer.as_ref()) } else { None }
    }

    /// Bytes that the weight takes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A layer over all rows of a tensor, blocks of rows on all cores.
struct Product<'a> {
    layer: &'a dyn Rows,
    activation: Activation,
}

impl CustomOp1 for Product<'_> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (inputs, outputs) = (self.layer.inputs(), self.layer.outputs());
        let x = numbers(storage, layout)?;
        let shape = self.layer.shape(layout.dims(), outputs)?;
        let rows = x.len() / inputs;
        let mut y = vec![0.0; rows * outputs];
        let block = block_of(rows);
        y.par_chunks_mut(block * outputs).zip(x.par_chunks(block * inputs)).try_for_each(|(y, x)| {
            self.layer.rows(x, y)?;
            self.activation.apply(y);
            Ok::<_, candle_core::Error>(())
        })?;
        Ok((CpuStorage::F32(y), shape))
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
