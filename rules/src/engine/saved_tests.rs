//! A restart: what was saved goes on as if nothing had happened, and damage is refused whole.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::StoreLimits;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn engine() -> RuleEngine {
    let text = "
groups:
- name: g
  rules:
  - {alert: Slow, expr: m > 0.5, for: 2h}
  - {alert: Kept, expr: m > 0.5, for: 20s, keep_firing_for: 1m, labels: {v: '{{ $value }}'}}
  - {alert: Odd, expr: m != 1, annotations: {t: 'é \"{{ $value }}\"'}}
";
    let options = EngineOptions {
        external_labels: [("pod", "p")].into_iter().collect(),
        external_url: String::new(),
        resend_delay: Duration::from_secs(60),
    };
    RuleEngine::new(load_rules("r.yml", text, Duration::from_secs(10)).unwrap(), options)
}

fn store() -> Store {
    Store::new(StoreLimits { series: 100, retention: Duration::from_secs(7200) })
}

fn tick(engine: &mut RuleEngine, store: &mut Store, second: i64, value: f64) {
    store.append(&Labels::metric("m", []), at(second), value);
    engine.evaluate(store, at(second));
}

fn states(engine: &RuleEngine) -> Vec<(String, AlertState, Timestamp)> {
    let one = |a: &&ActiveAlert| (a.labels.get("alertname").unwrap().to_owned(), a.state, a.active_at);
    engine.alerts().iter().map(one).collect()
}

#[test]
fn pending_time_goes_on_over_a_restart_for_every_for() {
    let (mut before, mut store) = (engine(), store());
    for second in (0..3000).step_by(10) {
        tick(&mut before, &mut store, second, 1.0);
    }
    let mut after = engine();
    after.restore(&before.save(), at(3600)).unwrap();
    assert_eq!(states(&after), states(&before));
    for second in (3600..7200).step_by(10) {
        tick(&mut after, &mut store, second, 1.0);
        assert_eq!(states(&after)[0], ("Slow".to_owned(), AlertState::Pending, at(0)), "second {second}");
    }
    tick(&mut after, &mut store, 7200, 1.0);
    assert_eq!(states(&after)[0], ("Slow".to_owned(), AlertState::Firing, at(0)));
}

#[test]
fn what_does_not_hold_after_the_restart_is_over() {
    let (mut before, mut store) = (engine(), store());
    for second in (0..100).step_by(10) {
        tick(&mut before, &mut store, second, 1.0);
    }
    before.to_notify(at(90));
    let mut after = engine();
    after.restore(&before.save(), at(1000)).unwrap();
    after.evaluate(&mut store, at(1000));
    after.evaluate(&mut store, at(1010));
    assert_eq!(states(&after).len(), 2, "no sample yet: neither over nor fired");
    for second in (1020..1110).step_by(10) {
        tick(&mut after, &mut store, second, 0.0);
    }
    let names: Vec<_> = states(&after).into_iter().map(|(name, state, _)| (name, state)).collect();
    assert_eq!(names, [("Kept".to_owned(), AlertState::Resolved), ("Odd".to_owned(), AlertState::Firing)]);
    assert_eq!(after.to_notify(at(1110)).len(), 2, "the end and the new one are told");
}

#[test]
fn a_long_outage_makes_pending_time_start_anew() {
    let (mut before, mut store) = (engine(), store());
    tick(&mut before, &mut store, 0, 1.0);
    tick(&mut before, &mut store, 20, 1.0);
    let mut after = engine();
    after.restore(&before.save(), at(20 + 3601)).unwrap();
    let left: Vec<_> = states(&after).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(left, ["Kept"], "the firing one stays until it is judged");
}

#[test]
fn a_clock_that_was_set_back_does_not_hold_alerts_up() {
    let (mut before, mut store) = (engine(), store());
    tick(&mut before, &mut store, 1_000_000, 1.0);
    let mut after = engine();
    after.restore(&before.save(), at(500)).unwrap();
    assert!(states(&after).iter().all(|(_, _, active_at)| *active_at == at(500)));
}

#[test]
fn alerts_of_rules_that_are_gone_resolve() {
    let (mut before, mut store) = (engine(), store());
    for second in [0, 10, 20] {
        tick(&mut before, &mut store, second, 1.0);
    }
    before.to_notify(at(20));
    let mut after = RuleEngine::new(Vec::new(), engine().options);
    after.restore(&before.save(), at(60)).unwrap();
    assert_eq!(states(&after), [("Kept".to_owned(), AlertState::Resolved, at(0))]);
    assert_eq!(after.to_notify(at(60)).len(), 1);
}

#[test]
fn damage_is_refused_and_changes_nothing() {
    let (mut good, mut store) = (engine(), store());
    for (second, value) in [(0, 1.0), (20, 1.0), (30, f64::NAN), (40, f64::INFINITY)] {
        tick(&mut good, &mut store, second, value);
    }
    let text = good.save();
    for (why, bad) in [
        ("empty", String::new()),
        ("other JSON", "{}".to_owned()),
        ("other version", text.replace("\"version\":1", "\"version\":2")),
        (
            "a value that is no number",
            text.replace("\"value\":\"1\"", "\"value\":\"one\"").replace("\"value\":\"inf\"", "\"value\":\"one\""),
        ),
        (
            "firing since never",
            text.replace("\"fired_at\":20000", "\"fired_at\":null").replace("\"fired_at\":40000", "\"fired_at\":null"),
        ),
        ("cut", text[..text.len() / 2].to_owned()),
    ] {
        let mut after = engine();
        assert!(after.restore(&bad, at(50)).is_err(), "{why}: {bad}");
        assert_eq!(states(&after), [], "{why}");
    }
}

proptest! {
    /// Saving and restoring at any moment changes neither the alerts nor what receivers are told.
    #[test]
    fn a_restart_changes_nothing(values in prop::collection::vec(0..3_u8, 1..80), restart in 0..80_usize) {
        let (mut plain, mut store_of_plain) = (engine(), store());
        let (mut restarted, mut store_of_restarted) = (engine(), store());
        for (n, value) in values.iter().enumerate() {
            let second = 10 * n as i64;
            tick(&mut plain, &mut store_of_plain, second, f64::from(*value) / 2.0);
            tick(&mut restarted, &mut store_of_restarted, second, f64::from(*value) / 2.0);
            prop_assert_eq!(plain.to_notify(at(second)), restarted.to_notify(at(second)));
            if n == restart {
                let mut fresh = engine();
                fresh.restore(&restarted.save(), at(second)).unwrap();
                prop_assert_eq!(fresh.save(), restarted.save());
                // The slots go on in the same process here; only the state changes hands.
                fresh.groups[0].slots = restarted.groups[0].slots;
                restarted = fresh;
                // Both are told that samples are there: this test is not about the blind moments after a start.
                restarted.groups[0].rules.iter_mut().for_each(|run| run.restored_at = None);
            }
            prop_assert_eq!(plain.alerts(), restarted.alerts());
        }
    }

    #[test]
    fn no_text_breaks_it(cut in 0..2000_usize, at_byte in 0..2000_usize, byte in any::<u8>()) {
        let (mut good, mut store) = (engine(), store());
        tick(&mut good, &mut store, 0, 1.0);
        tick(&mut good, &mut store, 20, 1.0);
        let mut bytes = good.save().into_bytes();
        let at_byte = at_byte % bytes.len();
        bytes[at_byte] = byte;
        bytes.truncate(cut.max(bytes.len() / 2));
        if let Ok(text) = String::from_utf8(bytes) {
            let _ = engine().restore(&text, at(30));
        }
    }
}
