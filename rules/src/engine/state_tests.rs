//! The life of alerts, told by vectors alone: tables of what was found when, and promises over random histories.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::state::{AlertState, Alerts, Found, Sight, Terms, Tracked};
use crate::{Labels, Timestamp};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn labels(name: &str) -> Labels {
    [("alertname", "A"), ("x", name)].into_iter().collect()
}

fn found(names: &str) -> Vec<Found> {
    let one = |name: char| Found { labels: labels(&name.to_string()), annotations: BTreeMap::new(), value: 1.0 };
    names.chars().map(one).collect()
}

struct Rule {
    hold: u64,
    keep: u64,
    limit: usize,
    external: Labels,
}

impl Rule {
    fn new(hold: u64, keep: u64) -> Self {
        Self { hold, keep, limit: 0, external: [("pod", "p"), ("x", "taken")].into_iter().collect() }
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            hold: Duration::from_secs(self.hold),
            keep_firing: Duration::from_secs(self.keep),
            limit: self.limit,
            group: "g",
            expr: "e",
            external: &self.external,
        }
    }

    fn step(&self, alerts: &mut Alerts, names: &str, second: i64) -> Result<(), String> {
        alerts.step(&self.terms(), found(names), at(second), Sight::Clear).map_err(|e| e.to_string())
    }
}

/// `a:pending b:firing`.
fn show(alerts: &Alerts) -> String {
    let one = |(labels, tracked): (&Labels, &Tracked)| {
        format!("{}:{:?}", labels.get("x").unwrap(), tracked.alert.state).to_lowercase()
    };
    alerts.0.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn check(why: &str, hold: u64, keep: u64, history: &[(i64, &str, &str)]) {
    let (rule, mut alerts) = (Rule::new(hold, keep), Alerts::default());
    for (second, names, expected) in history {
        rule.step(&mut alerts, names, *second).unwrap();
        assert_eq!(show(&alerts), *expected, "{why}, second {second}");
    }
}

#[test]
fn alerts_live_as_in_prometheus() {
    check("no `for`", 0, 0, &[(0, "a", "a:firing"), (15, "", "a:resolved"), (915, "", "a:resolved"), (930, "", "")]);
    check(
        "`for`, interrupted",
        60,
        0,
        &[(0, "a", "a:pending"), (45, "a", "a:pending"), (50, "", ""), (60, "a", "a:pending")],
    );
    check("`for`, to the second", 60, 0, &[(0, "a", "a:pending"), (59, "a", "a:pending"), (60, "a", "a:firing")]);
    check(
        "each element its own",
        60,
        0,
        &[
            (0, "a", "a:pending"),
            (30, "ab", "a:pending b:pending"),
            (60, "ab", "a:firing b:pending"),
            (90, "b", "a:resolved b:firing"),
        ],
    );
    check(
        "a resolved one begins again",
        60,
        0,
        &[(0, "a", "a:pending"), (60, "a", "a:firing"), (75, "", "a:resolved"), (90, "a", "a:pending"), (105, "", "")],
    );
    check(
        "keep_firing_for",
        0,
        60,
        &[
            (0, "a", "a:firing"),
            (15, "", "a:firing"),
            (60, "", "a:firing"),
            (74, "", "a:firing"),
            (75, "", "a:resolved"),
        ],
    );
    check(
        "keep_firing_for starts anew",
        0,
        60,
        &[
            (0, "a", "a:firing"),
            (50, "", "a:firing"),
            (60, "a", "a:firing"),
            (70, "", "a:firing"),
            (129, "", "a:firing"),
            (130, "", "a:resolved"),
        ],
    );
    check("keep_firing_for does not keep pending ones", 60, 60, &[(0, "a", "a:pending"), (15, "", "")]);
    check(
        "the clock goes back",
        60,
        30,
        &[
            (1000, "a", "a:pending"),
            (900, "a", "a:pending"),
            (1060, "a", "a:firing"),
            (500, "", "a:firing"),
            (900, "", "a:resolved"),
            (100, "", "a:resolved"),
        ],
    );
}

#[test]
fn what_cannot_be_told_apart_or_is_too_much_changes_nothing() {
    let (mut rule, mut alerts) = (Rule::new(0, 60), Alerts::default());
    rule.limit = 2;
    rule.step(&mut alerts, "ab", 0).unwrap();
    let before = alerts.clone();
    for (why, names, expected) in [
        ("over the limit", "abc", "3 results where the group's limit is 2"),
        ("kept ones count", "bc", "3 results where the group's limit is 2"),
        (
            "twice the same",
            "aa",
            "two elements have the same labels once the rule's labels are set: {alertname=\"A\", x=\"a\"}",
        ),
    ] {
        assert_eq!(rule.step(&mut alerts, names, 15), Err(expected.to_owned()), "{why}");
        assert_eq!(alerts, before, "{why}");
    }
}

#[test]
fn receivers_hear_of_news_at_once_and_of_the_rest_again() {
    let (rule, mut alerts) = (Rule::new(30, 0), Alerts::default());
    let resend = Duration::from_secs(60);
    for (why, second, names, expected) in [
        ("pending is not told", 0, "a", None),
        ("firing", 30, "a", Some(AlertState::Firing)),
        ("just told", 45, "a", None),
        ("repeat", 90, "a", Some(AlertState::Firing)),
        ("resolved", 105, "", Some(AlertState::Resolved)),
        ("just told", 150, "", None),
        ("repeat", 165, "", Some(AlertState::Resolved)),
        ("last repeat within 15 minutes", 1000, "", Some(AlertState::Resolved)),
        ("forgotten", 1100, "", None),
    ] {
        rule.step(&mut alerts, names, second).unwrap();
        let mut told = alerts.0.values_mut().filter_map(|t| t.tell(at(second), resend, Duration::from_secs(15)));
        let told = told.next();
        assert_eq!(told.as_ref().map(|alert| alert.state), expected, "{why}");
        if let Some(alert) = told {
            assert_eq!(alert.valid_until, at(second + 240), "{why}");
            assert_eq!(
                alert.labels.to_string(),
                r#"{alertname="A", pod="p", x="a"}"#,
                "external labels do not override"
            );
        }
    }
}

#[test]
fn series_are_those_of_prometheus() {
    let (rule, mut alerts) = (Rule::new(30, 0), Alerts::default());
    rule.step(&mut alerts, "a", 100).unwrap();
    rule.step(&mut alerts, "ab", 130).unwrap();
    let series: Vec<String> = alerts.series().iter().map(|(labels, value)| format!("{labels} {value}")).collect();
    assert_eq!(
        series,
        [
            r#"ALERTS{alertname="A", alertstate="firing", x="a"} 1"#,
            r#"ALERTS_FOR_STATE{alertname="A", x="a"} 100"#,
            r#"ALERTS{alertname="A", alertstate="pending", x="b"} 1"#,
            r#"ALERTS_FOR_STATE{alertname="A", x="b"} 130"#,
        ]
    );
}

#[test]
fn after_a_restart_missing_samples_are_no_all_clear() {
    let (rule, mut alerts) = (Rule::new(60, 0), Alerts::default());
    rule.step(&mut alerts, "a", 0).unwrap();
    rule.step(&mut alerts, "ab", 60).unwrap();
    alerts.0.values_mut().for_each(|tracked| tracked.unconfirmed = true);
    let blind = |alerts: &mut Alerts, names: &str, second| {
        alerts.step(&rule.terms(), found(names), at(second), Sight::Blind).unwrap();
        show(alerts)
    };
    assert_eq!(blind(&mut alerts, "", 90), "a:firing b:pending", "nothing is known yet");
    assert_eq!(blind(&mut alerts, "b", 120), "a:firing b:firing", "found again: the time in between counts");
    assert_eq!(blind(&mut alerts, "", 135), "a:firing b:resolved", "found and gone: over");
    rule.step(&mut alerts, "", 150).unwrap();
    assert_eq!(show(&alerts), "a:resolved b:resolved");
}

/// Random histories: seconds to the next evaluation, and which of two elements are found.
fn histories() -> impl Strategy<Value = Vec<(i64, bool, bool)>> {
    prop::collection::vec((1..40_i64, prop::bool::weighted(0.8), any::<bool>()), 1..120)
}

proptest! {
    /// A firing alert was found at every evaluation for at least `for`; its end is told exactly once per beginning.
    #[test]
    fn never_early_and_resolved_once(history in histories(), hold in 0..120_u64, keep in 0..60_u64) {
        let (rule, mut alerts) = (Rule::new(hold, keep), Alerts::default());
        let (mut now, mut found_since, mut starts, mut ends) = (0, None, Vec::new(), Vec::new());
        for (step, a, b) in history {
            now += step;
            let names = format!("{}{}", if a { "a" } else { "" }, if b { "b" } else { "" });
            rule.step(&mut alerts, &names, now).unwrap();
            found_since = if a { found_since.or(Some(now)) } else { None };
            let Some(tracked) = alerts.0.get_mut(&labels("a")) else { continue };
            let fresh = tracked.alert.state == AlertState::Firing && tracked.alert.fired_at == Some(at(now));
            if fresh {
                let since = found_since.expect("fires only when found");
                prop_assert!(now - since >= hold as i64);
            }
            if a {
                prop_assert!(tracked.alert.state != AlertState::Resolved);
                prop_assert!(tracked.alert.state == AlertState::Firing || now - found_since.unwrap() < hold as i64);
            }
            let told = tracked.tell(at(now), Duration::MAX, Duration::ZERO);
            match told.map(|alert| (alert.state, alert.fired_at.unwrap())) {
                Some((AlertState::Firing, since)) => starts.push(since),
                Some((AlertState::Resolved, since)) => ends.push(since),
                other => prop_assert!(other.is_none(), "{other:?}"),
            }
        }
        prop_assert!(starts.windows(2).all(|pair| pair[0] < pair[1]), "each beginning once");
        prop_assert!(ends.iter().eq(starts.iter().take(ends.len())), "each end once, none without a beginning");
        prop_assert!(starts.len() - ends.len() <= 1);
    }
}
