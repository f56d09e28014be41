//! Stories over the whole choice, and what holds for any exchanges.

use super::*;

pub(super) fn example(id: &str, prompt: &str, started: i64) -> Example {
    let started = Timestamp::from_millis(started);
    let response = format!("answer to {prompt}");
    Example { id: id.into(), prompt: prompt.into(), response, origin: Origin::Good, started, known: started, weight: 1 }
}

fn told(id: &str, prompt: &str, started: i64, feedback: Vec<Said>) -> Told {
    Told {
        id: id.into(),
        started: Timestamp::from_millis(started),
        endpoint: "chat".into(),
        model: "m".into(),
        variant: String::new(),
        outcome: "ok".into(),
        finish_reason: Some("stop".into()),
        prompt: Some(prompt.into()),
        response: Some(format!("answer to {prompt}")),
        prompt_truncated: false,
        response_truncated: false,
        feedback,
    }
}

fn score(metric: &str, score: f64, received: i64) -> Said {
    let (key, received) = (format!("{metric}{received}"), Timestamp::from_millis(received));
    Said { key, metric: metric.into(), score: Some(score), text: None, received }
}

fn good() -> Vec<Said> {
    vec![score("task_completed", 1.0, 1)]
}

fn corrected(text: &str, received: i64) -> Vec<Said> {
    let said = Said { text: Some(text.into()), score: None, ..score(CORRECTION, 0.0, received) };
    vec![score("task_completed", 0.0, 1), said]
}

fn settings() -> Settings {
    Settings::between(Timestamp::from_millis(1000), Timestamp::from_millis(100_000))
}

fn chosen(told: Vec<Told>, settings: Settings, frozen: Option<Vec<Example>>) -> Dataset {
    let mut candidates = Candidates::new(settings);
    told.into_iter().for_each(|one| candidates.take(one));
    curate(candidates, frozen)
}

fn ids(part: &[Example]) -> Vec<&str> {
    part.iter().map(|one| one.id.as_str()).collect()
}

#[test]
fn who_becomes_an_example_and_why_not() {
    let one = |change: &dyn Fn(&mut Told)| {
        let mut told = told("a", "where is my card", 2000, good());
        change(&mut told);
        let settings = Settings { model: Some("m".into()), variant: Some(String::new()), ..settings() };
        let Dataset { train, counts, .. } = chosen(vec![told], settings, None);
        let why = counts.left_out.rows().into_iter().find(|(_, count)| *count > 0).map(|(why, _)| why);
        (train.first().map(|one| (one.origin.as_str(), one.response.clone())), why)
    };
    let ours = |answer: &str| (Some(("good", answer.to_owned())), None);
    let right = || (Some(("corrected", "right".to_owned())), None);
    let none = |why| (None, Some(why));
    type Case<'c> = (&'c str, &'c dyn Fn(&mut Told), (Option<(&'static str, String)>, Option<&'static str>));
    let cases: [Case<'_>; 21] = [
        ("good", &|_| {}, ours("answer to where is my card")),
        ("another model", &|t| t.model = "n".into(), none("other_model")),
        ("another variant", &|t| t.variant = "v".into(), none("other_model")),
        ("embeddings", &|t| t.endpoint = "embeddings".into(), none("other_endpoint")),
        ("nothing said", &|t| t.feedback.clear(), none("unjudged")),
        ("a metric without scale", &|t| t.feedback[0].score = None, none("unjudged")),
        ("said too late", &|t| t.feedback[0].received = Timestamp::from_millis(100_000), none("unjudged")),
        ("no prompt", &|t| t.prompt = None, none("no_text")),
        ("an empty answer", &|t| t.response = Some(" ".into()), none("no_text")),
        ("a cut prompt", &|t| t.prompt_truncated = true, none("truncated")),
        ("a cut answer", &|t| t.response_truncated = true, none("truncated")),
        ("stopped at its length", &|t| t.finish_reason = Some("length".into()), none("truncated")),
        ("a broken stream", &|t| t.outcome = "broken_stream".into(), none("not_ok")),
        ("failed", &|t| t.feedback = vec![score("thumbs", 0.0, 5)], none("failed_without_correction")),
        ("neither", &|t| t.feedback = vec![score("rating", 0.5, 5)], none("unclear")),
        ("one bad of two", &|t| t.feedback.push(score("thumbs", 0.0, 5)), none("failed_without_correction")),
        (
            "a changed mind",
            &|t| t.feedback.insert(0, score("task_completed", 0.0, 0)),
            ours("answer to where is my card"),
        ),
        ("corrected", &|t| t.feedback = corrected("right", 5), right()),
        ("corrected though good", &|t| t.feedback.extend(corrected("right", 5).pop()), right()),
        (
            "corrected, failed, cut",
            &|t| {
                t.feedback = [corrected("wrong", 4), corrected("right", 5)].concat();
                (t.outcome, t.response, t.response_truncated) = ("timeout".into(), None, true);
            },
            right(),
        ),
        ("corrected, without its prompt", &|t| (t.feedback, t.prompt) = (corrected("right", 5), None), none("no_text")),
    ];
    for (why, change, expected) in cases {
        assert_eq!(one(change), expected, "{why}");
    }
}

#[test]
fn the_newest_correction_wins_and_old_answers_do_not_speak_against_it() {
    let prompt = "when does the office open";
    let all = vec![
        told("first", prompt, 5000, corrected("at nine", 6000)),
        told("second", prompt, 4000, corrected("at ten", 7000)),
        told("good", prompt, 9000, good()),
        told("old", prompt, 100, good()),
        told("same", prompt, 9000, corrected("At  ten", 6500)),
    ];
    let Dataset { train, anchors, replay, counts, .. } =
        chosen(all, Settings { holdout_share: 0.0, ..settings() }, None);
    assert_eq!((ids(&train), &train[0].response[..]), (vec!["second"], "at ten"));
    assert!(anchors.is_empty() && replay.is_empty());
    assert_eq!((counts.left_out.contradicted, counts.left_out.duplicates), (3, 1), "{counts:?}");
}

/// Exchanges over few words, so that many are alike; some old, some corrected, some anything.
fn traffic(count: usize, random: &mut fastrand::Rng) -> Vec<Told> {
    let mut all = Vec::new();
    for n in 0..count {
        let started = random.i64(0..2000);
        let words: Vec<String> =
            (0..random.usize(1..12)).map(|at| format!("w{}", random.usize(..3) + 3 * at)).collect();
        let feedback = match random.u32(..4) {
            0 => corrected(&format!("right {}", random.u32(..3)), random.i64(0..90_000)),
            1 => vec![score("thumbs", f64::from(random.u32(..5)) / 4.0, 7)],
            _ => good(),
        };
        all.push(told(&format!("e{n}"), &words.join(" "), started, feedback));
    }
    all
}

#[test]
fn what_holds_for_any_exchanges() {
    let plain = shingles::Shingler::default();
    let (mut anchored, mut held) = (0, 0);
    for seed in 0..30 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut all = traffic(300, &mut random);
        let wanted = Settings { anchors: 20, near_duplicate: 0.6, ..settings() };
        let first = chosen(all.clone(), wanted.clone(), None);
        random.shuffle(&mut all);
        let second = chosen(all.clone(), wanted.clone(), None);
        let parts = |d: &Dataset| [&d.train, &d.holdout, &d.anchors, &d.replay].map(Clone::clone);
        assert!(
            parts(&first) == parts(&second) && first.counts == second.counts,
            "seed {seed}: the order does not matter"
        );

        let counts = &first.counts;
        assert_eq!(counts.read, counts.kept() + counts.left_out.total(), "seed {seed}: {counts:?}");
        let kept: Vec<&Example> =
            [&first.train, &first.holdout, &first.anchors, &first.replay].into_iter().flatten().collect();
        assert_eq!(counts.kept(), kept.len() as u64);
        for (at, one) in kept.iter().enumerate() {
            let set = plain.shingled(&one.prompt).set;
            for other in &kept[..at] {
                // what all prompts share is left out of the comparison, so words may be equal; whole prompts may not
                assert!(set != plain.shingled(&other.prompt).set, "seed {seed}: {} {}", one.id, other.id);
            }
        }
        let since = Timestamp::from_millis(1000);
        assert!(
            first.train.iter().chain(&first.holdout).all(|one| one.started >= since && one.origin != Origin::Replay)
        );
        assert!(first.anchors.iter().chain(&first.replay).all(|one| one.started < since));
        assert!(first.anchors.iter().all(|one| one.origin == Origin::Good) && first.anchors.len() <= 20);
        for origin in [Origin::Good, Origin::Corrected] {
            let times = |part: &[Example]| {
                part.iter().filter(|one| one.origin == origin).map(|one| one.started).collect::<Vec<_>>()
            };
            let (train, holdout) = (times(&first.train), times(&first.holdout));
            assert!(
                train.iter().max() <= holdout.iter().min() || holdout.is_empty(),
                "seed {seed}: the newest are held out"
            );
            let share = (train.len() + holdout.len()) as f64 * 0.2;
            assert!((holdout.len() as f64 - share).abs() <= 0.5, "{} of {share}", holdout.len());
        }
        assert!(first.replay.len() as u64 <= first.train.iter().map(|one| u64::from(one.weight)).sum());
        (anchored, held) = (anchored + first.anchors.len(), held + first.holdout.len());

        let again = chosen(all, Settings { seed: 9, ..wanted }, Some(first.anchors.clone()));
        assert!(again.anchors == first.anchors && again.counts.anchors_drawn == 0, "frozen whatever the seed");
        let anchors: std::collections::HashSet<&str> = ids(&first.anchors).into_iter().collect();
        let others = [&again.train, &again.holdout, &again.replay];
        assert!(others.into_iter().flatten().all(|one| !anchors.contains(one.id.as_str())));
    }
    assert!(anchored > 100 && held > 300, "{anchored} {held}");
}

#[test]
fn near_prompts_of_anchors_are_kept_out() {
    let long: Vec<String> = (0..40).map(|n| format!("word{n}")).collect();
    let (long, anchor) = (long.join(" "), long.join(" ").replace("word39", "other"));
    // the third is like the second anchor, which is like the first
    let (second, third) =
        (anchor.replace("word0 ", "first "), anchor.replace("word0 ", "first ").replace("word20", "mid"));
    let all = vec![
        told("near", &long, 2000, good()),
        told("far", "where is my card", 2000, good()),
        told("third", &third, 2000, good()),
    ];
    let settings = Settings { near_duplicate: 0.85, ..settings() };
    let anchors = vec![example("x", &anchor, 5), example("y", &second, 5)];
    let Dataset { train, anchors, counts, .. } = chosen(all, settings, Some(anchors));
    assert_eq!((ids(&train), ids(&anchors), counts.left_out.anchors_kept_out), (vec!["far"], vec!["x", "y"], 2));
}

#[test]
fn the_drifted_slice_is_learnt_twice_and_old_ones_are_repeated_as_far_as_needed() {
    let prompt = |n: u32, new: bool| {
        let mut random = fastrand::Rng::with_seed(u64::from(n));
        let words: Vec<String> = (0..9).map(|_| format!("{}w", random.u32(..40))).collect();
        format!("{} {}", words.join(" "), if new && n.is_multiple_of(4) { "crypto wallet exchange" } else { "please" })
    };
    let new = (0..400).map(|n| told(&format!("n{n}"), &prompt(n, true), 2000, good()));
    let old = (400..1400).map(|n| told(&format!("o{n}"), &prompt(n, false), 10, good()));
    let all: Vec<Told> = new.chain(old).collect();
    let chosen_with = |settings: Settings| chosen(all.clone(), settings, None);
    let first = chosen_with(settings());
    assert_eq!(first.drift.state, DriftState::Found, "{:?}", first.drift);
    let twice: Vec<&Example> = first.train.iter().filter(|one| one.weight == 2).collect();
    let slice = |all: &[&Example]| all.iter().filter(|one| one.prompt.contains("crypto")).count();
    let (all_of_it, found) = (slice(&first.train.iter().collect::<Vec<_>>()), slice(&twice));
    assert!(found * 10 >= all_of_it * 9, "{found} of {all_of_it}");
    assert!((twice.len() - found) * 5 < first.train.len() - all_of_it, "{} others", twice.len() - found);
    assert!(first.holdout.iter().all(|one| one.weight == 1));
    assert_eq!(first.replay.len(), first.train.len() + twice.len());
    assert_eq!(first.anchors.len(), 200);
    let plain = chosen_with(Settings { drift_weight: 1, replay_share: 0.2, ..settings() });
    assert_eq!((plain.drift.state, plain.train.len(), plain.replay.len()), (DriftState::Off, 320, 80));
}

#[test]
fn corrections_of_a_time_that_is_not_trusted_are_not_repeated() {
    let all = vec![
        told("a", "where is my card", 100, corrected("in the post", 2)),
        told("b", "who pays for my phone", 200, corrected("nobody", 3)),
        told("c", "how long does it take", 210, good()),
        told("d", "may i come by tomorrow", 5000, corrected("of course", 6000)),
    ];
    let dataset = chosen(all, Settings { distrusted_ms: vec![(150, 9000)], ..settings() }, None);
    assert_eq!(dataset.counts.left_out.distrusted, 1, "b: old, corrected, and of that time");
    assert!(!ids(&dataset.replay).contains(&"b"));
    assert_eq!(ids(&[dataset.train, dataset.holdout].concat()), ["d"], "new ones are looked at again");
}
