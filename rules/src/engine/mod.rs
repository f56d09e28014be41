//! Rule groups on their slots: store and `now` in, alert states and recorded series out.
//!
//! Called by the agent's pipeline, which owns the clock and the store. [`load_rules`] reads rule files, [`RuleEngine`]
//! runs them. What is Prometheus' and what is not stands in `docs/rules.md`.

mod backtest;
mod builtin;
#[cfg(test)]
mod builtin_tests;
mod fields;
mod group;
mod handover;
#[cfg(test)]
mod handover_tests;
mod humanize;
mod locate;
mod names;
mod rule;
mod rule_file;
mod saved;
#[cfg(test)]
mod saved_tests;
mod slots;
mod standing;
mod state;
#[cfg(test)]
mod state_tests;
mod template;
mod template_fields;
mod template_functions;
mod template_scope;
#[cfg(test)]
mod tests;
mod unit_test;
mod yaml;

use std::collections::HashMap;
use std::time::Duration;

pub use backtest::{Backtest, BacktestReport, Episode, RuleOutcome, warm_up};
pub use builtin::{BUILTIN_RULES, builtin_scaled};
pub use group::GroupReport;
use group::{GroupRun, RuleRun, Shared};
use handover::{Known, firing, forget_refuted, hand_over};
pub use rule::{Action, Group, Rule};
pub use rule_file::{RuleProblem, load_rules};
pub use standing::{AlertStanding, GroupStanding, LastRun, RuleStanding};
pub use state::{ActiveAlert, AlertState};
use state::{Alerts, Tracked};
use template::Templates;
pub use template_functions::text_functions;
pub use unit_test::{Failure, Remark, UnitTests, load_tests};

use crate::promql::{EvalError, EvalOptions};
use crate::{Labels, Store, Timestamp};

/// Why a rule's evaluation failed. Its alerts then stay as they are.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
enum RuleError {
    #[error("{0}")]
    Evaluation(#[from] EvalError),
    #[error("the result is neither a vector nor a scalar")]
    NoVector,
    #[error("two elements have the same labels once the rule's labels are set: {0}")]
    SameLabels(Labels),
    #[error("{have} results where the group's limit is {limit}")]
    Limit { limit: usize, have: usize },
    #[error("{0} of its series were not written: the store is full")]
    StoreFull(usize),
    #[error("{0} of its samples were not written: newer ones are there")]
    TooOld(usize),
}

/// Settings of the engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Added to every alert (identity of this pod).
    pub external_labels: Labels,
    /// Prefix of links in templates.
    pub external_url: String,
    /// A firing alert is repeated to receivers this often.
    pub resend_delay: Duration,
}

/// All groups and the state of their alerts.
#[derive(Debug)]
pub struct RuleEngine {
    groups: Vec<GroupRun>,
    options: EngineOptions,
    templates: Templates,
    /// Alerts of rules that are gone, until receivers have heard of their end for long enough.
    gone: Vec<Tracked>,
    /// What rules that are gone have left in the store.
    left: Vec<Left>,
    /// When anything was last judged.
    seen_at: Timestamp,
}

/// Something a rule left in the store, to be cleared at the next evaluation.
#[derive(Debug)]
enum Left {
    /// A series to end.
    Series(Labels),
    /// A metric that it had declared unavailable.
    Unavailable(String),
}

impl RuleEngine {
    /// An engine with no state yet.
    pub fn new(groups: Vec<Group>, options: EngineOptions) -> Self {
        let templates = templates(&groups, &options);
        let groups = groups.into_iter().map(GroupRun::new).collect();
        Self { groups, options, templates, gone: Vec::new(), left: Vec::new(), seen_at: Timestamp::default() }
    }

    /// Takes new groups; rules that are still there (same kind, name and labels, in the same group or in another) keep
    /// their alerts, whatever happened to their expression or `for`; alerts of rules that are gone resolve.
    pub fn reload(&mut self, groups: Vec<Group>, now: Timestamp) {
        self.templates = templates(&groups, &self.options);
        let old = std::mem::replace(&mut self.groups, groups.into_iter().map(GroupRun::new).collect());
        let mut slots = HashMap::new();
        let mut runs: Known<(String, RuleRun)> = HashMap::new();
        for group in old {
            let same = (group.group.file.clone(), group.group.name.clone(), group.group.interval);
            slots.insert(same, (group.slots, group.last));
            for (rule, run) in group.group.rules.iter().zip(group.rules) {
                runs.entry(key(&group.group, rule)).or_default().push_back((rule.name.clone(), run));
            }
        }
        for group in &mut self.groups {
            let same = (group.group.file.clone(), group.group.name.clone(), group.group.interval);
            if let Some((known, last)) = slots.remove(&same) {
                (group.slots, group.last) = (known, last);
            }
        }
        hand_over(&mut runs, &mut self.groups, key, |run, (_, known)| *run = known);
        for (name, run) in runs.into_values().flatten() {
            self.gone.extend(run.alerts.end(now));
            self.left.extend(run.written.into_iter().map(Left::Series));
            self.left.extend(run.blocked.then_some(Left::Unavailable(name)));
        }
        forget_refuted(&mut self.gone, &self.groups);
    }

    /// Evaluates every group whose slot has come, at the slot's time; writes recorded series, `ALERTS` and
    /// `ALERTS_FOR_STATE` into `store`. Slots that have passed are counted, not made up; a clock that went backwards
    /// evaluates nothing until it has caught up.
    pub fn evaluate(&mut self, store: &mut Store, now: Timestamp) -> Vec<GroupReport> {
        self.evaluate_timed(store, now, &|| Duration::ZERO)
    }

    /// As [`RuleEngine::evaluate`]; `elapsed` says how much time has passed since some moment, so that [`GroupStanding`]
    /// can tell how long each rule took.
    pub fn evaluate_timed(
        &mut self,
        store: &mut Store,
        now: Timestamp,
        elapsed: &dyn Fn() -> Duration,
    ) -> Vec<GroupReport> {
        self.gone.retain(|tracked| !tracked.is_forgotten(now));
        self.seen_at = self.seen_at.max(now);
        for left in std::mem::take(&mut self.left) {
            match left {
                Left::Series(series) => _ = store.mark_stale(&series, now),
                Left::Unavailable(name) => store.set_unavailable(&name, None),
            }
        }
        let shared = Shared {
            templates: &self.templates,
            external: &self.options.external_labels,
            options: EvalOptions::default(),
            elapsed,
        };
        let due = self.groups.iter_mut().filter_map(|group| group.slots.take_due(now).map(|due| (group, due)));
        let reports = due.map(|(group, due)| group.evaluate(store, &shared, due)).collect();
        forget_refuted(&mut self.gone, &self.groups);
        reports
    }

    /// When the next slot is due.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.groups.iter().map(|group| group.slots.next(now)).min()
    }

    /// The groups, in the order of their evaluation.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().map(|run| &run.group)
    }

    /// Pending, firing and lately resolved alerts.
    pub fn alerts(&self) -> Vec<&ActiveAlert> {
        let live = self.groups.iter().flat_map(|group| &group.rules).flat_map(|run| run.alerts.0.values());
        live.chain(&self.gone).map(|tracked| &tracked.alert).collect()
    }

    /// Alerts that receivers must hear of now: newly firing, newly resolved, or due for a repeat. Marks them as told.
    ///
    /// Independent of evaluation: while a rule's evaluation fails, its firing alerts are still repeated, because
    /// silence would mean to receivers that they are over. The end of an alert that fires for another rule too is no
    /// news: receivers know alerts by their labels.
    pub fn to_notify(&mut self, now: Timestamp) -> Vec<ActiveAlert> {
        let resend = self.options.resend_delay;
        let mut told = Vec::new();
        let firing = firing(&self.groups);
        for group in &mut self.groups {
            let interval = group.group.interval;
            let live = group.rules.iter_mut().flat_map(|run| run.alerts.0.values_mut());
            let refuted = |alert: &ActiveAlert| alert.state == AlertState::Resolved && firing.contains(&alert.labels);
            for tracked in live.filter(|tracked| !refuted(&tracked.alert)) {
                told.extend(tracked.tell(now, resend, interval));
            }
        }
        told.extend(self.gone.iter_mut().filter_map(|tracked| tracked.tell(now, resend, Duration::ZERO)));
        told
    }

    /// The state as JSON, to survive a restart.
    pub fn save(&self) -> String {
        saved::to_json(self)
    }

    /// Restores a saved state for the rules that still exist, whatever their `for` (prometheus#13957). Time during
    /// which the agent was down counts as pending time if the expression still holds at the first evaluation that has
    /// samples to judge by; alerts of rules that are gone resolve.
    ///
    /// # Errors
    /// A sentence saying what is wrong with it; the engine is then as it was.
    pub fn restore(&mut self, saved: &str, now: Timestamp) -> Result<(), String> {
        saved::from_json(self, saved, now)
    }
}

/// What makes it the same rule over a reload.
fn key(group: &Group, rule: &Rule) -> String {
    format!("{}\n{}\n{}", group.file, group.name, rule.identity())
}

fn templates(groups: &[Group], options: &EngineOptions) -> Templates {
    let texts = groups.iter().flat_map(|group| &group.rules).flat_map(Rule::templates);
    Templates::new(texts, &options.external_labels, &options.external_url)
}
