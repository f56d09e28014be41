//! The threshold of a categorical detector, found by simulation when its reference is learned.
//!
//! Each run redraws the true shares given the reference (Dirichlet with half a count more each) and a stream from them,
//! and notes when the statistic first reaches each level of a ladder. Run lengths beyond what is simulated follow the
//! last slope of log level over log run length, but never above `ln ARL`, which an e-detector needs at most.

use serde::{Deserialize, Serialize};

use crate::drift::share_bank::ShareBank;

/// Observations simulated, all runs together.
const BUDGET: f64 = 4e6;
/// The longest average run length that is simulated.
const LONGEST: f64 = 20_000.0;
/// Distance of the ladder's rungs, in nats.
const RUNG: f64 = 0.1;

/// Mean run lengths by level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Calibration {
    /// Log run length of level `RUNG · index`, ascending.
    ln_runs: Vec<f64>,
}

impl Calibration {
    pub(super) fn new(bank: &ShareBank, counts: &[u64], arl: f64, seed: u64) -> Self {
        let goal = 1.5 * arl.min(LONGEST);
        let runs = (BUDGET / goal).clamp(200.0, 2000.0) as usize;
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x9e37_79b9);
        let mut rungs = (goal.ln() / RUNG) as usize + 1;
        let mut sums = vec![0.0; rungs];
        for run in 1..=runs {
            let ends = cumulative(counts, &mut rng);
            climb(bank, &ends, &mut sums[..rungs], 8.0 * goal, &mut rng);
            if run == 32 {
                rungs = sums.iter().position(|sum| *sum > 32.0 * 2.0 * goal).map_or(rungs, |rung| rung + 1);
            }
        }
        sums.truncate(rungs);
        let mut ln_runs: Vec<f64> = sums.iter().map(|sum| (sum / runs as f64).max(1.0).ln()).collect();
        (1..ln_runs.len()).for_each(|at| ln_runs[at] = ln_runs[at].max(ln_runs[at - 1] + 1e-6));
        Self { ln_runs }
    }

    /// The level that is crossed once in `arl` observations.
    pub(super) fn level(&self, arl: f64) -> f64 {
        let wanted = arl.ln();
        let last = self.ln_runs.len() - 1;
        if wanted >= self.ln_runs[last] {
            let level = RUNG * last as f64 + (wanted - self.ln_runs[last]) / self.slope();
            return level.min(wanted);
        }
        let right = self.ln_runs.partition_point(|run| *run < wanted).max(1);
        let (before, after) = (self.ln_runs[right - 1], self.ln_runs[right]);
        RUNG * (right as f64 - 1.0 + ((wanted - before) / (after - before)).max(0.0))
    }

    /// The run length at which `level` is crossed once.
    pub(super) fn run_length(&self, level: f64) -> f64 {
        let last = self.ln_runs.len() - 1;
        let rung = (level / RUNG).max(0.0);
        if rung >= last as f64 {
            let ln = self.ln_runs[last] + (level - RUNG * last as f64) * self.slope();
            return ln.max(level).min(600.0).exp();
        }
        let (at, share) = (rung as usize, rung.fract());
        (self.ln_runs[at] * (1.0 - share) + self.ln_runs[at + 1] * share).exp()
    }

    /// Log run length per nat of level, over the last nat and a half; at least 1.
    fn slope(&self) -> f64 {
        let last = self.ln_runs.len() - 1;
        let back = last.min(15);
        if back == 0 { 1.0 } else { ((self.ln_runs[last] - self.ln_runs[last - back]) / (RUNG * back as f64)).max(1.0) }
    }
}

/// Adds to each rung when it was first reached, at most `patience`.
fn climb(bank: &ShareBank, ends: &[f64], sums: &mut [f64], patience: f64, rng: &mut fastrand::Rng) {
    let mut earned = bank.start().to_vec();
    let (mut rung, mut time, mut next) = (0, 0.0, 1.0);
    while rung < sums.len() && time < patience {
        time += 1.0;
        let drawn = rng.f64();
        let category = ends.iter().position(|end| drawn < *end).unwrap_or(ends.len() - 1);
        let statistic = bank.step(&mut earned, category);
        while rung < sums.len() && statistic >= next {
            sums[rung] += time;
            rung += 1;
            next = (RUNG * rung as f64).exp();
        }
    }
    sums[rung..].iter_mut().for_each(|sum| *sum += patience);
}

/// Cumulative shares drawn from the posterior.
fn cumulative(counts: &[u64], rng: &mut fastrand::Rng) -> Vec<f64> {
    let drawn: Vec<f64> = counts.iter().map(|count| gamma(*count as f64 + 0.5, rng)).collect();
    let total: f64 = drawn.iter().sum();
    let mut sum = 0.0;
    drawn
        .iter()
        .map(|share| {
            sum += share / total;
            sum
        })
        .collect()
}

/// A gamma variable of this shape (Marsaglia and Tsang, 2000).
fn gamma(shape: f64, rng: &mut fastrand::Rng) -> f64 {
    if shape < 1.0 {
        return gamma(shape + 1.0, rng) * rng.f64().max(1e-300).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && rng.f64().max(1e-300).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// A standard normal variable (Box and Muller).
fn normal(rng: &mut fastrand::Rng) -> f64 {
    (-2.0 * rng.f64().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}
