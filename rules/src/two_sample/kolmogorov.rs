//! Distribution of the one-sample Kolmogorov statistic, which the two-sample test uses as its limit.
//!
//! The regions and their methods are those of Simard and L'Ecuyer, "Computing the Two-Sided Kolmogorov-Smirnov
//! Distribution" (J. Stat. Software 39, 2011): the matrix method of Marsaglia, Tsang and Wang (2003) where the
//! statistic is small, Pelz and Good's expansion (1976) in the middle of large samples, twice the one-sided tail of
//! Birnbaum and Tingey (1951) beyond.

use std::f64::consts::{FRAC_PI_2, PI};

use super::pmf::{binomial, ln_factorial};

/// Samples for which the one-sided tail is summed; above, its limit is used.
const SUMMED_UP_TO: u64 = 1_000_000;

/// `P(D_n >= x)`; `n >= 1`.
pub(super) fn two_sided_sf(n: u64, x: f64) -> f64 {
    let size = n as f64;
    let t = size * x;
    if x >= 1.0 || n == 0 {
        return if n == 0 { 1.0 } else { 0.0 };
    }
    if t <= 0.5 {
        return 1.0;
    }
    if t <= 1.0 {
        return 1.0 - (ln_factorial(n) - size * size.ln() + size * (2.0 * t - 1.0).ln()).exp();
    }
    if t >= size - 1.0 {
        return 2.0 * (1.0 - x).powi(n as i32);
    }
    let squared = t * x;
    if squared >= 370.0 && n > 140 {
        return 0.0;
    }
    let tail_from = if n <= 140 { 4.0 } else { 2.2 };
    if x >= 0.5 || squared > tail_from {
        return (2.0 * one_sided_sf(n, x)).min(1.0);
    }
    let small = n <= 140 || (n <= 100_000 && size * x.powf(1.5) <= 1.4);
    let cdf = if small { matrix_power_cdf(n, x) } else { pelz_good_cdf(size, x) };
    1.0 - cdf.clamp(0.0, 1.0)
}

/// `P(D_n^+ >= x) = Σ_v b(v; n, x + v/n) x / (x + v/n)` over `v <= n (1 - x)`, with `b` the binomial probability.
fn one_sided_sf(n: u64, x: f64) -> f64 {
    let size = n as f64;
    if n > SUMMED_UP_TO {
        let shifted = 6.0 * size * x + 1.0;
        return (-shifted * shifted / (18.0 * size)).exp();
    }
    let last = (size * (1.0 - x)).floor() as u64;
    let term = |v: u64| {
        let p = x + v as f64 / size;
        if p >= 1.0 { 0.0 } else { binomial(v, n, p, (size - v as f64) / size - x) * (x / p) }
    };
    // terms fall off on both sides of their peak, which is near the middle
    let peak = (0..=64).map(|part| last * part / 64).max_by(|a, b| term(*a).total_cmp(&term(*b))).unwrap_or(0);
    let mut sum = 0.0;
    for v in peak..=last {
        let more = term(v);
        sum += more;
        if more < sum * 1e-18 && v > peak + 8 {
            break;
        }
    }
    for v in (0..peak).rev() {
        let more = term(v);
        sum += more;
        if more < sum * 1e-18 && v + 8 < peak {
            break;
        }
    }
    sum.min(1.0)
}

/// `P(D_n < x)` as a corner of the `n`-th power of a small matrix (Marsaglia, Tsang, Wang 2003).
fn matrix_power_cdf(n: u64, x: f64) -> f64 {
    let t = n as f64 * x;
    let k = t.floor() as usize + 1;
    let (size, h) = (2 * k - 1, k as f64 - t);
    let mut step = Scaled::zero(size);
    for i in 0..size {
        for j in 0..size.min(i + 2) {
            let mut cell = 1.0;
            if j == 0 {
                cell -= h.powi(i as i32 + 1);
            }
            if i == size - 1 {
                cell -= h.powi((size - j) as i32);
            }
            if j == 0 && i == size - 1 && 2.0 * h > 1.0 {
                cell += (2.0 * h - 1.0).powi(size as i32);
            }
            step.cells[i * size + j] = cell / ln_factorial((i + 1 - j) as u64).exp();
        }
    }
    let power = step.power(n);
    let corner = power.cells[(k - 1) * size + k - 1];
    if corner <= 0.0 {
        return 0.0;
    }
    (corner.ln() + power.exponent * std::f64::consts::LN_2 + ln_factorial(n) - n as f64 * (n as f64).ln()).exp()
}

/// A square matrix times `2^exponent`, so that high powers stay in range.
#[derive(Clone)]
struct Scaled {
    size: usize,
    cells: Vec<f64>,
    exponent: f64,
}

impl Scaled {
    fn zero(size: usize) -> Self {
        Self { size, cells: vec![0.0; size * size], exponent: 0.0 }
    }

    fn times(&self, other: &Self) -> Self {
        let mut product = Self { exponent: self.exponent + other.exponent, ..Self::zero(self.size) };
        for (row, out) in self.cells.chunks(self.size).zip(product.cells.chunks_mut(self.size)) {
            for (factor, line) in row.iter().zip(other.cells.chunks(self.size)) {
                for (cell, value) in out.iter_mut().zip(line) {
                    *cell += factor * value;
                }
            }
        }
        let middle = product.cells[product.cells.len() / 2];
        if middle > 1e140 {
            product.cells.iter_mut().for_each(|cell| *cell *= 2_f64.powi(-464));
            product.exponent += 464.0;
        } else if middle > 0.0 && middle < 1e-140 {
            product.cells.iter_mut().for_each(|cell| *cell *= 2_f64.powi(464));
            product.exponent -= 464.0;
        }
        product
    }

    /// By squaring; `n >= 1`.
    fn power(&self, n: u64) -> Self {
        let (mut square, mut left) = (self.clone(), n);
        let mut product: Option<Self> = None;
        loop {
            if left & 1 == 1 {
                product = Some(product.map_or_else(|| square.clone(), |product| product.times(&square)));
            }
            left >>= 1;
            if left == 0 {
                break product.unwrap_or(square);
            }
            square = square.times(&square);
        }
    }
}

/// `K0(z) + K1(z)/√n + K2(z)/n + K3(z)/n^1.5` at `z = x √n` (Pelz and Good 1976, formulas of Simard and L'Ecuyer, section 4).
fn pelz_good_cdf(n: f64, x: f64) -> f64 {
    let z = n.sqrt() * x;
    let z2 = z * z;
    let (z4, z6) = (z2 * z2, z2 * z2 * z2);
    let terms = (16.0 * z / PI).ceil() as i32 + 1;
    let mut sums = [0.0; 4];
    let mut extra = [0.0; 2];
    for k in (0..terms).rev() {
        let w = (PI * (f64::from(k) + 0.5)).powi(2);
        let weight = (-w / (2.0 * z2)).exp();
        sums[0] += weight;
        sums[1] += weight * (w - z2);
        sums[2] += weight * (6.0 * z6 + 2.0 * z4 + w * (2.0 * z4 - 5.0 * z2) + w * w * (1.0 - 2.0 * z2));
        let third = (5.0 - 30.0 * z2) * w * w * w + (212.0 * z4 - 60.0 * z2) * w * w + (135.0 * z4 - 96.0 * z6) * w;
        sums[3] += weight * (third - 30.0 * z6 - 90.0 * z4 * z4);
        let w = (PI * f64::from(k)).powi(2);
        let weight = (-w / (2.0 * z2)).exp();
        extra[0] += weight * w;
        extra[1] += weight * w * (3.0 * z2 - w);
    }
    // both halves of every sum over all integers
    let whole = 2.0 * FRAC_PI_2.sqrt();
    let k0 = whole / z * sums[0];
    let k1 = whole / (6.0 * z4) * sums[1];
    let k2 = whole * (sums[2] / (72.0 * z6 * z) - extra[0] / (36.0 * z2 * z));
    let k3 = whole * (sums[3] / (6480.0 * z6 * z4) + extra[1] / (216.0 * z6));
    k0 + k1 / n.sqrt() + k2 / n + k3 / n.powf(1.5)
}
