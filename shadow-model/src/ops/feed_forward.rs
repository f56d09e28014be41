//! The two layers between attentions, `down(activation(up(x)))`, without ever holding the wide middle of more than a block.

use std::cell::RefCell;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::{Scratch, block_of, numbers};
use crate::Result;
use crate::activation::Activation;
use crate::linear::{Linear, Rows};

thread_local!(static MIDDLE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) });

/// `down(activation(up(x)))` for `x` of shape `[.., inputs]`, contiguous.
///
/// # Errors
/// Where the shapes do not fit or the device fails.
pub(crate) fn feed_forward(x: &Tensor, up: &Linear, down: &Linear, activation: Activation) -> Result<Tensor> {
    match (up.rows(), down.rows()) {
        (Some(up), Some(down)) => Ok(x.apply_op1_no_bwd(&FeedForward { up, down, activation })?),
        _ => down.forward(&up.forward_with(x, activation)?),
    }
}

struct FeedForward<'a> {
    up: &'a dyn Rows,
    down: &'a dyn Rows,
    activation: Activation,
}

impl CustomOp1 for FeedForward<'_> {
    fn name(&self) -> &'static str {
        "feed-forward"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = numbers(storage, layout)?;
        let (width, middle, outputs) = (self.up.inputs(), self.up.outputs(), self.down.outputs());
        let shape = self.up.shape(layout.dims(), outputs)?;
        if middle != self.down.inputs() {
            candle_core::bail!("feed-forward: {middle} outputs before a layer of {} inputs", self.down.inputs());
        }
        let rows = x.len() / width;
        let mut y = vec![0.0; rows * outputs];
        let block = block_of(rows);
        y.par_chunks_mut(block * outputs).zip(x.par_chunks(block * width)).try_for_each(|(y, x)| {
            let mut scratch = Scratch::take(&MIDDLE, x.len() / width * middle);
            self.up.rows(x, &mut scratch)?;
            self.activation.apply(&mut scratch);
            self.down.rows(&scratch, y)
        })?;
        Ok((CpuStorage::F32(y), shape))
    }
}
