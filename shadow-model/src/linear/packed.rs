//! f32 products on the CPU: the weight is laid out once as the kernels of rten-gemm read it.

use candle_core::{DType, Tensor};
use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_tensor::NdTensorView;

use super::Rows;
use crate::Result;

/// A weight as the kernels read it, and its bias.
pub(super) struct Packed {
    weight: PackedBMatrix<f32>,
    bias: Option<Vec<f32>>,
}

impl Packed {
    /// From a weight of shape `[outputs, inputs]`.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let shape = <[usize; 2]>::from(weight.dims2()?);
        let weight = weight.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let weight = GemmExecutor::new().prepack_b(NdTensorView::from_data(shape, weight.as_slice()).transposed());
        Ok(Self { weight, bias: bias.map(Tensor::to_vec1).transpose()? })
    }
}

impl Rows for Packed {
    fn inputs(&self) -> usize {
        self.weight.rows()
    }

    fn outputs(&self) -> usize {
        self.weight.cols()
    }

    fn rows(&self, x: &[f32], y: &mut [f32]) -> candle_core::Result<()> {
        let bias = self.bias.as_deref().map(BiasVector::Row);
        let x = NdTensorView::from_data([x.len() / self.inputs(), self.inputs()], x);
        let (a, b) = (GemmInputA::Unpacked(x), GemmInputB::Packed(&self.weight));
        let options = GemmOptions { bias, ..GemmOptions::default() };
        // made anew: it is not Send, and nothing but the choice of a kernel
        GemmExecutor::new().gemm(y, a, b, options).map_err(candle_core::Error::wrap)
    }
}
