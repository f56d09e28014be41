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
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example may print")]
#![expect(clippy::expect_used, reason = "a simulation with sound settings; where they are not, it should stop")]

use std::fmt::Write as _;

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{BINS, Burst, DeadZone, DetectorConfig, ScalarDetector, ScalarReference};

const ZONES: [f64; 6] = [0.02, 0.04, 0.1, 0.2, 0.3, 1.0];
/// Run lengths for bursts that are free, and for those that are held.
const ARLS: [(Burst, &[f64]); 2] =
    [(Burst::Free, &[50.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5]), (Burst::Held, &[300.0, 3e3, 3e4, 1e5, 1e6, 1e7])];
const RUNG: f64 = 0.02;

/// Size of a reference whose own error does not matter.
const ENDLESS: usize = 100_000;

/// Observations spent on a run length, at most and at least so many runs.
const SPENT: f64 = 6e6;
const RUNS: (f64, f64) = (20.0, 3000.0);

/// The levels of one kind of burst, dead zone and reference, and its lines of the csv.
type Column = (Vec<f64>, String);

fn main() -> std::io::Result<()> {
    let quick = std::env::args().any(|argument| argument == "quick");
    let share = if quick { 0.1 } else { 1.0 };
    let mut csv = String::from("# cargo run --release -p plimsoll-rules --example sim_drift_thresholds\n");
    csv += "burst,zone,observations,arl,ln_level,runs\n";
    let mut text = String::from("//! Written by `rules/examples/sim_drift_thresholds.rs`; see `simulated.csv`.\n\n");
    let _ = writeln!(text, "/// Dead zones simulated.\npub(super) const ZONES: [f64; {}] = {ZONES:?};", ZONES.len());
    for (burst, arls) in ARLS {
        let pairs = std::thread::scope(|scope| {
            let threads = ZONES.map(|zone| {
                let smallest = (4.0 / (zone * zone)).max(64.0).round() as usize;
                [None, Some(smallest)]
                    .map(|observations| scope.spawn(move || column(burst, arls, zone, observations, share)))
            });
            threads.map(|pair| pair.map(|thread| thread.join().expect("a simulation ends")))
        });
        csv.extend(pairs.iter().flatten().map(|(_, lines)| lines.as_str()));
        text += &source(burst, arls, &pairs.map(|pair| pair.map(|(levels, _)| levels)));
    }
    if quick {
        println!("{csv}");
        return Ok(());
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/drift/thresholds");
    std::fs::write(format!("{folder}/simulated.csv"), csv)?;
    std::fs::write(format!("{folder}/table.rs"), text)
}

fn column(burst: Burst, arls: &[f64], zone: f64, observations: Option<usize>, share: f64) -> Column {
    let (mut levels, mut lines, mut before) = (vec![], String::new(), (0.0, 1.0));
    for arl in arls.iter().copied() {
        let runs = (share * SPENT / arl).clamp(RUNS.0 * share.sqrt(), RUNS.1 * share).round() as usize;
        // the statistic starts at about the dead zone's own level, and a level cannot rise faster than the run length
        let ladder = ((before.0 - 0.5_f64).max(0.0), (arl / before.1).ln() + 1.0);
        let level = level_for(burst, zone, observations, arl, ladder, runs);
        before = (level, arl);
        levels.push((level * 1000.0).round() / 1000.0);
        let name = observations.map_or("inf".into(), |observations| observations.to_string());
        let _ = writeln!(lines, "{burst:?},{zone},{name},{arl},{level:.3},{runs}");
    }
    eprint!("{lines}");
    (levels, lines)
}

/// The logarithm of the level that is first reached after `arl` observations on average: on a ladder that begins at
/// the first number of `ladder` and is as high as the second.
fn level_for(burst: Burst, zone: f64, observations: Option<usize>, arl: f64, ladder: (f64, f64), runs: usize) -> f64 {
    let (lowest, height) = ladder;
    let mut rungs = (height / RUNG) as usize;
    let mut sums = vec![0.0; rungs];
    let mut rng = fastrand::Rng::with_seed(zone.to_bits() ^ (arl as u64) ^ observations.unwrap_or(0) as u64);
    for run in 1..=runs {
        let mut detector = detector(burst, zone, observations, &mut rng);
        climb(&mut detector, observations.is_some(), lowest, &mut sums[..rungs], arl, &mut rng);
        if run >= 8 {
            // what is far above the mark needs no more runs
            rungs = sums[..rungs].iter().position(|sum| *sum > run as f64 * 2.5 * arl).map_or(rungs, |rung| rung + 1);
        }
    }
    let mean = |rung: usize| f64::ln(sums[rung] / runs as f64);
    let right = (1..rungs).find(|rung| mean(*rung) >= arl.ln()).unwrap_or(rungs - 1);
    let share = (arl.ln() - mean(right - 1)) / (mean(right) - mean(right - 1));
    lowest + RUNG * ((right - 1) as f64 + share)
}

fn detector(burst: Burst, zone: f64, observations: Option<usize>, rng: &mut fastrand::Rng) -> ScalarDetector {
    let learn = |values: &[f64], seed: u64| ScalarReference::learn(values, seed).expect("large enough");
    let endless = || learn(&(0..ENDLESS).map(|place| place as f64).collect::<Vec<_>>(), 0);
    let reference = match observations {
        Some(count) => learn(&(0..count).map(|_| rng.f64()).collect::<Vec<_>>(), rng.u64(..)),
        // Only its size counts: bins are drawn directly.
        None => KEPT.get_or_init(endless).clone(),
    };
    let config = DetectorConfig { dead_zone: zone, burst: Some(burst), seed: rng.u64(..), ..DetectorConfig::new(1e9) };
    let detector = ScalarDetector::new(reference, config, Timestamp::default()).expect("sound settings");
    let size = observations.unwrap_or(ENDLESS);
    assert!((detector.dead_zone().sigmas() - DeadZone::at_least(zone, size).sigmas()).abs() < 1e-12);
    detector
}

static KEPT: std::sync::OnceLock<ScalarReference> = std::sync::OnceLock::new();

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

fn source(burst: Burst, arls: &[f64], levels: &[[Vec<f64>; 2]; ZONES.len()]) -> String {
    let (name, count) = (format!("{burst:?}").to_uppercase(), arls.len());
    let logs: Vec<String> = arls.iter().map(|arl| format!("{:.9}", arl.ln())).collect();
    let mut text = format!("\n/// Logarithms of the average run lengths simulated with bursts {burst:?}.\n");
    let _ = writeln!(text, "pub(super) const {name}_ARLS: [f64; {count}] = [{}];\n", logs.join(", "));
    let _ = writeln!(text, "/// Log levels by dead zone, reference (endless, smallest) and run length.");
    let _ = writeln!(text, "pub(super) const {name}_LEVELS: [[[f64; {count}]; 2]; {}] = {levels:?};", ZONES.len());
    text
}
