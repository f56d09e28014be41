//! Which of two samples tends to be larger (Mann and Whitney 1947), and by how much (Hodges and Lehmann 1963). For one look
//! at a count fixed before: a comparator only.

use super::super::estimate_error::{EstimateError, finite};
use super::proportions::two_sided;

/// The test and the shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MannWhitney {
    /// Pairs in which `a` is larger, ties half.
    pub u_a: f64,
    /// Two-sided, by the normal limit with ties and continuity corrected; 1 where all values are equal.
    pub p_value: f64,
    /// The median of all differences b - a.
    pub shift: f64,
}

/// The test of `a` against `b`.
///
/// # Errors
/// [`EstimateError`] for an empty sample or a value that is not finite.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Result<MannWhitney, EstimateError> {
    for value in a.iter().chain(b) {
        finite("a value", *value)?;
    }
    if a.is_empty() || b.is_empty() {
        return Err(EstimateError::TooFew { what: "values in a sample", have: 0, need: 1 });
    }
    let (a, b) = (sorted(a), sorted(b));
    let (u_a, ties) = ranks(&a, &b);
    let (n, m) = (a.len() as f64, b.len() as f64);
    let all = n + m;
    let spread = (n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)))).max(0.0).sqrt();
    let far = u_a.max(n * m - u_a) - n * m / 2.0 - 0.5;
    let p_value = if spread > 0.0 && far > 0.0 { two_sided(far / spread) } else { 1.0 };
    Ok(MannWhitney { u_a, p_value, shift: shift(&a, &b) })
}

fn sorted(values: &[f64]) -> Vec<f64> {
    // 0.0 takes the sign from zeros, so that ties are ties
    let mut values: Vec<f64> = values.iter().map(|value| value + 0.0).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// U of `a`, and `Σ (t³ - t)` over groups of ties in both.
fn ranks(a: &[f64], b: &[f64]) -> (f64, f64) {
    let (mut u, mut ties, mut i, mut j) = (0.0, 0.0, 0, 0);
    while i < a.len() || j < b.len() {
        let value = a.get(i).into_iter().chain(b.get(j)).copied().fold(f64::INFINITY, f64::min);
        let in_a = a[i..].iter().take_while(|other| **other == value).count();
        let in_b = b[j..].iter().take_while(|other| **other == value).count();
        u += in_a as f64 * (j as f64 + 0.5 * in_b as f64);
        let tied = (in_a + in_b) as f64;
        ties += tied * tied * tied - tied;
        i += in_a;
        j += in_b;
    }
    (u, ties)
}

/// The median of b - a over all pairs, without making the pairs.
fn shift(a: &[f64], b: &[f64]) -> f64 {
    let pairs = a.len() * b.len();
    let upper = smallest(a, b, pairs / 2);
    if pairs % 2 == 1 { upper } else { 0.5 * smallest(a, b, pairs / 2 - 1) + 0.5 * upper }
}

/// The difference b - a with `rank` smaller or equal ones before it, by bisection over the floating-point numbers.
fn smallest(a: &[f64], b: &[f64], rank: usize) -> f64 {
    let (mut low, mut high) = (key(f64::NEG_INFINITY), key(f64::INFINITY));
    while low < high {
        let middle = low + (high - low) / 2;
        if up_to(a, b, unkey(middle)) > rank { high = middle } else { low = middle + 1 }
    }
    unkey(low) + 0.0
}

/// How many differences b - a are at most `value`.
fn up_to(a: &[f64], b: &[f64], value: f64) -> usize {
    let mut from = 0;
    let mut count = 0;
    for b in b {
        // the larger b, the more of a's small values are too far below it
        while from < a.len() && b - a[from] > value {
            from += 1;
        }
        count += a.len() - from;
    }
    count
}

/// A number's place among all, ascending.
fn key(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn unkey(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        assert!(mann_whitney(&[], &[1.0]).is_err() && mann_whitney(&[1.0], &[]).is_err());
        assert!(mann_whitney(&[f64::NAN], &[1.0]).is_err());
        let same = mann_whitney(&[2.0; 3], &[2.0; 4]).unwrap();
        assert_eq!((same.u_a, same.p_value, same.shift), (6.0, 1.0, 0.0));
        let one = mann_whitney(&[1.0], &[3.0]).unwrap();
        assert_eq!((one.u_a, one.p_value, one.shift), (0.0, 1.0, 2.0));
        assert_eq!(mann_whitney(&[-0.0], &[0.0]).unwrap().u_a, 0.5);
    }

    #[test]
    fn the_shift_is_the_median_of_all_differences() {
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..50 {
            let mut draw = |count| (0..count).map(|_| f64::from(rng.i32(-20..20)) / 4.0).collect::<Vec<f64>>();
            let (a, b) = (draw(7), draw(8));
            let mut all: Vec<f64> = b.iter().flat_map(|b| a.iter().map(move |a| b - a)).collect();
            all.sort_by(f64::total_cmp);
            assert_eq!(mann_whitney(&a, &b).unwrap().shift, 0.5 * (all[27] + all[28]));
        }
    }
}
