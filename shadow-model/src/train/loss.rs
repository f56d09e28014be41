//! The loss of the rows that are to predict something, and its derivative, a number of rows at a time: the logits of all
//! rows over all of the vocabulary are never held.
//!
//! −ln p(t) = ln Σ exp(z) − z(t); its derivative by z is softmax(z) − 1 at t.

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use rten_simd::SimdOp as _;

use super::backward::{on_cpu, with};
use crate::Result;

/// Logits held at once: 64 MiB in f32.
pub(super) const MOST_LOGITS: usize = 1 << 24;

/// What is wanted beside the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Loss,
    /// The derivative by the rows.
    Rows,
    /// By the rows and the output matrix.
    RowsAndOutput,
}

/// The sum of −ln p, and the derivatives of `scale` times it.
pub(super) struct Loss {
    pub nats: f64,
    /// `[rows, hidden]`
    pub rows: Option<Tensor>,
    /// `[vocabulary, hidden]`
    pub output: Option<Tensor>,
}

/// The loss of `rows` `[rows, hidden]`, each of which is to predict its token, by the output matrix
/// `[vocabulary, hidden]`.
///
/// # Errors
/// Where the shapes do not fit or the device fails.
pub(super) fn loss(rows: &Tensor, output: &Tensor, tokens: &[u32], scale: f64, wanted: Wanted) -> Result<Loss> {
    let output = output.to_dtype(rows.dtype())?;
    let step = (MOST_LOGITS / output.dim(0)?).clamp(1, 512);
    let (mut nats, mut parts, mut matrix) = (0.0, Vec::new(), None::<Tensor>);
    for (number, tokens) in tokens.chunks(step).enumerate() {
        let x = rows.narrow(0, number * step, tokens.len())?;
        let logits = x.matmul(&output.t()?)?;
        let (more, asked) =
            if on_cpu(&logits) { cpu(&logits, tokens, scale, wanted)? } else { any(&logits, tokens, scale, wanted)? };
        nats += more;
        let Some(asked) = asked else { continue };
        parts.push(asked.matmul(&output)?);
        if wanted == Wanted::RowsAndOutput {
            let more = asked.t()?.matmul(&x)?.to_dtype(DType::F32)?;
            matrix = Some(matrix.map_or(Ok(more.clone()), |sum| sum + more)?);
        }
    }
    let rows = if parts.is_empty() { None } else { Some(Tensor::cat(&parts, 0)?) };
    Ok(Loss { nats, rows, output: matrix })
}

fn cpu(logits: &Tensor, tokens: &[u32], scale: f64, wanted: Wanted) -> Result<(f64, Option<Tensor>)> {
    let width = logits.dim(1)?;
    let (nats, asked) = with([logits], |[z]| {
        let nll = |(row, token): (&[f32], &u32)| {
            let largest = rten_vecmath::MaxNum::new(row).dispatch();
            let sum = rten_vecmath::SumExpSub::new(row, largest).dispatch();
            f64::from(largest) + f64::from(sum).ln() - f64::from(row[*token as usize])
        };
        // summed in their order: a sum over threads would differ from run to run
        let nats: Vec<f64> = z.par_chunks(width).zip(tokens.par_iter()).map(nll).collect();
        let mut asked = if wanted == Wanted::Loss { Vec::new() } else { z.to_vec() };
        asked.par_chunks_mut(width).zip(tokens.par_iter()).for_each(|(row, &token)| {
            rten_vecmath::Softmax::new_mut(row).dispatch();
            row[token as usize] -= 1.0;
            row.iter_mut().for_each(|number| *number *= scale as f32);
        });
        Ok((nats.into_iter().sum(), asked))
    })?;
    let made = |numbers| Tensor::from_vec(numbers, logits.shape(), logits.device());
    Ok((nats, if wanted == Wanted::Loss { None } else { Some(made(asked)?) }))
}

fn any(logits: &Tensor, tokens: &[u32], scale: f64, wanted: Wanted) -> Result<(f64, Option<Tensor>)> {
    let dtype = logits.dtype();
    let z = logits.to_dtype(DType::F32)?;
    let ln = candle_nn::ops::log_softmax(&z, 1)?;
    let index = Tensor::new(tokens, z.device())?.unsqueeze(1)?;
    let picked = ln.gather(&index, 1)?.flatten_all()?.to_vec1::<f32>()?;
    let nats = picked.into_iter().map(|ln| -f64::from(ln)).sum();
    if wanted == Wanted::Loss {
        return Ok((nats, None));
    }
    let ones = Tensor::ones(index.shape(), DType::F32, z.device())?.neg()?;
    let asked = (ln.exp()?.scatter_add(&index, &ones, 1)? * scale)?;
    Ok((nats, Some(asked.to_dtype(dtype)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::normal;

    #[test]
    fn both_forms_equal_candles_cross_entropy_and_its_derivative() {
        let (rows, output) = (normal(&[7, 12], 1.0), normal(&[30, 12], 1.0));
        let tokens = [3, 29, 0, 11, 3, 7, 15];
        let [x, w] = [&rows, &output].map(|x| candle_core::Var::from_tensor(x).unwrap());
        let logits = x.as_tensor().matmul(&w.as_tensor().t().unwrap()).unwrap();
        let targets = Tensor::new(&tokens, rows.device()).unwrap();
        let wanted = candle_nn::loss::cross_entropy(&logits, &targets).unwrap();
        let store = wanted.backward().unwrap();
        let wanted = f64::from(wanted.to_scalar::<f32>().unwrap());
        let found = loss(&rows, &output, &tokens, 1.0 / 7.0, Wanted::RowsAndOutput).unwrap();
        assert!((found.nats / 7.0 - wanted).abs() < 1e-5);
        let apart =
            |a: &Tensor, b: &Tensor| (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(apart(found.rows.as_ref().unwrap(), store.get(x.as_tensor()).unwrap()) < 1e-5);
        assert!(apart(found.output.as_ref().unwrap(), store.get(w.as_tensor()).unwrap()) < 1e-5);
        let by_cpu = cpu(&logits.detach(), &tokens, 0.5, Wanted::Rows).unwrap();
        let by_any = any(&logits.detach(), &tokens, 0.5, Wanted::Rows).unwrap();
        assert!((by_cpu.0 - by_any.0).abs() < 1e-4 && apart(&by_cpu.1.unwrap(), &by_any.1.unwrap()) < 1e-5);
    }
}
