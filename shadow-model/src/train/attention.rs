//! The derivative of attention: on the CPU by blocks of rows without padding, elsewhere by candle's derivatives of the
//! padded form.
//!
//! With P = softmax(s·Q·Kᵀ) and O = P·V, a change G of O asks (Dao et al., arXiv 2205.14135, algorithm 4): ∂V = Pᵀ·G,
//! ∂S = P∘(G·Vᵀ − rowsum(G∘O)), ∂Q = s·∂S·K, ∂K = s·∂Sᵀ·Q. P is computed again, not kept.

use std::ops::Range;

use candle_core::{Tensor, Var};
use rayon::prelude::*;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_simd::SimdOp as _;
use rten_tensor::{Matrix, NdTensorView};

use super::backward::{on_cpu, with};
use crate::Result;
use crate::decoder::{Batch, Config, Pass};

/// Query rows of a block.
const ROWS: usize = 64;

/// What attention computed from, and what came out.
pub(super) struct Attended<'a> {
    pub q: &'a Tensor,
    pub k: &'a Tensor,
    pub v: &'a Tensor,
    pub out: &'a Tensor,
}

/// What a change `grad` of the result asks of queries, keys and values, each of their shape. No segment of the batch goes on
/// from another.
///
/// # Errors
/// Where the device fails.
pub(super) fn attention(
    of: &Attended<'_>,
    grad: &Tensor,
    pass: &Pass<'_>,
    window: Option<usize>,
) -> Result<[Tensor; 3]> {
    if !on_cpu(of.q) {
        return by_candle(of, grad, pass, window);
    }
    let (config, batch) = (pass.config, pass.batch);
    let slices = [of.q, of.k, of.v, of.out, grad];
    let [dq, dk, dv] = with(slices, |[q, k, v, out, grad]| {
        let work = Work { q, k, v, out, grad, config, window };
        let tasks: Vec<(Range<usize>, usize)> = (batch.segments().iter())
            .flat_map(|segment| (0..config.kv_heads).map(|head| (segment.rows.clone(), head)))
            .collect();
        let done = tasks.into_par_iter().map(|(rows, head)| work.head(rows, head)).collect::<Result<Vec<_>>>()?;
        Ok(gathered(done, batch, config))
    })?;
    let made = |numbers: Vec<f32>, like: &Tensor| Tensor::from_vec(numbers, like.shape(), like.device());
    Ok([made(dq, of.q)?, made(dk, of.k)?, made(dv, of.v)?])
}

fn by_candle(of: &Attended<'_>, grad: &Tensor, pass: &Pass<'_>, window: Option<usize>) -> Result<[Tensor; 3]> {
    let [q, k, v] = [Var::from_tensor(of.q)?, Var::from_tensor(of.k)?, Var::from_tensor(of.v)?];
    let out = pass.plan.attend(q.as_tensor(), k.as_tensor(), v.as_tensor(), pass.config, window)?;
    let store = (out * grad)?.sum_all()?.backward()?;
    let of = |x: &Var| store.get(x.as_tensor()).map_or_else(|| x.as_tensor().zeros_like(), |grad| Ok(grad.clone()));
    Ok([of(&q)?, of(&k)?, of(&v)?])
}

/// One key head of one segment: `[lines, head]` for its queries in the order row, query head, and `[rows, head]` twice.
struct Done {
    rows: Range<usize>,
    head: usize,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

/// Puts the heads side by side.
fn gathered(done: Vec<Done>, batch: &Batch, config: &Config) -> [Vec<f32>; 3] {
    let (rows, width, groups) = (batch.ids().len(), config.head, config.heads / config.kv_heads);
    let keys = config.kv_heads * width;
    let mut dq = vec![0.0; rows * config.heads * width];
    let (mut dk, mut dv) = (vec![0.0; rows * keys], vec![0.0; rows * keys]);
    for part in done {
        let place = |out: &mut [f32], from: &[f32], own: usize, all: usize| {
            for (row, from) in part.rows.clone().zip(from.chunks_exact(own)) {
                out[row * all + part.head * own..][..own].copy_from_slice(from);
            }
        };
        place(&mut dq, &part.dq, groups * width, config.heads * width);
        place(&mut dk, &part.dk, width, keys);
        place(&mut dv, &part.dv, width, keys);
    }
    [dq, dk, dv]
}

struct Work<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    out: &'a [f32],
    grad: &'a [f32],
    config: &'a Config,
    window: Option<usize>,
}

impl Work<'_> {
    fn head(&self, rows: Range<usize>, head: usize) -> Result<Done> {
        let (width, groups) = (self.config.head, self.config.heads / self.config.kv_heads);
        let (queries, keys) = (self.config.heads * width, self.config.kv_heads * width);
        let slice = |from: &[f32], rows: Range<usize>, own: usize, all: usize| -> Vec<f32> {
            rows.flat_map(|row| &from[row * all + head * own..][..own]).copied().collect()
        };
        let (k, v) = (slice(self.k, rows.clone(), width, keys), slice(self.v, rows.clone(), width, keys));
        let mut done =
            Done { dq: Vec::new(), dk: vec![0.0; k.len()], dv: vec![0.0; v.len()], rows: rows.clone(), head };
        for begin in rows.clone().step_by(ROWS) {
            let block = begin..(begin + ROWS).min(rows.end);
            let positions = begin - rows.start..block.end - rows.start;
            let first = self.first_seen(positions.start);
            let seen = first * width..positions.end * width;
            let own = |from: &[f32]| slice(from, block.clone(), groups * width, queries);
            let block = Block {
                q: own(self.q),
                out: own(self.out),
                grad: own(self.grad),
                k: &k[seen.clone()],
                v: &v[seen.clone()],
                positions,
                first,
            };
            done.dq.extend(self.block(&block, &mut done.dk[seen.clone()], &mut done.dv[seen])?);
        }
        Ok(done)
    }

    fn first_seen(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// Adds to the keys and values that a block sees, and gives what its queries get.
    fn block(&self, block: &Block<'_>, dk: &mut [f32], dv: &mut [f32]) -> Result<Vec<f32>> {
        let (width, groups, scale) = (self.config.head, self.config.heads / self.config.kv_heads, self.config.scale());
        let (lines, seen) = (block.positions.len() * groups, block.positions.end - block.first);
        let wide = |from| NdTensorView::from_data([lines, width], from);
        let narrow = |from| NdTensorView::from_data([seen, width], from);
        let (q, k, v, grad) = (wide(&block.q[..]), narrow(block.k), narrow(block.v), wide(&block.grad[..]));
        let (mut p, mut ds) = (vec![0.0; lines * seen], vec![0.0; lines * seen]);
        product(&mut p, q, k.transposed(), scale, 0.0)?;
        product(&mut ds, grad, v.transposed(), 1.0, 0.0)?;
        let rows = p.chunks_exact_mut(seen).zip(ds.chunks_exact_mut(seen));
        let results = block.out.chunks_exact(width).zip(block.grad.chunks_exact(width));
        for (line, ((p, ds), (out, grad))) in rows.zip(results).enumerate() {
            let position = block.positions.start + line / groups;
            let visible = self.first_seen(position) - block.first..position + 1 - block.first;
            let along: f32 = out.iter().zip(grad).map(|(out, grad)| out * grad).sum();
            softmax(p, ds, visible, along);
        }
        let (p, ds) = (NdTensorView::from_data([lines, seen], &p[..]), NdTensorView::from_data([lines, seen], &ds[..]));
        product(dv, p.transposed(), grad, 1.0, 1.0)?;
        product(dk, ds.transposed(), q, scale, 1.0)?;
        let mut dq = vec![0.0; lines * width];
        product(&mut dq, ds, k, scale, 0.0)?;
        Ok(dq)
    }
}

/// Turns a row's scores into probabilities, and what they are asked into what the scores are asked; zero where unseen.
fn softmax(p: &mut [f32], ds: &mut [f32], visible: Range<usize>, along: f32) {
    rten_vecmath::Softmax::new_mut(&mut p[visible.clone()]).dispatch();
    for row in [&mut *p, &mut *ds] {
        row[..visible.start].fill(0.0);
        row[visible.end..].fill(0.0);
    }
    for (ds, p) in ds[visible.clone()].iter_mut().zip(&p[visible]) {
        *ds = p * (*ds - along);
    }
}

/// Query rows, `[lines, head]` each in the order row, query head, and the keys and values that any of them sees.
struct Block<'a> {
    q: Vec<f32>,
    out: Vec<f32>,
    grad: Vec<f32>,
    k: &'a [f32],
    v: &'a [f32],
    positions: Range<usize>,
    /// The position of the first key.
    first: usize,
}

fn product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, alpha: f32, beta: f32) -> Result<()> {
    let options = GemmOptions { alpha, beta, ..GemmOptions::default() };
    let (a, b) = (GemmInputA::Unpacked(a), GemmInputB::Unpacked(b));
    Ok(GemmExecutor::new().gemm(out, a, b, options).map_err(candle_core::Error::wrap)?)
}
