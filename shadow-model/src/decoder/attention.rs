//! Grouped-query attention (Ainslie et al., arXiv 2305.13245) over the rows of a [`Batch`]: which rows see which.
//!
//! On the CPU in f32 one pass over blocks of rows without padding ([`fused`](super::fused)); elsewhere a padded batch of
//! candle's products, a bounded number of scores at a time, which any device and number can do and gradients can pass.

use candle_core::{DType, Device, Tensor};

use super::Config;
use super::batch::Batch;
use super::fused::Fused;
use crate::Result;

/// The most scores that the padded form holds at once.
pub(super) const MOST_SCORES: usize = 1 << 24;

/// What is the same in every layer of one pass over a batch.
pub(super) enum Plan<'a> {
    /// Blocks of rows on the CPU.
    Fused(&'a Batch),
    /// Padded to the longest segment.
    Padded(Padded),
}

impl<'a> Plan<'a> {
    /// The plan for a device and its numbers.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn new(batch: &'a Batch, config: &Config, dtype: DType, device: &Device) -> Result<Self> {
        if device.is_cpu() && dtype == DType::F32 {
            return Ok(Self::Fused(batch));
        }
        Padded::new(batch, &config.layers, dtype, device).map(Self::Padded)
    }

    /// Attention of queries `[rows, heads · head]` to keys and values `[rows, kv_heads · head]`, each row to at most the
    /// last `window` tokens of its text: `[rows, heads · head]`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, config: &Config, window: Option<usize>) -> Result<Tensor> {
        match self {
            Self::Fused(batch) => Ok(q.apply_op3_no_bwd(k, v, &Fused { batch, config, window })?),
            Self::Padded(padded) => padded.attend(q, k, v, config, window),
        }
    }
}

/// Segments as a batch: `[segments, queries]` rows that look and `[segments, keys]` rows that are seen.
pub(super) struct Padded {
    segments: usize,
    queries: usize,
    keys: usize,
    /// The row of each query and each key; padding repeats row 0.
    query_rows: Tensor,
    key_rows: Tensor,
    /// Where each row stands among the queries.
    back: Tensor,
    /// For each window of a layer, 0 where a query sees a key and −∞ where not: `[segments, 1, queries, keys]`.
    masks: Vec<(Option<usize>, Tensor)>,
}

impl Padded {
    pub fn new(batch: &Batch, layers: &[Option<usize>], dtype: DType, device: &Device) -> Result<Self> {
        let segments = batch.segments();
        let queries = segments.iter().map(|segment| segment.rows.len()).max().unwrap_or(0);
        let (count, keys) = (segments.len(), batch.longest());
        let mut query_rows = vec![0_u32; count * queries];
        let mut key_rows = vec![0_u32; count * keys];
        let mut back = vec![0_u32; batch.ids().len()];
        for (number, segment) in segments.iter().enumerate() {
            for (at, row) in segment.rows.clone().enumerate() {
                query_rows[number * queries + at] = index(row);
                back[row] = index(number * queries + at);
            }
            for (at, row) in batch.seen(number).into_iter().flatten().enumerate() {
                key_rows[number * keys + at] = index(row);
            }
        }
        let mut windows = layers.to_vec();
        windows.sort_unstable();
        windows.dedup();
        let mask = |window| Ok((window, mask(batch, queries, keys, window, dtype, device)?));
        Ok(Self {
            segments: count,
            queries,
            keys,
            query_rows: Tensor::new(query_rows, device)?,
            key_rows: Tensor::new(key_rows, device)?,
            back: Tensor::new(back, device)?,
            masks: windows.into_iter().map(mask).collect::<Result<_>>()?,
        })
    }

    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, config: &Config, window: Option<usize>) -> Result<Tensor> {
        let (groups, width) = (config.heads / config.kv_heads, config.head);
        let gather = |x: &Tensor, rows: &Tensor, length: usize, heads: usize| {
            let x = x.index_select(rows, 0)?.reshape((self.segments, length, heads, width))?;
            x.transpose(1, 2)?.contiguous()
        };
        let q = gather(q, &self.query_rows, self.queries, config.heads)?;
        let repeat = |x: Tensor| -> candle_core::Result<Tensor> {
            let (segments, heads, keys, width) = x.dims4()?;
            let x = x.unsqueeze(2)?.expand((segments, heads, groups, keys, width))?;
            x.reshape((segments, heads * groups, keys, width))
        };
        let k = repeat(gather(k, &self.key_rows, self.keys, config.kv_heads)?)?;
        let v = repeat(gather(v, &self.key_rows, self.keys, config.kv_heads)?)?;
        let q = (q * f64::from(config.scale()))?;
        let mask = self.masks.iter().find(|(of, _)| *of == window).map(|(_, mask)| mask);
        let step = (MOST_SCORES / (self.segments * config.heads * self.keys).max(1)).clamp(1, self.queries.max(1));
        let mut parts = Vec::new();
        for begin in (0..self.queries).step_by(step) {
            let length = step.min(self.queries - begin);
            let mut scores = q.narrow(2, begin, length)?.contiguous()?.matmul(&k.t()?)?;
            if let Some(mask) = mask {
                scores = scores.broadcast_add(&mask.narrow(2, begin, length)?)?;
            }
            parts.push(super::ops::softmax(&scores)?.matmul(&v)?);
        }
        let out = Tensor::cat(&parts, 2)?.transpose(1, 2)?.contiguous()?;
        Ok(out.reshape(((), config.heads * width))?.index_select(&self.back, 0)?)
    }
}

/// Which of the keys, in the order of their text, each query sees. A query of the padding sees the first.
fn mask(
    batch: &Batch,
    queries: usize,
    keys: usize,
    window: Option<usize>,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let mut mask = vec![f32::NEG_INFINITY; batch.segments().len() * queries * keys];
    for (number, segment) in batch.segments().iter().enumerate() {
        for query in 0..queries {
            let row = (number * queries + query) * keys;
            let own = (segment.offset + query).min(segment.end().saturating_sub(1));
            let first = window.map_or(0, |window| (own + 1).saturating_sub(window));
            mask[row + first..=row + own].fill(0.0);
        }
    }
    let shape = (batch.segments().len(), 1, queries, keys);
    Ok(Tensor::from_vec(mask, shape, device)?.to_dtype(dtype)?)
}

#[expect(clippy::cast_possible_truncation, reason = "a pass has far fewer than 2^32 rows")]
fn index(row: usize) -> u32 {
    row as u32
}
