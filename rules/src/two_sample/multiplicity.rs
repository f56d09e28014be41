//! Many columns, one report: p-values that keep the share of false findings.

/// Adjusted p-values of Benjamini and Hochberg (1995): rejecting those `<= α` keeps the expected share of false ones
/// among the rejected at `α`, for independent or positively dependent columns (`scipy.stats.false_discovery_control`).
///
/// `p_values` of any length, each in `[0, 1]`; answers stand in the same order.
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*b].total_cmp(&p_values[*a]));
    let (mut adjusted, mut least) = (vec![1.0; p_values.len()], 1.0_f64);
    for (place, at) in order.into_iter().enumerate() {
        let rank = p_values.len() - place;
        least = least.min(p_values[at] * p_values.len() as f64 / rank as f64);
        adjusted[at] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        for (p, expected) in [
            (vec![], vec![]),
            (vec![0.04], vec![0.04]),
            (vec![0.01, 0.04, 0.03], vec![0.03, 0.04, 0.04]),
            (vec![1.0, 0.02, 0.02], vec![1.0, 0.03, 0.03]),
        ] {
            let found = benjamini_hochberg(&p);
            assert!(found.iter().zip(&expected).all(|(a, b): (&f64, &f64)| (a - b).abs() < 1e-15), "{p:?}: {found:?}");
        }
    }
}
