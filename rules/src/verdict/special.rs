//! Special functions where `statrs` is wrong or coarse for large counts, and sums in log space.
//!
//! `statrs` 0.19 cuts the continued fraction of the incomplete beta function after 140 terms: at the median of
//! Beta(1e7, 1e7) it says 0.213. The fraction needs about sqrt(max(a, b)) terms; it gets them here. The density in front
//! of it is put together from deviances and Stirling's remainder (Loader 2000), not from gamma functions of 1e8 that
//! cancel.

use std::f64::consts::TAU;

use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::gamma::ln_gamma;

/// ln of the beta function B(a, b) for a, b > 0.
#[must_use]
pub fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// The standard normal quantile of `p` in (0, 1).
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// ln of the sum of exp of `logs`; minus infinity for none.
#[must_use]
pub fn log_sum_exp(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return most;
    }
    most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln()
}

/// ln of the mean of exp of `logs`: a uniform mixture of e-processes.
#[must_use]
pub fn log_mean_exp(logs: &[f64]) -> f64 {
    log_sum_exp(logs) - (logs.len() as f64).ln()
}

/// ln Γ(z + 1) - [z ln z - z + ln(2πz)/2], the part that Stirling's formula leaves out, for z > 0.
pub(super) fn stirling_rest(z: f64) -> f64 {
    if z < 16.0 {
        return ln_gamma(z + 1.0) - (z * z.ln() - z + 0.5 * (TAU * z).ln());
    }
    let square = z * z;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square) / z
}

/// x ln(x/m) + m - x: how far `x` is from its mean `m`, never negative.
pub(super) fn deviance(x: f64, m: f64) -> f64 {
    let apart = (x - m) / (x + m);
    if apart.abs() < 0.1 {
        // 2x·atanh(apart) - (x - m), summed so that nothing cancels.
        let square = apart * apart;
        let mut term = 2.0 * x * apart * square;
        let mut sum = (x - m) * apart;
        let mut divisor = 3.0;
        while term.abs() > sum.abs() * 1e-17 {
            sum += term / divisor;
            term *= square;
            divisor += 2.0;
        }
        return sum;
    }
    x * (x / m).ln() + m - x
}

/// ln of x^a (1-x)^b / B(a, b) for a, b > 0, `y` = 1 - x.
pub(super) fn ln_front(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let n = a + b;
    0.5 * (a * b / (TAU * n)).ln() + stirling_rest(n)
        - stirling_rest(a)
        - stirling_rest(b)
        - deviance(a, n * x)
        - deviance(b, n * y)
}

/// The regularised incomplete beta function: P(Beta(a, b) <= x) for a, b > 0. Absolute error about 1e-13.
#[must_use]
pub fn regularised_beta(a: f64, b: f64, x: f64) -> f64 {
    split_beta(a, b, x, 1.0 - x)
}

/// [`regularised_beta`] where `y` = 1 - x is known better than that difference.
fn split_beta(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if y <= 0.0 {
        return 1.0;
    }
    let front = ln_front(a, b, x, y).exp();
    if x < (a + 1.0) / (a + b + 2.0) { front * fraction(a, b, x) / a } else { 1.0 - front * fraction(b, a, y) / b }
}

/// The continued fraction of the incomplete beta function, by Lentz's method (DLMF 8.17.22).
pub(super) fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let kept = |value: f64| if value.abs() < TINY { TINY } else { value };
    let most = 1000 + 20 * (a.max(b).sqrt() as u64);
    let mut c = 1.0;
    let mut d = 1.0 / kept(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for step in 1..=most {
        let m = step as f64;
        for term in [
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        ] {
            d = 1.0 / kept(1.0 + term * d);
            c = kept(1.0 + term / c);
            value *= d * c;
        }
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

/// The quantile of Beta(a, b) at `p`, by bisection: 0 for p <= 0, 1 for p >= 1.
#[must_use]
pub fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle == low || middle == high {
            break;
        }
        if regularised_beta(a, b, middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(|T| >= |t|) of Student's distribution with `degrees` > 0 of freedom. Relative error about 1e-12, beyond 100 000 degrees
/// up to 1e-17 for each.
#[must_use]
pub fn student_two_sided(t: f64, degrees: f64) -> f64 {
    let share = t / degrees.sqrt() * (t / degrees.sqrt());
    split_beta(0.5 * degrees, 0.5, 1.0 / (1.0 + share), 1.0 / (1.0 + 1.0 / share))
}

/// The t beyond which, on both sides together, lies `p` in (0, 1) of Student's distribution with `degrees` > 0.
#[must_use]
pub fn student_quantile(p: f64, degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student_two_sided(high, degrees) > p && high < 1e150 {
        low = high;
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle == low || middle == high {
            break;
        }
        if student_two_sided(middle, degrees) > p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::{beta_quantile, log_mean_exp, regularised_beta, student_quantile, student_two_sided};

    #[test]
    fn the_median_of_a_symmetric_beta_is_a_half_at_any_count() {
        for count in [0.5, 1.0, 30.0, 1e3, 1e5, 1e7, 1e9] {
            assert!((regularised_beta(count, count, 0.5) - 0.5).abs() < 1e-9, "{count}");
        }
    }

    /// Numbers from scipy 1.15 `betainc`.
    #[test]
    fn equals_scipy() {
        for (a, b, x, value) in SCIPY {
            assert!((regularised_beta(a, b, x) - value).abs() < 1e-12 * value.max(1e-3), "{a} {b} {x}");
        }
    }

    const SCIPY: [(f64, f64, f64, f64); 7] = [
        (2.0, 3.0, 0.3, 0.34829999999999994),
        (30.0, 50.0, 0.4, 0.6829428460308882),
        (4234.0, 465.0, 0.905, 0.8176224831306208),
        (100000.0, 300000.0, 0.2501, 0.5582977694680242),
        (10000000.0, 20000000.0, 0.33335, 0.5767909178771693),
        (0.5, 0.5, 0.1, 0.20483276469913345),
        (1000000.0, 10.0, 0.99999, 0.4579178290206094),
    ];

    #[test]
    fn the_quantile_undoes_the_distribution() {
        for (a, b) in [(3.0, 500.0), (4234.0, 465.0), (1e6, 2e6)] {
            for p in [1e-6, 0.025, 0.5, 0.999] {
                assert!((regularised_beta(a, b, beta_quantile(a, b, p)) - p).abs() < 1e-8, "{a} {b} {p}");
            }
        }
    }

    #[test]
    fn a_mixture_of_large_logarithms_does_not_overflow() {
        assert!((log_mean_exp(&[2000.0, 2000.0]) - 2000.0).abs() < 1e-12);
        assert_eq!(log_mean_exp(&[f64::NEG_INFINITY; 2]), f64::NEG_INFINITY);
    }

    /// Numbers from scipy 1.17 `t.sf` and `t.ppf`.
    #[test]
    fn student_like_scipy() {
        for (degrees, t, p) in [
            (1.0, 1e-3, 0.999_363_380_439_815_9),
            (1.0, 12.0, 0.052_929_352_119_179_755),
            (30.0, 12.0, 5.580_185_415_199_261e-13),
            (1234.5, 2.5, 0.012_548_260_402_852_937),
            (1e6, 12.0, 3.571_685_124_765_094e-33),
            (1e9, 1.0, 0.317_310_508_104_884_8),
            (1e9, 12.0, 3.552_982_897_741_2e-33),
        ] {
            let found = student_two_sided(t, degrees);
            assert!((found / p - 1.0).abs() < 1e-11_f64.max(1e-17 * degrees), "{degrees} {t} {found}");
            assert!((student_quantile(p, degrees) / t - 1.0).abs() < 1e-9, "{degrees} {t}");
        }
        assert!((student_quantile(0.05, 1e4) - 1.960_201_239_890_626).abs() < 1e-10);
        assert!((student_quantile(0.05, 1e9) - 1.959_963_986_912_325).abs() < 1e-8);
        assert_eq!([student_two_sided(0.0, 5.0), student_two_sided(1e300, 5.0)], [1.0, 0.0]);
    }
}
