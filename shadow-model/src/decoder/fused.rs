//! Attention on the CPU, in f32, without padding: blocks of rows in parallel, each against the keys that it sees.
//!
//! A block takes the query heads of one key head together, so that the keys are read once for all of them; a row's scores
//! are held whole, so softmax is the plain one.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Layout, Shape};
use rayon::prelude::*;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_simd::SimdOp;
use rten_tensor::NdTensorView;

use super::Config;
use super::batch::Batch;
use crate::ops::numbers;

/// The most rows of a block, and the most scores that a block holds.
const ROWS: usize = 64;
const SCORES: usize = 1 << 20;

/// The most numbers that a thread works in, for texts of at most `longest` tokens.
pub(super) fn block_numbers(config: &Config, longest: usize) -> usize {
    let lines = ROWS * config.heads / config.kv_heads;
    let scores = SCORES.max(longest * config.heads / config.kv_heads).min(lines * longest);
    scores + 2 * (lines + longest) * config.head
}

/// Attention of the rows of a batch.
pub(super) struct Fused<'a> {
    pub batch: &'a Batch,
    pub config: &'a Config,
    /// How many tokens of its text a row sees, with its own; `None` is all.
    pub window: Option<usize>,
}

impl CustomOp3 for Fused<'_> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let input = Input { q: numbers(q, q_layout)?, k: numbers(k, k_layout)?, v: numbers(v, v_layout)? };
        let width = self.config.heads * self.config.head;
        let mut out = vec![0.0; self.batch.ids().len() * width];
        let (mut tasks, mut rest) = (Vec::new(), out.as_mut_slice());
        for block in self.blocks() {
            let (own, later) = rest.split_at_mut(block.rows.len() * width);
            tasks.push((block, own));
            rest = later;
        }
        tasks.into_par_iter().try_for_each_init(Scratch::default, |scratch, (block, out)| {
            (0..self.config.kv_heads).try_for_each(|head| self.attend(&input, &block, head, scratch, out))
        })?;
        Ok((CpuStorage::F32(out), q_layout.shape().clone()))
    }
}

struct Input<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
}

/// Rows that follow each other in one segment.
struct Block {
    segment: usize,
    rows: Range<usize>,
    /// Positions of the rows.
    positions: Range<usize>,
    /// Positions that any of them sees.
    seen: Range<usize>,
}

/// What a thread works in.
#[derive(Default)]
struct Scratch {
    gemm: GemmExecutor,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    out: Vec<f32>,
}

impl Fused<'_> {
    /// The blocks of all rows, in order.
    fn blocks(&self) -> impl Iterator<Item = Block> {
        let share = self.batch.ids().len().div_ceil(4 * rayon::current_num_threads());
        let groups = self.config.heads / self.config.kv_heads;
        self.batch.segments().iter().enumerate().flat_map(move |(number, segment)| {
            let most = (SCORES / (groups * segment.end()).max(1)).clamp(1, share.clamp(16, ROWS));
            segment.rows.clone().step_by(most).map(move |begin| {
                let rows = begin..(begin + most).min(segment.rows.end);
                let first = segment.offset + begin - segment.rows.start;
                let positions = first..first + rows.len();
                Block { segment: number, seen: self.first_seen(first)..positions.end, rows, positions }
            })
        })
    }

    fn first_seen(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// One key head and the query heads that it serves.
    fn attend(
        &self,
        input: &Input<'_>,
        block: &Block,
        head: usize,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> candle_core::Result<()> {
        let (width, groups) = (self.config.head, self.config.heads / self.config.kv_heads);
        let stride = self.config.heads * width;
        let columns = head * groups * width..(head + 1) * groups * width;
        let Scratch { gemm, queries, keys, values, scores, out: result } = scratch;
        queries.clear();
        for row in block.rows.clone() {
            queries.extend_from_slice(&input.q[row * stride..(row + 1) * stride][columns.clone()]);
        }
        self.gather(input.k, block, head, keys);
        self.gather(input.v, block, head, values);
        let (lines, seen) = (block.rows.len() * groups, block.seen.len());
        scores.resize(lines * seen, 0.0);
        let product = |out: &mut [f32], a, b, alpha| {
            let options = GemmOptions { alpha, ..Default::default() };
            let (a, b) = (GemmInputA::Unpacked(a), GemmInputB::Unpacked(b));
            gemm.gemm(out, a, b, options).map_err(candle_core::Error::wrap)
        };
        let keys = NdTensorView::from_data([seen, width], keys.as_slice());
        let queries = NdTensorView::from_data([lines, width], queries.as_slice());
        product(scores, queries, keys.transposed(), self.config.scale())?;
        for (line, row) in scores.chunks_exact_mut(seen).enumerate() {
            self.softmax(row, block, block.positions.start + line / groups);
        }
        result.resize(lines * width, 0.0);
        let scores = NdTensorView::from_data([lines, seen], scores.as_slice());
        product(result, scores, NdTensorView::from_data([seen, width], values.as_slice()), 1.0)?;
        for (row, own) in out.chunks_exact_mut(stride).zip(result.chunks_exact(groups * width)) {
            row[columns.clone()].copy_from_slice(own);
        }
        Ok(())
    }

    /// Softmax over what the row of a position sees, zero elsewhere.
    fn softmax(&self, scores: &mut [f32], block: &Block, position: usize) {
        let begin = self.first_seen(position) - block.seen.start;
        let end = position + 1 - block.seen.start;
        rten_vecmath::Softmax::new_mut(&mut scores[begin..end]).dispatch();
        scores[..begin].fill(0.0);
        scores[end..].fill(0.0);
    }

    /// The rows of one key head that a block sees, in the order of their positions.
    fn gather(&self, from: &[f32], block: &Block, head: usize, into: &mut Vec<f32>) {
        let (width, stride) = (self.config.head, self.config.kv_heads * self.config.head);
        into.clear();
        let mut position = 0;
        for run in self.batch.seen(block.segment) {
            let begin = block.seen.start.max(position) - position;
            let end = block.seen.end.min(position + run.len()).max(position) - position;
            for row in (run.start + begin.min(end))..(run.start + end) {
                into.extend_from_slice(&from[row * stride + head * width..][..width]);
            }
            position += run.len();
        }
    }
}
