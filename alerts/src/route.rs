//! Who hears of which alert, and in what company: Alertmanager's `routes`, one level deep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::group::{Group, GroupBy, Timing};
use crate::matcher::Matcher;

/// A branch: alerts that meet every matcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// All of them must be met; none at all is met by everything.
    pub matchers: Vec<Matcher>,
    /// Who is told.
    pub receiver: Arc<str>,
    /// What happens to an alert that took this branch.
    pub then: Then,
    /// What makes its alerts one group.
    pub group_by: GroupBy,
    /// When groups speak.
    pub timing: Timing,
}

/// Whether later branches are looked at too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// No.
    #[default]
    Stop,
    /// Yes (`continue: true`).
    Continue,
}

/// The whole tree. Alertmanagers are not part of it: they get everything and route for themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Who hears what no branch takes; empty: every receiver.
    pub receivers: Vec<Arc<str>>,
    /// What makes such alerts one group.
    pub group_by: GroupBy,
    /// When such groups speak.
    pub timing: Timing,
    /// Branches, looked at in order.
    pub routes: Vec<Route>,
}

impl Default for Routing {
    /// Everybody hears everything, grouped by alert name.
    fn default() -> Self {
        let group_by = GroupBy::Labels(vec!["alertname".to_owned()]);
        Self { receivers: Vec::new(), group_by, timing: Timing::default(), routes: Vec::new() }
    }
}

/// What a receiver hears when no route names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unnamed {
    /// What the tree gives to everybody.
    Grouped,
    /// Every alert, for itself, at once; again after this long.
    Alone(Duration),
}

impl Routing {
    /// The group that an alert with `labels` has at `receiver`; `None` when it is not told there.
    pub(crate) fn group(&self, receiver: &str, unnamed: Unnamed, labels: &BTreeMap<String, String>) -> Option<Group> {
        if let Unnamed::Alone(repeat_interval) = unnamed
            && !self.names(receiver)
        {
            let timing = Timing { group_wait: Duration::ZERO, group_interval: Duration::ZERO, repeat_interval };
            return Some(Group::new("", &GroupBy::All, labels, timing));
        }
        let mut taken = false;
        for route in &self.routes {
            if !route.matchers.iter().all(|matcher| matcher.matches(labels)) {
                continue;
            }
            if &*route.receiver == receiver {
                let written: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
                let key = format!("/{{{}}}", written.join(","));
                return Some(Group::new(&key, &route.group_by, labels, route.timing));
            }
            taken = true;
            if route.then == Then::Stop {
                break;
            }
        }
        let everybody = self.receivers.is_empty() || self.receivers.iter().any(|name| &**name == receiver);
        (!taken && everybody).then(|| Group::new("", &self.group_by, labels, self.timing))
    }

    fn names(&self, receiver: &str) -> bool {
        self.receivers.iter().chain(self.routes.iter().map(|route| &route.receiver)).any(|name| &**name == receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(matcher: &str, receiver: &str, then: Then) -> Route {
        let matchers = vec![Matcher::parse(matcher).unwrap()];
        let group_by = GroupBy::Labels(vec!["alertname".into(), "pod".into()]);
        Route { matchers, receiver: receiver.into(), then, group_by, timing: Timing::default() }
    }

    #[test]
    fn the_first_branch_that_fits_takes_an_alert_unless_it_goes_on() {
        let routing = Routing {
            receivers: vec!["ops".into()],
            routes: vec![
                route("severity=critical", "page", Then::Continue),
                route("team=ml", "ml", Then::Stop),
                route("team=~.+", "rest", Then::Stop),
            ],
            ..Routing::default()
        };
        for (why, severity, team, expected) in [
            ("no branch", "warning", "", "ops"),
            ("one branch", "warning", "ml", "ml"),
            ("a later branch", "warning", "web", "rest"),
            ("continued", "critical", "ml", "page ml"),
            ("continued into nothing", "critical", "", "page"),
        ] {
            let labels = [("severity", severity), ("team", team), ("alertname", "Hot")];
            let labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
            let told: Vec<&str> = ["ops", "page", "ml", "rest", "hook"]
                .into_iter()
                .filter(|name| routing.group(name, Unnamed::Grouped, &labels).is_some())
                .collect();
            assert_eq!(told.join(" "), expected, "{why}");
            let alone = routing.group("hook", Unnamed::Alone(Duration::from_secs(60)), &labels).unwrap();
            assert_eq!((alone.labels.len(), alone.timing.repeat_interval.as_secs()), (3, 60), "{why}");
        }
        let labels = [("severity", "critical"), ("alertname", "Hot")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let group = routing.group("page", Unnamed::Alone(Duration::ZERO), &labels).unwrap();
        assert_eq!(group.key, r#"{}/{severity="critical"}:{alertname="Hot"}"#, "a named webhook follows its route");
    }

    #[test]
    fn without_a_tree_everybody_hears_everything_by_name() {
        let labels = [("alertname", "Hot"), ("pod", "a")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let group = Routing::default().group("chat", Unnamed::Grouped, &labels).unwrap();
        assert_eq!((group.key.as_str(), group.timing), (r#"{}:{alertname="Hot"}"#, Timing::default()));
    }
}
