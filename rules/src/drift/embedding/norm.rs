//! Puts the means of a bank on one scale.

use serde::{Deserialize, Serialize};

use super::bank::Shift;

/// What a rise of the distance counts beside a shift of all other features. One normal variable's square has a heavier
/// tail than a sum of many; at this share both reach their levels about equally often.
const DISTANCE: f64 = 0.6;

/// `S = max_j max(S_j, D_j)` with `S_j = (‖m_j‖² - s_j·trΣ) / (s_j·√(2·trΣ²))`, where Σ is the covariance of the features
/// and `s_j` the expectation of `‖m_j‖²/trΣ` without drift: `λ/(2-λ) + 1/m` for independent observations, more when they
/// hang together. For normal features each `S_j` has mean 0 and variance 1. `D_j` is the same of the distance from what is
/// usual where that has risen, by [`DISTANCE`]; it is at least `-DISTANCE/√2`, and so is the score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Norm {
    pub(crate) trace: f64,
    /// `√(2·trΣ²)`.
    pub(crate) spread: f64,
    /// `s_j`.
    pub(crate) sizes: [f64; 3],
    /// The same of the distance, whose variance is 1.
    pub(crate) distances: [f64; 3],
}

/// The largest term of `S`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Peak {
    pub(crate) score: f64,
    /// Which mean of the bank it is.
    pub(crate) at: usize,
}

impl Norm {
    /// The score of a bank's means, each shortened by `dead_zone` root-mean-square spreads.
    pub(crate) fn score(&self, shifts: &[Shift; 3], dead_zone: f64) -> Peak {
        let floor = dead_zone * self.trace.sqrt();
        let mut peak = Peak { score: f64::NEG_INFINITY, at: 0 };
        for (at, Shift { length, distance }) in shifts.iter().enumerate() {
            let beyond = if floor > 0.0 { (length.sqrt() - floor).max(0.0).powi(2) } else { *length };
            let all = (beyond - self.sizes[at] * self.trace) / (self.sizes[at] * self.spread);
            let risen = (distance - dead_zone).max(0.0).powi(2) / self.distances[at];
            let score = all.max(DISTANCE * (risen - 1.0) * std::f64::consts::FRAC_1_SQRT_2);
            if score > peak.score {
                peak = Peak { score, at };
            }
        }
        peak
    }

    /// Whether it can be divided by.
    pub(crate) fn is_sound(&self) -> bool {
        let usable = |value: f64| value > 0.0 && value.is_finite();
        usable(self.trace) && usable(self.spread) && self.sizes.iter().chain(&self.distances).all(|size| usable(*size))
    }
}

/// `trΣ` and `trΣ²` of the first `width` features of rows (shape `[n, q]`) about their mean, with divisor `n`.
pub(crate) fn traces(rows: &[Vec<f64>], width: usize) -> (f64, f64) {
    let count = rows.len().max(1) as f64;
    let mean: Vec<f64> = (0..width).map(|at| rows.iter().map(|row| row[at]).sum::<f64>() / count).collect();
    let mut covariance = vec![0.0; width * width];
    for row in rows {
        for at in 0..width {
            let own = (row[at] - mean[at]) / count;
            for other in 0..width {
                covariance[at * width + other] += own * (row[other] - mean[other]);
            }
        }
    }
    ((0..width).map(|at| covariance[at * width + at]).sum(), covariance.iter().map(|value| value * value).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x = [[1, 2], [3, 5], [-2, 0], [0, 1.5]]; S = np.cov(x.T, bias=True); np.trace(S), np.trace(S @ S)`
    #[test]
    fn traces_against_numpy() {
        let rows = [[1.0, 2.0], [3.0, 5.0], [-2.0, 0.0], [0.0, 1.5]].map(Vec::from);
        let (trace, squared) = traces(&rows, 2);
        assert!((trace - 6.546875).abs() < 1e-12, "{trace}");
        assert!((squared - 41.752197265625).abs() < 1e-12, "{squared}");
    }

    #[test]
    fn the_largest_term_counts() {
        let norm = Norm { trace: 4.0, spread: 2.0, sizes: [0.5, 0.25, 0.125], distances: [0.1; 3] };
        let least = -DISTANCE * std::f64::consts::FRAC_1_SQRT_2;
        for (why, lengths, distance, dead_zone, wanted) in [
            ("as expected", [2.0, 1.0, 0.5], 0.0, 0.0, Peak { score: 0.0, at: 0 }),
            ("the slow one", [2.0, 1.0, 1.0], 0.0, 0.0, Peak { score: 2.0, at: 2 }),
            ("nothing", [0.0; 3], 0.0, 0.0, Peak { score: least, at: 0 }),
            ("within the dead zone", [4.0; 3], 0.9, 1.0, Peak { score: least, at: 0 }),
            ("nearer than usual", [2.0, 1.0, 0.5], -9.0, 0.0, Peak { score: 0.0, at: 0 }),
            ("farther than usual", [2.0, 1.0, 0.5], 1.0, 0.0, Peak { score: -9.0 * least, at: 0 }),
        ] {
            let found = norm.score(&lengths.map(|length| Shift { length, distance }), dead_zone);
            assert!((found.score - wanted.score).abs() < 1e-12 && found.at == wanted.at, "{why}: {found:?}");
        }
    }
}
