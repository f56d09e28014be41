//! Whole experiments, from the first unit to the verdict.

use std::time::Duration;

use plimsoll_rules::Timestamp;
use plimsoll_rules::verdict::experiment::{
    Arm, Direction, Experiment, ExperimentSpec, MetricKind, MetricSpec, RampStep, Role, State, UnitResult,
};

use super::runs::{all, coin};

/// The experiment of the table: task completion, a margin of three points, half and half.
fn spec(ramp: Vec<RampStep>, aa_units: u64) -> ExperimentSpec {
    ExperimentSpec {
        id: "table".to_owned(),
        metrics: vec![MetricSpec {
            name: "completed".to_owned(),
            kind: MetricKind::Binary,
            direction: Direction::Increase,
            role: Role::Primary,
            margin: 0.03,
        }],
        alpha: 0.05,
        ramp,
        aa_units,
        max_units: 200_000,
        promotes: true,
        window: Duration::ZERO,
    }
}

fn step(share: f64, units: u64) -> RampStep {
    RampStep { share, units, time: Duration::ZERO }
}

/// Plays one experiment; how it ended and after how many units.
fn play(rng: &mut fastrand::Rng, spec: &ExperimentSpec, treatment: f64) -> (State, u64) {
    let mut experiment = Experiment::new(spec.clone());
    let mut units = 0_u64;
    while let Some(propensity) = experiment.propensity() {
        if matches!(experiment.state(), State::Hold(_)) {
            break;
        }
        let arm = if rng.f64() < propensity { Arm::Treatment } else { Arm::Control };
        let served = if arm == Arm::Treatment && experiment.state() != State::AaCheck { treatment } else { 0.9 };
        let result = UnitResult { arm, propensity, values: vec![Some(coin(rng, served))], asked: true };
        units += 1;
        experiment.close(&result, Timestamp::from_millis(units.cast_signed()));
    }
    (experiment.state(), units)
}

/// What becomes of treatments of four qualities.
pub fn table(runs: u64) {
    println!("whole experiments, control .90, margin 3 points, alpha 5 %, at most 200000 units: per cent of runs");
    println!("| ramp | treatment | promoted | rolled back | kept | hold | units, mean | 90 % within |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let ramps = [
        ("50 %", spec(vec![step(0.5, 0)], 0)),
        ("A/A 500; 5, 25, 50 %", spec(vec![step(0.05, 500), step(0.25, 500), step(0.5, 0)], 500)),
    ];
    for (name, spec) in &ramps {
        for treatment in [0.9, 0.87, 0.85, 0.8] {
            let mut ends = all(runs, |rng| play(rng, spec, treatment));
            let rate = |is: fn(&State) -> bool| {
                100.0 * ends.iter().filter(|(state, _)| is(state)).count() as f64 / ends.len().max(1) as f64
            };
            let rates = [
                rate(|state| *state == State::Promoted),
                rate(|state| *state == State::RolledBack),
                rate(|state| *state == State::KeptControl),
                rate(|state| matches!(state, State::Hold(_))),
            ];
            ends.sort_by_key(|(_, units)| *units);
            let mean = ends.iter().map(|(_, units)| *units as f64).sum::<f64>() / ends.len().max(1) as f64;
            let most = ends.get(ends.len() * 9 / 10).map_or(0, |(_, units)| *units);
            let [promoted, back, kept, hold] = rates;
            println!(
                "| {name} | {treatment:.2} | {promoted:.1} | {back:.1} | {kept:.1} | {hold:.2} | {mean:.0} | {most} |"
            );
        }
    }
}
