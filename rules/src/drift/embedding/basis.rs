//! Principal directions by block power iteration.
//!
//! Halko, Martinsson, Tropp, "Finding structure with randomness", arXiv 0909.4061, algorithm 4.4: a random block of rows is
//! multiplied with the covariance a few times and made orthonormal between; the block then spans the directions of
//! largest variance. A last rotation inside the block (Jacobi) sorts them by variance.

use super::linear::{Matrix, add_scaled, dot};

/// Rounds of multiplication: the directions matter, their last digits do not.
const ROUNDS: usize = 6;

/// Orthonormal directions, of largest variance first, with the variance of each.
pub(crate) struct Basis {
    /// Shape `[rank, dim]`.
    pub(crate) directions: Matrix,
    /// Shape `[rank]`, descending.
    pub(crate) variances: Vec<f64>,
}

/// The `rank` directions of largest variance of `centred` (shape `[n, dim]`, mean zero). Fewer when the vectors span less.
pub(crate) fn principal(centred: &Matrix, rank: usize, rng: &mut fastrand::Rng) -> Basis {
    let covariance = covariance(centred);
    let mut block = Matrix::zeros(rank, centred.width);
    block.values.iter_mut().for_each(|value| *value = rng.f32() - 0.5);
    for _ in 0..ROUNDS {
        orthonormalise(&mut block);
        block = multiply(&block, &covariance);
    }
    orthonormalise(&mut block);
    rotate(&block, &covariance)
}

/// Shape `[dim, dim]`.
fn covariance(centred: &Matrix) -> Matrix {
    let dim = centred.width;
    let mut all = Matrix::zeros(dim, dim);
    for row in centred.rows() {
        for (at, value) in row.iter().enumerate() {
            add_scaled(&mut all.row_mut(at)[at..], *value, &row[at..]);
        }
    }
    let scale = 1.0 / centred.height().max(1) as f32;
    for at in 0..dim {
        for other in at..dim {
            let value = all.values[at * dim + other] * scale;
            all.values[at * dim + other] = value;
            all.values[other * dim + at] = value;
        }
    }
    all
}

/// Each row of `block` times the symmetric `matrix`.
fn multiply(block: &Matrix, matrix: &Matrix) -> Matrix {
    let mut product = Matrix::zeros(block.height(), block.width);
    for (at, row) in block.rows().enumerate() {
        for (value, line) in row.iter().zip(matrix.rows()) {
            add_scaled(product.row_mut(at), *value, line);
        }
    }
    product
}

/// Modified Gram-Schmidt, twice; rows that hang on the others become zero.
fn orthonormalise(block: &mut Matrix) {
    let width = block.width;
    for at in 0..block.height() {
        let (before, rest) = block.values.split_at_mut(at * width);
        let row = &mut rest[..width];
        let length = dot(row, row).sqrt();
        for _ in 0..2 {
            for other in before.chunks_exact(width) {
                let along = dot(row, other);
                add_scaled(row, -along, other);
            }
        }
        let left = dot(row, row).sqrt();
        let scale = if left > 1e-5 * length && left.is_normal() { 1.0 / left } else { 0.0 };
        row.iter_mut().for_each(|value| *value *= scale);
    }
}

/// Turns the block so that its covariance is diagonal, and drops directions without variance.
fn rotate(block: &Matrix, covariance: &Matrix) -> Basis {
    let image = multiply(block, covariance);
    let rank = block.height();
    let small = |at: usize, other: usize| f64::from(dot(block.row(at), image.row(other)));
    let mut inner: Vec<f64> = (0..rank * rank).map(|at| small(at / rank, at % rank)).collect();
    let turned = jacobi(&mut inner, rank);
    let mut order: Vec<usize> = (0..rank).collect();
    order.sort_by(|a, b| inner[b * rank + b].total_cmp(&inner[a * rank + a]));
    let largest = order.first().map_or(0.0, |at| inner[at * rank + at]);
    order.retain(|at| inner[at * rank + at] > 1e-6 * largest);
    let mut directions = Matrix::zeros(order.len(), block.width);
    for (to, from) in order.iter().enumerate() {
        for (at, row) in block.rows().enumerate() {
            add_scaled(directions.row_mut(to), turned[at * rank + from] as f32, row);
        }
    }
    Basis { directions, variances: order.iter().map(|at| inner[at * rank + at]).collect() }
}

/// Cyclic Jacobi: makes the symmetric `matrix` diagonal in place and returns the rotation, eigenvectors in columns.
fn jacobi(matrix: &mut [f64], size: usize) -> Vec<f64> {
    let mut turned: Vec<f64> = (0..size * size).map(|at| f64::from(u8::from(at / size == at % size))).collect();
    for _ in 0..12 {
        for p in 0..size {
            for q in p + 1..size {
                turn(matrix, &mut turned, size, (p, q));
            }
        }
    }
    turned
}

fn turn(matrix: &mut [f64], turned: &mut [f64], size: usize, (p, q): (usize, usize)) {
    let off = matrix[p * size + q];
    if off.abs() <= 1e-12 * (matrix[p * size + p].abs() + matrix[q * size + q].abs()) {
        return;
    }
    let theta = (matrix[q * size + q] - matrix[p * size + p]) / (2.0 * off);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cos = 1.0 / t.hypot(1.0);
    let sin = t * cos;
    for at in 0..size {
        let (a, b) = (matrix[at * size + p], matrix[at * size + q]);
        matrix[at * size + p] = cos * a - sin * b;
        matrix[at * size + q] = sin * a + cos * b;
    }
    for at in 0..size {
        let (a, b) = (matrix[p * size + at], matrix[q * size + at]);
        matrix[p * size + at] = cos * a - sin * b;
        matrix[q * size + at] = sin * a + cos * b;
        let (a, b) = (turned[at * size + p], turned[at * size + q]);
        turned[at * size + p] = cos * a - sin * b;
        turned[at * size + q] = sin * a + cos * b;
    }
}
