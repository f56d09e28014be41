//! What the two-sample tests cost: `cargo run --release -p plimsoll-rules --example two_sample_cost`.
//!
//! Prints one JSON object; `tests/bench/drift/batch_peers.py` sets scipy and alibi-detect beside it.

use std::time::Instant;

use plimsoll_rules::two_sample::{Method, Rows, Sorted, kolmogorov_smirnov, mmd};

const FEATURES: usize = 384;
const ROWS: usize = 1_000;
const ROUNDS: usize = 7;

/// Seconds that this thread has run, so that a busy machine does not show; wall time where there is no `/proc`.
#[expect(clippy::disallowed_methods, reason = "an example may read the clock and files")]
fn seconds(start: Instant) -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok());
    nanos.map_or_else(|| start.elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

#[expect(clippy::disallowed_methods, reason = "an example may read the clock")]
fn fastest(mut work: impl FnMut() -> f64) -> (f64, f64) {
    let (mut result, start) = (0.0, Instant::now());
    let round = |_| {
        let before = seconds(start);
        result = work();
        seconds(start) - before
    };
    let least = (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min);
    (least, result)
}

fn normal(random: &mut fastrand::Rng, count: usize) -> Vec<f64> {
    let mut value = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
    (0..count).map(|_| value()).collect()
}

#[expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example prints, and its input is its own")]
fn main() {
    let mut random = fastrand::Rng::with_seed(1);
    let columns = |random: &mut fastrand::Rng| (0..FEATURES).map(|_| normal(random, ROWS)).collect::<Vec<_>>();
    let (reference, current) = (columns(&mut random), columns(&mut random));
    let (ks, least) = fastest(|| {
        let one = |(a, b): (&Vec<f64>, &Vec<f64>)| {
            let (a, b) = (Sorted::new(a.clone()).unwrap(), Sorted::new(b.clone()).unwrap());
            kolmogorov_smirnov(&a, &b, Method::Auto).p_value
        };
        reference.iter().zip(&current).map(one).fold(1.0, f64::min)
    });
    let rows = |random: &mut fastrand::Rng| -> Vec<f32> {
        normal(random, ROWS * FEATURES).into_iter().map(|value| value as f32).collect()
    };
    let (a, b) = (rows(&mut random), rows(&mut random));
    let (distance, p_value) =
        fastest(|| mmd(Rows::new(&a, FEATURES).unwrap(), Rows::new(&b, FEATURES).unwrap(), 100, 1).unwrap().p_value);
    println!(
        "{{\"ks_seconds\": {ks:.5}, \"ks_least_p\": {least:.3e}, \"mmd_seconds\": {distance:.5}, \"mmd_p\": {p_value:.3}}}"
    );
}
