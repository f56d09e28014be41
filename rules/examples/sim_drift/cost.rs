//! What an update, a calibration and a detector's state cost, in processor time (wall time where `/proc` is missing).

use std::time::Instant;

use fastrand::Rng;
use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::embedding::{EmbeddingDetector, EmbeddingSettings};
use plimsoll_rules::drift::{DetectorConfig, ScalarDetector, ScalarReference};

use crate::{START, normal};

/// Vectors fed in turn. A vector that has just been made lies in the processor's cache; a thousand would not.
const RECENT: usize = 100;
/// Times they are fed.
const ROUNDS: usize = 100_000;

/// Prints microseconds, bytes and resident memory.
pub fn report() {
    for (what, phi) in [("independent", 0.0), ("AR(0.5)", 0.5)] {
        scalar(what, phi);
    }
    embedding(384);
}

fn scalar(what: &str, phi: f64) {
    let mut rng = Rng::with_seed(1);
    let mut state = 0.0;
    let mut draw = || {
        state = phi * state + normal(&mut rng);
        state
    };
    let values: Vec<f64> = (0..100_000).map(|_| draw()).collect();
    let began = Watch::start();
    let reference = ScalarReference::learn(&values[..5000], 1).expect("large enough");
    let mut detector = ScalarDetector::new(reference, DetectorConfig::new(1e9), START).expect("sound settings");
    let learning = began.seconds();
    let (before, began) = (resident(), Watch::start());
    for round in 0..100 {
        values.iter().for_each(|value| {
            let _ = detector.observe(Timestamp::from_millis(round), *value);
        });
    }
    let (each, after) = (began.seconds() / 1e7, resident());
    println!(
        "cost, scalar {what}: {:.3} us an update over 1e7 (evidence {:.2}); learning {learning:.3} s; {:.1} KiB in memory, \
         {} bytes as JSON; resident {before} -> {after} kB",
        each * 1e6,
        detector.evidence(),
        kibibytes(&detector),
        serde_json::to_string(&detector).map_or(0, |text| text.len()),
    );
}

fn embedding(dim: usize) {
    let mut rng = Rng::with_seed(2);
    let vectors: Vec<Vec<f32>> = (0..1000).map(|_| (0..dim).map(|_| normal(&mut rng) as f32).collect()).collect();
    let began = Watch::start();
    let mut detector = EmbeddingDetector::learn(&vectors, &EmbeddingSettings::default()).expect("large enough");
    let learning = began.seconds();
    let (before, began) = (resident(), Watch::start());
    for _ in 0..ROUNDS {
        vectors[..RECENT].iter().for_each(|vector| {
            let _ = detector.update(vector);
        });
    }
    let updates = (ROUNDS * RECENT) as f64;
    let (each, after) = (began.seconds() / updates, resident());
    println!(
        "cost, embedding d={dim}: {:.2} us an update over {updates:.0e}; calibration (m=1000) {learning:.3} s; {:.1} KiB \
         in memory, {} bytes as JSON; resident {before} -> {after} kB",
        each * 1e6,
        kibibytes(&detector),
        serde_json::to_string(&detector).map_or(0, |text| text.len()),
    );
}

/// What a detector takes, with all it points to: the resident memory that many copies of it add, shared out.
fn kibibytes<T: Clone>(detector: &T) -> f64 {
    const COPIES: u32 = 500;
    let before = resident();
    let copies = vec![detector.clone(); COPIES as usize];
    let grown = resident().saturating_sub(before);
    drop(copies);
    grown as f64 / f64::from(COPIES)
}

/// Counts processor time of this thread, so that a busy machine does not show in the figures.
struct Watch {
    wall: Instant,
    on_cpu: Option<f64>,
}

impl Watch {
    fn start() -> Self {
        Self { wall: Instant::now(), on_cpu: on_cpu() }
    }

    fn seconds(&self) -> f64 {
        let spent = self.on_cpu.zip(on_cpu()).map(|(before, now)| now - before);
        spent.unwrap_or_else(|| self.wall.elapsed().as_secs_f64())
    }
}

/// Seconds that this thread has run.
fn on_cpu() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split_whitespace().next()?.parse::<f64>().ok().map(|nanos| nanos / 1e9)
}

/// Resident memory of this process in kB, 0 where there is no `/proc`.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}
