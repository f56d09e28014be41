//! Tests of the whole score: what must alarm, what must not, and what must not change anything.

use fastrand::Rng;
use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;

fn scores_at(step_ms: i64, values: &[f64]) -> Vec<Score> {
    let mut scorer = AnomalyScorer::new(AnomalyOptions::default());
    let at = |row: usize| Timestamp::from_millis(1_767_225_600_000 + row as i64 * step_ms);
    values.iter().enumerate().map(|(row, value)| scorer.score(at(row), *value)).collect()
}

fn alarms(values: &[f64]) -> Vec<usize> {
    let scores = scores_at(5 * MINUTE, values);
    scores.iter().enumerate().filter(|(_, score)| score.alarm).map(|(row, _)| row).collect()
}

/// A day of 288 rows as a sine of amplitude 10 round 50, with unit noise.
fn daily(rows: usize, seed: u64) -> Vec<f64> {
    let mut rng = Rng::with_seed(seed);
    let noise = |rng: &mut Rng| (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
    (0..rows).map(|row| 50.0 + 10.0 * (row as f64 * std::f64::consts::TAU / 288.0).sin() + noise(&mut rng)).collect()
}

#[test]
fn what_is_strange_alarms_soon() {
    type Change = fn(usize, f64) -> f64;
    let cases: [(&str, usize, Change); 6] = [
        ("a spike", 1, |row, value| if row == 0 { value + 40.0 } else { value }),
        ("a shift up", 20, |_, value| value + 15.0),
        ("a shift down", 20, |_, value| value - 15.0),
        ("four times the noise", 60, |row, value| value + if row % 2 == 0 { 8.0 } else { -8.0 }),
        ("the night's level at noon", 40, |_, _| 40.0),
        ("stuck", 60, |_, _| 52.0),
    ];
    for (why, within, change) in cases {
        let mut values = daily(4000, 1);
        values.iter_mut().skip(3000).enumerate().for_each(|(row, value)| *value = change(row, *value));
        let found = alarms(&values);
        assert!(found.iter().any(|row| (3000..3000 + within).contains(row)), "{why}: {found:?}");
    }
}

#[test]
fn what_is_usual_is_silent() {
    let single = |rows: usize, at: &[usize]| (0..rows).map(|row| f64::from(at.contains(&row))).collect::<Vec<_>>();
    for (why, values, most) in [
        ("constant", vec![7.0; 5000], 0),
        ("zero", vec![0.0; 5000], 0),
        ("a period to the bit", (0..5000).map(|row| f64::from(row % 288)).collect(), 0),
        ("single events among nothing", single(5000, &[2000, 3200]), 0),
        ("noise", daily(20_000, 2), 6),
        ("too few to judge", daily(90, 3), 0),
    ] {
        let found = alarms(&values);
        assert!(found.len() <= most, "{why}: {found:?}");
    }
}

#[test]
fn a_nightly_job_is_news_only_at_first() {
    let mut values = daily(288 * 20, 4);
    (1..20).for_each(|day| (0..3).for_each(|row| values[day * 288 + 30 + row] += 60.0));
    let late = alarms(&values).into_iter().filter(|row| *row > 288 * 8).count();
    assert!(late <= 1, "{late} alarms in twelve nights");
}

#[test]
fn a_gap_counts_as_silence() {
    let mut scorer = AnomalyScorer::new(AnomalyOptions::default());
    for (minute, value) in daily(3000, 5).into_iter().enumerate() {
        scorer.score(Timestamp::from_millis(minute as i64 * MINUTE), value);
    }
    let after = |minute: i64| {
        let mut resumed = scorer.clone();
        let scores = (minute..=minute + 4).map(|at| resumed.score(Timestamp::from_millis(at * MINUTE), 62.0).anomaly);
        scores.fold(0.0, f64::max)
    };
    // a whole number of weeks later, so that the same is expected
    let (soon, late) = (after(3000), after(3000 + 7 * 1440));
    assert!(late > soon, "{late} after a gap, {soon} without");
}

#[test]
fn missing_values_keep_the_rest() {
    let mut values = daily(3000, 6);
    values[1500] = f64::NAN;
    values[1501] = f64::INFINITY;
    let found = scores_at(5 * MINUTE, &values);
    assert!(found[1500].anomaly == 0.0 && !found[1501].alarm && found[1501].expected.is_some());
}

#[test]
fn memory_is_bounded() {
    let mut scorer = AnomalyScorer::new(AnomalyOptions::default());
    let bytes = |scorer: &AnomalyScorer| {
        let tails = (3 * 192 + 128 + 2 * 112) * 17 / 16;
        assert!(serde_json::to_string(scorer).unwrap().len() < 40_000);
        tails * 8 + (48 + 168) * 16 + size_of::<AnomalyScorer>()
    };
    daily(3000, 7).iter().enumerate().for_each(|(row, value)| {
        scorer.score(Timestamp::from_millis(row as i64 * MINUTE), *value);
    });
    assert!(bytes(&scorer) < 16 * 1024, "{}", bytes(&scorer));
}

fn anything() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3..1e3,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, f64::NAN, f64::INFINITY]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_score_is_a_share(values in prop::collection::vec((anything(), any::<i64>()), 0..400)) {
        let mut scorer = AnomalyScorer::new(AnomalyOptions::default());
        for (value, at) in values {
            let score = scorer.score(Timestamp::from_millis(at), value);
            prop_assert!((0.0..=1.0).contains(&score.anomaly), "{score:?}");
        }
    }

    #[test]
    fn the_future_changes_nothing(seed: u64, cut in 0_usize..600) {
        let values = daily(600, seed);
        let (whole, part) = (scores_at(MINUTE, &values), scores_at(MINUTE, &values[..cut]));
        prop_assert_eq!(&whole[..cut], &part[..]);
    }

    #[test]
    fn the_unit_changes_nothing(seed: u64, power in -30_i32..30, sign in prop::bool::ANY) {
        let values = daily(600, seed);
        let factor = 2_f64.powi(power) * if sign { -1.0 } else { 1.0 };
        let scaled: Vec<f64> = values.iter().map(|value| value * factor).collect();
        let only = |scores: Vec<Score>| scores.into_iter().map(|score| score.anomaly).collect::<Vec<_>>();
        prop_assert_eq!(only(scores_at(MINUTE, &values)), only(scores_at(MINUTE, &scaled)));
    }

    #[test]
    fn a_saved_scorer_goes_on_to_the_bit(seed: u64, cut in 0_usize..600) {
        let values = daily(600, seed);
        let mut scorer = AnomalyScorer::new(AnomalyOptions::default());
        let mut resumed = Vec::new();
        for (row, value) in values.iter().enumerate() {
            if row == cut {
                scorer = serde_json::from_str(&serde_json::to_string(&scorer).unwrap()).unwrap();
            }
            resumed.push(scorer.score(Timestamp::from_millis(1_767_225_600_000 + row as i64 * MINUTE), *value));
        }
        prop_assert_eq!(resumed, scores_at(MINUTE, &values));
    }
}
