//! The output matrix: how likely each next token is, without ever holding all tokens by all of the vocabulary.
//!
//! −ln p(t) = ln Σ exp(z) − z(t). The sum runs over parts of the vocabulary, a number of rows at a time; each part gives
//! its largest logit and the sum relative to it, and the parts are put together in f64.

use std::collections::BTreeMap;

use candle_core::{CpuStorage, DType, Storage, Tensor};
use rayon::prelude::*;
use rten_simd::SimdOp;

use super::Config;
use super::checkpoint::{Checkpoint, Projection};
use crate::Result;

/// Rows at a time, and of the vocabulary in one part: 16 MiB of logits.
const ROWS: usize = 512;
const PART: usize = 8192;

/// A row and the token that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub row: usize,
    pub token: u32,
}

/// How likely a token is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Predicted {
    /// −ln p, nats.
    pub nll: f32,
    /// No other token is likelier: greedy decoding takes it.
    pub first: bool,
}

/// The output matrix of a decoder.
pub(crate) struct Head {
    parts: Vec<Projection>,
}

/// What is known of one row so far: its largest logit, and Σ exp(z − largest).
#[derive(Clone, Copy)]
struct Sum {
    largest: f64,
    sum: f64,
}

impl Sum {
    const NONE: Self = Self { largest: f64::NEG_INFINITY, sum: 0.0 };

    fn with(self, other: Self) -> Self {
        let largest = self.largest.max(other.largest);
        let scaled = |of: Self| if of.sum == 0.0 { 0.0 } else { of.sum * (of.largest - largest).exp() };
        Self { largest, sum: scaled(self) + scaled(other) }
    }

    /// ln Σ exp(z)
    fn ln(self) -> f64 {
        self.largest + self.sum.ln()
    }
}

impl Head {
    /// Reads the output matrix; `embeddings` where it is tied to them.
    ///
    /// # Errors
    /// Where it is missing, of another shape, or cannot be read.
    pub fn load(checkpoint: &Checkpoint, embeddings: &Tensor) -> Result<Self> {
        Ok(Self { parts: checkpoint.output(embeddings, PART)? })
    }

    /// Bytes that [`Head::predict`] of at most `rows` rows takes.
    pub fn pass_bytes(config: &Config, rows: usize) -> u64 {
        (4 * ROWS.min(rows) * (3 * PART.min(config.vocabulary) + config.hidden)) as u64
    }

    /// The logits of rows `[rows, hidden]`: `[rows, vocabulary]`.
    #[cfg(test)]
    pub fn logits(&self, rows: &Tensor) -> Result<Tensor> {
        let parts = self.parts.iter().map(|part| part.forward(rows));
        Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 1)?)
    }

    /// How likely each target is, in their order, for `hidden` of shape `[rows, hidden]`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn predict(&self, hidden: &Tensor, targets: &[Target]) -> Result<Vec<Predicted>> {
        let mut by_row: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, target) in targets.iter().enumerate() {
            by_row.entry(target.row).or_default().push(number);
        }
        let (rows, followers): (Vec<_>, Vec<_>) = by_row.into_iter().unzip();
        let mut all = vec![Predicted::default(); targets.len()];
        for (rows, followers) in rows.chunks(ROWS).zip(followers.chunks(ROWS)) {
            let index: Vec<u32> = rows.iter().filter_map(|&row| u32::try_from(row).ok()).collect();
            let x = hidden.index_select(&Tensor::new(index, hidden.device())?, 0)?;
            self.rows(&x, followers, targets, &mut all)?;
        }
        Ok(all)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a result of f32 logits")]
    fn rows(&self, x: &Tensor, followers: &[Vec<usize>], targets: &[Target], all: &mut [Predicted]) -> Result<()> {
        let mut sums = vec![Sum::NONE; followers.len()];
        let mut logits = vec![0.0; targets.len()];
        let mut begin = 0;
        for part in &self.parts {
            let y = part.forward(x)?;
            let tokens = begin..begin + y.dim(1)?;
            let mut picks = Vec::new();
            for (row, numbers) in followers.iter().enumerate() {
                let here = numbers.iter().filter(|&&number| tokens.contains(&(targets[number].token as usize)));
                picks.extend(here.map(|&number| (number, row, targets[number].token as usize - begin)));
            }
            let (more, picked) = reduce(&y, &picks)?;
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.with(more));
            picks.iter().zip(picked).for_each(|(&(number, ..), logit)| logits[number] = f64::from(logit));
            begin = tokens.end;
        }
        for (sum, &number) in
            sums.iter().zip(followers).flat_map(|(sum, numbers)| numbers.iter().map(move |n| (sum, n)))
        {
            let first = logits[number] >= sum.largest;
            all[number] = Predicted { nll: (sum.ln() - logits[number]) as f32, first };
        }
        Ok(())
    }
}

/// The sum of each row of logits, and the logits at the given `(_, row, column)`.
fn reduce(logits: &Tensor, picks: &[(usize, usize, usize)]) -> Result<(Vec<Sum>, Vec<f32>)> {
    let width = logits.dim(1)?;
    let (storage, layout) = logits.storage_and_layout();
    if let (Storage::Cpu(CpuStorage::F32(all)), Some((begin, end))) = (&*storage, layout.contiguous_offsets()) {
        let all = &all[begin..end];
        let picked = picks.iter().map(|&(_, row, column)| all[row * width + column]).collect();
        return Ok((all.par_chunks(width).map(sum).collect(), picked));
    }
    drop(storage);
    let logits = logits.to_dtype(DType::F32)?.contiguous()?;
    let largest = logits.max_keepdim(1)?;
    let sums = logits.broadcast_sub(&largest)?.exp()?.sum(1)?.to_vec1::<f32>()?;
    let largest = largest.flatten_all()?.to_vec1::<f32>()?;
    let both = largest.into_iter().zip(sums);
    let sums = both.map(|(largest, sum)| Sum { largest: f64::from(largest), sum: f64::from(sum) }).collect();
    let at = |&(_, row, column): &(usize, usize, usize)| u32::try_from(row * width + column).ok();
    let index: Vec<u32> = picks.iter().filter_map(at).collect();
    if index.is_empty() {
        return Ok((sums, Vec::new()));
    }
    let picked = logits.flatten_all()?.index_select(&Tensor::new(index, logits.device())?, 0)?;
    Ok((sums, picked.to_vec1()?))
}

fn sum(row: &[f32]) -> Sum {
    let largest = rten_vecmath::MaxNum::new(row).dispatch();
    Sum { largest: f64::from(largest), sum: f64::from(rten_vecmath::SumExpSub::new(row, largest).dispatch()) }
}
