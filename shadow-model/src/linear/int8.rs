//! 8-bit products on the CPU: `y ≈ sx·sw·((qx − zx)·qw) + b`.
//!
//! The weight has one scale for each output channel, the input one scale and zero point for each row, found anew for each
//! batch (dynamic quantisation). On x86 without VNNI the kernels add two products of u8 and i8 in 16 bits and would
//! saturate, so there weights keep 7 bits: 2 · 255 · 64 < 2¹⁵.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix, QuantParams};
use rten_tensor::NdTensorView;
use rten_tensor::prelude::*;

use super::packed::rows_of;
use crate::Result;
use crate::activation::Activation;

type Executor = GemmExecutor<u8, i8, i32>;

/// A weight in 8 bits as the kernels read it.
pub(super) struct Int8 {
    executor: Executor,
    weight: PackedBMatrix<i8>,
    scales: Vec<f32>,
    bias: Vec<f32>,
}

impl Int8 {
    /// From a weight of shape `[outputs, inputs]`.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        let weight = weight.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let executor = Executor::new();
        let most = if executor.may_saturate() { 63.0 } else { 127.0 };
        let mut scales = Vec::with_capacity(outputs);
        let mut numbers = Vec::with_capacity(weight.len());
        for row in weight.chunks(inputs.max(1)) {
            let largest = row.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let scale = if largest > 0.0 { largest / most } else { 1.0 };
            scales.push(scale);
            numbers.extend(row.iter().map(|x| (x / scale).round() as i8));
        }
        let packed = executor.prepack_b(NdTensorView::from_data([outputs, inputs], numbers.as_slice()).transposed());
        let bias = bias.map_or_else(|| Ok(vec![0.0; outputs]), Tensor::to_vec1)?;
        Ok(Self { executor, weight: packed, scales, bias })
    }
}

/// The product with one weight.
pub(super) struct Product<'a> {
    pub int8: &'a Int8,
    pub activation: Activation,
}

impl CustomOp1 for Product<'_> {
    fn name(&self) -> &'static str {
        "int8-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (inputs, outputs) = (self.int8.weight.rows(), self.int8.weight.cols());
        let (x, rows, shape) = rows_of(storage, layout, inputs, outputs)?;
        let mut y = self.forward(x, rows).map_err(candle_core::Error::wrap)?;
        self.activation.apply(&mut y);
        Ok((CpuStorage::F32(y), shape))
    }
}

impl Product<'_> {
    fn forward(&self, x: &[f32], rows: usize) -> Result<Vec<f32>, rten_gemm::GemmError> {
        let Int8 { executor, weight, scales, bias } = self.int8;
        let (inputs, outputs) = (weight.rows(), weight.cols());
        let (mut bytes, mut zeros, mut factors) = (Vec::with_capacity(x.len()), Vec::new(), Vec::new());
        for row in x.chunks(inputs) {
            let (scale, zero) = range(row);
            bytes.extend(row.iter().map(|x| (x / scale + f32::from(zero)).round().clamp(0.0, 255.0) as u8));
            zeros.push(zero);
            factors.push(scale);
        }
        let mut sums = vec![0; rows * outputs];
        let a = GemmInputA::Unpacked(NdTensorView::from_data([rows, inputs], bytes.as_slice()));
        let options = GemmOptions { a_quant: Some(QuantParams { zero_point: &zeros }), ..Default::default() };
        executor.gemm(&mut sums, a, GemmInputB::Packed(weight), options)?;
        let mut y = Vec::with_capacity(sums.len());
        for (row, factor) in sums.chunks(outputs).zip(&factors) {
            y.extend(row.iter().zip(scales).zip(bias).map(|((&sum, scale), bias)| sum as f32 * (factor * scale) + bias));
        }
        Ok(y)
    }
}

/// Scale and zero point that put a row's numbers, and 0, into 0..=255.
fn range(row: &[f32]) -> (f32, u8) {
    let (low, high) = row.iter().fold((0.0_f32, 0.0_f32), |(low, high), &x| (low.min(x), high.max(x)));
    let scale = if high > low { (high - low) / 255.0 } else { 1.0 };
    (scale, (-low / scale).round() as u8)
}
