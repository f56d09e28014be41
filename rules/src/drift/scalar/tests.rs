//! The scalar detector: rates and delays by simulation, invariances, merging, resuming, odd input.

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::drift::Direction;

const START: Timestamp = Timestamp::from_millis(0);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * rng.f64().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}

fn normals(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = Rng::with_seed(seed);
    (0..count).map(|_| normal(&mut rng)).collect()
}

fn watching(reference: &[f64], arl: f64) -> ScalarDetector {
    let reference = ScalarReference::learn(reference, 1).unwrap();
    ScalarDetector::new(reference, DetectorConfig::new(arl), START).unwrap()
}

/// Observations to the first alarm.
fn first_alarm(detector: &mut ScalarDetector, mut draw: impl FnMut() -> f64, most: usize) -> Option<usize> {
    (1..=most).find(|time| detector.observe(at(*time as i64), draw()) == Change::Raised)
}

#[test]
fn the_run_length_is_the_nominal_one() {
    let lengths = (0..150_u64).map(|run| {
        let mut rng = Rng::with_seed(run);
        let mut detector = watching(&normals(500, run + 1000), 300.0);
        first_alarm(&mut detector, || normal(&mut rng), 10_000).unwrap_or(10_000) as f64
    });
    let mean = lengths.sum::<f64>() / 150.0;
    assert!((0.75..1.35).contains(&(mean / 300.0)), "{mean}");
}

#[test]
fn changes_are_found_soon_and_said_rightly() {
    type Changed = fn(f64) -> f64;
    let changes: [(Changed, Direction, f64); 5] = [
        (|x| x + 1.0, Direction::Up, 20.0),
        (|x| x - 1.0, Direction::Down, 20.0),
        (|x| x + 0.5, Direction::Up, 60.0),
        (|x| x * 2.0, Direction::Wider, 30.0),
        (|x| x * 0.5, Direction::Narrower, 60.0),
    ];
    for (changed, direction, most) in changes {
        let (mut delays, mut right) = (0.0, 0);
        for run in 0..20 {
            let mut rng = Rng::with_seed(run);
            let mut detector = watching(&normals(1000, run + 500), 1000.0);
            delays += first_alarm(&mut detector, || changed(normal(&mut rng)), 5000).unwrap_or(5000) as f64 / 20.0;
            right += usize::from(detector.explain().direction == direction);
        }
        assert!(delays <= most && right >= 14, "{direction:?}: delay {delays}, {right} of 20 right");
    }
}

#[test]
fn an_alarm_says_where_from_where_to_and_since_when() {
    let mut rng = Rng::with_seed(8);
    let reference: Vec<f64> = normals(2000, 9).iter().map(|z| (5.0 + z).exp()).collect();
    let mut detector = watching(&reference, 100_000.0);
    (0..500).for_each(|time| {
        let _ = detector.observe(at(time), (5.0 + normal(&mut rng)).exp());
    });
    assert_eq!(detector.alarm(), None);
    let raised = (500..700).find(|time| detector.observe(at(*time), (6.0 + normal(&mut rng)).exp()) == Change::Raised);
    let why = detector.explain();
    assert!(raised.is_some_and(|time| time < 560), "{raised:?}");
    assert!((480..=530).contains(&why.since.millis()), "{why:?}");
    assert_eq!(why.direction, Direction::Up);
    assert!(why.median_shift().is_some_and(|shift| shift > 50.0) && why.above_median.is_some_and(|share| share > 0.7));
    assert!(why.evidence >= detector.level(), "{why:?}");
    assert!(detector.run_length() < 100_000.0, "it starts afresh");
}

#[test]
fn a_standing_alarm_is_confirmed_then_falls_or_is_accepted() {
    let mut rng = Rng::with_seed(4);
    let calm = Calm { time: std::time::Duration::from_secs(1), observations: 300 };
    let reference = ScalarReference::learn(&normals(2000, 5), 1).unwrap();
    let config = DetectorConfig { calm, ..DetectorConfig::new(1e6) };
    let mut detector = ScalarDetector::new(reference, config, START).unwrap();
    let drifted: Vec<Change> = (0..300).map(|time| detector.observe(at(time * 10), 1.5 + normal(&mut rng))).collect();
    assert_eq!(drifted.iter().filter(|change| **change == Change::Raised).count(), 1);
    assert!(drifted.iter().filter(|change| **change == Change::Confirmed).count() > 3);
    let mut accepted = detector.clone();
    let back: Vec<Change> = (300..900).map(|time| detector.observe(at(time * 10), normal(&mut rng))).collect();
    assert_eq!(back.iter().filter(|change| **change == Change::Fell).count(), 1);
    assert_eq!(detector.alarm(), None);
    let present: Vec<f64> = accepted.recent(START).into_iter().map(|(_, value)| value).collect();
    accepted.accept(ScalarReference::learn(&present, 2).unwrap(), at(3000));
    let quiet = (300..2300).all(|time| accepted.observe(at(time * 10), 1.5 + normal(&mut rng)) == Change::None);
    assert!(quiet && accepted.alarm().is_none());
}

#[test]
fn a_burst_of_like_values_is_no_drift_at_a_long_run_length() {
    // fifty requests of one client among thousands of usual ones
    let alarms = |burst: Burst| {
        let mut rng = Rng::with_seed(12);
        let reference = ScalarReference::learn(&normals(2000, 13), 1).unwrap();
        let config = DetectorConfig { burst: Some(burst), ..DetectorConfig::new(1e7) };
        let mut detector = ScalarDetector::new(reference, config, START).unwrap();
        let mut draw = |time: i64| if time % 3000 >= 2950 { 0.3 + 0.3 * normal(&mut rng) } else { normal(&mut rng) };
        (0..12_000).filter(|time| detector.observe(at(*time), draw(*time)) == Change::Raised).count()
    };
    assert_eq!(alarms(Burst::Held), 0);
    assert!(alarms(Burst::Free) > 0);
}

#[test]
fn strange_references_neither_panic_nor_alarm() {
    let ties: Vec<f64> = (0..500).map(|place| f64::from(place % 3)).collect();
    let references: [(&str, Vec<f64>); 7] = [
        ("empty", vec![]),
        ("one value", vec![1.0]),
        ("too few", vec![2.0; 63]),
        ("nothing finite", vec![f64::NAN; 500]),
        ("constant", vec![7.0; 500]),
        ("three values", ties),
        ("some not finite", (0..500).map(|i| if i % 5 == 0 { f64::INFINITY } else { f64::from(i % 7) }).collect()),
    ];
    for (why, mut values) in references {
        Rng::with_seed(6).shuffle(&mut values);
        let reference = match ScalarReference::learn(&values, 1) {
            Ok(reference) => reference,
            Err(problem) => {
                assert!(matches!(problem, DriftError::TooFew { have, need: 64 } if have < 64), "{why}: {problem}");
                continue;
            }
        };
        let mut detector = ScalarDetector::new(reference, DetectorConfig::new(1e7), START).unwrap();
        let mut rng = Rng::with_seed(2);
        for time in 0..3000 {
            let change = detector.observe(at(time), values[rng.usize(..values.len())]);
            assert!(matches!(change, Change::None | Change::Refused), "{why} at {time}");
        }
        assert!(detector.evidence().is_finite() && detector.run_length().is_finite(), "{why}");
        let _ = detector.explain();
    }
}

#[test]
fn a_constant_signal_that_jumps_alarms() {
    let mut detector = watching(&[7.0; 500], 1e6);
    assert!((0..5000).all(|time| detector.observe(at(time), 7.0) == Change::None));
    assert!((5000..5100).any(|time| detector.observe(at(time), 8.0) == Change::Raised));
}

#[test]
fn values_that_are_not_finite_are_counted_and_change_nothing() {
    let mut detector = watching(&normals(500, 1), 1000.0);
    let before = detector.evidence();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(detector.observe(START, value), Change::Refused);
    }
    assert_eq!((detector.seen(), detector.evidence()), ((0, 3), before));
    assert_eq!(detector.observe_bin(START, BINS), Change::Refused);
}

#[test]
fn an_autoregression_is_taken_out() {
    let mut rng = Rng::with_seed(11);
    let mut state = 0.0;
    let values: Vec<f64> = (0..4000)
        .map(|_| {
            state = 0.8 * state + 0.6 * normal(&mut rng);
            state
        })
        .collect();
    let reference = ScalarReference::learn(&values[..2000], 1).unwrap();
    assert!((reference.phi() - 0.8).abs() < 0.06, "{}", reference.phi());
    let mut whitener = Whitener::new(1);
    let mut counts = TickCounts::default();
    values[2000..].iter().for_each(|value| counts.add(whitener.bin(&reference, *value).unwrap()));
    // 2000 values in 32 bins: chi-square with 31 degrees of freedom; 70 is far beyond any sensible quantile.
    let chi: f64 = counts.bins().iter().map(|count| (f64::from(*count) - 62.5).powi(2) / 62.5).sum();
    assert!(chi < 70.0, "{chi}");
}

#[test]
fn memory_is_bounded() {
    let mut detector = watching(&normals(100_000, 1), 1e9);
    let size = |detector: &ScalarDetector| serde_json::to_string(detector).unwrap().len();
    (0..2000).for_each(|time| {
        let _ = detector.observe(at(time), time as f64);
    });
    let before = size(&detector);
    (2000..20_000).for_each(|time| {
        let _ = detector.observe(at(time), time as f64 % 100.0);
    });
    assert!(size(&detector) < before + 20_000, "{before} {}", size(&detector));
    assert!(detector.reference().values().count() <= 2048);
}

fn same(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(1.0)
}

proptest! {
    #[test]
    fn an_increasing_transform_changes_nothing(seed in 0_u64..1000, count in 100_usize..400, grain in 1.0_f64..50.0) {
        let rounded = |values: Vec<f64>| values.into_iter().map(|x| (x * grain).round() / grain).collect::<Vec<f64>>();
        let (reference, stream) = (rounded(normals(count, seed)), rounded(normals(300, seed + 1)));
        let scores = |transform: fn(f64) -> f64| {
            let reference: Vec<f64> = reference.iter().map(|x| transform(*x)).collect();
            let mut detector = watching(&reference, 1e6);
            stream.iter().map(|x| { detector.observe(START, transform(*x)); detector.evidence() }).collect::<Vec<f64>>()
        };
        prop_assert_eq!(scores(|x| x), scores(f64::exp));
        prop_assert_eq!(scores(|x| x), scores(|x| x * x * x + 3.0));
    }

    /// Each pod whitens what it sees; the counts of a tick come in any order and from any number of pods.
    #[test]
    fn pods_add_up(seed in 0_u64..1000, pods in prop::sample::select(vec![1_usize, 2, 8]), ticks in 1_usize..20) {
        let reference = ScalarReference::learn(&normals(500, seed), 1).unwrap();
        let config = DetectorConfig::new(1e6);
        let mut one = ScalarDetector::new(reference.clone(), config, START).unwrap();
        let mut merged = one.clone();
        let mut whitener = Whitener::new(seed);
        let mut rng = Rng::with_seed(seed);
        for tick in 0..ticks {
            let mut bins: Vec<usize> =
                (0..50).map(|_| whitener.bin(&reference, 0.3 + normal(&mut rng)).unwrap()).collect();
            let mut all = TickCounts::default();
            bins.iter().for_each(|bin| all.add(*bin));
            rng.shuffle(&mut bins);
            let mut shards = vec![TickCounts::default(); pods];
            bins.iter().for_each(|bin| shards[rng.usize(..pods)].add(*bin));
            let mut sum = TickCounts::default();
            shards.iter().rev().for_each(|shard| sum.merge(shard));
            prop_assert_eq!(one.tick(at(tick as i64), &all), merged.tick(at(tick as i64), &sum));
            prop_assert!(same(one.evidence(), merged.evidence()));
        }
        prop_assert_eq!(one, merged);
    }

    #[test]
    fn one_observation_a_tick_is_observing(seed in 0_u64..1000) {
        let reference = ScalarReference::learn(&normals(500, seed), 1).unwrap();
        let mut single = ScalarDetector::new(reference.clone(), DetectorConfig::new(1e6), START).unwrap();
        let mut ticked = single.clone();
        let mut rng = Rng::with_seed(seed);
        for time in 0..200 {
            let bin = rng.usize(..BINS);
            let mut counts = TickCounts::default();
            counts.add(bin);
            prop_assert_eq!(single.observe_bin(at(time), bin), ticked.tick(at(time), &counts));
            prop_assert!(same(single.evidence(), ticked.evidence()));
        }
    }

    #[test]
    fn what_was_stored_goes_on_to_the_same_bits(seed in 0_u64..1000, before in 0_usize..300, phi in 0.0_f64..0.9) {
        let mut rng = Rng::with_seed(seed);
        let mut state = 0.0;
        let mut draw = || { state = phi * state + normal(&mut rng); state };
        let reference: Vec<f64> = (0..400).map(|_| draw()).collect();
        let mut detector = watching(&reference, 500.0);
        (0..before).for_each(|time| { let _ = detector.observe(at(time as i64), draw()); });
        let mut resumed: ScalarDetector = serde_json::from_str(&serde_json::to_string(&detector).unwrap()).unwrap();
        prop_assert_eq!(&resumed, &detector);
        for time in 0..300 {
            let value = draw() + 0.5;
            prop_assert_eq!(resumed.observe(at(time), value), detector.observe(at(time), value));
            prop_assert_eq!(resumed.evidence().to_bits(), detector.evidence().to_bits());
        }
    }
}
