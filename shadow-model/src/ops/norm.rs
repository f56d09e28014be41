//! Layer normalisation (Ba, Kiros, Hinton, arXiv 1607.06450) of a sum.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor};
use rayon::prelude::*;
use rten_simd::SimdOp;
use rten_vecmath::{Normalize, NormalizeOptions, Sum, SumSquareSub};

use super::{block_of, numbers};
use crate::numbers::{Numbers, Products};
use crate::{Result, Weights};

/// y = (x − mean) / √(variance + eps) · weight + bias, over the last dimension.
pub(crate) struct Norm {
    form: Form,
    eps: f32,
}

enum Form {
    Tensors { weight: Tensor, bias: Tensor },
    Slices { weight: Vec<f32>, bias: Vec<f32> },
}

impl Norm {
    /// Reads `name.weight` and `name.bias` (or, as old files have them, `name.gamma` and `name.beta`) of shape `[width]`.
    ///
    /// # Errors
    /// Where one is missing or of another shape.
    pub fn load(weights: &Weights, name: &str, width: usize, eps: f64, numbers: &Numbers) -> Result<Self> {
        let tensor = |new: &str, old: &str| {
            let old = format!("{name}.{old}");
            let name = if weights.has(&old) { old } else { format!("{name}.{new}") };
            weights.tensor(&name, &[width], numbers.dtype, &numbers.device)
        };
        Self::from_tensors(tensor("weight", "gamma")?, tensor("bias", "beta")?, eps, numbers)
    }

    /// From a weight and a bias of shape `[width]`.
    ///
    /// # Errors
    /// Where they have more dimensions.
    pub fn from_tensors(weight: Tensor, bias: Tensor, eps: f64, numbers: &Numbers) -> Result<Self> {
        let form = if numbers.products == Products::Plain {
            Form::Tensors { weight, bias }
        } else {
            let slice = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.to_vec1::<f32>();
            Form::Slices { weight: slice(&weight)?, bias: slice(&bias)? }
        };
        Ok(Self { form, eps: eps as f32 })
    }

    /// How large each number that it gives is to be expected, three standard deviations out; `None` where it is candle's.
    pub fn magnitudes(&self) -> Option<Vec<f32>> {
        let Form::Slices { weight, bias } = &self.form else { return None };
        Some(weight.iter().zip(bias).map(|(weight, bias)| 3.0 * weight.abs() + bias.abs()).collect())
    }

    /// Of `x`, contiguous, of shape `[.., width]`.
    ///
    /// # Errors
    /// Where the shape does not fit or the device fails.
    pub fn of(&self, x: &Tensor) -> Result<Tensor> {
        match &self.form {
            Form::Tensors { weight, bias } => Ok(candle_nn::ops::layer_norm(x, weight, bias, self.eps)?),
            Form::Slices { .. } => Ok(x.apply_op2_no_bwd(&x.narrow(0, 0, 0)?, &OfSum(self))?),
        }
    }

    /// Of `x + residual`, both contiguous and of shape `[.., width]`.
    ///
    /// # Errors
    /// As [`Norm::of`].
    pub fn of_sum(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        match &self.form {
            Form::Tensors { .. } => self.of(&(x + residual)?),
            Form::Slices { .. } => Ok(x.apply_op2_no_bwd(residual, &OfSum(self))?),
        }
    }

    /// In place, for rows on the CPU.
    fn apply(&self, rows: &mut [f32]) {
        let Form::Slices { weight, bias } = &self.form else { return };
        let width = weight.len() as f32;
        for row in rows.chunks_exact_mut(weight.len()) {
            let mean = Sum::new(row).dispatch() / width;
            let variance = SumSquareSub::new(row, mean).dispatch() / width;
            let options = NormalizeOptions {
                pre_scale_bias: mean,
                scale: (variance + self.eps).sqrt().recip(),
                element_scale: Some(weight),
                element_bias: Some(bias),
                ..NormalizeOptions::default()
            };
            Normalize::new_mut(row, options).dispatch();
        }
    }
}

/// The second input may be empty: then there is nothing to add.
struct OfSum<'a>(&'a Norm);

impl CustomOp2 for OfSum<'_> {
    fn name(&self) -> &'static str {
        "norm-of-sum"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (x, residual) = (numbers(x, x_layout)?, numbers(residual, residual_layout)?);
        let width = x_layout.dims().last().copied().unwrap_or(0);
        let wanted = if let Form::Slices { weight, .. } = &self.0.form { weight.len() } else { width };
        if width != wanted || !(residual.is_empty() || residual.len() == x.len()) {
            candle_core::bail!("norm: {:?} and {:?}, the width is {wanted}", x_layout.dims(), residual_layout.dims());
        }
        let mut y = x.to_vec();
        let block = block_of(y.len() / width.max(1)) * width.max(1);
        y.par_chunks_mut(block).enumerate().for_each(|(place, rows)| {
            if let Some(residual) = residual.get(place * block..place * block + rows.len()) {
                rows.iter_mut().zip(residual).for_each(|(y, x)| *y += x);
            }
            self.0.apply(rows);
        });
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }
}
