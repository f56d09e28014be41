//! Whether the intervals that are shown, and the metrics that they decide, keep what they say.

use fastrand::Rng;
use plimsoll_rules::verdict::Paired;
use plimsoll_rules::verdict::experiment::{Arm, Direction, Metric, MetricKind, MetricSpec, Role};

use super::runs::{all, coin, share};

const UNITS: u32 = 20_000;
const ALPHA: f64 = 0.05;

fn spec(kind: MetricKind) -> MetricSpec {
    MetricSpec { name: "x".to_owned(), kind, direction: Direction::Increase, role: Role::Primary, margin: 0.1 }
}

/// One setting: the share of the treatment and the outcome, both along the experiment (0 to 1).
struct Setting {
    name: &'static str,
    kind: MetricKind,
    effect: f64,
    split: fn(f64) -> f64,
    draw: fn(&mut Rng, f64, bool) -> f64,
}

/// Whether the interval ever misses the effect, looked at after every unit, and whether harm is ever shown.
fn misses(rng: &mut Rng, setting: &Setting) -> [bool; 2] {
    let spec = spec(setting.kind);
    let mut metric = Metric::new(&spec);
    let mut missed = false;
    for at in 0..UNITS {
        let along = f64::from(at) / f64::from(UNITS);
        let propensity = (setting.split)(along);
        let treated = rng.f64() < propensity;
        let arm = if treated { Arm::Treatment } else { Arm::Control };
        metric.add(&spec, arm, propensity, (setting.draw)(rng, along, treated), (ALPHA, ALPHA));
        let interval = metric.interval(&spec, ALPHA);
        missed |= interval.is_some_and(|found| setting.effect < found.lower || setting.effect > found.upper);
    }
    [missed, metric.log_e_harm() >= -ALPHA.ln() * (1.0 - 1e-12)]
}

const SETTINGS: [Setting; 5] = [
    Setting {
        name: "binary, .90 and .90",
        kind: MetricKind::Binary,
        effect: 0.0,
        split: |_| 0.5,
        draw: |rng, _, _| coin(rng, 0.9),
    },
    Setting {
        name: "binary, .90 and .85",
        kind: MetricKind::Binary,
        effect: -0.05,
        split: |_| 0.5,
        draw: |rng, _, treated| coin(rng, if treated { 0.85 } else { 0.9 }),
    },
    Setting {
        name: "binary, ramp 5 -> 50 %, .95 -> .85",
        kind: MetricKind::Binary,
        effect: 0.0,
        split: |along| 0.05 + 0.45 * along,
        draw: |rng, along, _| coin(rng, 0.95 - 0.1 * along),
    },
    Setting {
        name: "cost, exponential, the same",
        kind: MetricKind::Mean,
        effect: 0.0,
        split: |_| 0.5,
        draw: |rng, _, _| -(1.0 - rng.f64()).ln(),
    },
    Setting {
        name: "cost, lognormal sigma 1, 10 % treated",
        kind: MetricKind::Mean,
        effect: 0.0,
        split: |_| 0.1,
        draw: |rng, _, _| normal(rng).exp(),
    },
];

/// The table.
pub fn table(runs: u64) {
    println!(
        "E3, a look after every unit to {UNITS}, alpha 5 %: per cent of runs in which the interval ever misses the"
    );
    println!("effect, and in which the metric is ever called harm");
    println!("| setting | misses | harm |\n| --- | --- | --- |");
    for setting in &SETTINGS {
        let found = all(runs, |rng| misses(rng, setting));
        let rate = |at: usize| 100.0 * share(&found.iter().map(|found| found[at]).collect::<Vec<_>>());
        println!("| {} | {:.2} | {:.2} |", setting.name, rate(0), rate(1));
    }
    let pairs = all(runs, |rng| {
        let mut pairs = Paired::default();
        (0..UNITS).any(|_| {
            pairs.add(0.5 * (rng.f64() - rng.f64()));
            pairs.log_e_differ() >= -ALPHA.ln()
        })
    });
    println!("| pairs without a difference, e-process | | {:.2} |\n", 100.0 * share(&pairs));
}

/// A standard normal draw (Box-Muller).
fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}
