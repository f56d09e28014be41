//! The categorical detector: rates and delays by simulation, merging, odd input.

use super::*;

const START: Timestamp = Timestamp::from_millis(0);

fn counts(of: &[(&str, u64)]) -> CategoryCounts {
    let mut all = CategoryCounts::default();
    of.iter().for_each(|(name, count)| all.add_many(name, *count));
    all
}

fn watching(arl: f64) -> CategoricalDetector {
    let reference = CategoricalReference::learn(&counts(&[("stop", 1600), ("length", 300), ("tool", 100)])).unwrap();
    CategoricalDetector::new(reference, DetectorConfig::new(arl), START).unwrap()
}

fn usual(rng: &mut fastrand::Rng) -> &'static str {
    match rng.u32(..2000) {
        0..1600 => "stop",
        1600..1900 => "length",
        _ => "tool",
    }
}

#[test]
fn the_run_length_is_the_nominal_one() {
    let start = watching(300.0);
    let lengths = (0..200).map(|run| {
        let (mut detector, mut rng) = (start.clone(), fastrand::Rng::with_seed(run));
        (1..6000).find(|_| detector.observe(START, usual(&mut rng)) == Change::Raised).unwrap_or(6000)
    });
    let mean = lengths.map(f64::from).sum::<f64>() / 200.0;
    assert!((0.7..1.4).contains(&(mean / 300.0)), "{mean}");
}

#[test]
fn a_category_that_rises_is_named_even_when_it_is_new() {
    for (category, named) in [("length", Some("length")), ("error", None)] {
        let (mut detector, mut rng) = (watching(10_000.0), fastrand::Rng::with_seed(7));
        let mut draw = |risen: bool| if risen && rng.f64() < 0.3 { category } else { usual(&mut rng) };
        assert!((0..300).all(|time| detector.observe(Timestamp::from_millis(time), draw(false)) == Change::None));
        let raised =
            (300..500).find(|time| detector.observe(Timestamp::from_millis(*time), draw(true)) == Change::Raised);
        let why = detector.explain();
        assert!(raised.is_some_and(|time| time < 360), "{category}: {raised:?}");
        assert_eq!(why.category.as_deref(), named);
        assert!((250..=330).contains(&why.since.millis()), "{category}: {}", why.since);
        assert!(why.evidence >= detector.level());
    }
}

#[test]
fn ticks_add_up_over_pods_and_states_resume() {
    let (mut one, mut merged) = (watching(10_000.0), watching(10_000.0));
    let mut rng = fastrand::Rng::with_seed(1);
    for tick in 0..50 {
        let mut pods = vec![CategoryCounts::default(); 8];
        let mut all = CategoryCounts::default();
        for _ in 0..40 {
            let name = usual(&mut rng);
            all.add(name);
            pods[rng.usize(..8)].add(name);
        }
        let mut sum = CategoryCounts::default();
        pods.iter().rev().for_each(|pod| sum.merge(pod));
        let now = Timestamp::from_millis(tick);
        assert_eq!(one.tick(now, &all), merged.tick(now, &sum));
    }
    assert_eq!(one, merged);
    let resumed: CategoricalDetector = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
    assert_eq!(resumed, one);
}

#[test]
fn few_and_many_categories_are_fine() {
    let few = CategoricalReference::learn(&counts(&[("a", 63)]));
    assert_eq!(few, Err(DriftError::TooFew { have: 63, need: 64 }));
    let mut only = CategoricalDetector::new(
        CategoricalReference::learn(&counts(&[("a", 500)])).unwrap(),
        DetectorConfig::new(1e6),
        START,
    )
    .unwrap();
    assert!((0..3000).all(|_| only.observe(START, "a") == Change::None));
    let mut many = CategoryCounts::default();
    (0..5000).for_each(|number| many.add(&number.to_string()));
    assert_eq!(many.iter().count(), NAMES + 1, "names are bounded");
    let reference = CategoricalReference::learn(&many).unwrap();
    assert_eq!(reference.categories().len(), OWN);
    assert!((reference.counts.iter().sum::<u64>(), reference.share("nobody") > 0.1) == (5000, true));
}
