//! Tests of the embedding detector: rates and delays on synthetic streams, merging, saving, bad input.

use super::*;

const DIM: usize = 24;

/// Normal vectors with falling spread along the axes, plus `shift` along the third.
struct Source {
    rng: fastrand::Rng,
}

impl Source {
    fn new(seed: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed) }
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * self.rng.f64()).cos()
    }

    fn vector(&mut self, shift: f64) -> Vec<f32> {
        let mut vector: Vec<f32> = (0..DIM).map(|at| (self.normal() / (1.0 + at as f64 / 4.0)) as f32).collect();
        vector[2] += shift as f32;
        vector
    }

    fn vectors(&mut self, count: usize) -> Vec<Vec<f32>> {
        (0..count).map(|_| self.vector(0.0)).collect()
    }
}

fn settings(arl: f64) -> EmbeddingSettings {
    EmbeddingSettings { arl, dead_zone: 0.0, seed: 7 }
}

fn learned(seed: u64, arl: f64) -> (EmbeddingDetector, Source) {
    let mut source = Source::new(seed);
    let detector = EmbeddingDetector::learn(&source.vectors(400), &settings(arl)).unwrap();
    (detector, source)
}

#[test]
fn alarms_soon_after_a_shift_and_not_before() {
    let (mut detector, mut source) = learned(1, 1e6);
    for _ in 0..3000 {
        assert!(!detector.update(&source.vector(0.0)).unwrap().alarm);
    }
    let delay = (1..200).find(|_| detector.update(&source.vector(1.5)).unwrap().alarm);
    assert!(delay.is_some_and(|delay| delay < 60), "{delay:?}");
    detector.restart();
    assert!(!detector.reading().alarm);
    assert_eq!(detector.reading().seen, 0);
}

#[test]
fn longer_run_lengths_have_higher_thresholds() {
    let (mut detector, _) = learned(2, 100.0);
    let mut thresholds = Vec::new();
    for arl in [100.0, 1e3, 1e4, 1e6, 1e9] {
        detector.set_run_length(arl).unwrap();
        thresholds.push(detector.reading().threshold);
    }
    assert!(thresholds.windows(2).all(|two| two[0] < two[1]), "{thresholds:?}");
    for bad in [f64::NAN, 0.0, 99.0, f64::INFINITY] {
        assert!(detector.set_run_length(bad).is_err(), "{bad}");
    }
}

#[test]
fn shards_and_their_order_do_not_matter() {
    let (mut one, mut source) = learned(3, 1000.0);
    let mut many = one.clone();
    for tick in 0..20 {
        let vectors = source.vectors(40 + tick);
        let mut all = EmbeddingTick::default();
        vectors.iter().for_each(|vector| one.collect(vector, &mut all).unwrap());
        let mut shards = vec![EmbeddingTick::default(); 8];
        for (at, vector) in vectors.iter().rev().enumerate() {
            many.collect(vector, &mut shards[at % 8]).unwrap();
        }
        let mut merged = EmbeddingTick::default();
        assert!(shards.iter().all(|shard| merged.merge(shard)));
        let (a, b) = (one.absorb(&all), many.absorb(&merged));
        assert!((a.score - b.score).abs() < 1e-9, "{} {}", a.score, b.score);
        assert_eq!(a.seen, b.seen);
    }
}

#[test]
fn one_vector_a_tick_is_an_update() {
    let (mut one, mut source) = learned(4, 1000.0);
    let mut other = one.clone();
    for vector in source.vectors(50) {
        let mut tick = EmbeddingTick::default();
        other.collect(&vector, &mut tick).unwrap();
        assert!((one.update(&vector).unwrap().score - other.absorb(&tick).score).abs() < 1e-9);
    }
}

#[test]
fn a_saved_detector_goes_on_where_it_was() {
    let (mut detector, mut source) = learned(5, 1000.0);
    source.vectors(100).iter().for_each(|vector| assert!(detector.update(vector).is_ok()));
    let saved = serde_json::to_string(&detector).unwrap();
    let mut back: EmbeddingDetector = serde_json::from_str(&saved).unwrap();
    back.validate().unwrap();
    for vector in source.vectors(100) {
        let (a, b) = (detector.update(&vector).unwrap(), back.update(&vector).unwrap());
        // serde_json reads a number back to within its last bit.
        assert!((a.score - b.score).abs() < 1e-12 * (1.0 + a.score.abs()), "{a:?} {b:?}");
        assert_eq!((a.alarm, a.memory, a.seen), (b.alarm, b.memory, b.seen));
    }
}

#[test]
fn damaged_states_are_refused() {
    let (detector, _) = learned(6, 1000.0);
    let saved = serde_json::to_value(&detector).unwrap();
    let zero = serde_json::json!(0.0);
    for (why, path, value) in [
        ("no spread", "/norm/trace", zero.clone()),
        ("no means", "/bank/means/1", serde_json::json!([])),
        ("no law", "/law/knots", serde_json::json!([])),
        ("no run length", "/arl", zero),
        ("short directions", "/features/directions", serde_json::json!([])),
    ] {
        let mut damaged = saved.clone();
        *damaged.pointer_mut(path).unwrap() = value;
        let back: EmbeddingDetector = serde_json::from_value(damaged).unwrap();
        assert!(back.validate().is_err(), "{why}");
    }
}

#[test]
fn bad_references_are_refused_and_bad_rows_left_out() {
    let good = Source::new(8).vectors(200);
    let with = |row: Vec<f32>| {
        let mut rows = good.clone();
        rows.insert(50, row);
        rows
    };
    let learn = |rows: &[Vec<f32>]| EmbeddingDetector::learn(rows, &settings(1000.0));
    let clean = learn(&good).unwrap();
    for (why, row) in [("NaN", vec![f32::NAN; DIM]), ("infinite", vec![f32::MAX; DIM]), ("short", vec![1.0; 3])] {
        let detector = learn(&with(row)).unwrap();
        assert_eq!(detector.reference_len(), 200, "{why}");
        assert_eq!(detector.reading().threshold, clean.reading().threshold, "{why}");
    }
    assert_eq!(learn(&good[..100]).unwrap_err(), LearnError::TooFew { have: 100, need: LEAST_REFERENCE });
    assert_eq!(learn(&[]).unwrap_err(), LearnError::TooFew { have: 0, need: LEAST_REFERENCE });
    for row in [vec![0.0_f32; DIM], vec![0.3; DIM], vec![1e-30; DIM], vec![1e15; DIM]] {
        assert_eq!(learn(&vec![row; 200]).unwrap_err(), LearnError::Constant { count: 200 });
    }
    assert_eq!(learn(&vec![vec![]; 200]).unwrap_err(), LearnError::Dimensions { given: 0 });
    let bad = EmbeddingSettings { arl: f64::NAN, ..EmbeddingSettings::default() };
    assert!(matches!(EmbeddingDetector::learn(&good, &bad), Err(LearnError::RunLength { .. })));
}

#[test]
fn bad_vectors_leave_the_detector_as_it_was() {
    let (mut detector, mut source) = learned(9, 1000.0);
    source.vectors(10).iter().for_each(|vector| assert!(detector.update(vector).is_ok()));
    let before = detector.reading();
    for (why, vector, wanted) in [
        ("NaN", vec![f32::NAN; DIM], Unusable::NotFinite),
        ("infinite", vec![f32::INFINITY; DIM], Unusable::NotFinite),
        ("square overflows", vec![f32::MAX; DIM], Unusable::NotFinite),
        ("short", vec![0.0; 3], Unusable::Dimensions { given: 3, wanted: DIM }),
        ("empty", vec![], Unusable::Dimensions { given: 0, wanted: DIM }),
    ] {
        assert_eq!(detector.update(&vector).unwrap_err(), wanted, "{why}");
        let mut tick = EmbeddingTick::default();
        assert_eq!(detector.collect(&vector, &mut tick).unwrap_err(), wanted, "{why}");
        assert_eq!(tick.count(), 0, "{why}");
        assert_eq!(detector.reading(), before, "{why}");
    }
    assert!(detector.update(&[0.0; DIM]).unwrap().score.is_finite());
    assert_eq!(detector.absorb(&EmbeddingTick::default()).seen, 11);
}

#[test]
fn few_distinct_and_low_rank_references_give_no_nan() {
    let mut source = Source::new(10);
    let two: Vec<Vec<f32>> = (0..300).map(|at| vec![f32::from(u8::from(at % 2 == 0)); DIM]).collect();
    let flat: Vec<Vec<f32>> = (0..300).map(|_| vec![source.normal() as f32, 0.0, 0.0]).collect();
    let single: Vec<Vec<f32>> = (0..300).map(|_| vec![source.normal() as f32]).collect();
    for reference in [two, flat, single] {
        let mut detector = EmbeddingDetector::learn(&reference, &settings(1000.0)).unwrap();
        let score = reference.iter().map(|vector| detector.update(vector).unwrap().score).fold(f64::MIN, f64::max);
        assert!(score.is_finite());
    }
}

/// An orthogonal turn of all vectors (here: each pair of axes by 30 degrees, and the axes reversed) changes nothing but rounding.
#[test]
fn turning_the_space_changes_nothing() {
    let mut source = Source::new(11);
    let (reference, stream) = (source.vectors(400), source.vectors(100));
    let (sin, cos) = std::f32::consts::FRAC_PI_6.sin_cos();
    let turn = |vectors: &[Vec<f32>]| -> Vec<Vec<f32>> {
        let pair = |two: &[f32]| [cos * two[0] - sin * two[1], sin * two[0] + cos * two[1]];
        vectors.iter().map(|vector| vector.chunks(2).rev().flat_map(pair).collect()).collect()
    };
    let mut straight = EmbeddingDetector::learn(&reference, &settings(1000.0)).unwrap();
    let mut turned = EmbeddingDetector::learn(&turn(&reference), &settings(1000.0)).unwrap();
    assert!((straight.reading().threshold / turned.reading().threshold - 1.0).abs() < 0.02);
    for (a, b) in stream.iter().zip(turn(&stream)) {
        let (a, b) = (straight.update(a).unwrap().score, turned.update(&b).unwrap().score);
        assert!((a - b).abs() < 0.05 * (1.0 + a.abs()), "{a} {b}");
    }
}

#[test]
fn a_dead_zone_hides_small_shifts() {
    let mut source = Source::new(12);
    let reference = source.vectors(400);
    let wide = EmbeddingSettings { dead_zone: 1.0, ..settings(1000.0) };
    let mut detector = EmbeddingDetector::learn(&reference, &wide).unwrap();
    assert!((0..2000).all(|_| !detector.update(&source.vector(0.3)).unwrap().alarm));
    assert!((0..500).any(|_| detector.update(&source.vector(6.0)).unwrap().alarm));
}
