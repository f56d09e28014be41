//! The small operations of a layer, in the fused forms: fast, without gradients.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor, bail};
use rayon::prelude::*;
use rten_simd::SimdUnaryOp;

use crate::Result;
use crate::ops::numbers;

/// x / √(mean(x²) + eps) · weight over the last dimension (Zhang and Sennrich, arXiv 1910.07467).
///
/// # Errors
/// Where the shapes do not fit.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    Ok(candle_nn::ops::rms_norm(x, weight, eps)?)
}

/// Softmax over the last dimension; derivatives pass it where something that is derived by comes in.
///
/// # Errors
/// Where the device fails.
pub(crate) fn softmax(x: &Tensor) -> Result<Tensor> {
    if x.track_op() {
        return Ok(candle_nn::ops::softmax(x, candle_core::D::Minus1)?);
    }
    Ok(candle_nn::ops::softmax_last_dim(x)?)
}

/// Turns the heads of `[rows, heads · head]` by tables of `[rows, head / 2]`, the first half of a head against the second.
///
/// # Errors
/// Where the shapes do not fit.
pub(crate) fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let (rows, width) = x.dims2()?;
    let head = 2 * cos.dim(1)?;
    let heads = x.reshape((1, rows, width / head, head))?;
    Ok(candle_nn::rotary_emb::rope_thd(&heads, cos, sin)?.reshape((rows, width))?)
}

/// silu(gate) · up, both of one shape (SwiGLU: Shazeer, arXiv 2002.05202).
///
/// # Errors
/// Where the shapes differ or the device fails.
pub(crate) fn silu_mul(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.device().is_cpu() && gate.dtype() == DType::F32 {
        return Ok(gate.apply_op2_no_bwd(up, &SiluMul)?);
    }
    Ok((gate.silu()? * up)?)
}

/// Numbers that a thread takes at a time: they stay in its cache between the two steps.
const CHUNK: usize = 4096;

struct SiluMul;

impl CustomOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (gate, up) = (numbers(gate, gate_layout)?, numbers(up, up_layout)?);
        if gate.len() != up.len() {
            bail!("silu-mul: {} numbers and {}", gate.len(), up.len());
        }
        let mut out = gate.to_vec();
        out.par_chunks_mut(CHUNK).zip(up.par_chunks(CHUNK)).for_each(|(out, up)| {
            rten_vecmath::Silu {}.map_mut(out);
            out.iter_mut().zip(up).for_each(|(out, up)| *out *= up);
        });
        Ok((CpuStorage::F32(out), gate_layout.shape().clone()))
    }
}
