//! The engine over a store: groups see what was recorded before them, failures change nothing, state survives.

use std::time::Duration;

use super::*;
use crate::{STALE_NAN_BITS, StoreLimits};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn store() -> Store {
    Store::new(StoreLimits { series: 100, retention: Duration::from_secs(7200) })
}

fn groups(text: &str) -> Vec<Group> {
    load_rules("r.yml", text, Duration::from_secs(10)).unwrap()
}

fn options() -> EngineOptions {
    EngineOptions {
        external_labels: [("pod", "p1")].into_iter().collect(),
        external_url: "http://pod:9465".into(),
        resend_delay: Duration::from_secs(60),
    }
}

fn engine(text: &str) -> RuleEngine {
    RuleEngine::new(groups(text), options())
}

fn show(engine: &RuleEngine) -> String {
    let one = |alert: &&ActiveAlert| {
        let name = alert.labels.get("alertname").unwrap();
        let x = alert.labels.get("x").map_or_else(String::new, |x| format!("({x})"));
        format!("{name}{x} {:?}", alert.state).to_lowercase()
    };
    engine.alerts().iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The newest sample of every series of `name`, staleness markers as `-`.
fn newest(store: &Store, name: &str) -> Vec<String> {
    let mut all: Vec<String> = store
        .select(Some(name))
        .filter_map(|series| {
            let (at, value) = series.last_in(i64::MIN, i64::MAX)?;
            let value = if value.to_bits() == STALE_NAN_BITS { "-".to_owned() } else { value.to_string() };
            Some(format!("{} {value}@{}", series.labels.without_name(), at / 1000))
        })
        .collect();
    all.sort();
    all
}

/// Appends `value` to `name{x=...}` at `second`, evaluates, and gives the failures.
fn tick(engine: &mut RuleEngine, store: &mut Store, second: i64, samples: &[(&str, &str, f64)]) -> Vec<String> {
    for (name, x, value) in samples {
        store.append(&Labels::metric(name, [("x", *x)]), at(second), *value);
    }
    engine.evaluate(store, at(second)).into_iter().flat_map(|report| report.failures).collect()
}

const HIGH: &str = "
groups:
- name: g
  rules:
  - record: x:m:double
    expr: 2 * m
    labels: {r: s}
  - alert: High
    expr: x:m:double > 10
    for: 20s
    labels: {severity: '{{ if gt $value 50.0 }}page{{ else }}warn{{ end }}'}
    annotations: {summary: '{{ $labels.x }} is {{ $value }} on {{ $externalLabels.pod }}'}
";

#[test]
fn rules_see_what_the_ones_before_them_recorded() {
    let (mut engine, mut store) = (engine(HIGH), store());
    for (second, value, expected) in
        [(0, 4.0, ""), (10, 6.0, "high(a) pending"), (20, 7.0, "high(a) pending"), (30, 7.0, "high(a) firing")]
    {
        assert_eq!(tick(&mut engine, &mut store, second, &[("m", "a", value)]), Vec::<String>::new());
        assert_eq!(show(&engine), expected, "second {second}");
    }
    let alert = engine.alerts()[0].clone();
    assert_eq!(alert.labels.to_string(), r#"{alertname="High", pod="p1", r="s", severity="warn", x="a"}"#);
    assert_eq!(alert.annotations["summary"], "a is 14 on p1");
    assert_eq!((alert.active_at, alert.fired_at, alert.value), (at(10), Some(at(30)), 14.0));
    assert_eq!((&*alert.expr, &*alert.group), ("x:m:double > 10", "g"));
    assert_eq!(newest(&store, "x:m:double"), [r#"{r="s", x="a"} 14@30"#]);
    assert_eq!(
        newest(&store, "ALERTS"),
        [
            r#"{alertname="High", alertstate="firing", r="s", severity="warn", x="a"} 1@30"#,
            r#"{alertname="High", alertstate="pending", r="s", severity="warn", x="a"} -@30"#,
        ]
    );
    store.mark_stale(&Labels::metric("m", [("x", "a")]), at(35));
    tick(&mut engine, &mut store, 40, &[]);
    assert_eq!(newest(&store, "x:m:double"), [r#"{r="s", x="a"} -@40"#], "what vanished is ended");
    assert_eq!(newest(&store, "ALERTS_FOR_STATE"), [r#"{alertname="High", r="s", severity="warn", x="a"} -@40"#]);
    assert_eq!(show(&engine), "high(a) resolved");
}

#[test]
fn a_failed_source_is_no_all_clear() {
    let (mut engine, mut store) = (engine(HIGH), store());
    for second in [0, 10, 20] {
        tick(&mut engine, &mut store, second, &[("m", "a", 9.0)]);
    }
    assert_eq!(show(&engine), "high(a) firing");
    assert_eq!(engine.to_notify(at(20)).len(), 1);
    store.set_unavailable("m", Some("the GPU fell off the bus"));
    for second in (30..900).step_by(10) {
        let failures = tick(&mut engine, &mut store, second, &[]);
        assert_eq!(failures.len(), 2, "the recording rule and the alert over it");
        assert!(failures[0].starts_with("x:m:double: ") && failures[0].contains("fell off the bus"), "{failures:?}");
        assert!(failures[1].starts_with("High: ") && failures[1].contains("x:m:double"), "{failures:?}");
        assert_eq!(show(&engine), "high(a) firing", "second {second}");
    }
    let repeated = engine.to_notify(at(900));
    assert_eq!(repeated.len(), 1, "receivers go on hearing of it");
    assert_eq!(repeated[0].valid_until, at(900 + 240));
    store.set_unavailable("m", None);
    assert_eq!(tick(&mut engine, &mut store, 900, &[("m", "a", 1.0)]), Vec::<String>::new());
    assert_eq!(show(&engine), "high(a) resolved");
}

#[test]
fn failures_are_named_and_leave_the_other_rules_alone() {
    let text = "
groups:
- name: g
  limit: 2
  rules:
  - {record: a, expr: m}
  - {record: b, expr: 'm * on () n'}
  - {alert: C, expr: 'label_replace(m, \"x\", \"same\", \"\", \"\")'}
  - {alert: D, expr: '5'}
";
    let (mut engine, mut store) = (engine(text), store());
    let samples = [("m", "a", 1.0), ("m", "b", 1.0), ("m", "c", 1.0), ("n", "a", 1.0)];
    let failures = tick(&mut engine, &mut store, 0, &samples);
    let starts = ["a: 3 results where the group's limit is 2", "b: ", "C: "];
    assert!(failures.iter().zip(starts).all(|(f, s)| f.starts_with(s)) && failures.len() == 3, "{failures:#?}");
    assert_eq!(show(&engine), "d firing", "a scalar is one element without labels");
}

#[test]
fn a_full_store_is_said_and_the_alert_goes_on() {
    let mut store = Store::new(StoreLimits { series: 2, retention: Duration::from_secs(60) });
    let mut engine = engine("groups: [{name: g, rules: [{alert: A, expr: m > 1}]}]");
    let failures = tick(&mut engine, &mut store, 0, &[("m", "a", 2.0), ("m", "b", 2.0)]);
    assert_eq!(failures, ["A: 4 of its series were not written: the store is full"]);
    assert_eq!(show(&engine), "a(a) firing, a(b) firing");
}

#[test]
fn query_offset_looks_back() {
    let text = "groups: [{name: g, query_offset: 20s, rules: [{record: r, expr: m}, {alert: A, expr: m > 1}]}]";
    let (mut engine, mut store) = (engine(text), store());
    tick(&mut engine, &mut store, 0, &[("m", "a", 5.0)]);
    assert_eq!(show(&engine), "");
    tick(&mut engine, &mut store, 20, &[("m", "a", 0.0)]);
    assert_eq!(show(&engine), "a(a) firing");
    assert_eq!(newest(&store, "r"), [r#"{x="a"} 5@0"#]);
    assert_eq!(newest(&store, "ALERTS_FOR_STATE"), [r#"{alertname="A", x="a"} 20@0"#]);
}

#[test]
fn slots_are_shared_out_and_counted() {
    let mut engine = engine("groups: [{name: a, interval: 10s}, {name: b, interval: 15s}]");
    let mut store = store();
    let mut at_second = |second: i64| -> Vec<(String, u64)> {
        let reports = engine.evaluate(&mut store, at(second));
        let seen = reports.into_iter().map(|r| (r.group, r.missed_slots)).collect();
        assert!(engine.next_due(at(second)) > Some(at(second)));
        seen
    };
    assert_eq!(at_second(3), []);
    assert_eq!(at_second(10), [("a".into(), 0)]);
    assert_eq!(at_second(16), [("b".into(), 0)]);
    assert_eq!(at_second(61), [("a".into(), 4), ("b".into(), 2)]);
    assert_eq!(at_second(12), [], "the clock went back");
    assert_eq!(RuleEngine::new(Vec::new(), options()).next_due(at(0)), None);
}

#[test]
fn a_reload_keeps_what_is_still_there() {
    let text = "
groups:
- name: g
  rules:
  - {alert: Same, expr: m > 1, for: 20s}
  - {alert: Changed, expr: m > 1, for: 20s}
  - {alert: Gone, expr: m > 1}
  - {alert: Wavers, expr: m > 1, for: 1h}
  - {record: r, expr: m}
";
    let after = "
groups:
- name: g
  rules:
  - {alert: New, expr: m > 1, for: 20s}
  - {alert: Changed, expr: m > 2, for: 10s}
  - {alert: Same, expr: m > 1, for: 20s}
";
    let (mut engine, mut store) = (engine(text), store());
    tick(&mut engine, &mut store, 0, &[("m", "a", 9.0)]);
    tick(&mut engine, &mut store, 10, &[("m", "a", 9.0)]);
    assert_eq!(show(&engine), "same(a) pending, changed(a) pending, gone(a) firing, wavers(a) pending");
    engine.to_notify(at(10));
    engine.reload(groups(after), at(15));
    assert_eq!(show(&engine), "changed(a) pending, same(a) pending, gone(a) resolved");
    tick(&mut engine, &mut store, 20, &[("m", "a", 9.0)]);
    assert_eq!(show(&engine), "new(a) pending, changed(a) firing, same(a) firing, gone(a) resolved");
    assert_eq!(engine.to_notify(at(20)).len(), 3);
    assert_eq!(engine.alerts()[2].active_at, at(0), "its time went on counting");
    assert_eq!(newest(&store, "r"), [r#"{x="a"} -@20"#]);
    let ended = newest(&store, "ALERTS_FOR_STATE");
    assert!(ended.contains(&r#"{alertname="Gone", x="a"} -@20"#.to_owned()), "{ended:?}");
    engine.evaluate(&mut store, at(2000));
    assert!(!show(&engine).contains("gone"), "forgotten after 15 minutes");
}

#[test]
fn a_removed_rule_gives_back_what_it_made_unavailable() {
    let (mut engine, mut store) = (engine("groups: [{name: g, rules: [{record: r, expr: m}]}]"), store());
    store.set_unavailable("m", Some("down"));
    tick(&mut engine, &mut store, 0, &[]);
    assert!(store.why_unavailable("r").is_some());
    engine.reload(Vec::new(), at(5));
    engine.evaluate(&mut store, at(10));
    assert_eq!(store.why_unavailable("r"), None);
}
