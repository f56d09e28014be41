//! The mixture sequential probability ratio test of two proportions (Johari, Pekelis, Walsh 2015): a comparator only, as
//! its variance is estimated from the same data, so its promise holds only for large counts.

use super::super::estimate_error::{EstimateError, inside};

/// ln of the mixture likelihood ratio after `pairs` pairs with `successes` in `[a, b]`, with prior N(0, tau²) on the
/// difference: `½ ln(V/(V + nτ²)) + n²τ²d²/(2V(V + nτ²))`, `V = x̄_a(1-x̄_a) + x̄_b(1-x̄_b)`.
///
/// `None` where the variance is estimated as 0 or there is no pair.
///
/// # Errors
/// [`EstimateError::Refused`] for more successes than pairs or a `tau` (a proportion) that is not positive and finite.
pub fn msprt_bernoulli(pairs: u64, successes: [u64; 2], tau: f64) -> Result<Option<f64>, EstimateError> {
    let tau = inside("tau", "positive and finite", (0.0, 1e100), tau)?;
    if let Some(beyond) = successes.into_iter().find(|count| *count > pairs) {
        return Err(EstimateError::Refused { what: "successes", must: "at most the pairs", found: beyond as f64 });
    }
    if pairs == 0 {
        return Ok(None);
    }
    let n = pairs as f64;
    let [a, b] = successes.map(|count| count as f64 / n);
    let variance = a * (1.0 - a) + b * (1.0 - b);
    if variance <= 0.0 {
        return Ok(None);
    }
    let mixed = variance + n * tau * tau;
    let moved = n * tau * (b - a);
    Ok(Some(0.5 * (variance / mixed).ln() + moved * moved / (2.0 * variance * mixed)))
}

#[cfg(test)]
mod tests {
    use super::msprt_bernoulli;

    #[test]
    fn nothing_to_tell_and_nothing_allowed() {
        for (pairs, successes) in [(0, [0, 0]), (1, [1, 0]), (50, [50, 50]), (50, [0, 0])] {
            assert_eq!(msprt_bernoulli(pairs, successes, 0.1), Ok(None));
        }
        assert!(msprt_bernoulli(5, [6, 0], 0.1).is_err());
        for tau in [0.0, f64::NAN, f64::INFINITY] {
            assert!(msprt_bernoulli(5, [1, 2], tau).is_err());
        }
    }
}
