//! The same series for the agent and for Prometheus: a snapshot of the store, and remote-write bodies.
//!
//! ```text
//! cargo run --release -p plimsoll-tests --example rules_bench_data -- FOLDER SERIES FROM_S UNTIL_S
//! ```
//!
//! A sample every 5 s. Series belong to 1 000 groups; those of groups 400 to 699 are counters `bench_c`, all others gauges
//! `bench_g` of three decimals. Writes `series.snapshot` and `write-N.bin`.

use std::path::PathBuf;
use std::time::Duration;

use plimsoll_rules::{Labels, Store, StoreLimits, Timestamp};

const STEP_MS: i64 = 5000;
/// Series in one remote-write body.
const BATCH: usize = 2000;
/// Time in one remote-write body.
const SLICE_MS: i64 = 600_000;

struct Series {
    labels: Labels,
    counter: bool,
    rng: u64,
    value: f64,
}

impl Series {
    fn new(id: usize) -> Self {
        let group = id % 1000;
        let counter = (400..700).contains(&group);
        let (name, id_text, group) = (if counter { "bench_c" } else { "bench_g" }, id.to_string(), group.to_string());
        let pairs = [("id", &*id_text), ("group", &*group), ("model", "llama-3-8b"), ("source", "engine")];
        Self { labels: Labels::metric(name, pairs), counter, rng: id as u64 * 2 + 1, value: 0.0 }
    }

    fn next(&mut self) -> f64 {
        self.rng = self.rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = (self.rng >> 33) % 1000;
        self.value = if self.counter { self.value + random as f64 } else { random as f64 / 1000.0 };
        self.value
    }

    /// Appends its samples in `[from, until)` to the store; gives them as a `TimeSeries` of remote write.
    fn write(&mut self, from: i64, until: i64, store: &mut Store) -> Vec<u8> {
        let mut message = Vec::new();
        for (name, value) in self.labels.iter() {
            message.extend(field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat()));
        }
        for at in (from..until).step_by(STEP_MS as usize) {
            let value = self.next();
            store.append(&self.labels, Timestamp::from_millis(at), value);
            let mut sample = vec![0x09];
            sample.extend(value.to_le_bytes());
            sample.push(0x10);
            sample.extend(varint(at as u64));
            message.extend(field(2, &sample));
        }
        message
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, series, from, until] = arguments.as_slice() else {
        anyhow::bail!("rules_bench_data FOLDER SERIES FROM_S UNTIL_S");
    };
    let (folder, count) = (PathBuf::from(folder), series.parse::<usize>()?);
    let (from, until) = (from.parse::<i64>()? * 1000, until.parse::<i64>()? * 1000);
    std::fs::create_dir_all(&folder)?;
    let limits = StoreLimits { series: count, retention: Duration::from_secs(7200) };
    let mut store = Store::new(limits);
    let mut all: Vec<Series> = (0..count).map(Series::new).collect();
    let (mut number, mut begin) = (0, from);
    // slice after slice of time: Prometheus takes nothing that is an hour older than the newest
    while begin < until {
        let end = (begin + SLICE_MS).min(until);
        for batch in all.chunks_mut(BATCH) {
            let request = batch.iter_mut().map(|series| field(1, &series.write(begin, end, &mut store)));
            let request = request.collect::<Vec<_>>().concat();
            std::fs::write(folder.join(format!("write-{number:05}.bin")), snappy(&request))?;
            number += 1;
        }
        begin = end;
    }
    std::fs::write(folder.join("series.snapshot"), store.snapshot().flatten().collect::<Vec<_>>())?;
    Ok(())
}

/// A length-delimited field of protocol buffers.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    out.extend(varint(bytes.len() as u64));
    out.extend(bytes);
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// Snappy's block format with literals only: valid, not small.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut out = varint(bytes.len() as u64);
    for chunk in bytes.chunks(1 << 16) {
        let length = (chunk.len() - 1) as u16;
        out.push(61 << 2);
        out.extend(length.to_le_bytes());
        out.extend(chunk);
    }
    out
}
