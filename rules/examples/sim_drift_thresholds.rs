//! Finds the thresholds of the scalar detector: the levels that are crossed once per average run length.
//!
//! ```text
//! cargo run --release -p plimsoll-rules --example sim_drift_thresholds          # rewrites the table and its csv
//! cargo run --release -p plimsoll-rules --example sim_drift_thresholds -- quick # prints the csv of a tenth of the runs
//! ```
//!
//! For each dead zone two references: an endless one (bins equally likely) and the smallest one that such a zone
//! allows (drawn anew in each run, learned by the product's own code). A run goes on until the highest level, and
//! each level notes when it was first reached; long run lengths have fewer runs. Seeds are fixed.

#![expect(clippy::disallowed_methods, reason = "an example may read files and measure time")]
#![expect(clippy::print_stdout, reason = "an example may print")]
#![expect(clippy::expect_used, reason = "a simulation with sound settings; where they are not, it should stop")]

use std::fmt::Write as _;

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{BINS, DeadZone, DetectorConfig, ScalarDetector, ScalarReference};

const ZONES: [f64; 6] = [0.02, 0.04, 0.1, 0.2, 0.3, 1.0];
const ARLS: [f64; 8] = [50.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5];
const RUNG: f64 = 0.02;

/// Size of a reference whose own error does not matter.
const ENDLESS: usize = 100_000;

/// Observations spent on a run length, at most and at least so many runs.
const SPENT: f64 = 4e6;
const RUNS: (f64, f64) = (40.0, 3000.0);

fn main() -> std::io::Result<()> {
    let quick = std::env::args().any(|argument| argument == "quick");
    let share = if quick { 0.1 } else { 1.0 };
    let mut csv = String::from("# cargo run --release -p plimsoll-rules --example sim_drift_thresholds\n");
    csv += "zone,observations,arl,ln_level,runs\n";
    let mut table = [[[0.0_f64; ARLS.len()]; 2]; ZONES.len()];
    for (zone, columns) in ZONES.iter().zip(&mut table) {
        let smallest = (4.0 / (zone * zone)).max(64.0).round() as usize;
        for (observations, column) in [None, Some(smallest)].into_iter().zip(0..) {
            let mut guess = 0.6;
            for (at, arl) in ARLS.iter().enumerate() {
                let runs = (share * SPENT / arl).clamp(RUNS.0 * share, RUNS.1 * share).round() as usize;
                let level = level_for(*zone, observations, *arl, guess, runs);
                columns[column][at] = (level * 1000.0).round() / 1000.0;
                guess = level / arl.ln();
                let name = observations.map_or("inf".into(), |observations| observations.to_string());
                let line = format!("{zone},{name},{arl},{level:.3},{runs}");
                println!("{line}");
                csv += &line;
                csv.push('\n');
            }
        }
    }
    if quick {
        return Ok(());
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/drift/thresholds");
    std::fs::write(format!("{folder}/simulated.csv"), csv)?;
    std::fs::write(format!("{folder}/table.rs"), source(&table))
}

/// The logarithm of the level that is first reached after `arl` observations on average.
fn level_for(zone: f64, observations: Option<usize>, arl: f64, guess: f64, runs: usize) -> f64 {
    let lowest = (guess * arl.ln() - 1.0).max(0.0);
    let mut rungs = ((1.5 + 0.15 * arl.ln()) / RUNG) as usize;
    let mut sums = vec![0.0; rungs];
    let mut rng = fastrand::Rng::with_seed(zone.to_bits() ^ (arl as u64) ^ observations.unwrap_or(0) as u64);
    for run in 1..=runs {
        climb(
            &mut detector(zone, observations, &mut rng),
            observations.is_some(),
            lowest,
            &mut sums[..rungs],
            arl,
            &mut rng,
        );
        if run == 30 {
            rungs = sums.iter().position(|sum| *sum > 30.0 * 1.6 * arl).map_or(rungs, |rung| rung + 1);
        }
    }
    let mean = |rung: usize| f64::ln(sums[rung] / runs as f64);
    let right = (1..rungs).find(|rung| mean(*rung) >= arl.ln()).unwrap_or(rungs - 1);
    let share = (arl.ln() - mean(right - 1)) / (mean(right) - mean(right - 1));
    lowest + RUNG * ((right - 1) as f64 + share)
}

fn detector(zone: f64, observations: Option<usize>, rng: &mut fastrand::Rng) -> ScalarDetector {
    let learn = |values: &[f64], seed: u64| ScalarReference::learn(values, seed).expect("large enough");
    let endless = || learn(&(0..ENDLESS).map(|place| place as f64).collect::<Vec<_>>(), 0);
    let reference = match observations {
        Some(count) => learn(&(0..count).map(|_| rng.f64()).collect::<Vec<_>>(), rng.u64(..)),
        // Only its size counts: bins are drawn directly.
        None => KEPT.with(|kept| kept.get_or_init(endless).clone()),
    };
    let config = DetectorConfig { arl: 1e9, dead_zone: zone, seed: rng.u64(..), ..DetectorConfig::default() };
    let detector = ScalarDetector::new(reference, config, Timestamp::default()).expect("sound settings");
    let size = observations.unwrap_or(ENDLESS);
    assert!((detector.dead_zone().sigmas() - DeadZone::at_least(zone, size).sigmas()).abs() < 1e-12);
    detector
}

thread_local! {
    static KEPT: std::cell::OnceCell<ScalarReference> = const { std::cell::OnceCell::new() };
}

/// Adds to each rung of the ladder when it was first reached.
fn climb(
    detector: &mut ScalarDetector,
    finite: bool,
    lowest: f64,
    sums: &mut [f64],
    arl: f64,
    rng: &mut fastrand::Rng,
) {
    let (mut rung, mut time) = (0, 0.0);
    let mut next = lowest.exp();
    while rung < sums.len() && time < 20.0 * arl {
        time += 1.0;
        if finite {
            detector.observe(Timestamp::default(), rng.f64());
        } else {
            detector.observe_bin(Timestamp::default(), rng.usize(..BINS));
        }
        while rung < sums.len() && detector.statistic() >= next {
            sums[rung] += time;
            rung += 1;
            next = (lowest + RUNG * rung as f64).exp();
        }
    }
    sums[rung..].iter_mut().for_each(|sum| *sum += 20.0 * arl);
}

fn source(table: &[[[f64; ARLS.len()]; 2]]) -> String {
    let mut text = String::from("//! Written by `rules/examples/sim_drift_thresholds.rs`; see `simulated.csv`.\n\n");
    let _ = writeln!(text, "/// Dead zones simulated.\npub(super) const ZONES: [f64; {}] = {ZONES:?};\n", ZONES.len());
    let logs: Vec<String> = ARLS.iter().map(|arl| format!("{:.9}", arl.ln())).collect();
    let _ = writeln!(text, "/// Logarithms of the average run lengths simulated.");
    let _ = writeln!(text, "pub(super) const LN_ARLS: [f64; {}] = [{}];\n", ARLS.len(), logs.join(", "));
    let _ = writeln!(text, "/// Log levels by dead zone, reference (endless, smallest) and run length.");
    let _ = writeln!(text, "pub(super) const LN_LEVELS: [[[f64; {}]; 2]; {}] = {table:?};", ARLS.len(), ZONES.len());
    text
}
