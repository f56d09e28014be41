//! The derivatives of the small operations of a layer, by hand: in one pass on the CPU in f32, by candle elsewhere.

use candle_core::{CpuStorage, D, DType, Storage, Tensor};
use rayon::prelude::*;

use crate::Result;
use crate::ops::numbers;

/// Whether the operations of the CPU apply.
pub(super) fn on_cpu(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// Calls `work` with the numbers of contiguous f32 tensors on the CPU.
pub(super) fn with<const N: usize, R>(tensors: [&Tensor; N], work: impl FnOnce([&[f32]; N]) -> Result<R>) -> Result<R> {
    let held = tensors.map(Tensor::storage_and_layout);
    let mut slices: [&[f32]; N] = [&[]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&held) {
        let Storage::Cpu(storage) = &**storage else {
            return Err(candle_core::Error::Msg("a tensor that is not on the CPU".to_owned()).into());
        };
        let storage: &CpuStorage = storage;
        *slice = numbers(storage, layout)?;
    }
    work(slices)
}

/// Rows that a task takes at a time.
pub(super) const ROWS: usize = 16;

/// Of x / √(mean(x²) + eps) · weight over the last dimension: what a change of its result `grad` asks of x, and, where
/// `weighted`, of the weight.
///
/// With n = x/√(mean(x²) + eps): ∂x = (w∘g − n·mean(w∘g∘n))/√(mean(x²) + eps), ∂w = Σ g∘n over rows.
///
/// # Errors
/// Where the shapes do not fit.
pub(super) fn rms_norm(
    x: &Tensor,
    weight: &Tensor,
    eps: f32,
    grad: &Tensor,
    weighted: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let dx = if on_cpu(x) { rms_norm_cpu(x, weight, eps, grad)? } else { rms_norm_any(x, weight, eps, grad)? };
    if !weighted {
        return Ok((dx, None));
    }
    let (normed, _) = normed(x, eps)?;
    let width = weight.dim(0)?;
    let dw = (grad.to_dtype(DType::F32)? * normed)?.reshape(((), width))?.sum(0)?;
    Ok((dx, Some(dw)))
}

/// x/√(mean(x²) + eps) in f32, and 1/√(mean(x²) + eps).
fn normed(x: &Tensor, eps: f32) -> Result<(Tensor, Tensor)> {
    let x = x.to_dtype(DType::F32)?;
    let root = (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(eps))?.sqrt()?.recip()?;
    Ok((x.broadcast_mul(&root)?, root))
}

fn rms_norm_any(x: &Tensor, weight: &Tensor, eps: f32, grad: &Tensor) -> Result<Tensor> {
    let (normed, root) = normed(x, eps)?;
    let grad = grad.to_dtype(DType::F32)?.broadcast_mul(&weight.to_dtype(DType::F32)?)?;
    let along = (&grad * &normed)?.mean_keepdim(D::Minus1)?;
    let dx = (grad - normed.broadcast_mul(&along)?)?.broadcast_mul(&root)?;
    Ok(dx.to_dtype(x.dtype())?)
}

fn rms_norm_cpu(x: &Tensor, weight: &Tensor, eps: f32, grad: &Tensor) -> Result<Tensor> {
    let width = weight.dim(0)?;
    let out = with([x, weight, grad], |[x, weight, grad]| {
        let mut out = vec![0.0_f32; x.len()];
        let chunk = ROWS * width;
        let tasks = out.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).zip(grad.par_chunks(chunk));
        tasks.for_each(|((out, x), grad)| {
            let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(grad.chunks_exact(width));
            rows.for_each(|((out, x), grad)| rms_norm_row(out, x, weight, eps, grad));
        });
        Ok(out)
    })?;
    Ok(Tensor::from_vec(out, x.shape(), x.device())?)
}

fn rms_norm_row(out: &mut [f32], x: &[f32], weight: &[f32], eps: f32, grad: &[f32]) {
    let width = x.len() as f32;
    let squares: f32 = x.iter().map(|x| x * x).sum();
    let root = 1.0 / (squares / width + eps).sqrt();
    let along: f32 = x.iter().zip(weight).zip(grad).map(|((x, w), g)| x * w * g).sum();
    let pull = along * root * root * root / width;
    for (((out, x), w), g) in out.iter_mut().zip(x).zip(weight).zip(grad) {
        *out = w * g * root - x * pull;
    }
}

/// Of silu(gate) · up: what a change of its result `grad` asks of the gate and of up.
///
/// With s = σ(gate): ∂gate = g·up·s·(1 + gate·(1 − s)), ∂up = g·gate·s.
///
/// # Errors
/// Where the shapes differ or the device fails.
pub(super) fn silu_mul(gate: &Tensor, up: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
    if !on_cpu(gate) {
        let sigmoid = candle_nn::ops::sigmoid(gate)?;
        let rest = ((gate * sigmoid.affine(-1.0, 1.0)?)? + 1.0)?;
        return Ok(((((grad * up)? * &sigmoid)? * rest)?, ((grad * gate)? * sigmoid)?));
    }
    let (dgate, dup) = with([gate, up, grad], |[gate, up, grad]| {
        let (mut dgate, mut dup) = (vec![0.0_f32; gate.len()], vec![0.0_f32; gate.len()]);
        let tasks = dgate.par_chunks_mut(CHUNK).zip(dup.par_chunks_mut(CHUNK));
        let given = gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK)).zip(grad.par_chunks(CHUNK));
        tasks.zip(given).for_each(|((dgate, dup), ((gate, up), grad))| silu_mul_chunk(dgate, dup, gate, up, grad));
        Ok((dgate, dup))
    })?;
    let made = |numbers| Tensor::from_vec(numbers, gate.shape(), gate.device());
    Ok((made(dgate)?, made(dup)?))
}

/// Numbers that a thread takes at a time: they stay in its cache.
const CHUNK: usize = 4096;

fn silu_mul_chunk(dgate: &mut [f32], dup: &mut [f32], gate: &[f32], up: &[f32], grad: &[f32]) {
    use rten_simd::SimdUnaryOp as _;
    dgate.copy_from_slice(gate);
    rten_vecmath::Sigmoid {}.map_mut(dgate);
    for ((((dgate, dup), gate), up), grad) in dgate.iter_mut().zip(dup).zip(gate).zip(up).zip(grad) {
        let sigmoid = *dgate;
        *dup = grad * gate * sigmoid;
        *dgate = grad * up * sigmoid * (1.0 + gate * (1.0 - sigmoid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::normal;

    fn apart(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    /// What candle's own derivative says, for a function of two tensors.
    fn by_candle(
        [a, b]: [&Tensor; 2],
        grad: &Tensor,
        function: impl Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
    ) -> [Tensor; 2] {
        let [a, b] = [a, b].map(|x| candle_core::Var::from_tensor(x).unwrap());
        let result = function(a.as_tensor(), b.as_tensor()).unwrap();
        let store = (result * grad).unwrap().sum_all().unwrap().backward().unwrap();
        [a, b].map(|x| store.get(x.as_tensor()).unwrap().clone())
    }

    #[test]
    fn both_forms_equal_candles_derivatives() {
        let (x, weight, grad) = (normal(&[37, 24], 1.3), normal(&[24], 0.7), normal(&[37, 24], 0.9));
        let [dx, dw] = by_candle([&x, &weight], &grad, |x, w| candle_nn::ops::rms_norm_slow(x, w, 1e-2));
        let (own, own_weight) = rms_norm(&x, &weight, 1e-2, &grad, true).unwrap();
        let any = rms_norm_any(&x, &weight, 1e-2, &grad).unwrap();
        assert!(apart(&own, &dx) < 1e-5 && apart(&any, &dx) < 1e-5 && apart(&own_weight.unwrap(), &dw) < 1e-4);

        let up = normal(&[37, 24], 0.8);
        let [dgate, dup] = by_candle([&x, &up], &grad, |gate, up| gate.silu()?.mul(up));
        let (own_gate, own_up) = silu_mul(&x, &up, &grad).unwrap();
        assert!(apart(&own_gate, &dgate) < 1e-5 && apart(&own_up, &dup) < 1e-5);
    }
}
