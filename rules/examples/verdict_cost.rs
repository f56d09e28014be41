//! What a verdict costs: outcomes a second on one core and bytes of state, beside the z-test that canary tools keep.
#![expect(clippy::print_stdout, reason = "an example may print")]
#![expect(clippy::disallowed_methods, reason = "an example may measure time")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use plimsoll_rules::Timestamp;
use plimsoll_rules::verdict::comparators::{Proportion, pooled_z};
use plimsoll_rules::verdict::experiment::{
    Arm, Direction, Experiment, ExperimentSpec, Metric, MetricKind, MetricSpec, RampStep, Role, UnitResult,
};
use plimsoll_rules::verdict::{Randomisation, Side, Unit};

const OUTCOMES: u64 = 2_000_000;

fn metric() -> MetricSpec {
    MetricSpec {
        name: "completed".to_owned(),
        kind: MetricKind::Binary,
        direction: Direction::Increase,
        role: Role::Primary,
        margin: 0.03,
    }
}

fn spec() -> ExperimentSpec {
    ExperimentSpec {
        id: "cost".to_owned(),
        metrics: vec![metric()],
        alpha: 0.05,
        ramp: vec![RampStep { share: 0.5, units: u64::MAX, time: Duration::ZERO }],
        aa_units: 0,
        max_units: u64::MAX,
        promotes: true,
        window: Duration::ZERO,
    }
}

/// Outcomes a second of `each`, which takes whether the unit was treated and how it went.
fn rate(mut each: impl FnMut(bool, f64)) -> f64 {
    let mut rng = fastrand::Rng::with_seed(1);
    let units: Vec<(bool, f64)> =
        (0..OUTCOMES).map(|_| (rng.bool(), if rng.f64() < 0.9 { 1.0 } else { 0.0 })).collect();
    let start = Instant::now();
    units.iter().for_each(|(treated, outcome)| each(*treated, *outcome));
    OUTCOMES as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    let (mut harm, mut no_worse) = (Randomisation::new(Side::Lower, 0.0), Randomisation::new(Side::Higher, 0.03));
    let alone = rate(|treated, outcome| {
        let unit = Unit { outcome, treated, propensity: 0.5 };
        harm.add(&unit);
        no_worse.add(&unit);
        black_box((harm.log_e(), no_worse.log_e()));
    });
    let spec_of_one = metric();
    let mut one = Metric::new(&spec_of_one);
    let metric = rate(|treated, outcome| {
        let arm = if treated { Arm::Treatment } else { Arm::Control };
        one.add(&spec_of_one, arm, 0.5, outcome, (0.05, 0.05));
        black_box(one.log_e_harm());
    });
    let mut experiment = Experiment::new(spec());
    let mut result = UnitResult { arm: Arm::Control, propensity: 0.5, values: vec![None], asked: true };
    let machine = rate(|treated, outcome| {
        result.arm = if treated { Arm::Treatment } else { Arm::Control };
        result.values[0] = Some(outcome);
        black_box(experiment.close(&result, Timestamp::from_millis(0)));
    });
    let mut counts = [Proportion { successes: 1, trials: 2 }; 2];
    let z = rate(|treated, outcome| {
        let arm = &mut counts[usize::from(treated)];
        arm.trials += 1;
        arm.successes += outcome as u64;
        let [control, treatment] = counts;
        let _ = black_box(pooled_z(control, treatment));
    });
    println!("one metric, evidence read after every outcome, one core");
    println!("| | outcomes/s | ratio to the z-test |\n| --- | --- | --- |");
    for (name, found) in [
        ("E1, harm and no worse", alone),
        ("a metric: E1, interval, both arms", metric),
        ("a whole experiment: also split, missing, decision", machine),
        ("pooled z-test with its p-value (what canary tools keep)", z),
    ] {
        println!("| {name} | {:.2} M | {:.2} |", found / 1e6, found / z);
    }
    println!("\nstate of a metric: {} bytes in memory", size_of::<Metric>());
    println!(
        "state of the experiment: {} bytes as JSON",
        serde_json::to_vec(&experiment).map_or(0, |bytes| bytes.len())
    );
}
