//! The scene on a virtual clock, against the real rule engine: calm is silent for every seed, and every event is found
//! within its act.

use std::collections::BTreeMap;

use plimsoll_rules::{
    AlertState, EngineOptions, Labels, RuleEngine, Store, StoreLimits, Timestamp, builtin_scaled, load_rules,
};

use super::*;
use crate::demo::quantiles::{ANSWER_TOKENS, Spread, Step, at};
use crate::demo::traffic::Dice;

#[test]
fn the_scene_takes_about_three_minutes() {
    let (least, most) = Act::ALL
        .iter()
        .map(|act| act.length())
        .fold((0, 0), |(least, most), length| (least + length.0.as_secs(), most + length.1.as_secs()));
    assert!((140..=180).contains(&least) && most <= 260, "{least} to {most} seconds");
}

/// Counters as the tap and the feedback API would have them.
#[derive(Default)]
struct Counters {
    input: (f64, f64),
    output: (f64, f64),
    tasks: [f64; 2],
    ratings: (f64, f64),
}

/// A pod on a virtual clock; times in seconds from the scene's begin.
struct Pod {
    dice: Dice,
    answers: Spread,
    rate: f64,
    next_request: f64,
    /// What has happened but not yet been counted, by the millisecond it will be.
    coming: BTreeMap<u64, Vec<[f64; 4]>>,
    counters: Counters,
    store: Store,
    engine: RuleEngine,
}

impl Pod {
    fn new(seed: u64, rate: f64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let answers = Spread::new(Step::Answer, &mut rng);
        let groups = load_rules("built-in", &builtin_scaled(FAST_MOTION), Duration::from_secs(1)).unwrap();
        let options = EngineOptions {
            external_labels: Labels::default(),
            external_url: String::new(),
            resend_delay: Duration::from_secs(60),
        };
        Self {
            dice: Dice::new(rng),
            answers,
            rate,
            next_request: 0.0,
            coming: BTreeMap::new(),
            counters: Counters::default(),
            store: Store::new(StoreLimits { series: 1000, retention: Duration::from_secs(3600) }),
            engine: RuleEngine::new(groups, options),
        }
    }

    /// Traffic of one second under `conditions`.
    fn second(&mut self, second: u32, conditions: Conditions) {
        while self.next_request < f64::from(second) + 1.0 {
            let prompt = self.dice.prompt_words(conditions.prompt_factor) as f64;
            let answer = at(&ANSWER_TOKENS, self.answers.draw()).round();
            let (completed, content) = self.dice.outcome(conditions);
            let end = self.next_request + 0.03 + prompt * 4e-6 + answer * 4e-3;
            let share = |content: bool| f64::from(u8::from(content));
            let outcome = [prompt, answer, share(completed), content.map_or(-1.0, share)];
            self.coming.entry((end * 1000.0) as u64).or_default().push(outcome);
            self.next_request += self.dice.pause(self.rate).as_secs_f64();
        }
        let later = self.coming.split_off(&((u64::from(second) + 1) * 1000));
        for [prompt, answer, completed, content] in std::mem::replace(&mut self.coming, later).into_values().flatten() {
            self.counters.input = (self.counters.input.0 + prompt, self.counters.input.1 + 1.0);
            self.counters.output = (self.counters.output.0 + answer, self.counters.output.1 + 1.0);
            self.counters.tasks[usize::from(completed > 0.0)] += 1.0;
            if content >= 0.0 {
                self.counters.ratings = (self.counters.ratings.0 + content, self.counters.ratings.1 + 1.0);
            }
        }
    }

    /// Copies the counters into the store and judges twice, as the agent does in a second.
    fn judge(&mut self, second: u32, cpu: f64) -> Vec<String> {
        let now = Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(u64::from(second));
        let tap = [("model", "m"), ("source", "tap")];
        let model = [("model", "m")];
        let c = &self.counters;
        for (name, labels, value) in [
            ("plimsoll_input_tokens_sum", &tap[..], c.input.0),
            ("plimsoll_input_tokens_count", &tap, c.input.1),
            ("plimsoll_output_tokens_sum", &tap, c.output.0),
            ("plimsoll_output_tokens_count", &tap, c.output.1),
            ("plimsoll_tasks_total", &[("model", "m"), ("outcome", "failed")], c.tasks[0]),
            ("plimsoll_tasks_total", &[("model", "m"), ("outcome", "completed")], c.tasks[1]),
            ("plimsoll_user_satisfaction_score_total", &model, c.ratings.0),
            ("plimsoll_user_satisfaction_ratings_total", &model, c.ratings.1),
            ("plimsoll_cpu_utilization_ratio", &[], cpu),
        ] {
            self.store.append(&Labels::metric(name, labels.iter().copied()), now, value);
        }
        for half in [0, 500] {
            self.engine.evaluate(&mut self.store, now + Duration::from_millis(half));
        }
        let firing = self.engine.alerts().into_iter().filter(|alert| alert.state == AlertState::Firing);
        let names = firing.filter_map(|alert| alert.labels.get("alertname")).filter(|name| *name != "Watchdog");
        names.map(str::to_owned).collect()
    }
}

/// Plays every act for `length(act)` seconds; gives `(second, act, firing alerts)` of each second.
fn play(seed: u64, rate: f64, length: impl Fn(Act) -> u64) -> Vec<(u32, Act, Vec<String>)> {
    let mut pod = Pod::new(seed, rate);
    let mut seen = Vec::new();
    let acts = Act::ALL.into_iter().flat_map(|act| std::iter::repeat_n(act, usize::try_from(length(act)).unwrap()));
    for (second, act) in (0..).zip(acts) {
        pod.second(second, act.conditions());
        let cpu = if act == Act::CpuLoad { 1.0 } else { 0.3 };
        seen.push((second, act, pod.judge(second + 1, cpu)));
    }
    seen
}

/// Seconds from the act's begin until `planted` fires; `None` when it does not in that act.
fn delay(seen: &[(u32, Act, Vec<String>)], planted: Planted) -> Option<u32> {
    let mut act = seen.iter().filter(|(_, act, _)| *act == planted.act());
    let began = act.clone().next()?.0;
    let found = act.find(|(_, _, firing)| firing.iter().any(|name| name == planted.alert()))?;
    Some(found.0 - began)
}

/// The first second of `act` in which something fires.
fn first_alarm(seen: &[(u32, Act, Vec<String>)], act: Act) -> Option<&(u32, Act, Vec<String>)> {
    seen.iter().find(|(_, at, firing)| *at == act && !firing.is_empty())
}

#[test]
fn calm_is_silent_and_every_event_is_found_in_its_act() {
    for seed in 0..100 {
        let seen = play(seed, 20.0, |act| act.length().0.as_secs());
        assert_eq!(first_alarm(&seen, Act::Calm), None, "seed {seed}");
        for planted in Planted::ALL {
            let delay = delay(&seen, planted);
            assert!(delay.is_some_and(|delay| delay <= 16), "seed {seed}: {planted:?} found after {delay:?}");
        }
        let planned = |name: &String| Planted::ALL.iter().any(|planted| planted.alert() == name);
        assert_eq!(seen.iter().flat_map(|(_, _, firing)| firing).find(|name| !planned(name)), None, "seed {seed}");
        assert!(seen.last().unwrap().2.is_empty(), "seed {seed}: everything resolves");
    }
}

#[test]
fn a_slow_machine_that_manages_a_third_of_the_requests_is_as_calm() {
    for seed in 0..20 {
        let seen = play(seed, 7.0, |act| if act == Act::Calm { 120 } else { 0 });
        assert_eq!(first_alarm(&seen, Act::Calm), None, "seed {seed}");
    }
}
