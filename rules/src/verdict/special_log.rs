//! Natural logarithms of distribution functions, right where the functions themselves would be 0.
//!
//! The incomplete gamma function by its series and by its continued fraction (DLMF 8.7.1, 8.9.2), the density in front of
//! them from deviances as in [`super::special`], so that shapes of 1e8 cost no digits.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use statrs::function::erf::erfc;

use super::special::{deviance, fraction, ln_front, stirling_rest};

/// ln of x^a e^(-x) / Γ(a) for a, x > 0.
pub(super) fn ln_gamma_front(a: f64, x: f64) -> f64 {
    0.5 * (a / TAU).ln() - stirling_rest(a) - deviance(a, x)
}

/// ln P(Gamma(a, 1) <= x) for a > 0: the regularised lower incomplete gamma function.
pub(super) fn ln_gamma_p(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if x < a + 1.0 { ln_gamma_front(a, x) + (series(a, x) / a).ln() } else { ln_of_rest(ln_upper(a, x)) }
}

/// ln P(Gamma(a, 1) > x) for a > 0: the regularised upper incomplete gamma function.
pub(super) fn ln_gamma_q(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x < a + 1.0 { ln_of_rest(ln_gamma_p(a, x)) } else { ln_upper(a, x) }
}

/// ln P(Beta(a, b) <= x) for a, b > 0: the regularised incomplete beta function.
pub(super) fn ln_regularised_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if x >= 1.0 {
        return 0.0;
    }
    let y = 1.0 - x;
    let front = ln_front(a, b, x, y);
    if x < (a + 1.0) / (a + b + 2.0) {
        front + (fraction(a, b, x) / a).ln()
    } else {
        ln_of_rest(front + (fraction(b, a, y) / b).ln())
    }
}

/// ln P(N(0, 1) <= z).
pub(super) fn ln_normal_cdf(z: f64) -> f64 {
    if z > -30.0 {
        return (0.5 * erfc(-z * FRAC_1_SQRT_2)).ln();
    }
    // The asymptotic series of Mills' ratio: beyond 30 its fifth term is under 1e-13.
    let square = 1.0 / (z * z);
    let ratio = 1.0 - square * (1.0 - 3.0 * square * (1.0 - 5.0 * square * (1.0 - 7.0 * square)));
    -0.5 * z * z - 0.5 * TAU.ln() - (-z).ln() + ratio.ln()
}

/// ln(1 - e^log) for log <= 0.
fn ln_of_rest(log: f64) -> f64 {
    (-log.min(0.0).exp()).ln_1p()
}

/// More terms than either expansion needs near x = a, where both are slowest.
fn most_terms(a: f64) -> u64 {
    1000 + 20 * (a.sqrt() as u64)
}

/// 1 + x/(a+1) + x²/((a+1)(a+2)) + ...
fn series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for step in 1..=most_terms(a) {
        term *= x / (a + step as f64);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

/// ln of the upper function by the continued fraction, Lentz's method; for x >= a + 1.
fn ln_upper(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let kept = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut below = x + 1.0 - a;
    let mut d = 1.0 / kept(below);
    let mut c = 1.0 / TINY;
    let mut value = d;
    for step in 1..=most_terms(a) {
        let n = step as f64;
        let above = n * (a - n);
        below += 2.0;
        d = 1.0 / kept(below + above * d);
        c = kept(below + above / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    ln_gamma_front(a, x) + value.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-11 * wanted.abs().max(1.0), "{found} {wanted}");
    }

    /// Numbers from scipy 1.17 `gammainc`, `gammaincc`, `betainc` and `log_ndtr`.
    #[test]
    fn equals_scipy() {
        near(ln_gamma_p(0.3, 0.01), -1.2756800837763793);
        near(ln_gamma_q(0.3, 0.01), -0.3274504504972727);
        near(ln_gamma_p(0.3, 2.5), -0.011916036651282411);
        near(ln_gamma_q(0.3, 2.5), -4.435822270333911);
        near(ln_gamma_p(5.0, 1e-40), -465.3045103415912);
        near(ln_gamma_q(5.0, 1e-40), 0.0);
        near(ln_gamma_p(5.0, 600.0), 0.0);
        near(ln_gamma_q(5.0, 600.0), -577.5836574441745);
        near(ln_gamma_p(30.0, 31.0), -0.5186094711813279);
        near(ln_gamma_q(30.0, 31.0), -0.9047273980694088);
        near(ln_gamma_p(1000.0, 300.0), -507.98963933001335);
        near(ln_gamma_q(1000.0, 300.0), 0.0);
        near(ln_gamma_p(1000.0, 1000.0), -0.6847718632903101);
        near(ln_gamma_q(1000.0, 1000.0), -0.7015932366459725);
        near(ln_gamma_p(1000.0, 1500.0), 0.0);
        near(ln_gamma_q(1000.0, 1500.0), -98.22056818336435);
        near(ln_gamma_p(300000.0, 299000.0), -3.3861876230341506);
        near(ln_gamma_q(300000.0, 299000.0), -0.03442316944543558);
        near(ln_gamma_p(300000.0, 303000.0), -2.3849408066392198e-08);
        near(ln_gamma_q(300000.0, 303000.0), -17.551506452809896);
        near(ln_gamma_p(100000000.0, 100010000.0), -0.17275377854415083);
        near(ln_gamma_q(100000000.0, 100010000.0), -1.8410216475509746);
        near(ln_regularised_beta(0.01, 0.02, 0.3), -0.4137315402294957);
        near(ln_regularised_beta(3.0, 500.0, 0.0001), -10.810345939646353);
        near(ln_regularised_beta(4234.0, 465.0, 0.7), -557.9912227403117);
        near(ln_regularised_beta(4234.0, 465.0, 0.95), 0.0);
        near(ln_regularised_beta(100000.0, 300000.0, 0.2501), -0.5828628218949671);
        near(ln_regularised_beta(2000.0, 300.0, 0.6), -410.5183664639149);
        near(ln_normal_cdf(-1000.0), -500007.8266948122);
        near(ln_normal_cdf(-40.0), -804.6084420137539);
        near(ln_normal_cdf(-30.5), -469.4627373229121);
        near(ln_normal_cdf(-29.5), -439.4294746091503);
        near(ln_normal_cdf(-3.0), -6.60772622151035);
        near(ln_normal_cdf(0.0), -std::f64::consts::LN_2);
        near(ln_normal_cdf(2.0), -0.023012909328963476);
        near(ln_normal_cdf(10.0), -7.61985302416047e-24);
    }
}
