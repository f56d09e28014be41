//! Hellinger distance of two histograms.

use super::TestError;
use super::psi::totals;

/// `√(Σ (√p - √q)² / 2)`: `0` when equal, `1` when apart.
///
/// `reference` and `current` are counts of shape `[bins]`.
///
/// # Errors
/// [`TestError::Mismatch`] for two numbers of bins, [`TestError::TooFew`] when a side is empty.
pub fn hellinger(reference: &[u64], current: &[u64]) -> Result<f64, TestError> {
    let (n, m) = totals(reference, current)?;
    let squares = reference.iter().zip(current).map(|(r, c)| ((*r as f64 / n).sqrt() - (*c as f64 / m).sqrt()).powi(2));
    Ok((squares.sum::<f64>() / 2.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_equal_to_apart() {
        assert_eq!(hellinger(&[1, 2], &[3, 6]), Ok(0.0));
        assert_eq!(hellinger(&[1, 0], &[0, 5]), Ok(1.0));
        assert!(hellinger(&[1], &[]).is_err());
    }
}
