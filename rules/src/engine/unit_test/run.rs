//! Plays a test file against rule groups.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::group::{GroupRun, Shared};
use super::super::rule::Action;
use super::super::slots::Due;
use super::super::state::AlertState;
use super::super::template::Templates;
use super::super::yaml::Place;
use super::super::{Group, Rule};
use super::{AlertTest, ExprTest, Failure, Test, UnitTests};
use crate::promql::{self, EvalOptions, Value};
use crate::{Append, Labels, Store, StoreLimits, Timestamp};

impl UnitTests {
    /// How many tests, and how many expectations in them.
    pub fn counts(&self) -> (usize, usize) {
        (self.tests.len(), self.tests.iter().map(|test| test.alerts.len() + test.exprs.len()).sum())
    }

    /// Plays every test against `groups`; gives what was not as expected.
    pub fn run(&self, groups: &[Group]) -> Vec<Failure> {
        let mut groups: Vec<&Group> = groups.iter().collect();
        groups.sort_by_key(|group| self.order.get(&group.name).copied().unwrap_or(0));
        self.tests.iter().flat_map(|test| Play::new(self, test, &groups).play()).collect()
    }
}

/// One test being played.
struct Play<'a> {
    file: &'a UnitTests,
    test: &'a Test,
    groups: Vec<GroupRun>,
    store: Store,
    templates: Templates,
    options: EvalOptions,
    /// Samples of each series that have been given to the store.
    given: usize,
    failures: Vec<Failure>,
}

impl<'a> Play<'a> {
    fn new(file: &'a UnitTests, test: &'a Test, groups: &[&Group]) -> Self {
        let texts = groups.iter().flat_map(|group| &group.rules).flat_map(Rule::templates);
        Self {
            file,
            test,
            templates: Templates::new(texts, &test.external_labels, &test.external_url),
            groups: groups.iter().map(|group| GroupRun::new((*group).clone())).collect(),
            store: Store::new(StoreLimits { series: 1 << 20, retention: Duration::from_secs(u64::from(u32::MAX)) }),
            options: EvalOptions { default_step: file.interval, ..EvalOptions::default() },
            given: 0,
            failures: Vec::new(),
        }
    }

    fn play(mut self) -> Vec<Failure> {
        let alerts = self.test.alerts.iter().map(|test| test.at);
        let last = alerts.chain(self.test.exprs.iter().map(|test| test.at)).max().unwrap_or_default();
        let mut now = Timestamp::from_millis(0);
        while now <= last {
            self.load(now);
            self.evaluate(now);
            if !self.failures.is_empty() && self.failures.iter().any(|failure| failure.message.starts_with("rule ")) {
                return self.failures; // what follows would only repeat it
            }
            let next = now + self.file.interval;
            for alert in self.test.alerts.iter().filter(|alert| now <= alert.at && alert.at < next) {
                self.check_alert(alert);
            }
            now = next;
        }
        for expr in &self.test.exprs {
            self.check_expr(expr);
        }
        self.failures
    }

    /// Gives the store every input sample up to `now`.
    fn load(&mut self, now: Timestamp) {
        let interval = i64::try_from(self.test.interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let until = usize::try_from(now.millis() / interval + 1).unwrap_or(usize::MAX);
        let mut refused = None;
        for (labels, values) in &self.test.series {
            for (at, value) in values.iter().enumerate().take(until).skip(self.given) {
                let moment = Timestamp::from_millis(i64::try_from(at).unwrap_or(i64::MAX).saturating_mul(interval));
                if let Some(value) = value
                    && self.store.append(labels, moment, *value) != Append::Stored
                {
                    refused = Some(labels);
                }
            }
        }
        self.given = until.max(self.given);
        if let Some(labels) = refused {
            self.fail(self.test.place, format!("rule input: {labels} has two samples at one time"), vec![], vec![]);
        }
    }

    fn evaluate(&mut self, now: Timestamp) {
        let shared = Shared {
            templates: &self.templates,
            external: &self.test.external_labels,
            options: self.options.clone(),
            elapsed: &|| Duration::ZERO,
        };
        let mut failed = Vec::new();
        for group in &mut self.groups {
            let report = group.evaluate(&mut self.store, &shared, Due { at: now, missed: 0 });
            failed.extend(
                report.failures.into_iter().map(|why| format!("rule {why} (group {}, {})", report.group, time(now))),
            );
        }
        for message in failed {
            self.fail(self.test.place, message, vec![], vec![]);
        }
    }

    fn check_alert(&mut self, test: &AlertTest) {
        let rules = self.groups.iter().flat_map(|run| run.group.rules.iter().zip(&run.rules));
        let named = rules.filter(|(rule, _)| rule.name == test.name && matches!(rule.action, Action::Alert { .. }));
        let firing = named.flat_map(|(_, run)| &run.alerts.0).filter(|(_, t)| t.alert.state == AlertState::Firing);
        let got = firing.map(|(labels, tracked)| alert_text(labels, &tracked.alert.annotations)).collect();
        let expected = test.expected.iter().map(|(labels, notes)| alert_text(labels, notes)).collect();
        self.compare(test.place, format!("alerts {} at {}", test.name, time(test.at)), expected, got);
    }

    fn check_expr(&mut self, test: &ExprTest) {
        let what = format!("{} at {}", test.expr, time(test.at));
        let got = match promql::query(&test.expr, &self.store, test.at, &self.options).map(|answer| answer.value) {
            Ok(Value::Vector(samples)) => samples.into_iter().map(|sample| (sample.labels, sample.value)).collect(),
            Ok(Value::Scalar(value)) => vec![(Labels::default(), value)],
            Ok(_) => return self.fail(test.place, format!("{what}: neither a vector nor a scalar"), vec![], vec![]),
            Err(why) => return self.fail(test.place, format!("{what}: {why}"), vec![], vec![]),
        };
        let sorted = |mut list: Vec<(Labels, f64)>| {
            list.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            list
        };
        let (expected, got) = (sorted(test.expected.clone()), sorted(got));
        let same = |(a, b): (&(Labels, f64), &(Labels, f64))| a.0 == b.0 && self.same(a.1, b.1);
        if expected.len() == got.len() && expected.iter().zip(&got).all(same) {
            return;
        }
        let nan = expected.iter().any(|(_, value)| value.is_nan());
        let hint = if nan { " (NaN equals nothing, not even NaN: test x != x instead)" } else { "" };
        let text = |list: &[(Labels, f64)]| list.iter().map(|(labels, value)| format!("{labels} {value}")).collect();
        self.fail(test.place, what + hint, text(&expected), text(&got));
    }

    /// `fuzzy_compare` forgives the last bit, as promtool's does.
    fn same(&self, a: f64, b: f64) -> bool {
        a == b || self.file.fuzzy && (a.next_up() == b || a.next_down() == b)
    }

    fn compare(&mut self, place: Place, message: String, mut expected: Vec<String>, mut got: Vec<String>) {
        expected.sort();
        got.sort();
        if expected != got {
            self.fail(place, message, expected, got);
        }
    }

    fn fail(&mut self, place: Place, message: String, expected: Vec<String>, got: Vec<String>) {
        let Place { line, column } = place;
        self.failures.push(Failure { line, column, test: self.test.name.clone(), message, expected, got });
    }
}

fn alert_text(labels: &Labels, annotations: &BTreeMap<String, String>) -> String {
    // promtool compares labels without empty ones, and annotations as they are
    let notes: Vec<String> = annotations.iter().map(|(name, text)| format!("{name}={text:?}")).collect();
    if notes.is_empty() { labels.to_string() } else { format!("{labels} annotations: {}", notes.join(", ")) }
}

/// A moment as the time since the start.
fn time(at: Timestamp) -> String {
    let millis = at.millis();
    if millis % 1000 == 0 { promql_seconds(millis / 1000) } else { format!("{millis}ms") }
}

fn promql_seconds(seconds: i64) -> String {
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}
