//! Signals from exchanges to alarms and back from disk, without files or sockets.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_rules::drift::reference_margin;
use plimsoll_rules::mask::{MaskOptions, Masker};
use plimsoll_rules::{Exchange, ExchangeOutcome, ExchangeText, MaskedText, Timestamp, TokenCount};

use super::act::{Act, ActError};
use super::audit::{By, Door};
use super::bench::Bench;
use super::course::Parts;
use super::desk::{Ask, Refusal, Which, answer};
use super::settings::Settings;
use super::signal::Signal;
use super::view::{SignalView, State, annotations, readings, views};
use crate::config::{AlarmBudget, Drift, HourOfWeek, Setting, Span};

fn settings(change: impl FnOnce(&mut Drift)) -> Settings {
    let mut config = Drift::default();
    (config.reference.observations, config.reference.texts) = (300, 1000);
    change(&mut config);
    Settings::new(&config, None).unwrap()
}

fn at(second: usize) -> Timestamp {
    Timestamp::from_secs_f64(1_700_000_000.0 + second as f64)
}

fn exchange(rng: &mut fastrand::Rng, factor: f64) -> Exchange {
    let tokens = (100.0 * factor * (0.5 + rng.f64() + rng.f64())).round();
    Exchange {
        finish_reason: Some(if rng.f64() < 0.9 { "stop" } else { "length" }.into()),
        stream: true,
        input_tokens: TokenCount::Reported(tokens as u64),
        output_tokens: TokenCount::Estimated(11),
        time_to_first_token: Some(Duration::from_millis(500)),
        duration: Duration::from_millis(2500),
        ..Exchange::chat("x", "m", Timestamp::default())
    }
}

/// One exchange a second.
fn play(bench: &mut Bench, from: usize, exchanges: impl IntoIterator<Item = Exchange>) -> usize {
    let mut second = from;
    for exchange in exchanges {
        bench.take(&[exchange], at(second));
        bench.pass(Duration::from_secs(1));
        second += 1;
    }
    second
}

fn view(bench: &mut Bench, signal: Signal) -> SignalView {
    views(bench).into_iter().find(|view| view.id.signal == signal).unwrap()
}

#[test]
fn values_are_read_off_answered_exchanges_only() {
    let mut rng = fastrand::Rng::with_seed(1);
    let good = exchange(&mut rng, 1.0);
    let failed = Exchange { outcome: ExchangeOutcome::Timeout, ..good.clone() };
    let whole = Exchange { time_to_first_token: None, ..good.clone() };
    let short = Exchange { output_tokens: TokenCount::Reported(1), ..good.clone() };
    for (why, signal, exchange, expected) in [
        ("tokens after the first", Signal::TokensPerSecond, &good, Some(5.0)),
        ("not streamed", Signal::TokensPerSecond, &whole, Some(4.4)),
        ("one token has no speed", Signal::TokensPerSecond, &short, None),
        ("latency", Signal::Latency, &good, Some(2.5)),
        ("not answered", Signal::Latency, &failed, None),
        ("no text", Signal::PromptLength, &good, None),
        ("of another kind", Signal::FinishReason, &good, None),
    ] {
        assert_eq!(signal.number(exchange), expected, "{why}");
    }
}

#[test]
fn a_signal_is_learned_watched_drifts_and_is_accepted() {
    let mut rng = fastrand::Rng::with_seed(2);
    let mut bench = Bench::new(settings(|_| ()));
    let mut now = play(&mut bench, 0, (0..299).map(|_| exchange(&mut rng, 1.0)));
    assert_eq!(view(&mut bench, Signal::InputTokens).state, State::Learning);
    let which = Which::default();
    let by = By { door: Door::Api, who: "eve\n".into() };
    let accept = Ask::Do(Act::Accept, by.clone());
    let refused = answer(&mut bench, Signal::InputTokens, &which, accept.clone(), at(now));
    assert_eq!(refused, Err(Refusal::Act(ActError::Learning)));
    now = play(&mut bench, now, (0..1000).map(|_| exchange(&mut rng, 1.0)));
    let calm = views(&mut bench);
    assert!(calm.iter().all(|view| view.state == State::Watching && view.baseline == Some(1)), "{calm:#?}");
    let arl = calm[0].arl.unwrap();
    let expected = 30.0 * 86_400.0 * calm.len() as f64 * reference_margin(calm.len(), 300);
    assert!((arl / expected - 1.0).abs() < 0.1, "one a second, {} signals share: {arl}", calm.len());
    assert!(annotations(&calm).is_empty());

    let refused = answer(&mut bench, Signal::InputTokens, &which, accept.clone(), at(now)).unwrap_err();
    assert_eq!(refused, Refusal::Act(ActError::NoAlarm { version: 1 }));

    bench.take_urgent();
    now = play(&mut bench, now, (0..150).map(|_| exchange(&mut rng, 2.0)));
    assert!(bench.take_urgent(), "an alarm is saved at once");
    let drifted = view(&mut bench, Signal::InputTokens);
    let why = drifted.explanation.clone().unwrap();
    assert_eq!((drifted.state, &*why.direction), (State::Alarm, "up"));
    assert!(why.size.starts_with("p95 2") && why.size.contains("median 1"), "{}", why.size);
    assert!(drifted.since.unwrap() >= at(1299 - 30), "{drifted:?}");
    let all = views(&mut bench);
    let said = &annotations(&all)[&("input_tokens".into(), "m".into(), String::new())];
    assert!(said["size"].contains("tokens (+") && said["next_step"].contains("prompts"), "{said:?}");
    let names: Vec<&str> = readings(&all).iter().map(|reading| reading.metric.name()).collect();
    assert!(names.contains(&"plimsoll_drift_since_timestamp_seconds") && names.contains(&"plimsoll_drift_alarm"));

    let done = answer(&mut bench, Signal::InputTokens, &which, accept.clone(), at(now)).unwrap();
    assert_eq!((&done["baseline"], &done["learned"]["age_seconds"]), (&2.into(), &1.0.into()), "{done}");
    now = play(&mut bench, now, (0..300).map(|_| exchange(&mut rng, 2.0)));
    assert_eq!(view(&mut bench, Signal::InputTokens).state, State::Watching);
    let back = answer(&mut bench, Signal::InputTokens, &which, Ask::Do(Act::RollBack(1), by.clone()), at(now)).unwrap();
    assert_eq!(back["baseline"], 1);
    let missing = answer(&mut bench, Signal::InputTokens, &which, Ask::Do(Act::RollBack(9), by), at(now));
    assert!(missing.unwrap_err().to_string().contains('9'));
    play(&mut bench, now, (0..150).map(|_| exchange(&mut rng, 2.0)));
    assert_eq!(view(&mut bench, Signal::InputTokens).state, State::Alarm);
}

/// Five signals, one budget: the first false alarm of any of them comes when the budget says.
#[test]
fn one_budget_holds_over_all_signals() {
    let runs = 40;
    let one = |seed: u64| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut bench = Bench::new(settings(|drift| {
            drift.reference.observations = 1000;
            drift.false_alarms = AlarmBudget { count: 1.0, per: Span::secs(500) };
            (drift.signals.finish_reason, drift.signals.error_kind) = (Setting::Off, Setting::Off);
        }));
        let mut draw = || Exchange {
            output_tokens: TokenCount::Reported(rng.u64(20..400)),
            time_to_first_token: Some(Duration::from_secs_f64(0.2 + rng.f64())),
            duration: Duration::from_secs_f64(2.0 - (1.0 - rng.f64()).ln()),
            ..exchange(&mut rng, 1.0)
        };
        let now = play(&mut bench, 0, (0..1000).map(|_| draw()));
        assert!(bench.take_urgent(), "all are learned");
        let alarmed = |second: &usize| {
            play(&mut bench, *second, [draw()]);
            bench.take_urgent()
        };
        let raised = (now..now + 10_000).find(alarmed).unwrap_or(now + 10_000);
        (raised - now) as f64 / 500.0
    };
    let mean = (0..runs).map(one).sum::<f64>() / runs as f64;
    assert!((0.7..1.7).contains(&mean), "{mean} of the budget's time to the first alarm");
}

/// Afternoons are twice as long as mornings: after three weeks that is usual, a long morning is not.
#[test]
fn hours_of_the_week_are_learned_once_there_are_three_weeks() {
    let mut rng = fastrand::Rng::with_seed(6);
    let start = Timestamp::from_rfc3339("2026-08-03T00:00:00Z").unwrap();
    let minute = |n: u32| start + Duration::from_secs(60) * n;
    let week = 7 * 24 * 60;
    let mut numbers = |n: u32, strange: f64| {
        let usual = if n / 60 % 24 < 12 { 1.0 } else { 2.0 };
        exchange(&mut rng, usual * strange)
    };
    let only_tokens = |drift: &mut Drift| {
        drift.minimum_effect = 1.0; // whole days are one reference at first
        drift.reference.observations = 5000;
        drift.false_alarms = AlarmBudget { count: 1.0, per: Span::secs(3000 * 86_400) };
    };
    for (hours, kinds) in [(HourOfWeek::Auto, vec!["first", "hours"]), (HourOfWeek::Off, vec!["first"])] {
        let mut bench = Bench::new(settings(|drift| {
            only_tokens(drift);
            drift.hour_of_week = hours;
        }));
        for n in 0..4 * week {
            bench.take(&[numbers(n, 1.0)], minute(n));
        }
        let versions =
            answer(&mut bench, Signal::InputTokens, &Which::default(), Ask::Baselines, minute(4 * week)).unwrap();
        let versions = versions["baselines"].as_array().unwrap().clone();
        assert_eq!(versions.iter().map(|v| v["kind"].as_str().unwrap()).collect::<Vec<_>>(), kinds, "{versions:#?}");
        if hours == HourOfWeek::Off {
            continue;
        }
        assert_eq!(versions[1]["reference"]["hours_of_week"], 168);
        let mut again = Bench::new(settings(only_tokens));
        again.restore(bench.unsaved(Some(Parts::All)), minute(4 * week));
        for n in 4 * week..4 * week + 600 {
            again.take(&[numbers(n, 2.0)], minute(n));
        }
        let found = view(&mut again, Signal::InputTokens);
        assert_eq!((found.state, found.baseline), (State::Alarm, Some(2)), "a morning like an afternoon");
        assert!(found.explanation.unwrap().size.contains("hour of the week"));
    }
}

#[test]
fn a_restart_changes_nothing() {
    let mut rng = fastrand::Rng::with_seed(3);
    let mut first = Bench::new(settings(|_| ()));
    let now = play(&mut first, 0, (0..600).map(|_| exchange(&mut rng, 1.0)));
    let mut second = Bench::new(settings(|_| ()));
    second.restore(first.unsaved(Some(Parts::All)), at(now));
    assert!(first.unsaved(None).is_empty(), "nothing is saved twice");
    let more: Vec<Exchange> = (0..200).map(|n| exchange(&mut rng, if n < 100 { 1.0 } else { 2.0 })).collect();
    play(&mut first, now, more.clone());
    play(&mut second, now, more);
    let said = |bench: &mut Bench| serde_json::to_value(views(bench)).unwrap();
    let (one, other) = (said(&mut first), said(&mut second));
    for (one, other) in one.as_array().unwrap().iter().zip(other.as_array().unwrap()) {
        for part in ["signal", "state", "observations", "baseline", "alarm", "since"] {
            assert_eq!(one[part], other[part], "{one:#} {other:#}");
        }
        let evidence = |view: &serde_json::Value| view["evidence"].as_f64();
        if let (Some(a), Some(b)) = (evidence(one), evidence(other)) {
            assert!((a - b).abs() < 1e-9 * a.abs().max(1.0), "{a} {b}");
        }
    }
    let mut changed = Bench::new(settings(|drift| drift.minimum_effect = 0.4));
    first.watches_mut().for_each(|(_, watch)| watch.unsaved = Some(Parts::All));
    changed.restore(first.unsaved(Some(Parts::All)), at(now + 200));
    let view = view(&mut changed, Signal::InputTokens);
    assert_eq!((view.state, view.baseline), (State::Watching, Some(1)), "new settings, old baseline");
    let mut off = Bench::new(settings(|drift| drift.signals.latency = Setting::Off));
    first.watches_mut().for_each(|(_, watch)| watch.unsaved = Some(Parts::All));
    off.restore(first.unsaved(Some(Parts::All)), at(now + 200));
    assert!(views(&mut off).iter().all(|view| view.id.signal != Signal::Latency));
}

/// What was saved every minute, without the parts that change seldom, is enough to accept from.
#[test]
fn recent_values_are_saved_part_by_part() {
    let mut rng = fastrand::Rng::with_seed(8);
    let mut bench = Bench::new(settings(|_| ()));
    let mut now = play(&mut bench, 0, (0..600).map(|_| exchange(&mut rng, 1.0)));
    let mut disk = bench.unsaved(None);
    for factor in [1.0, 2.0, 2.0] {
        now = play(&mut bench, now, (0..60).map(|_| exchange(&mut rng, factor)));
        for saved in bench.unsaved(None) {
            let before = disk.iter_mut().find(|before| before.id == saved.id).unwrap();
            assert!(saved.course.ring.is_none() && saved.course.newer.len() == 1, "{}", saved.id);
            assert!(saved.course.newer[0].len() < 4_000, "{}", saved.course.newer[0].len());
            before.course.newer.extend(saved.course.newer);
            (before.course.detector, before.course.observations) = (saved.course.detector, saved.course.observations);
        }
    }
    let mut again = Bench::new(settings(|_| ()));
    again.restore(disk, at(now));
    let by = By { door: Door::Api, who: String::new() };
    let accepted = |bench: &mut Bench| {
        let accept = Ask::Do(Act::Accept, by.clone());
        answer(bench, Signal::InputTokens, &Which::default(), accept, at(now)).unwrap()["learned"].clone()
    };
    let (one, other) = (accepted(&mut bench), accepted(&mut again));
    assert_eq!((&one["age_seconds"], &one), (&1.0.into(), &other));
    assert!(again.unsaved(None).iter().any(|saved| saved.course.ring.is_some()), "a new baseline is saved whole");
}

#[test]
fn models_are_bounded_and_what_is_meant_must_be_clear() {
    let mut rng = fastrand::Rng::with_seed(4);
    let mut bench = Bench::new(settings(|drift| drift.models = 2));
    for (model, variant) in [("a", ""), ("b", "canary"), ("c", ""), ("a", "other"), ("a", "")] {
        let one = Exchange { model: model.into(), variant: variant.into(), ..exchange(&mut rng, 1.0) };
        bench.take(&[one], at(0));
    }
    assert_eq!((bench.take_beyond(), bench.take_beyond()), (2, 0));
    let mut ask = |which| answer(&mut bench, Signal::Latency, &which, Ask::Baselines, at(1));
    let unclear = ask(Which::default()).unwrap_err();
    assert!(unclear.to_string().contains("model=\"b\" variant=\"canary\""), "{unclear}");
    assert!(ask(Which { model: Some("b".into()), variant: None }).is_ok());
    assert!(matches!(ask(Which { model: Some("z".into()), variant: None }), Err(Refusal::Unknown(_))));
}

fn about(rng: &mut fastrand::Rng, topic: &str) -> Exchange {
    let mut words: Vec<&str> = topic.split(' ').collect();
    rng.shuffle(&mut words);
    let masker = Masker::new(b"a salt of sixteen bytes", &MaskOptions::default()).unwrap();
    let prompt = MaskedText::of(&masker, &words.join(" "));
    let response = MaskedText::of(&masker, "I'm sorry, but I can't help with that.");
    let text = ExchangeText { prompt: Some(prompt), response: Some(response), ..ExchangeText::default() };
    Exchange { text: Some(Arc::new(text)), ..exchange(rng, 1.0) }
}

#[test]
fn another_topic_is_said_in_its_words_and_no_text_is_saved() {
    const USUAL: [&str; 3] = [
        "please block my lost bank card at once",
        "why is there a fee on my account again",
        "I want to transfer money to savings",
    ];
    let mut rng = fastrand::Rng::with_seed(5);
    let mut bench = Bench::new(settings(|_| ()));
    let usual: Vec<Exchange> = (0..1500).map(|n| about(&mut rng, USUAL[n % 3])).collect();
    let now = play(&mut bench, 0, usual.clone());
    assert_eq!(view(&mut bench, Signal::Embedding).state, State::Watching);
    let soup: Vec<Exchange> =
        (0..150).map(|_| about(&mut rng, "give me a recipe for tomato soup with garlic")).collect();
    play(&mut bench, now, soup.clone());
    let drifted = view(&mut bench, Signal::Embedding);
    let why = drifted.explanation.unwrap();
    assert_eq!(drifted.state, State::Alarm);
    assert!(
        why.top.iter().any(|top| top.kind == "term" && "soup recipe tomato garlic".contains(&*top.item)),
        "{why:#?}"
    );
    assert!(why.examples.iter().any(|text| text.contains("soup")), "{why:#?}");
    for saved in bench.unsaved(Some(Parts::All)) {
        for part in [saved.course.ring, saved.course.baselines, saved.course.detector].iter().flatten() {
            for exchange in usual.iter().chain(&soup) {
                let prompt = exchange.text.as_ref().unwrap().prompt.as_ref().unwrap().as_str();
                assert!(!part.contains(prompt), "{}: {prompt:?} is saved", saved.id);
            }
        }
    }
}
