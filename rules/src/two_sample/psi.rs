//! Population stability index: how far one histogram has moved from another.

use super::TestError;

/// PSI of two histograms over the same bins, in nats: `Σ (q - p) ln(q/p)`, `0` when equal; by custom `0.1` is worth a
/// look and `0.25` a shift. It is Jeffreys' divergence (1946).
///
/// `reference` and `current` are counts of shape `[bins]`. Where both sides have a count in every bin this is the
/// definition and nothing else. A bin that one side lacks would make it infinite: there it counts half an observation.
/// A bin that both lack does not exist.
///
/// # Errors
/// [`TestError::Mismatch`] for two numbers of bins, [`TestError::TooFew`] when a side is empty.
pub fn psi(reference: &[u64], current: &[u64]) -> Result<f64, TestError> {
    let (n, m) = totals(reference, current)?;
    let share = |count: u64, of: f64| if count == 0 { 0.5 / of } else { count as f64 / of };
    let seen = reference.iter().zip(current).filter(|(r, c)| **r + **c > 0);
    Ok(seen
        .map(|(r, c)| {
            let (p, q) = (share(*r, n), share(*c, m));
            (q - p) * (q / p).ln()
        })
        .sum())
}

/// What [`psi`] comes to by chance when nothing has moved: `(bins - 1) (1/n + 1/m)` for bins that were seen.
///
/// Twice the Kullback-Leibler divergence of two samples is chi-squared; without taking this away many bins or few
/// rows look like a shift.
///
/// # Errors
/// As [`psi`].
pub fn psi_by_chance(reference: &[u64], current: &[u64]) -> Result<f64, TestError> {
    let (n, m) = totals(reference, current)?;
    let seen = reference.iter().zip(current).filter(|(r, c)| **r + **c > 0).count();
    Ok((seen - 1) as f64 * (1.0 / n + 1.0 / m))
}

/// Sizes of both sides, neither of them 0.
pub(super) fn totals(reference: &[u64], current: &[u64]) -> Result<(f64, f64), TestError> {
    if reference.len() != current.len() {
        return Err(TestError::Mismatch { reference: reference.len(), current: current.len() });
    }
    let (n, m) = (reference.iter().sum::<u64>(), current.iter().sum::<u64>());
    if n.min(m) == 0 {
        return Err(TestError::TooFew { have: 0, need: 1 });
    }
    Ok((n as f64, m as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand_and_never_infinite() {
        for (why, reference, current, expected) in [
            ("equal shares", [10, 20, 30], [1, 2, 3], 0.0),
            ("the definition", [50, 50, 0], [25, 75, 0], 0.25 * 3_f64.ln()),
            ("an empty bin is half a count", [50, 50, 0], [50, 0, 50], (0.5 - 0.005) * 100_f64.ln() * 2.0),
        ] {
            assert!((psi(&reference, &current).unwrap() - expected).abs() < 1e-14, "{why}");
        }
        assert_eq!(psi(&[1], &[1, 2]), Err(TestError::Mismatch { reference: 1, current: 2 }));
        assert_eq!(psi(&[0], &[1]), Err(TestError::TooFew { have: 0, need: 1 }));
    }

    #[test]
    fn chance_is_what_equal_distributions_give() {
        let mut random = fastrand::Rng::with_seed(4);
        let (mut seen, mut expected) = (0.0, 0.0);
        for _ in 0..400 {
            let mut draw = |size: usize| {
                let mut counts = [0_u64; 20];
                (0..size).for_each(|_| counts[random.usize(..20)] += 1);
                counts
            };
            let (reference, current) = (draw(1000), draw(500));
            seen += psi(&reference, &current).unwrap() / 400.0;
            expected = psi_by_chance(&reference, &current).unwrap();
        }
        assert!((seen / expected - 1.0).abs() < 0.1, "{seen} {expected}");
    }
}
