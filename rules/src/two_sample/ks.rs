//! Two-sample Kolmogorov-Smirnov test: the largest distance between two empirical distribution functions.

use super::kolmogorov;
use super::{Method, Sorted};

/// Largest sample for which [`Method::Auto`] counts exactly (scipy's choice).
const EXACT_UP_TO: usize = 10_000;

/// Most lattice points that [`Method::Exact`] visits; above, the limit distribution is used.
const MOST_POINTS: u128 = 1 << 31;

/// Which sample has the larger values where the distance is largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leans {
    /// The current sample's values are larger there.
    Up,
    /// They are smaller.
    Down,
    /// The samples are equal.
    Neither,
}

/// What [`kolmogorov_smirnov`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// `D = max |F_reference - F_current|`, in `[0, 1]`.
    pub statistic: f64,
    /// Two-sided.
    pub p_value: f64,
    /// Whether the p-value was counted rather than taken from the limit.
    pub exact: bool,
    /// The direction at the largest distance.
    pub leans: Leans,
}

/// Compares two samples, ties and all, as `scipy.stats.ks_2samp` does.
///
/// Exact p-values count lattice paths (Hodges 1958): in closed form for samples of one size, by recursion over the
/// band of paths that stay inside otherwise. The limit is the one-sample distribution at `round(nm/(n+m))`.
#[must_use]
pub fn kolmogorov_smirnov(reference: &Sorted, current: &Sorted, method: Method) -> KolmogorovSmirnov {
    let (n, m) = (reference.len() as u64, current.len() as u64);
    let (above, below) = distances(reference.values(), current.values());
    let leans = match above.max(below) {
        0 => Leans::Neither,
        _ if above >= below => Leans::Up,
        _ => Leans::Down,
    };
    let distance = above.max(below) as u64;
    let statistic = distance as f64 / (n as f64 * m as f64);
    let exact = match method {
        Method::Auto => n.max(m) as usize <= EXACT_UP_TO,
        Method::Exact => n == m || u128::from(n) * u128::from(m) <= MOST_POINTS,
        Method::Asymptotic => false,
    };
    let p_value = match exact {
        true if n == m => equal_sizes(n, distance / n),
        true => unequal_sizes(n, m, distance),
        false => kolmogorov::two_sided_sf((n as f64 * m as f64 / (n + m) as f64).round_ties_even() as u64, statistic),
    };
    KolmogorovSmirnov { statistic, p_value: p_value.clamp(0.0, 1.0), exact, leans }
}

/// Largest `n m (F - G)` and `n m (G - F)`, as integers.
///
/// Distances count only where both functions have taken every copy of a value. No branch depends on the data.
fn distances(a: &[f64], b: &[f64]) -> (i64, i64) {
    let (n, m) = (a.len() as i64, b.len() as i64);
    let (mut i, mut j, mut distance, mut most, mut least) = (0, 0, 0_i64, 0_i64, 0_i64);
    let mut last = f64::NEG_INFINITY;
    while i < a.len() && j < b.len() {
        let (x, y) = (a[i], b[j]);
        let low = if x <= y { x } else { y };
        let counted = if low > last { distance } else { 0 };
        most = most.max(counted);
        least = least.min(counted);
        let (from_a, from_b) = (x <= low, y <= low);
        distance += m * i64::from(from_a) - n * i64::from(from_b);
        i += usize::from(from_a);
        j += usize::from(from_b);
        last = low;
    }
    let rest = |side: &[f64]| side.iter().take_while(|value| **value <= last).count() as i64;
    distance += m * rest(&a[i..]) - n * rest(&b[j..]);
    (most.max(distance), -least.min(distance))
}

/// `P(D >= h/n)` of two samples of `n`: `2 Σ (-1)^(k+1) C(2n, n-kh) / C(2n, n)`.
fn equal_sizes(n: u64, h: u64) -> f64 {
    if h == 0 {
        return 1.0;
    }
    let (mut sum, mut term, mut sign) = (0.0, 1.0_f64, 1.0);
    let mut low = 0;
    while low + h <= n {
        // four chains, for divisions do not wait for each other
        let mut parts = [1.0_f64; 4];
        for j in low..low + h {
            parts[(j & 3) as usize] *= (n - j) as f64 / (n + 1 + j) as f64;
        }
        term *= (parts[0] * parts[1]) * (parts[2] * parts[3]);
        sum += sign * term;
        if term < sum.abs() * 1e-17 {
            break;
        }
        sign = -sign;
        low += h;
    }
    2.0 * sum
}

/// `P(n m D >= distance)`: the share of lattice paths from `(0, 0)` to `(n, m)` that leave the band.
///
/// `Q(i, j)`, the chance that a path to `(i, j)` has left, is 1 outside and
/// `(i Q(i-1, j) + j Q(i, j-1)) / (i + j)` inside: nothing cancels, so small p-values keep their digits. One diagonal
/// `i + j = s` after the other.
fn unequal_sizes(n: u64, m: u64, distance: u64) -> f64 {
    if distance == 0 {
        return 1.0;
    }
    let (n, m, distance) = (n as i64, m as i64, distance as i64);
    // inside: |i m - (s - i) n| < distance, so i lies strictly between (s n ± distance) / (n + m)
    let inside = |s: i64| {
        let low = (s * n - distance).div_euclid(n + m) + 1;
        let high = (s * n + distance - 1).div_euclid(n + m);
        (low.max(0).max(s - m), high.min(n).min(s))
    };
    let width = (2 * distance / (n + m) + 4) as usize;
    let (mut before, mut now) = (vec![1.0_f64; width + 2], vec![1.0_f64; width + 2]);
    let (mut before_low, mut before_high) = (0, 0);
    before[1] = 0.0;
    for s in 1..=n + m {
        let (low, high) = inside(s);
        if low > high {
            return 1.0;
        }
        // cells of the last diagonal from i = low - 1 on; what lies outside of its band has left
        let shift = low - 1 - before_low;
        let count = (high - low + 1) as usize;
        let at = |k: i64| if (0..=before_high - before_low).contains(&k) { before[k as usize + 1] } else { 1.0 };
        let inverse = 1.0 / s as f64;
        now[0] = 1.0;
        if shift >= -1 && shift + count as i64 <= before_high - before_low + 1 {
            let old = &before[(shift + 1) as usize..(shift + 2) as usize + count];
            for (k, cell) in now[1..=count].iter_mut().enumerate() {
                let i = (low + k as i64) as f64;
                *cell = (i * old[k] + (s as f64 - i) * old[k + 1]) * inverse;
            }
        } else {
            for k in 0..count {
                let i = (low + k as i64) as f64;
                let (left, right) = (at(shift + k as i64), at(shift + k as i64 + 1));
                now[k + 1] = (i * left + (s as f64 - i) * right) * inverse;
            }
        }
        now[count + 1] = 1.0;
        std::mem::swap(&mut before, &mut now);
        (before_low, before_high) = (low, high);
    }
    before[(n - before_low) as usize + 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sorted {
        Sorted::new(values.to_vec()).unwrap()
    }

    #[test]
    fn distances_by_hand() {
        for (why, a, b, distance, leans) in [
            ("equal", vec![1.0, 2.0], vec![2.0, 1.0], 0.0, Leans::Neither),
            ("apart, current above", vec![1.0, 2.0], vec![3.0], 1.0, Leans::Up),
            ("apart, current below", vec![5.0], vec![3.0, 4.0], 1.0, Leans::Down),
            ("a tie counts once it is whole", vec![1.0, 1.0, 1.0], vec![1.0], 0.0, Leans::Neither),
            ("part of a tie", vec![0.0, 1.0, 1.0, 1.0], vec![1.0, 1.0], 0.25, Leans::Up),
            ("ends in a tie", vec![1.0, 2.0], vec![2.0, 2.0, 2.0], 0.5, Leans::Up),
        ] {
            let found = kolmogorov_smirnov(&sample(&a), &sample(&b), Method::Auto);
            assert!((found.statistic - distance).abs() < 1e-15 && found.leans == leans, "{why}: {found:?}");
        }
    }

    #[test]
    fn counting_paths_agrees_with_trying_every_one() {
        for (n, m) in [(3_usize, 4_usize), (2, 5), (4, 4), (1, 6), (5, 3)] {
            let (n_, m_) = (n as i64, m as i64);
            for distance in 1..=(n * m) as i64 {
                let (mut left, mut all) = (0, 0);
                for path in (0..1_u32 << (n + m)).filter(|path| path.count_ones() as usize == n) {
                    let (mut i, mut j, mut out) = (0, 0, false);
                    for step in 0..n + m {
                        if path >> step & 1 == 1 {
                            i += 1;
                        } else {
                            j += 1;
                        }
                        out |= (i * m_ - j * n_).abs() >= distance;
                    }
                    left += i32::from(out);
                    all += 1;
                }
                let (expected, found) =
                    (f64::from(left) / f64::from(all), unequal_sizes(n as u64, m as u64, distance as u64));
                assert!((found - expected).abs() < 1e-14, "{n} {m} {distance}: {found} {expected}");
                if n == m && distance % n_ == 0 {
                    let closed = equal_sizes(n as u64, distance as u64 / n as u64);
                    assert!((closed - expected).abs() < 1e-14, "{n} {distance}: {closed} {expected}");
                }
            }
        }
    }

    #[test]
    fn closed_form_and_recursion_agree_far_out() {
        for (n, h) in [(1000, 30), (1000, 100), (1000, 400), (300, 1), (300, 299), (300, 300)] {
            let (closed, counted) = (equal_sizes(n, h), unequal_sizes(n, n, h * n));
            assert!((closed / counted - 1.0).abs() < 1e-10, "{n} {h}: {closed} {counted}");
        }
    }
}
