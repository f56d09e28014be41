//! 8-bit products on the CPU: `y ≈ sx·sw·(qx·qw − zx·Σqw) + b`.
//!
//! The weight has one scale for each output channel, the input one scale and zero point for each row, found anew for each
//! batch (dynamic quantisation). On x86 without VNNI the kernels add two products of u8 and i8 in 16 bits and would
//! saturate, so there weights keep 7 bits: 2 · 255 · 63 < 2¹⁵. The zero points are taken out here: rten-gemm 0.27 takes one
//! for each row, but reads those of the first six rows for all.

use std::cell::RefCell;

use candle_core::{DType, Tensor};
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::ops::{BitOps, NumOps, ToFloat};
use rten_simd::{Isa, SimdOp};
use rten_tensor::NdTensorView;
use rten_vecmath::{ExtendInit, MinMax, Quantize};

use super::Rows;
use crate::Result;
use crate::ops::Scratch;

type Executor = GemmExecutor<u8, i8, i32>;

thread_local! {
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SUMS: RefCell<Vec<i32>> = const { RefCell::new(Vec::new()) };
}

/// A weight in 8 bits as the kernels read it.
pub(super) struct Int8 {
    weight: PackedBMatrix<i8>,
    /// For each output: the scale, Σqw, and the bias.
    scales: Vec<f32>,
    sums: Vec<f32>,
    bias: Vec<f32>,
    /// What each input is multiplied by before it is quantised.
    shrink: Option<Vec<f32>>,
}

impl Int8 {
    /// From a weight of shape `[outputs, inputs]`. `magnitudes` are how large each input is to be expected: then large
    /// inputs are made smaller and their weights larger, so that neither spoils the scale of the rest (Xiao et al.,
    /// "SmoothQuant", arXiv 2211.10438, α = ½).
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, magnitudes: Option<&[f32]>) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        let mut weight = weight.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let shrink = magnitudes.map(|magnitudes| even_out(&mut weight, magnitudes));
        let executor = Executor::new();
        let most = if executor.may_saturate() { 63.0 } else { 127.0 };
        let (mut scales, mut sums, mut bytes) = (Vec::new(), Vec::new(), Vec::with_capacity(weight.len()));
        for row in weight.chunks(inputs.max(1)) {
            let largest = row.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let scale = if largest > 0.0 { largest / most } else { 1.0 };
            let begin = bytes.len();
            bytes.extend(row.iter().map(|x| (x / scale).round() as i8));
            scales.push(scale);
            sums.push(bytes[begin..].iter().map(|&byte| i32::from(byte)).sum::<i32>() as f32);
        }
        let packed = executor.prepack_b(NdTensorView::from_data([outputs, inputs], bytes.as_slice()).transposed());
        let bias = bias.map_or_else(|| Ok(vec![0.0; outputs]), Tensor::to_vec1)?;
        Ok(Self { weight: packed, scales, sums, bias, shrink })
    }
}

impl Int8 {
    fn shrunk<'a>(&self, row: &'a [f32], smaller: &'a mut Vec<f32>) -> &'a [f32] {
        let Some(shrink) = &self.shrink else { return row };
        smaller.clear();
        smaller.extend(row.iter().zip(shrink).map(|(x, shrink)| x * shrink));
        smaller
    }
}

/// Multiplies each input's weights by a factor, and gives what the input has to be multiplied by in return.
fn even_out(weight: &mut [f32], magnitudes: &[f32]) -> Vec<f32> {
    let mut largest = vec![0.0_f32; magnitudes.len()];
    for row in weight.chunks_exact(magnitudes.len().max(1)) {
        largest.iter_mut().zip(row).for_each(|(most, x)| *most = most.max(x.abs()));
    }
    let factor =
        |(&input, &weight): (&f32, &f32)| if input > 0.0 && weight > 0.0 { (input / weight).sqrt() } else { 1.0 };
    let factors: Vec<f32> = magnitudes.iter().zip(&largest).map(factor).collect();
    for row in weight.chunks_exact_mut(magnitudes.len().max(1)) {
        row.iter_mut().zip(&factors).for_each(|(x, factor)| *x *= factor);
    }
    factors.iter().map(|factor| factor.recip()).collect()
}

impl Rows for Int8 {
    fn inputs(&self) -> usize {
        self.weight.rows()
    }

    fn outputs(&self) -> usize {
        self.weight.cols()
    }

    fn rows(&self, x: &[f32], y: &mut [f32]) -> candle_core::Result<()> {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let mut bytes = BYTES.take();
        bytes.clear();
        bytes.reserve_exact(x.len());
        let mut smaller = Vec::new();
        let ranges: Vec<_> =
            (x.chunks_exact(inputs)).map(|row| quantise(self.shrunk(row, &mut smaller), &mut bytes)).collect();
        let mut sums = Scratch::take(&SUMS, y.len());
        let a = NdTensorView::from_data([ranges.len(), inputs], bytes.as_slice());
        let (a, b) = (GemmInputA::Unpacked(a), GemmInputB::Packed(&self.weight));
        Executor::new().gemm(&mut sums, a, b, GemmOptions::default()).map_err(candle_core::Error::wrap)?;
        let rows = y.chunks_exact_mut(outputs).zip(sums.chunks_exact(outputs));
        for ((y, sums), &(scale, zero)) in rows.zip(&ranges) {
            Back { int8: self, sums, y, scale, zero }.dispatch();
        }
        BYTES.set(bytes);
        Ok(())
    }
}

/// Appends a row as bytes; its scale and zero point, which put its numbers, and 0, into 0..=255.
fn quantise(row: &[f32], bytes: &mut Vec<u8>) -> (f32, f32) {
    let (low, high) = MinMax::new(row).dispatch();
    let (low, high) = (low.min(0.0), high.max(0.0));
    let scale = if high > low { (high - low) / 255.0 } else { 1.0 };
    let zero = (-low / scale).round() as u8;
    bytes.extend_init(|free| Quantize::new(row, &mut free[..row.len()], scale.recip(), zero).dispatch());
    (scale, f32::from(zero))
}

/// From the sums of products back to numbers: `y = sx·sw·(sum − zx·Σqw) + b`.
struct Back<'a> {
    int8: &'a Int8,
    sums: &'a [i32],
    y: &'a mut [f32],
    scale: f32,
    zero: f32,
}

impl SimdOp for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let (ops, ints) = (isa.f32(), isa.i32());
        let (scale, minus_zero) = (ops.splat(self.scale), ops.splat(-self.zero));
        let Int8 { scales, sums, bias, .. } = self.int8;
        let whole = self.y.len() - self.y.len() % ops.len();
        for at in (0..whole).step_by(ops.len()) {
            let sum = ints.to_float(ints.load(&self.sums[at..]));
            let sum = ops.mul_add(ops.load(&sums[at..]), minus_zero, sum);
            let factor = ops.mul(ops.load(&scales[at..]), scale);
            ops.store(ops.mul_add(sum, factor, ops.load(&bias[at..])), &mut self.y[at..]);
        }
        for at in whole..self.y.len() {
            let sum = self.sums[at] as f32 - self.zero * sums[at];
            self.y[at] = sum * (scales[at] * self.scale) + bias[at];
        }
    }
}
