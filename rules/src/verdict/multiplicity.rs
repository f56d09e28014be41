//! Many metrics, one experiment: which of many e-values or p-values may be believed together.

use super::estimate_error::{EstimateError, level};
use super::special::log_mean_exp;
pub use crate::two_sample::benjamini_hochberg;

/// Which hypotheses e-BH rejects (Wang and Ramdas 2022): their places, ascending.
///
/// With K e-values sorted downward, the k largest are rejected for the largest k with `k·e_(k)/K >= 1/alpha`. Keeps the
/// expected share of false rejections at `alpha` whatever the dependence. `log_e` are natural logarithms; NaN is no
/// evidence.
///
/// # Errors
/// [`EstimateError::Refused`] for an `alpha` outside of (0, 1).
pub fn e_bh(log_e: &[f64], alpha: f64) -> Result<Vec<usize>, EstimateError> {
    let alpha = level(alpha)?;
    let known = |log: f64| if log.is_nan() { f64::NEG_INFINITY } else { log };
    let mut order: Vec<usize> = (0..log_e.len()).collect();
    order.sort_by(|a, b| known(log_e[*b]).total_cmp(&known(log_e[*a])));
    let needed = (log_e.len() as f64 / alpha).ln();
    let enough = |rank: usize| known(log_e[order[rank - 1]]) + (rank as f64).ln() >= needed;
    let rejected = (1..=order.len()).rev().find(|rank| enough(*rank)).unwrap_or(0);
    order.truncate(rejected);
    order.sort_unstable();
    Ok(order)
}

/// Holm's adjusted p-values (1979), in the order given: rejecting those `<= alpha` keeps the probability of any false
/// rejection at `alpha`, whatever the dependence.
///
/// Each in `[0, 1]`; NaN counts as 1.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let known = |p: f64| if p.is_nan() { 1.0 } else { p };
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| known(p_values[*a]).total_cmp(&known(p_values[*b])));
    let (mut adjusted, mut most) = (vec![1.0; p_values.len()], 0.0_f64);
    for (before, at) in order.into_iter().enumerate() {
        most = most.max(known(p_values[at]) * (p_values.len() - before) as f64).min(1.0);
        adjusted[at] = most;
    }
    adjusted
}

/// ln of the mean of e-values given as logarithms: an e-value for their common null whatever the dependence (Vovk and
/// Wang 2021). `None` for no e-value, or for one that is NaN.
#[must_use]
pub fn mean_merge(log_e: &[f64]) -> Option<f64> {
    let usable = !log_e.is_empty() && !log_e.iter().any(|log| log.is_nan());
    usable.then(|| log_mean_exp(log_e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_bh_by_hand() {
        let logs = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<f64>>();
        for (e, expected) in [
            (vec![], vec![]),
            (vec![20.5], vec![0]),
            (vec![19.5], vec![]),
            // the second largest lets both in: 2·20.5/2 >= 20
            (vec![20.5, 25.0], vec![0, 1]),
            (vec![0.0, 41.0], vec![1]),
            (vec![f64::NAN, 41.0], vec![1]),
            (vec![f64::INFINITY, 0.5], vec![0]),
        ] {
            assert_eq!(e_bh(&logs(&e), 0.05), Ok(expected), "{e:?}");
        }
        assert!(e_bh(&[1.0], 0.0).is_err() && e_bh(&[1.0], f64::NAN).is_err());
    }

    #[test]
    fn holm_by_hand() {
        for (p, expected) in [
            (vec![], vec![]),
            (vec![0.04], vec![0.04]),
            (vec![0.01, 0.04, 0.03], vec![0.03, 0.06, 0.06]),
            (vec![f64::NAN, 0.02], vec![1.0, 0.04]),
        ] {
            let found = holm(&p);
            assert!(found.iter().zip(&expected).all(|(a, b): (&f64, &f64)| (a - b).abs() < 1e-15), "{p:?}: {found:?}");
        }
    }

    #[test]
    fn a_mean_of_none_is_none() {
        assert_eq!(mean_merge(&[]), None);
        assert_eq!(mean_merge(&[f64::NAN]), None);
        assert_eq!(mean_merge(&[f64::NEG_INFINITY]), Some(f64::NEG_INFINITY));
        assert!((mean_merge(&[0.0, 3.0_f64.ln()]).unwrap() - 2.0_f64.ln()).abs() < 1e-15);
    }
}
