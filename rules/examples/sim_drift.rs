//! The acceptance table of the drift detectors: false-alarm rates, delays and real traces, with fixed seeds.
//!
//! ```text
//! make sim-drift
//! cargo run --release -p plimsoll-rules --example sim_drift -- [SECTION...] [--data FOLDER]
//! ```
//!
//! Sections: `arl`, `long`, `ar`, `delay`, `categories`, `together`, `traces`, `cost`; all of them when none is named.
//! FOLDER holds `azure.csv` and `mooncake.csv`, the unpacked traces of `../shared/data/llm`; without it what needs them
//! says SKIPPED. Each run draws its reference and its stream anew; figures are means over runs with standard errors.

#![expect(clippy::disallowed_methods, reason = "an example may read files and measure time")]
#![expect(clippy::print_stdout, reason = "an example may print")]
#![expect(clippy::expect_used, reason = "a simulation with sound settings; where they are not, it should stop")]

use std::time::Duration;

use fastrand::Rng;
use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{
    CategoricalDetector, CategoricalReference, CategoryCounts, Change, Combination, DetectorConfig, FalseAlarms,
    ScalarDetector, ScalarReference, reference_margin,
};

#[path = "sim_drift/cost.rs"]
mod cost;
#[path = "sim_drift/traces.rs"]
mod traces;

use traces::Traces;

const RUNS: u64 = 400;
const START: Timestamp = Timestamp::from_millis(0);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let data = arguments.iter().position(|argument| argument == "--data").and_then(|at| arguments.get(at + 1));
    let sections: Vec<&String> = arguments.iter().take_while(|argument| *argument != "--data").collect();
    let wanted = |name: &str| sections.is_empty() || sections.iter().any(|section| *section == name);
    let traces = data.and_then(|folder| Traces::read(folder));
    let steps: [(&str, &dyn Fn()); 8] = [
        ("arl", &|| run_lengths(traces.as_ref())),
        ("long", &long_run_lengths),
        ("ar", &autoregressive),
        ("delay", &delays),
        ("categories", &categories),
        ("together", &together),
        ("traces", &|| traces::report(traces.as_ref())),
        ("cost", &cost::report),
    ];
    for (name, step) in steps {
        if wanted(name) {
            step();
        }
    }
}

/// A standard normal variable (Box and Muller).
pub fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * rng.f64().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}

/// Learns from `observations` draws.
fn detector(observations: usize, arl: f64, seed: u64, draw: &mut dyn FnMut() -> f64) -> ScalarDetector {
    let values: Vec<f64> = (0..observations).map(|_| draw()).collect();
    let reference = ScalarReference::learn(&values, seed).expect("large enough");
    ScalarDetector::new(reference, DetectorConfig { seed: seed ^ 0xabcd, ..DetectorConfig::new(arl) }, START)
        .expect("sound settings")
}

/// Observations to the first alarm, at most 30 run lengths.
fn run_length(detector: &mut ScalarDetector, arl: f64, draw: &mut dyn FnMut() -> f64) -> f64 {
    let most = (30.0 * arl) as u64;
    (1..most).find(|_| detector.observe(START, draw()) == Change::Raised).unwrap_or(most) as f64
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

fn print_arl(what: &str, observations: usize, arl: f64, lengths: &[f64]) {
    let (mean, error) = mean_and_error(lengths);
    let (ratio, error) = (mean / arl, error / arl);
    println!(
        "ARL {arl:>7} m={observations:<5} {what:<28} {mean:>9.0} = {ratio:.2}x (se {error:.2}, {} runs)",
        lengths.len()
    );
}

fn run_lengths(traces: Option<&Traces>) {
    for observations in [5000, 1000] {
        for arl in [1000.0, 10_000.0] {
            let measure = |what: &str, draw: &dyn Fn(&mut Rng) -> f64| {
                let one = |run: u64| {
                    let mut rng = Rng::with_seed(run * 7919 + observations as u64);
                    let mut detector = detector(observations, arl, run, &mut || draw(&mut rng));
                    run_length(&mut detector, arl, &mut || draw(&mut rng))
                };
                print_arl(what, observations, arl, &(0..RUNS).map(one).collect::<Vec<_>>());
            };
            measure("iid Gaussian", &normal);
            measure("iid lognormal", &|rng| normal(rng).exp());
            match traces {
                Some(traces) => {
                    measure("azure input tokens resampled", &|rng| traces.azure.input[rng.usize(..traces.azure.len())]);
                    measure("azure output tokens resampled", &|rng| {
                        traces.azure.output[rng.usize(..traces.azure.len())]
                    });
                }
                None => println!("SKIPPED: real tokens resampled (no --data FOLDER)"),
            }
        }
    }
}

/// Where bursts are held, up to what one false alarm in months means.
fn long_run_lengths() {
    let observations = 2000;
    for (arl, runs) in [(100_000.0, 200), (1e6, 60), (1e7, 20)] {
        let one = |run: u64| {
            let mut rng = Rng::with_seed(run);
            let mut detector = detector(observations, arl, run, &mut || rng.f64());
            run_length(&mut detector, arl, &mut || rng.f64())
        };
        print_arl("iid uniform", observations, arl, &(0..runs).map(one).collect::<Vec<_>>());
    }
}

fn autoregressive() {
    for (name, marginal) in [("Gaussian", (|x| x) as fn(f64) -> f64), ("lognormal", f64::exp)] {
        for phi in [0.2, 0.5, 0.8_f64] {
            for (observations, arl) in [(2000, 1000.0), (2000, 10_000.0), (5000, 1000.0)] {
                let one = |run: u64| {
                    let mut rng = Rng::with_seed(run * 31 + 5);
                    let mut state = normal(&mut rng);
                    let mut draw = || {
                        state = phi * state + (1.0 - phi * phi).sqrt() * normal(&mut rng);
                        marginal(state)
                    };
                    let mut detector = detector(observations, arl, run, &mut draw);
                    run_length(&mut detector, arl, &mut draw)
                };
                print_arl(&format!("AR({phi}) {name}"), observations, arl, &(0..300).map(one).collect::<Vec<_>>());
            }
        }
    }
}

fn delays() {
    type Changed = fn(&mut Rng) -> f64;
    let changes: [(&str, Changed); 7] = [
        ("mean + 1 sigma", |rng| normal(rng) + 1.0),
        ("mean - 1 sigma", |rng| normal(rng) - 1.0),
        ("mean + 0.5 sigma", |rng| normal(rng) + 0.5),
        ("scale x 1.5", |rng| 1.5 * normal(rng)),
        ("scale x 0.67", |rng| 0.67 * normal(rng)),
        ("mean + 2 sigma", |rng| normal(rng) + 2.0),
        ("10 % of values + 3 sigma", |rng| normal(rng) + if rng.f64() < 0.1 { 3.0 } else { 0.0 }),
    ];
    for (arl, observations, before) in
        [(1000.0, 5000, 0), (1000.0, 5000, 200), (1000.0, 1000, 0), (1000.0, 1000, 200), (6.3e6, 2000, 200)]
    {
        for (what, changed) in changes {
            let one = |run| delay(observations, arl, before, changed, run);
            let (mean, error) = mean_and_error(&(0..RUNS).filter_map(one).collect::<Vec<f64>>());
            println!(
                "delay at ARL {arl}, m={observations:<5} after {before:>3}: {what:<26} {mean:>6.1} (se {error:.1})"
            );
        }
    }
}

/// Observations from the change to the alarm; `None` for a run that alarmed before it.
fn delay(observations: usize, arl: f64, before: usize, changed: fn(&mut Rng) -> f64, run: u64) -> Option<f64> {
    let mut rng = Rng::with_seed(run + 77);
    let mut detector = detector(observations, arl, run, &mut || normal(&mut rng));
    if (0..before).any(|_| detector.observe(START, normal(&mut rng)) == Change::Raised) {
        return None;
    }
    (1..20_000).find(|_| detector.observe(START, changed(&mut rng)) == Change::Raised).map(f64::from)
}

fn categories() {
    let shares: [(&str, &[f64]); 3] = [
        ("stop/length/tool .8/.15/.05", &[0.8, 0.15, 0.05]),
        ("eight, Zipf", &[0.37, 0.18, 0.12, 0.09, 0.07, 0.06, 0.06, 0.05]),
        ("refusal .01", &[0.99, 0.01]),
    ];
    for (what, shares) in shares {
        for (observations, arl) in [(5000, 1000.0), (5000, 10_000.0), (1000, 1000.0)] {
            let one = |run: u64| categorical_run(shares, observations, arl, run, None);
            print_arl(what, observations, arl, &(0..300).map(one).collect::<Vec<_>>());
        }
        let rise = |run: u64| categorical_run(shares, 5000, 1000.0, run, Some(0.2));
        let (mean, error) = mean_and_error(&(0..300).map(rise).collect::<Vec<_>>());
        println!("delay at ARL 1000, {what}: 20 % of all become the last one: {mean:.1} (se {error:.1})");
    }
}

fn categorical_run(shares: &[f64], observations: usize, arl: f64, run: u64, rise: Option<f64>) -> f64 {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut rng = Rng::with_seed(run);
    let draw = |rng: &mut Rng| {
        let mut left = rng.f64();
        let place = shares.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        NAMES[place.unwrap_or(shares.len() - 1)]
    };
    let mut counts = CategoryCounts::default();
    (0..observations).for_each(|_| counts.add(draw(&mut rng)));
    let reference = CategoricalReference::learn(&counts).expect("large enough");
    let config = DetectorConfig { seed: run, ..DetectorConfig::new(arl) };
    let mut detector = CategoricalDetector::new(reference, config, START).expect("sound settings");
    let most = (30.0 * arl) as u64;
    let raised = (1..most).find(|_| {
        let changed = rise.is_some_and(|rise| rng.f64() < rise);
        let name = if changed { NAMES[shares.len() - 1] } else { draw(&mut rng) };
        detector.observe(START, name) == Change::Raised
    });
    raised.unwrap_or(most) as f64
}

/// One budget over five signals, one observation of each a second.
fn together() {
    let (arl, signals) = (2000.0, ["a", "b", "c", "d", "e"]);
    let one = |run: u64| {
        let mut rng = Rng::with_seed(run);
        let budget = FalseAlarms::new(1.0, Duration::from_secs(2000)).expect("sound");
        let mut all = Combination::new(budget);
        signals.iter().for_each(|signal| all.join_equally(signal));
        let set = all.arl("a", 1.0) * reference_margin(signals.len(), 2000);
        let mut detectors: Vec<ScalarDetector> =
            (0..5).map(|at| detector(2000, set, run * 5 + at, &mut || rng.f64())).collect();
        let most = (30.0 * arl) as u64;
        let raised = (1..most).find(|_| {
            // each signal alarms at its share, and nothing else does
            detectors.iter_mut().any(|detector| detector.observe(START, rng.f64()) == Change::Raised)
        });
        raised.unwrap_or(most) as f64
    };
    print_arl("five signals, one budget", 2000, arl, &(0..200).map(one).collect::<Vec<_>>());
}
