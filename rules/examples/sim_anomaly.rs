//! How often the anomaly score alarms on stationary noise, and what a row costs: `cargo run --release --example sim_anomaly`.
//!
//! The built-in threshold is calibrated here: rows per alarm, for each noise and length of series, at several thresholds.
//! The peer of the cost is a windowed Gaussian over 6400 rows (the benchmark's own baseline), on the same values.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints, and reads the clock")]

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::hint::black_box;
use std::time::Instant;

use fastrand::Rng;
use plimsoll_rules::Timestamp;
use plimsoll_rules::anomaly::{AnomalyOptions, AnomalyScorer};
use statrs::distribution::{ContinuousCDF as _, Normal};

const THRESHOLDS: [f64; 6] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.99];
/// Rows of a series, and how many series.
const LENGTHS: [(usize, u64); 3] = [(5_000, 80), (20_000, 20), (100_000, 4)];
const TIMED: usize = 1_000_000;
const START_MS: i64 = 1_767_225_600_000;
const STEP_MS: i64 = 300_000;

/// A value from its row, a correlated standard normal and a generator.
type Noise = fn(usize, f64, &mut Rng) -> f64;

/// Name, autocorrelation of the normal, and what is made of it.
const NOISES: [(&str, f64, Noise); 9] = [
    ("white", 0.0, |_, z, _| z),
    ("daily sine and white", 0.0, |row, z, _| 10.0 * (row as f64 * TAU / 288.0).sin() + z),
    ("AR 0.5", 0.5, |_, z, _| z),
    ("AR 0.9", 0.9, |_, z, _| z),
    ("lognormal", 0.0, |_, z, _| z.exp()),
    ("lognormal, AR 0.5", 0.5, |_, z, _| z.exp()),
    ("Poisson 3", 0.0, |_, _, rng| poisson(rng)),
    ("Student t, 3", 0.0, |_, z, rng| z / ((0..3).map(|_| normal(rng).powi(2)).sum::<f64>() / 3.0).sqrt()),
    ("uniform", 0.0, |_, _, rng| rng.f64()),
];

fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (TAU * rng.f64()).cos()
}

fn poisson(rng: &mut Rng) -> f64 {
    let (mut count, mut product) = (0.0, rng.f64());
    while product > (-3.0_f64).exp() {
        count += 1.0;
        product *= rng.f64();
    }
    count
}

fn values(rows: usize, seed: u64, correlation: f64, noise: Noise) -> Vec<f64> {
    let (mut rng, mut state) = (Rng::with_seed(seed), 0.0);
    let fresh = (1.0 - correlation * correlation).sqrt();
    let next = |row| {
        state = correlation * state + fresh * normal(&mut rng);
        noise(row, state, &mut rng)
    };
    (0..rows).map(next).collect()
}

fn scores(values: &[f64]) -> impl Iterator<Item = f64> {
    let mut scorer = AnomalyScorer::new(AnomalyOptions::default());
    let at = |row: usize| Timestamp::from_millis(START_MS + row as i64 * STEP_MS);
    values.iter().enumerate().map(move |(row, value)| scorer.score(at(row), *value).anomaly)
}

/// Rows per alarm at each threshold.
fn calibrate(name: &str, correlation: f64, noise: Noise, rows: usize, series: u64) {
    let mut alarms = THRESHOLDS.map(|_| 0);
    for seed in 0..series {
        for score in scores(&values(rows, 1000 + seed, correlation, noise)) {
            alarms.iter_mut().zip(THRESHOLDS).for_each(|(count, threshold)| *count += usize::from(score >= threshold));
        }
    }
    let all = rows * series as usize;
    let shown = alarms.map(|count| all.checked_div(count).map_or_else(|| format!(">{all}"), |rows| rows.to_string()));
    println!("| {name} | {rows} | {} |", shown.join(" | "));
}

/// The tail of a value among the last 6400, as if they were Gaussian.
#[derive(Default)]
struct Windowed {
    window: VecDeque<f64>,
    sum: f64,
    squares: f64,
}

impl Windowed {
    fn score(&mut self, value: f64, standard: &Normal) -> f64 {
        let count = self.window.len().max(1) as f64;
        let mean = self.sum / count;
        let spread = (self.squares / count - mean * mean).max(1e-12).sqrt();
        if self.window.len() == 6400 {
            let old = self.window.pop_front().unwrap_or_default();
            self.sum -= old;
            self.squares -= old * old;
        }
        self.window.push_back(value);
        self.sum += value;
        self.squares += value * value;
        1.0 - standard.sf(((value - mean) / spread).abs())
    }
}

fn timed(what: &str, run: impl FnOnce() -> f64) -> f64 {
    let start = Instant::now();
    black_box(run());
    let each = start.elapsed().as_secs_f64() * 1e9 / TIMED as f64;
    println!("{what:24} {each:8.1} ns a row");
    each
}

fn main() {
    println!("| noise | rows of a series | {} |", THRESHOLDS.map(|threshold| threshold.to_string()).join(" | "));
    println!("| --- | ---{} |", " | ---".repeat(THRESHOLDS.len()));
    for (name, correlation, noise) in NOISES {
        LENGTHS.iter().for_each(|(rows, series)| calibrate(name, correlation, noise, *rows, *series));
    }
    let series = values(TIMED, 1, 0.5, |_, z, _| z);
    let ours = timed("anomaly score", || scores(&series).sum());
    let (mut windowed, standard) = (Windowed::default(), Normal::standard());
    let peer = timed("windowed Gaussian, 6400", || series.iter().map(|value| windowed.score(*value, &standard)).sum());
    println!("ratio {:.1}", ours / peer);
}
