//! Jobs that agree, part, begin again, and reports that are no good.

use super::*;

fn report(rank: u32, world_size: u32, step: u64, checksum: &str) -> RankReport {
    RankReport { rank, world_size, step, checksum: checksum.into(), step_seconds: 1.0, loss: Some(0.5) }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(0) + Duration::from_secs(seconds)
}

fn take(runs: &mut Runs, reports: &[(u32, u64, &str)]) {
    for (rank, step, checksum) in reports {
        runs.take("r", &[report(*rank, 3, *step, checksum)], at(*step)).unwrap();
    }
}

fn diverged(runs: &Runs) -> Option<(u64, Vec<u32>)> {
    runs.get("r").unwrap().divergence().map(|divergence| (divergence.step, divergence.ranks.clone()))
}

#[test]
fn ranks_that_part_are_named_with_the_first_step() {
    let mut runs = Runs::default();
    take(&mut runs, &[(0, 1, "a"), (1, 1, "a"), (2, 1, "a"), (2, 2, "b"), (0, 2, "b")]);
    assert_eq!(diverged(&runs), None, "one is still to report");
    take(&mut runs, &[(0, 3, "d"), (2, 3, "c")]);
    assert_eq!(diverged(&runs), Some((3, vec![2])), "of equals the lowest rank is right");
    take(&mut runs, &[(1, 2, "x")]);
    assert_eq!(diverged(&runs), Some((2, vec![1])), "an earlier step that came later");
    take(&mut runs, &[(0, 4, "e"), (1, 4, "f"), (2, 4, "e")]);
    assert_eq!(diverged(&runs), Some((2, vec![1])), "the first one stays");
}

#[test]
fn a_job_that_goes_on_from_before_is_judged_anew_and_a_retry_changes_nothing() {
    let mut runs = Runs::default();
    take(&mut runs, &[(0, 1, "a"), (1, 1, "a"), (0, 2, "b"), (1, 2, "x"), (0, 3, "c"), (1, 3, "y")]);
    assert_eq!(diverged(&runs), Some((2, vec![1])));
    take(&mut runs, &[(0, 1, "a"), (0, 2, "b"), (1, 3, "y")]);
    assert_eq!(diverged(&runs), Some((2, vec![1])), "told twice");
    take(&mut runs, &[(0, 2, "n"), (1, 2, "n"), (2, 2, "n"), (1, 3, "o"), (0, 3, "o")]);
    assert_eq!(diverged(&runs), None);
    take(&mut runs, &[(2, 3, "p")]);
    assert_eq!(diverged(&runs), Some((3, vec![2])));
    take(&mut runs, &[(0, 4, "q"), (0, 4, "z")]);
    assert_eq!(diverged(&runs), Some((3, vec![2])), "it went back, but not before the step");
}

#[test]
fn the_slowest_rank_is_told_against_the_median() {
    let mut runs = Runs::default();
    assert_eq!(lower_median(std::iter::empty()), None);
    for step in 0..20 {
        for (rank, seconds) in [(0, 1.0), (1, 1.2), (2, if step < 15 { 1.0 } else { 3.0 })] {
            let one = RankReport { step_seconds: seconds, ..report(rank, 3, step, "a") };
            runs.take("r", &[one], at(step)).unwrap();
        }
        let straggler = runs.get("r").unwrap().straggler();
        assert_eq!(straggler.is_some(), step >= 2, "{step}");
    }
    let straggler = runs.get("r").unwrap().straggler().unwrap();
    assert_eq!(straggler.rank, 1, "five slow steps of sixteen are not usual");
    for step in 20..30 {
        for (rank, seconds) in [(0, 1.0), (1, 1.2), (2, 3.0)] {
            runs.take("r", &[RankReport { step_seconds: seconds, ..report(rank, 3, step, "a") }], at(step)).unwrap();
        }
    }
    let straggler = runs.get("r").unwrap().straggler().unwrap();
    assert_eq!(straggler, Straggler { rank: 2, ratio: 3.0 / 1.2 });
}

#[test]
fn it_stays_within_its_bounds() {
    let mut runs = Runs::default();
    for step in 0..10 * STEPS as u64 {
        take(&mut runs, &[(0, step, "a"), (1, step, "a")]);
    }
    assert_eq!(runs.get("r").unwrap().steps.len(), STEPS);
    let mut gone = 0;
    for n in 0..100_u64 {
        gone += runs.take(&format!("run-{n}"), &[report(0, 8, 1, "a")], at(1000 + n)).unwrap();
    }
    assert_eq!((runs.names().len(), gone), (MOST_RUNS, 101 - MOST_RUNS));
    gone = runs.take("large", &[report(1023, 1024, 1, "a")], at(2000)).unwrap();
    assert_eq!((runs.names().len(), gone), (1, MOST_RUNS), "it leaves room for no other");
    runs.forget(at(2000) + SILENT);
    assert!(runs.names().is_empty());
}

#[test]
fn what_is_wrong_with_a_report_is_said_and_nothing_of_the_list_is_taken() {
    let mut runs = Runs::default();
    runs.take("r", &[report(0, 2, 1, "a")], at(1)).unwrap();
    let good = report(1, 2, 1, "b");
    for (run, bad, expected) in [
        ("", good.clone(), RankError::Name(0)),
        ("a b", good.clone(), RankError::Name(3)),
        ("r", RankReport { rank: 2, ..good.clone() }, RankError::Rank { rank: 2, most: 1 }),
        ("r", RankReport { world_size: 3, ..good.clone() }, RankError::OtherSize { found: 3, known: 2 }),
        ("new", RankReport { world_size: 0, ..good.clone() }, RankError::WorldSize(0)),
        ("new", RankReport { world_size: 1025, ..good.clone() }, RankError::WorldSize(1025)),
        ("r", RankReport { checksum: String::new(), ..good.clone() }, RankError::Checksum(0)),
        ("r", RankReport { step_seconds: f64::NAN, ..good.clone() }, RankError::Number("step_seconds")),
        ("r", RankReport { step_seconds: -1.0, ..good.clone() }, RankError::Number("step_seconds")),
        ("r", RankReport { loss: Some(f64::INFINITY), ..good.clone() }, RankError::Number("loss")),
    ] {
        let reports = if run == "r" { vec![good.clone(), bad] } else { vec![bad] };
        let (place, why) = runs.take(run, &reports, at(1)).unwrap_err();
        assert_eq!((place, why), (reports.len() - 1, expected), "{run}");
    }
    assert_eq!(runs.names().len(), 1);
    assert_eq!(runs.get("r").unwrap().divergence(), None);
}
