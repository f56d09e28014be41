//! Binomial probabilities with all their digits: Loader, "Fast and Accurate Computation of Binomial Probabilities" (2000).

use std::f64::consts::PI;

/// `ln n!`.
pub(super) fn ln_factorial(n: u64) -> f64 {
    if n < 2 {
        return 0.0;
    }
    let x = n as f64;
    stirling_error(n) + x * x.ln() - x + 0.5 * (2.0 * PI * x).ln()
}

/// `C(n, k) p^k q^(n-k)`; `q = 1 - p` is asked for, for the caller may know it better.
pub(super) fn binomial(k: u64, n: u64, p: f64, q: f64) -> f64 {
    let size = n as f64;
    if k == 0 {
        return (size * ln_one_minus(p, q)).exp();
    }
    if k == n {
        return (size * p.ln()).exp();
    }
    let (hits, misses) = (k as f64, (n - k) as f64);
    let exponent = stirling_error(n)
        - stirling_error(k)
        - stirling_error(n - k)
        - deviance(hits, size * p)
        - deviance(misses, size * q);
    exponent.exp() * (size / (2.0 * PI * hits * misses)).sqrt()
}

fn ln_one_minus(p: f64, q: f64) -> f64 {
    if p < 0.5 { (-p).ln_1p() } else { q.ln() }
}

/// `ln n! - ln(√(2πn) (n/e)^n)`.
fn stirling_error(n: u64) -> f64 {
    if n < 16 {
        let factorial: f64 = (2..=n).map(|k| k as f64).product();
        let x = n as f64;
        return if n == 0 { 0.0 } else { factorial.ln() - (0.5 * (2.0 * PI * x).ln() + x * x.ln() - x) };
    }
    let x = n as f64;
    let y = 1.0 / (x * x);
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - y / 1188.0) * y) * y) * y) / x
}

/// `x ln(x/m) + m - x`, without cancellation near `x = m`.
fn deviance(x: f64, m: f64) -> f64 {
    let difference = x - m;
    if difference.abs() >= 0.1 * (x + m) {
        return x * (x / m).ln() + m - x;
    }
    let v = difference / (x + m);
    let mut sum = difference * v;
    let mut power = 2.0 * x * v;
    for j in 1..1000_u32 {
        power *= v * v;
        let next = sum + power / f64::from(2 * j + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_and_equal_small_cases() {
        for (n, p) in [(1_u64, 0.3), (10, 0.5), (100, 0.01), (1000, 0.9), (20_000, 0.37)] {
            let sum: f64 = (0..=n).map(|k| binomial(k, n, p, 1.0 - p)).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{n} {p}: {sum}");
        }
        assert!((binomial(2, 4, 0.5, 0.5) - 0.375).abs() < 1e-15);
        assert!((ln_factorial(20) - 42.335_616_460_753_485).abs() < 1e-13);
    }
}
