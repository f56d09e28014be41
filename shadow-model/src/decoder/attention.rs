//! Grouped-query attention (Ainslie et al., arXiv 2305.13245) over the rows of a [`Batch`]: which rows see which.
//!
//! On the CPU in f32 one pass over blocks of rows without padding ([`fused`](super::fused)); elsewhere a padded batch of
//! candle's products, a bounded number of scores at a time, which any device and number can do and gradients can pass.

use candle_core::{DType, Device, Tensor};

use super::Config;
use super::batch::{Batch, Segment};
use super::fused::Fused;
use crate::Result;

/// The most scores that the padded form holds at once.
pub(super) const MOST_SCORES: usize = 1 << 24;

/// What is the same in every layer of one pass over a batch.
pub(crate) enum Plan<'a> {
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

/// Segments of like length as padded batches.
pub(crate) struct Padded {
    groups: Vec<Group>,
    /// Where each row stands among the queries of all groups.
    back: Tensor,
}

/// `[segments, queries]` rows that look and `[segments, keys]` rows that are seen.
struct Group {
    segments: usize,
    queries: usize,
    keys: usize,
    /// The row of each query and each key; padding repeats row 0.
    query_rows: Tensor,
    key_rows: Tensor,
    /// For each window of a layer, 0 where a query sees a key and −∞ where not: `[segments, 1, queries, keys]`.
    masks: Vec<(Option<usize>, Tensor)>,
}

impl Padded {
    pub fn new(batch: &Batch, layers: &[Option<usize>], dtype: DType, device: &Device) -> Result<Self> {
        let mut windows = layers.to_vec();
        windows.sort_unstable();
        windows.dedup();
        let (mut groups, mut back, mut before) = (Vec::new(), vec![0; batch.ids().len()], 0);
        for members in alike(batch) {
            let group = Group::new(batch, &members, &windows, dtype, device)?;
            for (number, &member) in members.iter().enumerate() {
                let at = before + number * group.queries;
                batch.rows(member).enumerate().for_each(|(query, row)| back[row] = index(at + query));
            }
            before += group.segments * group.queries;
            groups.push(group);
        }
        Ok(Self { groups, back: Tensor::new(back, device)? })
    }

    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, config: &Config, window: Option<usize>) -> Result<Tensor> {
        let parts = self.groups.iter().map(|group| group.attend(q, k, v, config, window));
        Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?.index_select(&self.back, 0)?)
    }
}

/// The segments from the longest to the shortest, in groups whose shortest has at least half the rows of the longest.
fn alike(batch: &Batch) -> Vec<Vec<usize>> {
    let length = |number: usize| batch.rows(number).len();
    let mut order: Vec<usize> = (0..batch.segments().len()).filter(|&number| length(number) > 0).collect();
    order.sort_by_key(|&number| std::cmp::Reverse(length(number)));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for number in order {
        match groups.last_mut() {
            Some(group) if 2 * length(number) >= length(group[0]) => group.push(number),
            _ => groups.push(vec![number]),
        }
    }
    groups
}

impl Group {
    fn new(batch: &Batch, members: &[usize], windows: &[Option<usize>], dtype: DType, device: &Device) -> Result<Self> {
        let most = |of: &dyn Fn(&Segment) -> usize| members.iter().map(|&at| of(&batch.segments()[at])).max();
        let queries = most(&|segment| segment.rows.len()).unwrap_or(0);
        let keys = most(&Segment::end).unwrap_or(0);
        let mut query_rows = vec![0; members.len() * queries];
        let mut key_rows = vec![0; members.len() * keys];
        for (number, &member) in members.iter().enumerate() {
            let looking = query_rows[number * queries..].iter_mut().zip(batch.rows(member));
            looking.for_each(|(at, row)| *at = index(row));
            let seen = key_rows[number * keys..].iter_mut().zip(batch.seen(member).into_iter().flatten());
            seen.for_each(|(at, row)| *at = index(row));
        }
        let mask = |&window: &Option<usize>| {
            let mask = mask(batch, members, [queries, keys], window);
            let shape = (members.len(), 1, queries, keys);
            Ok((window, Tensor::from_vec(mask, shape, device)?.to_dtype(dtype)?))
        };
        Ok(Self {
            segments: members.len(),
            queries,
            keys,
            query_rows: Tensor::new(query_rows, device)?,
            key_rows: Tensor::new(key_rows, device)?,
            masks: windows.iter().map(mask).collect::<Result<_>>()?,
        })
    }

    /// The mixed values of the group's queries, padding and all: `[segments · queries, heads · head]`.
    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, config: &Config, window: Option<usize>) -> Result<Tensor> {
        let q = (self.gather(q, &self.query_rows, self.queries, config)? * f64::from(config.scale()))?;
        let k = repeat(&self.gather(k, &self.key_rows, self.keys, config)?, config)?.t()?;
        let v = repeat(&self.gather(v, &self.key_rows, self.keys, config)?, config)?;
        let mask = self.masks.iter().find(|(of, _)| *of == window).map(|(_, mask)| mask);
        let step = (MOST_SCORES / (self.segments * config.heads * self.keys).max(1)).clamp(1, self.queries.max(1));
        let part = |begin: usize| {
            let length = step.min(self.queries - begin);
            let mut scores = q.narrow(2, begin, length)?.contiguous()?.matmul(&k)?;
            if let Some(mask) = mask {
                scores = scores.broadcast_add(&mask.narrow(2, begin, length)?)?;
            }
            Ok(super::ops::softmax(&scores)?.matmul(&v)?)
        };
        let parts = (0..self.queries).step_by(step).map(part).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&parts, 2)?.transpose(1, 2)?.contiguous()?.reshape(((), config.heads * config.head))?)
    }

    /// Rows `[rows, heads · head]` as `[segments, heads, length, head]`.
    fn gather(&self, x: &Tensor, rows: &Tensor, length: usize, config: &Config) -> Result<Tensor> {
        let x = x.index_select(rows, 0)?.reshape((self.segments, length, (), config.head))?;
        Ok(x.transpose(1, 2)?.contiguous()?)
    }
}

/// Each key head once for every query head that it serves.
fn repeat(x: &Tensor, config: &Config) -> Result<Tensor> {
    let ((segments, heads, keys, width), times) = (x.dims4()?, config.heads / config.kv_heads);
    let x = x.unsqueeze(2)?.expand((segments, heads, times, keys, width))?;
    Ok(x.reshape((segments, heads * times, keys, width))?)
}

/// Which of the keys, in the order of their text, each query sees. A query of the padding sees what the last one sees.
fn mask(batch: &Batch, members: &[usize], [queries, keys]: [usize; 2], window: Option<usize>) -> Vec<f32> {
    let mut mask = vec![f32::NEG_INFINITY; members.len() * queries * keys];
    for (number, &member) in members.iter().enumerate() {
        let segment = &batch.segments()[member];
        for query in 0..queries {
            let row = (number * queries + query) * keys;
            let own = (segment.offset + query).min(segment.end().saturating_sub(1));
            let first = window.map_or(0, |window| (own + 1).saturating_sub(window));
            mask[row + first..=row + own].fill(0.0);
        }
    }
    mask
}

#[expect(clippy::cast_possible_truncation, reason = "a pass has far fewer than 2^32 rows")]
fn index(row: usize) -> u32 {
    row as u32
}
