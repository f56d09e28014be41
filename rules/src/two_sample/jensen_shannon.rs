//! Jensen-Shannon distance of two histograms.

use super::TestError;
use super::psi::totals;

/// `√((KL(p‖m) + KL(q‖m)) / 2)` with `m = (p + q) / 2`, natural logarithm: `0` when equal, `√ln 2` = 0.833 when apart.
///
/// The distance, a metric, as `scipy.spatial.distance.jensenshannon`; its square is the divergence (Lin 1991).
/// `reference` and `current` are counts of shape `[bins]`.
///
/// # Errors
/// [`TestError::Mismatch`] for two numbers of bins, [`TestError::TooFew`] when a side is empty.
pub fn jensen_shannon(reference: &[u64], current: &[u64]) -> Result<f64, TestError> {
    let (n, m) = totals(reference, current)?;
    let against = |share: f64, middle: f64| if share > 0.0 { share * (share / middle).ln() } else { 0.0 };
    let divergence: f64 = reference
        .iter()
        .zip(current)
        .map(|(r, c)| {
            let (p, q) = (*r as f64 / n, *c as f64 / m);
            let middle = (p + q) / 2.0;
            (against(p, middle) + against(q, middle)) / 2.0
        })
        .sum();
    Ok(divergence.max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_equal_to_apart() {
        assert_eq!(jensen_shannon(&[1, 2, 0], &[2, 4, 0]), Ok(0.0));
        assert!((jensen_shannon(&[3, 0], &[0, 9]).unwrap() - 2_f64.ln().sqrt()).abs() < 1e-15);
        assert_eq!(jensen_shannon(&[], &[]), Err(TestError::TooFew { have: 0, need: 1 }));
    }
}
