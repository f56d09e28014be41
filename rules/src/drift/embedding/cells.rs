//! How far is a vector from everything that was usual? The squared distance to the nearest of some typical places.
//!
//! A mean moves little when a few new subjects join many old ones, and along a session it moves by itself. The distance to
//! the nearest usual place does neither: whatever subject a session is about, its texts lie near their own place.
//!
//! The places are the centres of Lloyd's algorithm (Lloyd, "Least squares quantization in PCM", 1982) among the
//! coordinates along the main directions.

use serde::{Deserialize, Serialize};

use super::linear::{Matrix, dot};

/// Places kept at most.
const MOST_CELLS: usize = 64;
/// Rows to a place at least.
const ROWS_TO_A_CELL: usize = 5;
/// Rounds of Lloyd's algorithm: it need not have come to rest.
const ROUNDS: usize = 10;
/// Places judged side by side.
const LANES: usize = 16;

/// Typical places among coordinates of one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cells {
    /// Shape `[rank, cells]`, padded with copies of the first place to whole lanes.
    centres: Matrix,
    /// Half the squared length of each, shape `[cells]`.
    halves: Vec<f32>,
}

impl Cells {
    /// Learns from `rows` (shape `[n, rank]`), at least one.
    pub(crate) fn learn(rows: &Matrix, rng: &mut fastrand::Rng) -> Self {
        let count = (rows.height() / ROWS_TO_A_CELL).clamp(1, MOST_CELLS);
        let mut order: Vec<usize> = (0..rows.height()).collect();
        rng.shuffle(&mut order);
        let start = order[..count].iter().flat_map(|at| rows.row(*at)).copied().collect();
        let mut centres = Matrix { width: rows.width, values: start };
        for _ in 0..ROUNDS {
            let cells = Self::of(&centres);
            let nearest: Vec<usize> = rows.rows().map(|row| cells.nearest(row)).collect();
            average(rows, &nearest, &mut centres);
        }
        Self::of(&centres)
    }

    /// `centres` of shape `[cells, rank]`, turned for [`Cells::nearer`].
    fn of(centres: &Matrix) -> Self {
        let (count, padded) = (centres.height(), centres.height().next_multiple_of(LANES));
        let source = |at: usize| centres.row(if at < count { at } else { 0 });
        let mut turned = Matrix::zeros(centres.width, padded);
        for at in 0..padded {
            source(at).iter().enumerate().for_each(|(axis, value)| turned.values[axis * padded + at] = *value);
        }
        Self { centres: turned, halves: (0..padded).map(|at| 0.5 * dot(source(at), source(at))).collect() }
    }

    /// By how much the squared distance of `row` (shape `[rank]`) to the nearest place is less than that to the origin:
    /// `max_c 2·⟨row, c⟩ - ‖c‖²`. Not inlined, see [`Turned::times`](super::linear::Turned::times).
    #[inline(never)]
    pub(crate) fn nearer(&self, row: &[f32]) -> f32 {
        let mut most = [f32::NEG_INFINITY; LANES];
        for block in (0..self.halves.len()).step_by(LANES) {
            let lanes = self.lanes(row, block);
            for at in 0..LANES {
                most[at] = if lanes[at] > most[at] { lanes[at] } else { most[at] };
            }
        }
        2.0 * most.iter().fold(f32::NEG_INFINITY, |most, lane| most.max(*lane))
    }

    /// The place nearest to `row`.
    fn nearest(&self, row: &[f32]) -> usize {
        let blocks = (0..self.halves.len()).step_by(LANES);
        let all = blocks.flat_map(|block| self.lanes(row, block)).enumerate();
        all.fold((0, f32::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best }).0
    }

    /// `⟨row, c⟩ - ‖c‖²/2` of the places from `block` on.
    #[inline(always)]
    fn lanes(&self, row: &[f32], block: usize) -> [f32; LANES] {
        let mut lanes = [0.0_f32; LANES];
        lanes.iter_mut().zip(&self.halves[block..]).for_each(|(lane, half)| *lane = -half);
        for (value, axis) in row.iter().zip(self.centres.rows()) {
            lanes.iter_mut().zip(&axis[block..block + LANES]).for_each(|(lane, centre)| *lane += value * centre);
        }
        lanes
    }

    /// Whether sizes agree and all is finite: what was read back may be damaged.
    pub(crate) fn is_sound(&self, rank: usize) -> bool {
        let count = self.halves.len();
        count > 0
            && count.is_multiple_of(LANES)
            && self.centres.width == count
            && self.centres.values.len() == rank * count
            && self.centres.values.iter().chain(&self.halves).all(|value| value.is_finite())
    }
}

/// Moves each centre to the mean of its rows; one without rows stays.
fn average(rows: &Matrix, nearest: &[usize], centres: &mut Matrix) {
    let mut sums = Matrix::zeros(centres.height(), centres.width);
    let mut counts = vec![0.0_f32; centres.height()];
    for (row, at) in rows.rows().zip(nearest) {
        // A padded place is the first one.
        let at = if *at < counts.len() { *at } else { 0 };
        super::linear::add_scaled(sums.row_mut(at), 1.0, row);
        counts[at] += 1.0;
    }
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        centres.row_mut(at).iter_mut().zip(sums.row(at)).for_each(|(centre, sum)| *centre = sum / count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_place_and_its_distance() {
        let mut rng = fastrand::Rng::with_seed(1);
        let places = [[0.0, 10.0], [10.0, 0.0], [-10.0, -10.0]];
        let near = |rng: &mut fastrand::Rng, at: usize| places[at % 3].map(|value: f32| value + rng.f32() - 0.5);
        let values = (0..300).flat_map(|at| near(&mut rng, at)).collect();
        let cells = Cells::learn(&Matrix { width: 2, values }, &mut rng);
        assert!(cells.is_sound(2) && !cells.is_sound(3));
        for (why, row, least, most) in [
            ("at a place", [0.0, 10.0], 0.0, 0.5),
            ("at another", [-10.0, -10.0], 0.0, 0.5),
            ("between all", [0.0, 0.0], 80.0, 101.0),
            ("far away", [100.0, 0.0], 7900.0, 8200.0),
        ] {
            let distance = dot(&row, &row) - cells.nearer(&row);
            assert!((least..=most).contains(&distance.max(0.0)), "{why}: {distance}");
        }
    }
}
