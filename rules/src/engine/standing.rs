//! Where every group, rule and alert stands: what the API and `backtest` show.

use std::time::Duration;

use super::state::Tracked;
use super::{ActiveAlert, AlertState, Group, Rule, RuleEngine};
use crate::{Labels, Timestamp};

/// What became of a rule's last evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct LastRun {
    /// Its slot.
    pub at: Timestamp,
    /// How long it took; zero where nobody measured.
    pub took: Duration,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// One group.
#[derive(Debug)]
pub struct GroupStanding<'e> {
    /// What its file says.
    pub group: &'e Group,
    /// The last slot that was evaluated and how long that took; `None` before the first.
    pub last: Option<(Timestamp, Duration)>,
    /// Its rules, in the order of their evaluation.
    pub rules: Vec<RuleStanding<'e>>,
}

/// One rule.
#[derive(Debug)]
pub struct RuleStanding<'e> {
    /// What its file says.
    pub rule: &'e Rule,
    /// Its last evaluation; `None` before the first.
    pub last: Option<&'e LastRun>,
    /// Its pending and firing alerts.
    pub alerts: Vec<AlertStanding<'e>>,
}

/// One pending or firing alert.
#[derive(Debug)]
pub struct AlertStanding<'e> {
    /// Its own labels, as `ALERTS` has them: without this pod's.
    pub labels: &'e Labels,
    /// The alert.
    pub alert: &'e ActiveAlert,
    /// Since when it fires only because of `keep_firing_for`.
    pub kept_since: Option<Timestamp>,
}

impl RuleEngine {
    /// Where everything stands, groups in the order of their evaluation.
    pub fn standing(&self) -> Vec<GroupStanding<'_>> {
        let groups = self.groups.iter().map(|run| GroupStanding {
            group: &run.group,
            last: run.last,
            rules: run.group.rules.iter().zip(&run.rules).map(|(rule, run)| standing(rule, run)).collect(),
        });
        groups.collect()
    }
}

fn standing<'e>(rule: &'e Rule, run: &'e super::group::RuleRun) -> RuleStanding<'e> {
    let alert = |(labels, tracked): (&'e Labels, &'e Tracked)| {
        let on = tracked.alert.state != AlertState::Resolved;
        on.then_some(AlertStanding { labels, alert: &tracked.alert, kept_since: tracked.kept_since })
    };
    RuleStanding { rule, last: run.last.as_ref(), alerts: run.alerts.0.iter().filter_map(alert).collect() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{EngineOptions, Store, StoreLimits, load_rules};

    #[test]
    fn rules_say_how_they_stand() {
        let text = "groups: [{name: g, interval: 10s, rules: [{alert: Hot, expr: 'x > 1', keep_firing_for: 1m}, \
                    {record: y, expr: 'x * on (a) group_left x'}]}]";
        let groups = load_rules("f.yml", text, Duration::from_secs(10)).unwrap();
        let options = EngineOptions {
            external_labels: Labels::metric("", [("pod", "p")]),
            external_url: String::new(),
            resend_delay: Duration::ZERO,
        };
        let mut engine = RuleEngine::new(groups, options);
        assert!(engine.standing()[0].last.is_none() && engine.standing()[0].rules[0].last.is_none());
        let mut store = Store::new(StoreLimits { series: 10, retention: Duration::from_secs(600) });
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        let clock = Cell::new(0);
        let elapsed = || Duration::from_millis(clock.replace(clock.get() + 5));
        for (second, value) in [(0, 2.0), (10, 0.0)] {
            for id in ["1", "2"] {
                store.append(&Labels::metric("x", [("id", id)]), at(second), value);
            }
            engine.evaluate_timed(&mut store, at(second), &elapsed);
        }
        let standing = engine.standing();
        let [group] = standing.as_slice() else { panic!("one group") };
        assert_eq!(group.last, Some((at(10), Duration::from_millis(10))));
        let [hot, y] = group.rules.as_slice() else { panic!("two rules") };
        assert_eq!(hot.last, Some(&LastRun { at: at(10), took: Duration::from_millis(5), error: None }));
        assert_eq!(hot.alerts.len(), 2);
        assert_eq!((hot.alerts[0].labels.get("pod"), hot.alerts[0].alert.labels.get("pod")), (None, Some("p")));
        assert_eq!(hot.alerts[0].kept_since, Some(at(10)));
        let error = y.last.and_then(|last| last.error.as_deref()).unwrap();
        assert!(error.contains("many-to-many"), "{error}");
    }
}
