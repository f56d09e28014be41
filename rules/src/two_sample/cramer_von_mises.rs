//! Two-sample Cramér-von Mises test (Anderson 1962): the mean squared distance of two empirical distribution functions.

use std::f64::consts::PI;

use super::pmf::ln_factorial;
use super::{Method, Outcome, Sorted, TestError};

/// Largest sample for which [`Method::Auto`] counts exactly (scipy's choice).
const EXACT_UP_TO: usize = 20;

/// Compares two samples, ties and all, as `scipy.stats.cramervonmises_2samp` does.
///
/// The statistic is Anderson's `T`; ties take the mean of their ranks. Exact p-values count lattice paths by their sum
/// of squares (Xiao, Gordon, Yakovlev 2006); the limit's series (Csörgő and Faraway 1996, eq. 1.2) ends after its first
/// term below 1e-7, so that p-values equal scipy's.
///
/// # Errors
/// [`TestError::TooFew`] below two values a side.
pub fn cramer_von_mises(reference: &Sorted, current: &Sorted, method: Method) -> Result<Outcome, TestError> {
    let (n, m) = (reference.len(), current.len());
    if n.min(m) < 2 {
        return Err(TestError::TooFew { have: n.min(m), need: 2 });
    }
    let (from_reference, from_current) = squared_rank_shifts(reference.values(), current.values());
    // four times Anderson's U, an integer
    let u4 = n as u128 * from_reference + m as u128 * from_current;
    let (size, product) = ((n + m) as f64, n as f64 * m as f64);
    // u / (nm(n+m)) - (4nm-1) / (6(n+m)), one fraction, so that its two halves cancel as integers
    let (whole, k) = (6 * u4 as i128, (n * m) as i128);
    let statistic = (whole - 4 * k * (4 * k - 1)) as f64 / (24.0 * product * size);
    let exact = match method {
        Method::Auto => n.max(m) <= EXACT_UP_TO,
        Method::Exact => true,
        Method::Asymptotic => false,
    };
    let p_value = if exact { exact_tail(u4 as i128, n, m) } else { limit_tail(statistic, n, m) };
    Ok(Outcome { statistic, p_value })
}

/// `Σ (2 r_i - 2 i)²` of each side: `r` the mean rank in both samples together, `i` the rank in its own.
fn squared_rank_shifts(a: &[f64], b: &[f64]) -> (u128, u128) {
    let (mut i, mut j, mut of_a, mut of_b) = (0, 0, 0_u128, 0_u128);
    while i < a.len() || j < b.len() {
        let low = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => x.min(*y),
            (Some(x), None) | (None, Some(x)) => *x,
            (None, None) => break,
        };
        let copies = |side: &[f64]| side.iter().take_while(|value| **value == low).count();
        let (in_a, in_b) = (copies(&a[i..]), copies(&b[j..]));
        // twice the mean of ranks i+j+1 ..= i+j+in_a+in_b
        let rank = (2 * (i + j) + in_a + in_b + 1) as i128;
        let square = |own: usize| ((rank - 2 * own as i128).pow(2)) as u128;
        of_a += (i + 1..=i + in_a).map(square).sum::<u128>();
        of_b += (j + 1..=j + in_b).map(square).sum::<u128>();
        i += in_a;
        j += in_b;
    }
    (of_a, of_b)
}

/// Share of all lattice paths whose sum of squares is at least the observed one.
fn exact_tail(u4: i128, n: usize, m: usize) -> f64 {
    let (size_n, size_m) = (n as i128, m as i128);
    let lcm = size_n / gcd(size_n, size_m) * size_m;
    let product = size_n * size_m;
    let observed =
        (lcm * lcm * (size_n + size_m) * (6 * u4 - 4 * product * (4 * product - 1))).div_euclid(24 * product * product);
    let (a, b) = (lcm / size_n, lcm / size_m);
    // column by column: how many paths reach (u, v) with each sum
    let mut columns: Vec<Vec<(i128, f64)>> = vec![Vec::new(); m + 1];
    for u in 0..=n {
        for v in 0..=m {
            let step = (a * u as i128 - b * v as i128).pow(2);
            let below = if v > 0 { std::mem::take(&mut columns[v - 1]) } else { Vec::new() };
            let mut here = merged(&columns[v], &below);
            if v > 0 {
                columns[v - 1] = below;
            }
            if u == 0 && v == 0 {
                here.push((0, 1.0));
            }
            here.iter_mut().for_each(|(sum, _)| *sum += step);
            columns[v] = here;
        }
    }
    let all: f64 = columns[m].iter().map(|(_, paths)| paths).sum();
    columns[m].iter().filter(|(sum, _)| *sum >= observed).map(|(_, paths)| paths).sum::<f64>() / all
}

/// Both lists of (sum, paths), ordered, with equal sums added up.
fn merged(left: &[(i128, f64)], right: &[(i128, f64)]) -> Vec<(i128, f64)> {
    let mut out: Vec<(i128, f64)> = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        let take_left = j == right.len() || (i < left.len() && left[i].0 <= right[j].0);
        let next = if take_left { left[i] } else { right[j] };
        if take_left {
            i += 1;
        } else {
            j += 1;
        }
        match out.last_mut() {
            Some(last) if last.0 == next.0 => last.1 += next.1,
            _ => out.push(next),
        }
    }
    out
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The limit's tail at the statistic brought to the limit's mean and variance (Anderson 1962, eq. 10 and 14).
fn limit_tail(statistic: f64, n: usize, m: usize) -> f64 {
    let (n, m) = (n as f64, m as f64);
    let (size, k) = (n + m, n * m);
    let mean = (1.0 + 1.0 / size) / 6.0;
    let variance = (size + 1.0) * (4.0 * k * size - 3.0 * (n * n + m * m) - 2.0 * k) / (45.0 * size * size * 4.0 * k);
    let scaled = 1.0 / 6.0 + (statistic - mean) / (45.0 * variance).sqrt();
    if scaled < 0.003 { 1.0 } else { (1.0 - limit_cdf(scaled)).max(0.0) }
}

/// `P(W <= x)` of the limit; `x > 0`.
fn limit_cdf(x: f64) -> f64 {
    let mut sum = 0.0;
    for k in 0..1000_u32 {
        let y = f64::from(4 * k + 1);
        // Γ(k + 1/2) / k! = √π (2k)! / (4^k k!²)
        let ratio =
            (ln_factorial(2 * u64::from(k)) - 2.0 * ln_factorial(u64::from(k)) - f64::from(k) * 4_f64.ln()).exp();
        let q = y * y / (16.0 * x);
        let term = ratio / (PI * x.sqrt()) * y.sqrt() * scaled_bessel(q);
        sum += term;
        if term < 1e-7 {
            break;
        }
    }
    sum
}

/// `exp(-q) K_{1/4}(q)` by the trapezoid rule on `∫ exp(-q (1 + cosh t)) cosh(t/4) dt`, which converges faster than any power.
fn scaled_bessel(q: f64) -> f64 {
    const STEP: f64 = 0.125;
    let mut sum = 0.5 * (-2.0 * q).exp();
    for j in 1..1000_u32 {
        let t = f64::from(j) * STEP;
        let term = (-q * (1.0 + t.cosh())).exp() * (t / 4.0).cosh();
        sum += term;
        if term < sum * 1e-18 {
            break;
        }
    }
    sum * STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_agrees_with_trying_every_path() {
        // all ways to place three values among seven
        let mut all = Vec::new();
        for path in (0..1_u32 << 7).filter(|path| path.count_ones() == 3) {
            let side = |bit| (0..7).filter(|at| path >> at & 1 == bit).map(f64::from).collect::<Vec<_>>();
            let (a, b) = (Sorted::new(side(1)).unwrap(), Sorted::new(side(0)).unwrap());
            all.push(cramer_von_mises(&a, &b, Method::Exact).unwrap());
        }
        for one in &all {
            let beyond = all.iter().filter(|other| other.statistic >= one.statistic - 1e-12).count();
            assert!((one.p_value - beyond as f64 / all.len() as f64).abs() < 1e-12, "{one:?}");
        }
    }

    #[test]
    fn one_value_is_too_few_and_equal_samples_are_no_evidence() {
        let sample = |values: &[f64]| Sorted::new(values.to_vec()).unwrap();
        let too_few = cramer_von_mises(&sample(&[1.0]), &sample(&[1.0, 2.0]), Method::Auto);
        assert_eq!(too_few, Err(TestError::TooFew { have: 1, need: 2 }));
        for size in [3, 50] {
            let same = vec![4.0; size];
            let found = cramer_von_mises(&sample(&same), &sample(&same), Method::Auto).unwrap();
            assert!(found.p_value > 0.999, "{found:?}");
        }
    }
}
