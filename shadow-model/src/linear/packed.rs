//! f32 products on the CPU: the weight is laid out once as the kernels of rten-gemm read it.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor, bail};
use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmUninitOptions, PackedBMatrix};
use rten_tensor::NdTensorView;
use rten_tensor::prelude::*;
use rten_vecmath::ExtendInit;

use crate::Result;
use crate::activation::Activation;

/// A weight as the kernels read it, and its bias.
pub(super) struct Packed {
    executor: GemmExecutor,
    weight: PackedBMatrix<f32>,
    bias: Option<Vec<f32>>,
}

impl Packed {
    /// From a weight of shape `[outputs, inputs]`.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let shape = <[usize; 2]>::from(weight.dims2()?);
        let weight = weight.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let executor = GemmExecutor::new();
        let weight = executor.prepack_b(NdTensorView::from_data(shape, weight.as_slice()).transposed());
        Ok(Self { executor, weight, bias: bias.map(Tensor::to_vec1).transpose()? })
    }
}

/// The product with one weight.
pub(super) struct Product<'a> {
    pub packed: &'a Packed,
    pub activation: Activation,
}

impl CustomOp1 for Product<'_> {
    fn name(&self) -> &'static str {
        "packed-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (inputs, outputs) = (self.packed.weight.rows(), self.packed.weight.cols());
        let (x, rows, shape) = rows_of(storage, layout, inputs, outputs)?;
        let mut y = Vec::with_capacity(rows * outputs);
        self.forward(x, rows, &mut y).map_err(candle_core::Error::wrap)?;
        self.activation.apply(&mut y);
        Ok((CpuStorage::F32(y), shape))
    }
}

impl Product<'_> {
    fn forward(&self, x: &[f32], rows: usize, y: &mut Vec<f32>) -> Result<(), rten_gemm::GemmError> {
        let Packed { executor, weight, bias } = self.packed;
        let options = GemmUninitOptions { bias: bias.as_deref().map(BiasVector::Row), ..Default::default() };
        let x = NdTensorView::from_data([rows, weight.rows()], x);
        let failed = std::cell::Cell::new(None);
        let length = rows * weight.cols();
        y.extend_init(|free| {
            let (a, b) = (GemmInputA::Unpacked(x), GemmInputB::Packed(weight));
            executor.gemm_uninit(&mut free[..length], a, b, options.clone()).unwrap_or_else(|why| {
                failed.set(Some(why));
                &mut []
            })
        });
        failed.take().map_or(Ok(()), Err)
    }
}

/// The rows of a contiguous f32 tensor of shape `[.., inputs]`, how many they are, and the shape `[.., outputs]`.
pub(super) fn rows_of<'a>(
    storage: &'a CpuStorage,
    layout: &Layout,
    inputs: usize,
    outputs: usize,
) -> candle_core::Result<(&'a [f32], usize, Shape)> {
    let x = storage.as_slice::<f32>()?;
    let Some((begin, end)) = layout.contiguous_offsets() else { bail!("linear: the input is not contiguous") };
    let mut shape = layout.dims().to_vec();
    match shape.last_mut() {
        Some(last) if *last == inputs => *last = outputs,
        _ => bail!("linear: input of shape {:?}, the last must be {inputs}", layout.dims()),
    }
    Ok((&x[begin..end], (end - begin) / inputs.max(1), Shape::from(shape)))
}
