//! What the store costs: bytes a sample by kind of series, resident memory, and the time of common expressions.
//!
//! ```text
//! cargo run --release -p plimsoll-rules --example store_cost -- 10000
//! ```
//!
//! The argument is the number of series; each gets one hour at 5 s. A third are histogram buckets of which most stand
//! still, a third counters, a sixth gauges of few decimals, a sixth gauges of full precision. Ticks keep time, as the agent's do.

use std::hint::black_box;
use std::time::{Duration, Instant};

use plimsoll_rules::promql::{evaluate, parse};
use plimsoll_rules::{Labels, Store, StoreLimits, Timestamp};

const TICKS: i64 = 720;
const START_MS: i64 = 1_700_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Bucket,
    Counter,
    Decimals,
    Noise,
}

fn kind(index: usize) -> Kind {
    [Kind::Bucket, Kind::Counter, Kind::Bucket, Kind::Counter, Kind::Decimals, Kind::Noise][index % 6]
}

fn labels(index: usize) -> Labels {
    let (id, pod) = (index.to_string(), format!("pod-{}", index % 50));
    let name = format!("plimsoll_{:?}_total", kind(index)).to_lowercase();
    Labels::metric(&name, [("id", &*id), ("pod", &*pod), ("model", "llama-3-8b"), ("source", "tap")])
}

fn next(kind: Kind, index: usize, before: f64, rng: &mut fastrand::Rng) -> f64 {
    match kind {
        Kind::Bucket if index.is_multiple_of(4) => before + f64::from(rng.u8(..3)),
        Kind::Bucket => before,
        Kind::Counter => before + f64::from(rng.u16(..900)),
        Kind::Decimals => (rng.f64() * 100.0).round() / 100.0,
        Kind::Noise => rng.f64(),
    }
}

fn fill(store: &mut Store, series: &[usize]) {
    let mut rng = fastrand::Rng::with_seed(1);
    let all: Vec<Labels> = series.iter().map(|index| labels(*index)).collect();
    let mut values = vec![0.0; series.len()];
    for tick in 0..TICKS {
        let at = Timestamp::from_millis(START_MS + tick * 5000);
        for ((index, labels), value) in series.iter().zip(&all).zip(&mut values) {
            *value = next(kind(*index), *index, *value, &mut rng);
            store.append(labels, at, *value);
        }
    }
}

fn empty() -> Store {
    Store::new(StoreLimits { series: 1_000_000, retention: Duration::from_secs(7200) })
}

/// Resident memory of this process in MiB.
#[expect(clippy::disallowed_methods, reason = "an example may read what the kernel says of it")]
fn resident() -> f64 {
    let pages: f64 = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse().ok())
        .unwrap_or(f64::NAN);
    pages * 4096.0 / f64::from(1 << 20)
}

#[expect(clippy::disallowed_methods, reason = "an example may measure time")]
fn clock() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "an example may print")]
fn main() {
    let count: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1000);
    for wanted in [Kind::Bucket, Kind::Counter, Kind::Decimals, Kind::Noise] {
        let mut store = empty();
        fill(&mut store, &(0..600).filter(|index| kind(*index) == wanted).collect::<Vec<_>>());
        let stats = store.stats();
        println!("{wanted:?}: {:.2} bytes a sample", stats.bytes as f64 / stats.samples as f64);
    }
    let before = resident();
    let started = clock();
    let mut store = empty();
    fill(&mut store, &(0..count).collect::<Vec<_>>());
    let stats = store.stats();
    let appended = started.elapsed().as_nanos() as f64 / stats.samples as f64;
    let per_sample = stats.bytes as f64 / stats.samples as f64;
    println!("{count} series: {per_sample:.2} bytes a sample, {:.1} MiB resident", resident() - before);
    println!("append: {appended:.0} ns a sample");
    let started = clock();
    let snapshot: Vec<u8> = store.snapshot().flatten().collect();
    println!("snapshot: {:.1} MB in {:.0?}", snapshot.len() as f64 / 1e6, started.elapsed());
    let started = clock();
    assert!(Store::restore(StoreLimits { series: count, retention: Duration::from_secs(7200) }, &snapshot[..]).is_ok());
    println!("restore: {:.0?}", started.elapsed());
    drop(snapshot);
    let now = Timestamp::from_millis(START_MS + TICKS * 5000);
    for text in [
        "quantile_over_time(0.9, {__name__=~\".+\"}[1h])",
        "avg_over_time({__name__=~\".+\"}[1h])",
        "sum by (pod) (rate(plimsoll_counter_total[5m]))",
        "plimsoll_noise_total{id=\"5\"} > 0.85",
        "rate(plimsoll_counter_total{id=\"7\"}[5m]) > 100",
        "{__name__=~\".+\"}",
    ] {
        let Ok(expr) = parse(text) else { continue };
        let once = || {
            let started = clock();
            let _ = black_box(evaluate(&expr, &store, now));
            started.elapsed()
        };
        println!("{text}: {:.0?}", (0..20).map(|_| once()).min().unwrap_or_default());
    }
}
