//! Maximum mean discrepancy with a Gaussian kernel (Gretton et al., JMLR 13, 2012) and its permutation p-value.
//!
//! The kernel matrix of both samples together is computed once, in tiles above the diagonal; every permutation is then a
//! column of ones and zeros, and all of them pass over each tile as one thin matrix product.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use super::TestError;

/// Rows and columns of a tile: two tiles and a strip of permutations stay in the second-level cache.
const TILE: usize = 256;

/// Vectors of one width, row after row.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    values: &'a [f32],
    width: usize,
}

impl<'a> Rows<'a> {
    /// `values` of shape `[rows, width]`, row-major.
    ///
    /// # Errors
    /// [`TestError::Mismatch`] when the last row is not full (`current` is what it holds), [`TestError::NotFinite`].
    pub fn new(values: &'a [f32], width: usize) -> Result<Self, TestError> {
        let left = values.len().checked_rem(width).unwrap_or(1);
        if left != 0 {
            return Err(TestError::Mismatch { reference: width, current: left });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(TestError::NotFinite { at }),
            None => Ok(Self { values, width }),
        }
    }

    fn len(self) -> usize {
        self.values.len() / self.width
    }
}

/// What [`mmd`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaximumMeanDiscrepancy {
    /// Unbiased estimate of MMD²; may be a little below 0 when nothing differs.
    pub statistic: f64,
    /// `(1 + permutations at least as large) / (1 + permutations)`: never below `1 / (1 + permutations)`.
    pub p_value: f64,
    /// Median squared distance `h` of the kernel `exp(-‖x - y‖² / h)`, to 1 %.
    pub bandwidth: f64,
}

/// Compares two sets of vectors; `permutations` relabelings are drawn from `seed`.
///
/// The bandwidth is the median over all pairs of both samples together, so that no relabeling changes it and the
/// test is exact. Takes `2 (n + m)²` bytes and `(n + m)² (width + permutations)` operations: bound the samples.
///
/// # Errors
/// [`TestError::TooFew`] below two vectors a side, [`TestError::Mismatch`] for two widths.
pub fn mmd(
    reference: Rows<'_>,
    current: Rows<'_>,
    permutations: usize,
    seed: u64,
) -> Result<MaximumMeanDiscrepancy, TestError> {
    if reference.width != current.width {
        return Err(TestError::Mismatch { reference: reference.width, current: current.width });
    }
    let (n, m) = (reference.len(), current.len());
    if n.min(m) < 2 {
        return Err(TestError::TooFew { have: n.min(m), need: 2 });
    }
    let points = centred(reference, current);
    let mut tiles = squared_distances(&points);
    let bandwidth = median(&tiles);
    if bandwidth > 0.0 {
        tiles.iter_mut().for_each(|tile| tile.apply_kernel(1.0 / bandwidth as f32));
    } else {
        // more than half of all pairs are equal: the kernel tells equal from different
        tiles.iter_mut().for_each(|tile| tile.cells.mapv_inplace(|squared| if squared > 0.0 { 0.0 } else { 1.0 }));
    }
    tiles.iter_mut().for_each(Tile::clear_diagonal);
    let estimates = estimates(&tiles, &labels(n, m, permutations, seed), n as f64, m as f64);
    let observed = estimates[0];
    let beyond = estimates[1..].iter().filter(|other| **other >= observed - 1e-12).count();
    let p_value = (1 + beyond) as f64 / (1 + permutations) as f64;
    Ok(MaximumMeanDiscrepancy { statistic: observed, p_value, bandwidth })
}

/// Both samples below each other, less their common mean: distances stay, rounding shrinks.
fn centred(reference: Rows<'_>, current: Rows<'_>) -> Array2<f32> {
    let (width, rows) = (reference.width, reference.len() + current.len());
    let all = || reference.values.chunks_exact(width).chain(current.values.chunks_exact(width));
    let mut mean = vec![0.0_f64; width];
    for row in all() {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value) / rows as f64);
    }
    let mean: Vec<f32> = mean.into_iter().map(|mean| mean as f32).collect();
    let mut points = Array2::zeros((rows, width));
    for (mut out, row) in points.rows_mut().into_iter().zip(all()) {
        out.iter_mut().zip(row).zip(&mean).for_each(|((out, value), mean)| *out = value - mean);
    }
    points
}

/// One tile on or above the diagonal: its first row and column, and its cells.
struct Tile {
    row: usize,
    column: usize,
    cells: Array2<f32>,
}

impl Tile {
    fn on_diagonal(&self) -> bool {
        self.row == self.column
    }

    fn apply_kernel(&mut self, scale: f32) {
        self.cells.iter_mut().for_each(|cell| *cell = exp_minus(*cell * scale));
    }

    /// A point's kernel with itself says nothing.
    fn clear_diagonal(&mut self) {
        if self.on_diagonal() {
            self.cells.diag_mut().fill(0.0);
        }
    }
}

/// `‖x - y‖² = ‖x‖² + ‖y‖² - 2 xy` of all pairs.
fn squared_distances(points: &Array2<f32>) -> Vec<Tile> {
    let rows = points.nrows();
    let lengths: Vec<f32> = points.rows().into_iter().map(|row| row.dot(&row)).collect();
    let starts = || (0..rows).step_by(TILE);
    let mut tiles = Vec::new();
    for row in starts() {
        let left = points.slice(s![row..rows.min(row + TILE), ..]);
        for column in starts().filter(|column| *column >= row) {
            let right = points.slice(s![column..rows.min(column + TILE), ..]);
            let mut cells = Array2::zeros((left.nrows(), right.nrows()));
            general_mat_mul(-2.0, &left, &right.t(), 0.0, &mut cells);
            for (mut line, length) in cells.rows_mut().into_iter().zip(&lengths[row..]) {
                let others = &lengths[column..];
                line.iter_mut().zip(others).for_each(|(cell, other)| *cell = (*cell + length + other).max(0.0));
            }
            tiles.push(Tile { row, column, cells });
        }
    }
    tiles
}

/// Median over pairs of different points, by a histogram over the leading bits: 128 bins a power of two.
fn median(tiles: &[Tile]) -> f64 {
    const KEPT: u32 = 16;
    let mut bins = vec![0_u32; 1 << KEPT];
    let mut count = |cell: &f32| bins[(cell.to_bits() >> (32 - KEPT)) as usize] += 1;
    for tile in tiles {
        for (at, line) in tile.cells.rows().into_iter().enumerate() {
            let from = if tile.on_diagonal() { at + 1 } else { 0 };
            line.iter().skip(from).for_each(&mut count);
        }
    }
    let half = bins.iter().map(|bin| u64::from(*bin)).sum::<u64>().div_ceil(2);
    let mut seen = 0;
    let bin = bins.iter().position(|bin| {
        seen += u64::from(*bin);
        seen >= half
    });
    let low = (bin.unwrap_or(0) as u32) << (32 - KEPT);
    let middle = if low == 0 { 0 } else { low + (1 << (31 - KEPT)) };
    f64::from(f32::from_bits(middle))
}

/// Columns of ones (reference) and zeros, shape `[n + m, 1 + permutations]`; the first is as observed.
fn labels(n: usize, m: usize, permutations: usize, seed: u64) -> Array2<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut labels = Array2::zeros((n + m, 1 + permutations));
    let mut order: Vec<usize> = (0..n + m).collect();
    for mut column in labels.columns_mut() {
        order[..n].iter().for_each(|at| column[*at] = 1.0);
        random.shuffle(&mut order);
    }
    labels
}

/// Unbiased MMD² of each column of labels.
fn estimates(tiles: &[Tile], labels: &Array2<f32>, n: f64, m: f64) -> Vec<f64> {
    let (rows, columns) = labels.dim();
    let mut within = vec![0.0_f64; columns];
    let mut row_sums = vec![0.0_f64; rows];
    let mut strip = Array2::zeros((TILE, columns));
    for tile in tiles {
        let (height, width) = tile.cells.dim();
        let mut product = strip.slice_mut(s![..height, ..]);
        let across = labels.slice(s![tile.column..tile.column + width, ..]);
        general_mat_mul(1.0, &tile.cells, &across, 0.0, &mut product);
        let down = labels.slice(s![tile.row..tile.row + height, ..]);
        add_weighted(&mut within, &down, &product, if tile.on_diagonal() { 1.0 } else { 2.0 });
        add_row_sums(&mut row_sums, tile);
    }
    let all: f64 = row_sums.iter().sum();
    let touching = row_sums.iter().zip(labels.rows()).fold(vec![0.0; columns], |mut sums, (sum, row)| {
        sums.iter_mut().zip(row).for_each(|(out, label)| *out += sum * f64::from(*label));
        sums
    });
    let estimate = |(within, touching): (&f64, &f64)| {
        let between = touching - within;
        let other = all - within - 2.0 * between;
        within / (n * (n - 1.0)) + other / (m * (m - 1.0)) - 2.0 * between / (n * m)
    };
    within.iter().zip(&touching).map(estimate).collect()
}

/// `within_p += weight Σ_i labels[i, p] product[i, p]`.
fn add_weighted(within: &mut [f64], labels: &ArrayView2<'_, f32>, product: &ArrayViewMut2<'_, f32>, weight: f64) {
    for (labels, sums) in labels.rows().into_iter().zip(product.rows()) {
        for ((within, label), sum) in within.iter_mut().zip(labels).zip(sums) {
            *within += weight * f64::from(label * sum);
        }
    }
}

/// Adds a tile's rows, and its columns where its mirror image lies below the diagonal.
fn add_row_sums(row_sums: &mut [f64], tile: &Tile) {
    for (at, line) in tile.cells.rows().into_iter().enumerate() {
        row_sums[tile.row + at] += line.iter().map(|cell| f64::from(*cell)).sum::<f64>();
        if !tile.on_diagonal() {
            row_sums[tile.column..].iter_mut().zip(line).for_each(|(sum, cell)| *sum += f64::from(*cell));
        }
    }
}

/// `exp(-x)` for `x >= 0` to 2e-7, in a form that compilers turn into vector code: `2^whole` by the exponent bits, the
/// rest by a polynomial.
fn exp_minus(x: f32) -> f32 {
    /// Adding it leaves the nearest whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let power = (x * -std::f32::consts::LOG2_E).max(-126.0);
    let shifted = power + ROUND;
    let rest = (power - (shifted - ROUND)) * std::f32::consts::LN_2;
    let tail = 0.041_666_67 + rest * (0.008_333_333 + rest * 0.001_388_889);
    let poly = 1.0 + rest * (1.0 + rest * (0.5 + rest * (0.166_666_67 + rest * tail)));
    let whole = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    poly * f32::from_bits(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(random: &mut fastrand::Rng, rows: usize, width: usize, shift: f32) -> Vec<f32> {
        let sum = |random: &mut fastrand::Rng| (0..12).map(|_| random.f32()).sum::<f32>() - 6.0;
        (0..rows * width).map(|_| sum(random) + shift).collect()
    }

    #[test]
    fn the_estimate_is_its_definition() {
        let mut random = fastrand::Rng::with_seed(1);
        let (a, b) = (normal(&mut random, 300, 3, 100.0), normal(&mut random, 41, 3, 100.3));
        let found = mmd(Rows::new(&a, 3).unwrap(), Rows::new(&b, 3).unwrap(), 20, 7).unwrap();
        let kernel = |x: &[f32], y: &[f32]| {
            let squared: f64 = x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2)).sum();
            (-squared / found.bandwidth).exp()
        };
        let mean = |left: &[f32], right: &[f32], same: bool| {
            let (mut sum, mut pairs) = (0.0, 0.0);
            for (i, x) in left.chunks(3).enumerate() {
                for (_, y) in right.chunks(3).enumerate().filter(|(j, _)| !same || *j != i) {
                    sum += kernel(x, y);
                    pairs += 1.0;
                }
            }
            sum / pairs
        };
        let expected = mean(&a, &a, true) + mean(&b, &b, true) - 2.0 * mean(&a, &b, false);
        assert!((found.statistic - expected).abs() < 1e-5, "{found:?} {expected}");
    }

    #[test]
    fn p_values_are_level_without_a_shift_and_small_with_one() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut run = |shift: f32| {
            let (a, b) = (normal(&mut random, 40, 4, 0.0), normal(&mut random, 30, 4, shift));
            mmd(Rows::new(&a, 4).unwrap(), Rows::new(&b, 4).unwrap(), 99, 3).unwrap().p_value
        };
        let below = (0..200).filter(|_| run(0.0) <= 0.1).count();
        assert!((8..=34).contains(&below), "{below} of 200 at 10 %");
        assert!((0..20).all(|_| run(1.0) <= 0.02));
    }

    #[test]
    fn constants_and_nonsense() {
        let (same, other) = (vec![2.0_f32; 20], vec![5.0_f32; 20]);
        let rows = |values| Rows::new(values, 2).unwrap();
        let found = mmd(rows(&same), rows(&same), 30, 1).unwrap();
        assert!(found.p_value == 1.0 && found.statistic.abs() < 1e-12, "{found:?}");
        assert!(mmd(rows(&same), rows(&other), 99, 1).unwrap().p_value < 0.02);
        let few = mmd(rows(&same), Rows::new(&other[..2], 2).unwrap(), 9, 1);
        assert_eq!(few, Err(TestError::TooFew { have: 1, need: 2 }));
        assert_eq!(Rows::new(&[1.0, f32::NAN], 2).unwrap_err(), TestError::NotFinite { at: 1 });
        assert_eq!(Rows::new(&[1.0], 2).unwrap_err(), TestError::Mismatch { reference: 2, current: 1 });
        assert!(Rows::new(&[1.0], 0).is_err() && mmd(rows(&same), Rows::new(&other, 4).unwrap(), 9, 1).is_err());
    }

    #[test]
    fn the_exponential_is_close() {
        for n in 0..2000_u16 {
            let x = f32::from(n) * 0.05;
            assert!((exp_minus(x) - (-x).exp()).abs() < 3e-7, "{x}");
        }
        assert!(exp_minus(1e30) < 1e-37);
    }
}
