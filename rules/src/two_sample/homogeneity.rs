//! Do two samples spread alike over the same categories? Pearson's chi-squared and the likelihood ratio (G).

use statrs::function::gamma::gamma_ur;

use super::TestError;

/// Yates' correction of a table of two categories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Continuity {
    /// Counts move half a count toward their expectation where there are two categories, as scipy does unasked.
    #[default]
    Yates,
    /// Counts as they are.
    None,
}

/// A test over a table of two rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Homogeneity {
    /// The statistic.
    pub statistic: f64,
    /// Upper tail of chi-squared.
    pub p_value: f64,
    /// Categories that were seen, less one.
    pub degrees: u64,
}

/// Pearson's `Σ (observed - expected)² / expected` over both rows (`scipy.stats.chi2_contingency`).
///
/// `reference` and `current` are counts of shape `[categories]`; a category that neither side has is left out. The
/// p-value is the limit's: expectations below about 5 want to be put together first.
///
/// # Errors
/// [`TestError::Mismatch`] for rows of two lengths; [`TestError::TooFew`] when a row is empty or fewer than two
/// categories were seen (`have` and `need` then count categories).
pub fn chi_squared(reference: &[u64], current: &[u64], continuity: Continuity) -> Result<Homogeneity, TestError> {
    over(reference, current, continuity, |observed, expected| (observed - expected).powi(2) / expected)
}

/// The likelihood ratio `2 Σ observed ln(observed / expected)` (`chi2_contingency(lambda_="log-likelihood")`).
///
/// # Errors
/// As [`chi_squared`].
pub fn g_test(reference: &[u64], current: &[u64], continuity: Continuity) -> Result<Homogeneity, TestError> {
    let cell = |observed: f64, expected: f64| {
        if observed > 0.0 { 2.0 * observed * (observed / expected).ln() } else { 0.0 }
    };
    let found = over(reference, current, continuity, cell)?;
    // rounding may leave a hair below nothing
    Ok(Homogeneity { statistic: found.statistic.max(0.0), ..found })
}

fn over(
    reference: &[u64],
    current: &[u64],
    continuity: Continuity,
    cell: impl Fn(f64, f64) -> f64,
) -> Result<Homogeneity, TestError> {
    if reference.len() != current.len() {
        return Err(TestError::Mismatch { reference: reference.len(), current: current.len() });
    }
    let (n, m) = (reference.iter().sum::<u64>() as f64, current.iter().sum::<u64>() as f64);
    if n.min(m) == 0.0 {
        return Err(TestError::TooFew { have: 0, need: 1 });
    }
    let seen = reference.iter().zip(current).filter(|(r, c)| **r + **c > 0);
    let categories = seen.clone().count();
    if categories < 2 {
        return Err(TestError::TooFew { have: categories, need: 2 });
    }
    let corrected = continuity == Continuity::Yates && categories == 2;
    let toward = |observed: f64, expected: f64| match corrected {
        true => observed + (expected - observed).signum() * (expected - observed).abs().min(0.5),
        false => observed,
    };
    let statistic: f64 = seen
        .map(|(r, c)| {
            let both = (r + c) as f64;
            let (in_reference, in_current) = (both * n / (n + m), both * m / (n + m));
            cell(toward(*r as f64, in_reference), in_reference) + cell(toward(*c as f64, in_current), in_current)
        })
        .sum();
    let degrees = categories as u64 - 1;
    Ok(Homogeneity { statistic, p_value: upper_tail(statistic, degrees), degrees })
}

/// `P(chi² >= x)` with `degrees` of freedom.
fn upper_tail(x: f64, degrees: u64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    gamma_ur(degrees as f64 / 2.0, x / 2.0).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_cannot_be_tested_say_why() {
        for (reference, current, expected) in [
            (&[1_u64, 2][..], &[1_u64][..], TestError::Mismatch { reference: 2, current: 1 }),
            (&[1, 2], &[0, 0], TestError::TooFew { have: 0, need: 1 }),
            (&[3, 0], &[4, 0], TestError::TooFew { have: 1, need: 2 }),
        ] {
            assert_eq!(chi_squared(reference, current, Continuity::None), Err(expected.clone()));
            assert_eq!(g_test(reference, current, Continuity::None), Err(expected));
        }
    }

    #[test]
    fn a_category_nobody_has_changes_nothing() {
        let with = chi_squared(&[10, 0, 20, 5], &[20, 0, 10, 5], Continuity::Yates).unwrap();
        assert_eq!(with, chi_squared(&[10, 20, 5], &[20, 10, 5], Continuity::Yates).unwrap());
        let same = g_test(&[10, 20], &[10, 20], Continuity::None).unwrap();
        assert_eq!((same.statistic, same.p_value), (0.0, 1.0));
    }
}
