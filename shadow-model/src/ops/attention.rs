//! Self-attention in both directions (Vaswani et al., arXiv 1706.03762): softmax(Q·Kᵀ/√d)·V within each text.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, D, Layout, Shape, Tensor};
use rayon::prelude::*;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_simd::SimdOp;
use rten_tensor::NdTensorView;
use rten_vecmath::Softmax;

use super::{BLOCK, Batch, Scratch, numbers};
use crate::Result;

thread_local! {
    static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static CONTEXT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The attention of `heads` heads for `qkv` of shape `[rows, 3 · width]`, contiguous: queries, keys, values beside each
/// other. Shape `[rows, width]`. `mask` is the batch's.
///
/// # Errors
/// Where the shapes do not fit or the device fails.
pub(crate) fn attention(qkv: &Tensor, heads: usize, batch: &Batch, mask: Option<&Tensor>) -> Result<Tensor> {
    match batch.padding() {
        None => Ok(qkv.apply_op1_no_bwd(&Packed { heads, spans: &batch.spans })?),
        Some(rows) => padded(qkv, heads, rows, mask),
    }
}

fn padded(qkv: &Tensor, heads: usize, rows: usize, mask: Option<&Tensor>) -> Result<Tensor> {
    let (all, width) = (qkv.dim(0)?, qkv.dim(1)? / 3);
    let (texts, depth) = (all / rows.max(1), width / heads);
    let qkv = qkv.reshape((texts, rows, 3, heads, depth))?.permute((2, 0, 3, 1, 4))?;
    let part = |which: usize| qkv.get(which)?.contiguous();
    let scores = (part(0)?.matmul(&part(1)?.transpose(D::Minus1, D::Minus2)?)? * (depth as f64).sqrt().recip())?;
    let scores = mask.map_or(Ok(scores.clone()), |mask| scores.broadcast_add(mask))?;
    let context = candle_nn::ops::softmax_last_dim(&scores)?.matmul(&part(2)?)?;
    Ok(context.transpose(1, 2)?.reshape((all, width))?)
}

/// Attention over texts that stand one after another.
struct Packed<'a> {
    heads: usize,
    spans: &'a [Range<usize>],
}

/// Some rows of one text, and the text.
struct Task<'a> {
    text: &'a Range<usize>,
    rows: Range<usize>,
    out: &'a mut [f32],
}

impl CustomOp1 for Packed<'_> {
    fn name(&self) -> &'static str {
        "packed-attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let qkv = numbers(storage, layout)?;
        let (rows, tripled) = layout.shape().dims2()?;
        let width = tripled / 3;
        let covered = self.spans.iter().map(Range::len).sum::<usize>();
        if width * 3 != tripled || !width.is_multiple_of(self.heads) || covered != rows {
            candle_core::bail!("attention: {:?} for {} heads and {covered} rows", layout.dims(), self.heads);
        }
        let mut out = vec![0.0; rows * width];
        let work = Heads { qkv, width, depth: width / self.heads };
        self.tasks(&mut out, width).into_par_iter().try_for_each(|mut task| work.run(&mut task))?;
        Ok((CpuStorage::F32(out), Shape::from((rows, width))))
    }
}

impl Packed<'_> {
    fn tasks<'a>(&'a self, mut out: &'a mut [f32], width: usize) -> Vec<Task<'a>> {
        let mut tasks = Vec::new();
        for text in self.spans {
            for begin in text.clone().step_by(BLOCK) {
                let rows = begin..(begin + BLOCK).min(text.end);
                let (mine, rest) = out.split_at_mut(rows.len() * width);
                out = rest;
                tasks.push(Task { text, rows, out: mine });
            }
        }
        tasks
    }
}

struct Heads<'a> {
    qkv: &'a [f32],
    width: usize,
    depth: usize,
}

impl Heads<'_> {
    fn run(&self, task: &mut Task<'_>) -> candle_core::Result<()> {
        let (rows, keys) = (task.rows.len(), task.text.len());
        let mut scores = Scratch::take(&SCORES, rows * keys);
        let mut context = Scratch::take(&CONTEXT, rows * self.depth);
        let scaled = GemmOptions { alpha: (self.depth as f32).sqrt().recip(), ..GemmOptions::default() };
        for head in (0..self.width).step_by(self.depth) {
            let query = self.view(&task.rows, head)?;
            let key = self.view(task.text, self.width + head)?;
            let value = self.view(task.text, 2 * self.width + head)?;
            self.product(&mut scores, query, key.transposed(), scaled.clone())?;
            scores.chunks_exact_mut(keys).for_each(|row| {
                Softmax::new_mut(row).dispatch();
            });
            let weights = NdTensorView::from_data([rows, keys], &*scores);
            self.product(&mut context, weights, value, GemmOptions::default())?;
            for (out, context) in task.out.chunks_exact_mut(self.width).zip(context.chunks_exact(self.depth)) {
                out[head..head + self.depth].copy_from_slice(context);
            }
        }
        Ok(())
    }

    /// One head's columns of some rows, from column `column` on.
    fn view(&self, rows: &Range<usize>, column: usize) -> candle_core::Result<NdTensorView<'_, f32, 2>> {
        let stride = 3 * self.width;
        let begin = rows.start * stride + column;
        let end = begin + (rows.len() - 1) * stride + self.depth;
        NdTensorView::from_data_with_strides([rows.len(), self.depth], &self.qkv[begin..end], [stride, 1])
            .map_err(|why| candle_core::Error::Msg(format!("attention: {why:?}")))
    }

    fn product(
        &self,
        out: &mut [f32],
        a: NdTensorView<'_, f32, 2>,
        b: NdTensorView<'_, f32, 2>,
        options: GemmOptions<'_, f32, f32, f32>,
    ) -> candle_core::Result<()> {
        let (a, b) = (GemmInputA::Unpacked(a), GemmInputB::Unpacked(b));
        GemmExecutor::new().gemm(out, a, b, options).map_err(candle_core::Error::wrap)
    }
}
