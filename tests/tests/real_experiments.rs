//! The verdicts on real experiments: how often they call what ends as nothing, and whether they see what is there.

use std::collections::BTreeMap;
use std::io::Read as _;

use plimsoll_rules::verdict::{AsymptoticSequence, Paired, SRM_BAYES_FACTOR, SRM_PRIOR, SampleRatio};
use plimsoll_tests::shared;
use serde_json::Value;

const ALPHA: f64 = 0.05;
/// Units at which the sequences are narrowest.
const NARROWEST: f64 = 5000.0;

fn expected() -> Value {
    let text = std::fs::read_to_string(shared("data/expected.json").unwrap()).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// One cumulative snapshot: units, means and variances of control and treatment.
struct Snapshot {
    count: [f64; 2],
    mean: [f64; 2],
    variance: [f64; 2],
}

fn asos() -> Option<BTreeMap<(String, String), Vec<Snapshot>>> {
    let path = shared("data/ab/asos_experiments.csv.gz")?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let mut tests: BTreeMap<(String, String), Vec<Snapshot>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |at: usize| cells[at].parse::<f64>().unwrap_or(f64::NAN);
        let pair = |at: usize| [number(at), number(at + 1)];
        let snapshot = Snapshot { count: pair(4), mean: pair(6), variance: pair(8) };
        tests.entry((format!("{}/{}", cells[0], cells[1]), cells[2].to_owned())).or_default().push(snapshot);
    }
    Some(tests)
}

#[test]
fn asos_tests_that_end_as_nothing_are_hardly_ever_called() {
    let Some(tests) = asos() else { return };
    let sequence = AsymptoticSequence::new(ALPHA, NARROWEST).unwrap();
    let (mut ends_null, mut crossed, mut called, mut z_called, mut found, mut ends_effect) = (0, 0, 0, 0, 0, 0);
    for snapshots in tests.values() {
        let (mut ever_z, mut ever_ours, mut last_z) = (false, false, 0.0);
        for one in snapshots {
            let variance = one.variance[0] / one.count[0] + one.variance[1] / one.count[1];
            if variance.is_nan() || variance <= 0.0 {
                continue;
            }
            let difference = one.mean[1] - one.mean[0];
            let units = one.count[0] + one.count[1];
            last_z = difference / variance.sqrt();
            ever_z |= last_z.abs() > 1.96;
            ever_ours |= difference.abs() > sequence.half_width(units as u64, units * variance).unwrap();
        }
        crossed += i32::from(ever_z);
        if last_z.abs() > 1.96 {
            ends_effect += 1;
            found += i32::from(ever_ours);
        } else {
            ends_null += 1;
            called += i32::from(ever_ours);
            z_called += i32::from(ever_z);
        }
    }
    println!(
        "ASOS: {} tests, {crossed} ever cross |z| > 1.96; {ends_null} end as nothing: a z-test calls {z_called} of them, \
         ours {called} ({:.1} %); {ends_effect} end as something: ours calls {found}",
        tests.len(),
        100.0 * f64::from(called) / f64::from(ends_null)
    );
    let told = &expected()["asos"];
    assert_eq!(tests.len() as u64, told["tests"].as_u64().unwrap());
    assert_eq!(u64::try_from(crossed).unwrap(), told["ever_abs_z_gt_1_96"].as_u64().unwrap());
    assert!(f64::from(called) <= 0.05 * f64::from(ends_null), "{called} of {ends_null}");
}

#[test]
fn asos_sample_ratio_mismatches_are_exactly_the_listed_ones() {
    let Some(tests) = asos() else { return };
    let mut flagged: Vec<String> = Vec::new();
    for ((id, _), snapshots) in &tests {
        let alarm = snapshots.iter().any(|one| {
            let mut test = SampleRatio::new(&[0.5, 0.5], SRM_PRIOR).unwrap();
            (0..2).for_each(|arm| assert!(test.add(arm, one.count[arm] as u64)));
            test.alarm(SRM_BAYES_FACTOR)
        });
        if alarm && !flagged.contains(id) {
            flagged.push(id.clone());
        }
    }
    println!("ASOS: sample ratio mismatch in {flagged:?}");
    let told = expected()["asos"]["srm"].clone();
    assert_eq!(Value::from(flagged), told);
}

/// Scores of a model by question.
fn arena() -> Option<BTreeMap<String, BTreeMap<u32, f64>>> {
    let text = std::fs::read_to_string(shared("data/ab/arena_bench_scores.csv")?).unwrap();
    let mut scores: BTreeMap<String, BTreeMap<u32, f64>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        if let Ok(score) = cells[2].parse() {
            scores.entry(cells[1].to_owned()).or_default().insert(cells[0].parse().unwrap(), score);
        }
    }
    Some(scores)
}

#[test]
fn arena_verdicts_agree_with_the_paired_tests() {
    let Some(scores) = arena() else { return };
    let pairs = expected()["arena_pairs"].as_array().unwrap().clone();
    let enough = (1.0 / ALPHA).ln();
    let mut called = 0;
    for pair in &pairs {
        let (a, b) = (pair["a"].as_str().unwrap(), pair["b"].as_str().unwrap());
        let (p, mean) = (pair["paired_t_p"].as_f64().unwrap(), pair["mean_diff"].as_f64().unwrap());
        let mut ours = Paired::default();
        let mut verdict = ("no verdict", 0);
        let mut seen = 0;
        for (question, score) in &scores[a] {
            let Some(other) = scores[b].get(question) else { continue };
            seen += 1;
            ours.add((other - score) / 9.0);
            if verdict.1 == 0 && ours.log_e_differ() >= enough {
                verdict = (if ours.log_e_better() > ours.log_e_worse() { "b better" } else { "b worse" }, seen);
            }
        }
        let after = if verdict.1 == 0 { String::new() } else { format!("after {} pairs", verdict.1) };
        println!("{a} / {b}: mean difference {mean:.2}, paired t p {p:.1e}; ours: {} {after}", verdict.0);
        assert_eq!(seen, pair["n"].as_i64().unwrap(), "{a} {b}");
        called += i32::from(verdict.1 > 0);
        match p {
            p if p < 1e-6 => assert_eq!(verdict.0, if mean > 0.0 { "b better" } else { "b worse" }, "{a} {b}"),
            p if p > 0.05 => assert_eq!(verdict.0, "no verdict", "{a} {b}"),
            _ => {}
        }
    }
    println!("{called} of {} pairs called", pairs.len());
}
