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
use super::{AlertTest, ExprTest, Failure, Remark, Test, UnitTests};
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
        groups.sort_by_key(|group| self.order.get(&group.name).map_or(0, |(at, _)| *at));
        self.tests.iter().flat_map(|test| Play::new(self, test, &groups).play()).collect()
    }

    /// What is probably not meant, though it changes no verdict: series given twice, names that no rule and no group has.
    pub fn remarks(&self, groups: &[Group]) -> Vec<Remark> {
        let mut remarks = self.remarks.clone();
        if self.tests.is_empty() {
            remarks.push(Remark { line: 1, column: 1, message: "there are no tests here".to_owned() });
            return remarks;
        }
        for (name, (_, place)) in self.order.iter().filter(|(name, _)| groups.iter().all(|g| g.name != **name)) {
            remarks.push(Remark::at(*place, format!("no rule file has a group {name}")));
        }
        let rules = || groups.iter().flat_map(|group| &group.rules);
        let is_alert = |name: &str| rules().any(|r| r.name == name && matches!(r.action, Action::Alert { .. }));
        for alert in self.tests.iter().flat_map(|test| &test.alerts).filter(|alert| !is_alert(&alert.name)) {
            remarks.push(Remark::at(alert.place, format!("no rule file has an alert {}", alert.name)));
        }
        remarks.sort_by_key(|remark| (remark.line, remark.column));
        remarks
    }
}

/// Most evaluations of one test: four years at a minute.
const MOST_STEPS: u64 = 2_000_000;
/// Most samples in memory at once, those of the series that rules write included.
const MOST_SAMPLES: usize = 50_000_000;
/// Steps after which the samples are counted.
const COUNT_EVERY: u64 = 4096;

/// An input series and what is left of it.
struct Feed<'a> {
    labels: &'a Labels,
    values: Box<dyn Iterator<Item = Option<f64>> + 'a>,
}

/// One test being played.
struct Play<'a> {
    file: &'a UnitTests,
    test: &'a Test,
    groups: Vec<GroupRun>,
    store: Store,
    templates: Templates,
    options: EvalOptions,
    feeds: Vec<Feed<'a>>,
    /// Samples of each series that have been given to the store.
    given: usize,
    failures: Vec<Failure>,
}

impl<'a> Play<'a> {
    fn new(file: &'a UnitTests, test: &'a Test, groups: &[&Group]) -> Self {
        let texts = groups.iter().flat_map(|group| &group.rules).flat_map(Rule::templates);
        let feeds = test.series.iter().map(|(labels, values)| Feed { labels, values: Box::new(values.iter()) });
        Self {
            file,
            test,
            templates: Templates::new(texts, &test.external_labels, &test.external_url),
            groups: groups.iter().map(|group| GroupRun::new((*group).clone())).collect(),
            store: Store::new(StoreLimits { series: 1 << 20, retention: Duration::from_secs(u64::from(u32::MAX)) }),
            options: EvalOptions { default_step: file.interval, ..EvalOptions::default() },
            feeds: feeds.collect(),
            given: 0,
            failures: Vec::new(),
        }
    }

    fn play(mut self) -> Vec<Failure> {
        let alerts = self.test.alerts.iter().map(|test| test.at);
        let last = alerts.chain(self.test.exprs.iter().map(|test| test.at)).max().unwrap_or_default();
        if let Err(why) = self.affordable(last) {
            self.fail(self.test.place, why, vec![], vec![]);
            return self.failures;
        }
        let (mut now, mut step) = (Timestamp::from_millis(0), 0);
        while now <= last {
            if let Err(why) = self.load(now).and_then(|()| self.evaluate(now, step)) {
                // promtool ends a test here too: what follows would only repeat it
                why.into_iter().for_each(|why| self.fail(self.test.place, why, vec![], vec![]));
                return self.failures;
            }
            let next = now + self.file.interval;
            for alert in self.test.alerts.iter().filter(|alert| now <= alert.at && alert.at < next) {
                self.check_alert(alert);
            }
            (now, step) = (next, step + 1);
        }
        for expr in &self.test.exprs {
            self.check_expr(expr);
        }
        self.failures
    }

    /// Whether the test ends in a reasonable time and memory.
    fn affordable(&self, last: Timestamp) -> Result<(), String> {
        let until = u64::try_from(last.millis()).unwrap_or(0);
        let steps = until / millis(self.file.interval);
        if steps > MOST_STEPS {
            let (at, every) = (time(last), time(Timestamp::default() + self.file.interval));
            return Err(format!("{at} takes {steps} evaluations, one every {every}; at most {MOST_STEPS} are played"));
        }
        let each = usize::try_from(until / millis(self.test.interval)).unwrap_or(usize::MAX).saturating_add(1);
        let all =
            self.test.series.iter().fold(0, |sum: usize, (_, values)| sum.saturating_add(values.count_up_to(each)));
        if all > MOST_SAMPLES {
            return Err(format!("{all} input samples until {}; at most {MOST_SAMPLES} are played", time(last)));
        }
        Ok(())
    }

    /// Gives the store every input sample up to `now`.
    fn load(&mut self, now: Timestamp) -> Result<(), Vec<String>> {
        let interval = i64::try_from(millis(self.test.interval)).unwrap_or(i64::MAX);
        let until = usize::try_from(now.millis() / interval + 1).unwrap_or(usize::MAX);
        let mut refused = Vec::new();
        for Feed { labels, values } in &mut self.feeds {
            for (at, value) in (self.given..until).zip(values) {
                let at = Timestamp::from_millis(i64::try_from(at).unwrap_or(i64::MAX).saturating_mul(interval));
                let Some(value) = value else { continue };
                if self.store.append(labels, at, value) != Append::Stored && !self.store.holds(labels, at, value) {
                    refused.push(format!("input series {labels}: a rule has written it at {} already", time(at)));
                }
            }
        }
        self.given = until.max(self.given);
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    fn evaluate(&mut self, now: Timestamp, step: u64) -> Result<(), Vec<String>> {
        let shared = Shared {
            templates: &self.templates,
            external: &self.test.external_labels,
            options: self.options.clone(),
            elapsed: &|| Duration::ZERO,
        };
        let mut failed = Vec::new();
        for group in &mut self.groups {
            let report = group.evaluate(&mut self.store, &shared, Due { at: now, missed: 0 });
            let whole = |why| format!("rule {why} (group {}, {})", report.group, time(now));
            failed.extend(report.failures.into_iter().map(whole));
        }
        if step.is_multiple_of(COUNT_EVERY) && self.store.stats().samples > MOST_SAMPLES {
            failed.push(format!("more than {MOST_SAMPLES} samples at {}", time(now)));
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
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

/// An alert's labels, and below them its annotations. promtool compares those as they are, empty ones too.
fn alert_text(labels: &Labels, annotations: &BTreeMap<String, String>) -> String {
    let notes = annotations.iter().map(|(name, text)| format!("\n    {name}: {text:?}"));
    labels.to_string() + &notes.collect::<String>()
}

/// Milliseconds of an interval, at least one.
fn millis(interval: Duration) -> u64 {
    u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A moment as the time since the start.
fn time(at: Timestamp) -> String {
    let millis = at.millis();
    if millis % 1000 == 0 { in_hours(millis / 1000) } else { format!("{millis}ms") }
}

fn in_hours(seconds: i64) -> String {
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}
