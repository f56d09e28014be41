//! What encoders compute between their products: on the CPU row by row over all cores, elsewhere by candle.
//!
//! Rows are tokens. A batch on the CPU holds no padding ([`Batch::packed`]): the texts stand one after another, and only
//! attention has to know where each ends.

mod attention;
mod batch;
mod feed_forward;
mod norm;
mod scratch;

pub(crate) use attention::attention;
pub(crate) use batch::Batch;
pub(crate) use feed_forward::feed_forward;
pub(crate) use norm::Norm;
pub(crate) use scratch::Scratch;

use candle_core::{CpuStorage, Layout, Result, bail};

/// Rows that one task works on: enough to read a weight seldom, few enough that they stay in a core's cache.
const BLOCK: usize = 64;

/// The numbers of a contiguous f32 tensor.
pub(crate) fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let numbers = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((begin, end)) => Ok(&numbers[begin..end]),
        None => bail!("input of shape {:?} is not contiguous", layout.dims()),
    }
}

/// How many of `rows` each task takes, so that every thread has some; a multiple of the kernels' 6 rows.
pub(crate) fn block_of(rows: usize) -> usize {
    rows.div_ceil(rayon::current_num_threads()).clamp(1, BLOCK).next_multiple_of(6)
}

#[cfg(test)]
mod tests;
