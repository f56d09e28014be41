//! What receivers hear when rules move, go and come back: never that an alert is over that is on.

use std::time::Duration;

use super::*;
use crate::StoreLimits;

const RULE: &str = "{alert: RollBack, expr: m > 1}";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn groups(file: &str, text: &str) -> Vec<Group> {
    load_rules(file, text, Duration::from_secs(10)).unwrap()
}

fn group(name: &str, rule: &str) -> Vec<Group> {
    groups("r.yml", &format!("groups: [{{name: {name}, rules: [{rule}]}}]"))
}

fn options() -> EngineOptions {
    let (external_labels, external_url) = ([("pod", "p")].into_iter().collect(), String::new());
    EngineOptions { external_labels, external_url, resend_delay: Duration::from_secs(10) }
}

/// An engine and all that it has told, as `second:state`.
struct Told {
    engine: RuleEngine,
    store: Store,
    heard: Vec<String>,
}

impl Told {
    fn new(groups: Vec<Group>) -> Self {
        let store = Store::new(StoreLimits { series: 100, retention: Duration::from_secs(7200) });
        Self { engine: RuleEngine::new(groups, options()), store, heard: Vec::new() }
    }

    /// Ten seconds each, `m` at `value`; receivers are asked before the evaluation too.
    fn run(&mut self, seconds: std::ops::Range<i64>, value: f64) {
        for second in seconds.step_by(10) {
            self.tell(second);
            self.store.append(&Labels::metric("m", []), at(second), value);
            self.engine.evaluate(&mut self.store, at(second));
            self.tell(second);
        }
    }

    fn tell(&mut self, second: i64) {
        let told = self.engine.to_notify(at(second));
        self.heard.extend(told.iter().map(|alert| format!("{second}:{:?}", alert.state).to_lowercase()));
    }

    fn restart(&mut self, groups: Vec<Group>, second: i64) {
        let mut fresh = RuleEngine::new(groups, options());
        fresh.restore(&self.engine.save(), at(second)).unwrap();
        self.engine = fresh;
    }

    fn since(&self, second: i64, state: &str) -> usize {
        let of = |heard: &&String| {
            let (at, what) = heard.split_once(':').unwrap();
            at.parse::<i64>().unwrap() >= second && what == state
        };
        self.heard.iter().filter(of).count()
    }
}

#[test]
fn a_rule_whose_group_or_file_is_renamed_goes_on() {
    let long = "{alert: RollBack, expr: m > 1, for: 50s}";
    for (why, rule, after) in [
        ("group", RULE, group("renamed2", RULE)),
        ("file", RULE, groups("s.yml", &format!("groups: [{{name: renamed, rules: [{RULE}]}}]"))),
        ("pending when it was renamed", long, group("renamed2", long)),
    ] {
        for by_restart in [false, true] {
            let mut told = Told::new(group("renamed", rule));
            told.run(0..40, 2.0);
            match by_restart {
                false => told.engine.reload(after.clone(), at(35)),
                true => told.restart(after.clone(), 35),
            }
            told.run(40..1200, 2.0);
            assert_eq!(told.since(0, "resolved"), 0, "{why}, restart {by_restart}: {:?}", told.heard);
            assert_eq!(told.engine.alerts()[0].active_at, at(0), "{why}: its time goes on");
            told.run(1200..1230, 0.0);
            assert!(told.since(1200, "resolved") > 0, "{why}: a real end is told");
        }
    }
}

#[test]
fn a_rule_that_was_away_is_not_told_as_over_once_it_fires_again() {
    for by_restart in [false, true] {
        let mut told = Told::new(group("g", RULE));
        told.run(0..30, 2.0);
        told.engine.reload(Vec::new(), at(25));
        told.run(30..60, 2.0);
        assert!(told.since(30, "resolved") > 0, "while it is away it is over");
        match by_restart {
            false => told.engine.reload(group("g", RULE), at(55)),
            true => told.restart(group("g", RULE), 55),
        }
        told.run(60..1200, 2.0);
        let after = told.heard.iter().position(|heard| heard == "60:firing").unwrap();
        assert!(told.heard[after..].iter().all(|heard| heard.ends_with("firing")), "{:?}", told.heard);
        assert_eq!(told.engine.alerts().len(), 1, "the old end is not shown beside it");
    }
}

#[test]
fn a_saved_end_beside_its_firing_alert_is_dropped_at_the_start() {
    let mut told = Told::new(group("g", RULE));
    told.run(0..30, 2.0);
    // as an older version has saved it: the rule fires, and its end from before waits too
    let mut ended = told.engine.groups[0].rules[0].alerts.clone().end(at(25));
    told.engine.gone.append(&mut ended);
    told.restart(group("g", RULE), 35);
    told.run(40..1000, 2.0);
    assert_eq!(told.since(0, "resolved"), 0, "{:?}", told.heard);
}

#[test]
fn the_end_of_one_of_two_rules_with_the_same_alert_is_no_news() {
    let mut told = Told::new(group("g", &format!("{RULE}, {{alert: RollBack, expr: m > 3}}")));
    told.run(0..30, 4.0);
    told.run(30..100, 2.0);
    assert_eq!(told.since(0, "resolved"), 0, "{:?}", told.heard);
    told.run(100..120, 0.0);
    assert!(told.since(100, "resolved") > 0);
    assert_eq!(told.since(100, "firing"), 1, "before the evaluation only: {:?}", told.heard);
}

#[test]
fn two_rules_alike_that_move_each_take_one_state() {
    let two = "{alert: A, expr: m > 1}, {alert: A, expr: m > 2, labels: {x: y}}";
    let mut told = Told::new(group("g", two));
    told.run(0..20, 3.0);
    told.engine.reload(group("h", two), at(15));
    assert_eq!(told.engine.alerts().len(), 2);
    assert!(told.engine.gone.is_empty());
    told.engine.reload(group("i", "{alert: A, expr: m > 1}"), at(16));
    assert_eq!(told.engine.gone.len(), 1, "the one that did not move on is over");
}
