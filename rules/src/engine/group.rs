//! One group's evaluation: rule after rule at the slot's time, each seeing what the ones before it wrote.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::RuleError;
use super::rule::{Action, Group, Rule};
use super::slots::{Due, Slots};
use super::standing::LastRun;
use super::state::{Alerts, Found, Sight, Terms};
use super::template::{Subject, Templates};
use crate::promql::{self, EvalError, EvalOptions, Expr, Value, VectorSample};
use crate::{Append, Labels, METRIC_NAME, Store, Timestamp};

/// How long after a restart an empty result may mean that samples are still to come.
const BLIND_AT_MOST: Duration = Duration::from_secs(5 * 60);

/// What one group's evaluation did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupReport {
    /// The group.
    pub group: String,
    /// Rules evaluated.
    pub evaluated: usize,
    /// `rule: why` of those that failed; their alerts stay as they are.
    pub failures: Vec<String>,
    /// Slots that passed without an evaluation since the last one.
    pub missed_slots: u64,
}

/// What all groups share.
pub(super) struct Shared<'a> {
    pub(super) templates: &'a Templates,
    pub(super) external: &'a Labels,
    /// How expressions are evaluated.
    pub(super) options: EvalOptions,
    /// Time that has passed since some moment, for the durations of evaluations.
    pub(super) elapsed: &'a dyn Fn() -> Duration,
}

/// A group and where it stands.
#[derive(Debug)]
pub(super) struct GroupRun {
    pub(super) group: Group,
    pub(super) slots: Slots,
    /// One for each rule, in the same order.
    pub(super) rules: Vec<RuleRun>,
    /// The last slot that was evaluated and how long that took.
    pub(super) last: Option<(Timestamp, Duration)>,
}

/// Where a rule stands.
#[derive(Debug, Default)]
pub(super) struct RuleRun {
    pub(super) alerts: Alerts,
    /// Series it wrote at its last evaluation that did not fail.
    pub(super) written: HashSet<Labels>,
    /// When its alerts were restored, until it has samples to judge them by.
    pub(super) restored_at: Option<Timestamp>,
    /// Its last evaluation failed, and the metric it records was declared unavailable for that.
    pub(super) blocked: bool,
    /// What became of its last evaluation.
    pub(super) last: Option<LastRun>,
}

impl GroupRun {
    pub(super) fn new(group: Group) -> Self {
        let slots = Slots::every(group.interval);
        let rules = group.rules.iter().map(|_| RuleRun::default()).collect();
        Self { group, slots, rules, last: None }
    }

    pub(super) fn evaluate(&mut self, store: &mut Store, shared: &Shared<'_>, due: Due) -> GroupReport {
        let mut report = GroupReport {
            group: self.group.name.clone(),
            evaluated: self.group.rules.len(),
            failures: Vec::new(),
            missed_slots: due.missed,
        };
        let started = (shared.elapsed)();
        let mut before = started;
        for (rule, run) in self.group.rules.iter().zip(&mut self.rules) {
            let step = Step { store, shared, group: &self.group, rule, now: due.at };
            let error = step.evaluate(run).err().map(|why| why.to_string());
            if let Some(why) = &error {
                report.failures.push(format!("{}: {why}", rule.name));
            }
            let after = (shared.elapsed)();
            run.last = Some(LastRun { at: due.at, took: after.saturating_sub(before), error });
            before = after;
        }
        self.last = Some((due.at, before.saturating_sub(started)));
        report
    }
}

/// One rule at one slot.
struct Step<'a> {
    store: &'a mut Store,
    shared: &'a Shared<'a>,
    group: &'a Group,
    rule: &'a Rule,
    now: Timestamp,
}

impl Step<'_> {
    /// The time its expression and its samples have.
    fn at(&self) -> Timestamp {
        self.now - self.group.query_offset
    }

    fn ask(&self, expr: &Expr) -> Result<Value, EvalError> {
        promql::query(expr, self.store, self.at(), &self.shared.options).map(|answer| answer.value)
    }

    fn evaluate(mut self, run: &mut RuleRun) -> Result<(), RuleError> {
        let at = self.at();
        let result = match self.series(run) {
            Ok(series) => write(self.store, at, &series, &mut run.written),
            Err(why) => Err(why),
        };
        self.declare(run, result.as_ref().err());
        result
    }

    /// A recording rule that fails makes what it records unavailable: rules over it would otherwise take the gap that
    /// follows for an all-clear.
    fn declare(&mut self, run: &mut RuleRun, error: Option<&RuleError>) {
        if self.rule.action != Action::Record {
            return;
        }
        match error {
            Some(why) => {
                let why = format!("the rule that records it failed: {why}");
                self.store.set_unavailable(&self.rule.name, Some(&why));
                run.blocked = true;
            }
            None if run.blocked => {
                self.store.set_unavailable(&self.rule.name, None);
                run.blocked = false;
            }
            None => {}
        }
    }

    /// What the rule has to write at this slot.
    fn series(&self, run: &mut RuleRun) -> Result<Vec<(Labels, f64)>, RuleError> {
        let vector = vector(self.ask(&self.rule.expr)?)?;
        match &self.rule.action {
            Action::Record => self.recorded(vector),
            Action::Alert { hold, keep_firing, annotations } => {
                let expr = if vector.is_empty() { String::new() } else { self.rule.expr.to_string() };
                let terms = Terms {
                    hold: *hold,
                    keep_firing: *keep_firing,
                    limit: self.group.limit,
                    group: &self.group.name,
                    expr: &expr,
                    external: self.shared.external,
                };
                let found = vector.iter().map(|sample| self.found(sample, annotations)).collect();
                let sight = self.sight(run);
                run.alerts.step(&terms, found, self.now, sight)?;
                Ok(run.alerts.series())
            }
        }
    }

    fn recorded(&self, vector: Vec<VectorSample>) -> Result<Vec<(Labels, f64)>, RuleError> {
        let (limit, have) = (self.group.limit, vector.len());
        if limit > 0 && have > limit {
            return Err(RuleError::Limit { limit, have });
        }
        let mut seen = HashSet::new();
        let mut series = Vec::with_capacity(have);
        for sample in vector {
            let mut labels = sample.labels.to_builder();
            labels.set(METRIC_NAME, &self.rule.name);
            for (name, value) in &self.rule.labels {
                labels.set(name, value);
            }
            let labels = labels.build();
            if !seen.insert(labels.clone()) {
                return Err(RuleError::SameLabels(labels));
            }
            series.push((labels, sample.value));
        }
        Ok(series)
    }

    fn found(&self, sample: &VectorSample, annotations: &BTreeMap<String, String>) -> Found {
        let subject = Subject { alert: &self.rule.name, labels: &sample.labels, value: sample.value };
        let ask = |query: &str| {
            let expr = promql::parse(query).map_err(|e| e.to_string())?;
            let value = self.ask(&expr).map_err(|e| e.to_string())?;
            vector(value).map_err(|e| e.to_string())
        };
        let expand = |text: &str| self.shared.templates.expand(text, subject, &ask);
        let mut labels = sample.labels.to_builder();
        labels.remove(METRIC_NAME);
        for (name, text) in &self.rule.labels {
            labels.set(name, &expand(text));
        }
        labels.set("alertname", &self.rule.name);
        let annotations = annotations.iter().map(|(name, text)| (name.clone(), expand(text))).collect();
        Found { labels: labels.build(), annotations, value: sample.value }
    }

    /// After a restart a rule sees again once every metric it names has two new samples (a rate needs two).
    fn sight(&self, run: &mut RuleRun) -> Sight {
        let Some(since) = run.restored_at else { return Sight::Clear };
        let fresh = |name: &str| {
            let (from, until) = (since.millis(), self.at().millis());
            self.store.select(Some(name)).any(|series| series.range(from, until).nth(1).is_some())
        };
        let blind = self.now.since(since) < BLIND_AT_MOST && !self.rule.expr.metric_names().iter().all(|n| fresh(n));
        if !blind {
            run.restored_at = None;
        }
        if blind { Sight::Blind } else { Sight::Clear }
    }
}

fn vector(value: Value) -> Result<Vec<VectorSample>, RuleError> {
    match value {
        Value::Vector(samples) => Ok(samples),
        Value::Scalar(value) => Ok(vec![VectorSample { labels: Labels::default(), value }]),
        Value::String(_) | Value::Matrix(_) => Err(RuleError::NoVector),
    }
}

/// Appends `series` and ends those of `written` that are no longer among them.
fn write(
    store: &mut Store,
    at: Timestamp,
    series: &[(Labels, f64)],
    written: &mut HashSet<Labels>,
) -> Result<(), RuleError> {
    let (mut full, mut late) = (0, 0);
    let mut now_there = HashSet::with_capacity(series.len());
    for (labels, value) in series {
        match store.append(labels, at, *value) {
            Append::Stored => {
                now_there.insert(labels.clone());
            }
            // two rules that say the same are no contradiction
            Append::OutOfOrder if store.holds(labels, at, *value) => {
                now_there.insert(labels.clone());
            }
            Append::OutOfOrder => late += 1,
            Append::TooManySeries => full += 1,
        }
    }
    for gone in written.difference(&now_there) {
        if !series.iter().any(|(labels, _)| labels == gone) {
            store.mark_stale(gone, at);
        }
    }
    *written = now_there;
    match (full, late) {
        (0, 0) => Ok(()),
        (0, late) => Err(RuleError::TooOld(late)),
        (full, _) => Err(RuleError::StoreFull(full)),
    }
}
