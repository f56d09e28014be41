//! Wasserstein-1 distance: how far values have to be carried, on average.

use super::Sorted;

/// `∫ |F - G|`, in the unit of the values (`scipy.stats.wasserstein_distance`).
///
/// Equal to the mean of `|x - y|` over the best pairing (Vallender 1974).
#[must_use]
pub fn wasserstein(reference: &Sorted, current: &Sorted) -> f64 {
    let (a, b) = (reference.values(), current.values());
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    let mut last = a[0].min(b[0]);
    while i < a.len() || j < b.len() {
        let take_a = j == b.len() || (i < a.len() && a[i] <= b[j]);
        let next = if take_a { a[i] } else { b[j] };
        if next > last {
            sum += (next - last) * (i as f64 / n - j as f64 / m).abs();
            last = next;
        }
        if take_a { i += 1 } else { j += 1 }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_its_size() {
        let sample = |values: &[f64]| Sorted::new(values.to_vec()).unwrap();
        for (why, a, b, expected) in [
            ("equal", vec![1.0, 2.0], vec![2.0, 1.0], 0.0),
            ("shifted", vec![1.0, 2.0, 5.0], vec![3.0, 4.0, 7.0], 2.0),
            ("two sizes", vec![0.0], vec![1.0, 3.0], 2.0),
            ("scipy's example", vec![0.0, 1.0, 3.0], vec![5.0, 6.0, 8.0], 5.0),
        ] {
            assert!((wasserstein(&sample(&a), &sample(&b)) - expected).abs() < 1e-14, "{why}");
        }
    }
}
