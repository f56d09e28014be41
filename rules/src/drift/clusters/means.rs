//! k-means, started by k-means++.
//!
//! Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", 2007; then Lloyd's rounds.

use super::super::embedding::linear::{Matrix, add_scaled, dot};

/// Rounds of Lloyd's algorithm: clusters explain, so their last digits do not matter.
const ROUNDS: usize = 8;

/// Up to `most` centres of `rows` (at least one row): fewer when there are not that many different rows.
pub(super) fn centres(rows: &Matrix, most: usize, rng: &mut fastrand::Rng) -> Matrix {
    let mut centres = seeds(rows, most, rng);
    for _ in 0..ROUNDS {
        centres = moved(rows, &centres);
    }
    centres
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    (dot(a, a) + dot(b, b) - 2.0 * dot(a, b)).max(0.0)
}

fn seeds(rows: &Matrix, most: usize, rng: &mut fastrand::Rng) -> Matrix {
    let mut centres = Matrix { width: rows.width, values: rows.row(rng.usize(..rows.height())).to_vec() };
    let mut distances = vec![f32::INFINITY; rows.height()];
    while centres.height() < most {
        let newest = centres.row(centres.height() - 1).to_vec();
        for (own, row) in distances.iter_mut().zip(rows.rows()) {
            *own = own.min(distance(row, &newest));
        }
        let total: f64 = distances.iter().map(|distance| f64::from(*distance)).sum();
        // Rounding leaves equal rows about a millionth of a squared length apart.
        let floor = 1e-6 * f64::from(dot(&newest, &newest)) * rows.height() as f64;
        if !(total > floor) {
            break;
        }
        let chosen = draw(&distances, rng.f64() * total);
        centres.values.extend_from_slice(rows.row(chosen));
    }
    centres
}

/// The place at which the running sum of `weights` passes `target`.
fn draw(weights: &[f32], target: f64) -> usize {
    let mut sum = 0.0;
    let found = weights.iter().position(|weight| {
        sum += f64::from(*weight);
        sum > target
    });
    found.unwrap_or(weights.len() - 1)
}

/// One of Lloyd's rounds; a centre that nothing is near stays.
fn moved(rows: &Matrix, centres: &Matrix) -> Matrix {
    let halves: Vec<f32> = centres.rows().map(|centre| dot(centre, centre) / 2.0).collect();
    let mut sums = Matrix::zeros(centres.height(), centres.width);
    let mut counts = vec![0_u32; centres.height()];
    for row in rows.rows() {
        let closeness = centres.rows().zip(&halves).map(|(centre, half)| dot(centre, row) - half);
        let nearest = closeness.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |best| best.0);
        add_scaled(sums.row_mut(nearest), 1.0, row);
        counts[nearest] += 1;
    }
    for (at, count) in counts.iter().enumerate() {
        if *count == 0 {
            sums.row_mut(at).copy_from_slice(centres.row(at));
        } else {
            sums.row_mut(at).iter_mut().for_each(|sum| *sum /= *count as f32);
        }
    }
    sums
}
