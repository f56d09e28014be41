//! Looks for a reason to train: alerts that fire, what else explains them, what there is to learn.

use std::time::{Duration, Instant};

use plimsoll_rules::promql::Selection;
use plimsoll_rules::retrain::{Evidence, Fall, Hold, Reason, day};
use plimsoll_rules::{ActiveAlert, AlertState, Labels, LabelsBuilder, METRIC_NAME, Timestamp};
use serde_json::Value;

use super::run::{Reached, Run, Stage};
use super::task::Task;
use super::work;
use crate::clock;
use crate::config::Mode;
use crate::dataset::{Counts, Order};
use crate::experiment::Experiments;
use crate::pipeline::Snapshot;
use crate::records::{LoopChange, Refused};

/// How long the engine may take to list its models.
const MODELS: Duration = Duration::from_secs(2);
/// Counting what there is to learn reads the records: at most one part in so many of the time.
const COUNTING: u32 = 20;
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// What is remembered between looks.
#[derive(Debug, Default)]
pub(super) struct Watch {
    client: Option<reqwest::Client>,
    counted: Option<Counted>,
}

/// What there was to learn.
#[derive(Clone, Copy, Debug)]
struct Counted {
    at: Instant,
    took: Duration,
    /// Examples from then on are new, milliseconds since 1970.
    since: i64,
    /// New examples, failures among them.
    found: (u64, u64),
}

impl Task {
    /// Begins a run, or proposes one, where there is reason to.
    pub(super) async fn look(&mut self, experiments: &Experiments, alerts: &Snapshot) -> Result<(), Refused> {
        let now = clock::wall();
        self.look_at_models(now).await?;
        let falls = self.falls(alerts);
        self.remember_day(!falls.is_empty(), now).await?;
        if self.settings.mode == Mode::Off {
            return Ok(());
        }
        let since = self.since(&falls, now);
        let mut evidence = Evidence {
            explained_by: self.explained_by(alerts, now),
            falls,
            days: self.standing.fall_days.clone(),
            examples: u64::MAX,
            failures: u64::MAX,
            ended: self.runs.iter().filter_map(Run::ended).collect(),
            experiment: experiments.views().iter().find(|view| !view.state.is_over()).map(|view| view.id.clone()),
            circuit_open: self.standing.circuit_open,
        };
        let mut verdict = self.settings.trigger.decide(&evidence, now);
        if verdict.is_ok() {
            match self.count(since, now).await {
                Ok(counts) => (evidence.examples, evidence.failures) = counts,
                Err(why) => {
                    self.fault(&format!("{why:#}"));
                    return Ok(());
                }
            }
            verdict = self.settings.trigger.decide(&evidence, now);
        }
        match verdict {
            Ok(reason) => self.begin(Some(reason), since, now).await,
            Err(holds) => {
                self.say(holds);
                Ok(())
            }
        }
    }

    /// A run begins, or is proposed.
    pub(super) async fn begin(&mut self, reason: Option<Reason>, since: i64, now: Timestamp) -> Result<(), Refused> {
        let proposed = reason.is_some() && self.settings.mode == Mode::Propose;
        let stage = if proposed { Stage::Proposed } else { Stage::Curating };
        let id = self.runs.last().map_or(0, |run| run.id) + 1;
        let run = Run {
            id,
            stage,
            stages: vec![Reached { stage, at_ms: now.millis() }],
            reason,
            since_ms: since,
            until_ms: now.millis(),
            parent: self.standing.live,
            version: None,
            dataset: None,
            training: None,
            gate: None,
            experiment: None,
            why: None,
        };
        self.holds.clear();
        self.keep(run, LoopChange::default()).await
    }

    fn falls(&self, alerts: &Snapshot) -> Vec<Fall> {
        let fall = |alert: &ActiveAlert| Fall {
            alert: alert.labels.get("alertname").unwrap_or_default().to_owned(),
            value: alert.value,
            since: alert.active_at,
        };
        firing(alerts, &self.settings.alerts).map(fall).collect()
    }

    fn explained_by(&self, alerts: &Snapshot, now: Timestamp) -> Vec<String> {
        let name = |alert: &ActiveAlert| alert.labels.get("alertname").unwrap_or_default().to_owned();
        let mut by: Vec<String> = firing(alerts, &self.settings.explained_by).map(name).collect();
        let ago = now.millis() - self.standing.models_changed_ms;
        if self.standing.models_changed_ms > 0 && ago < millis(self.settings.release) {
            by.push(format!("a change of the engine's models {} s ago", ago / 1000));
        }
        by
    }

    /// From when on examples are new: somewhat before the fall, but not what the last version has learnt already.
    pub(super) fn since(&self, falls: &[Fall], now: Timestamp) -> i64 {
        let began = falls.iter().map(|fall| fall.since).min().unwrap_or(now);
        let learnt = self.runs.iter().filter(|run| run.stage == Stage::Promoted).map(|run| run.until_ms).max();
        (began.millis() - millis(self.settings.dataset.before)).max(learnt.unwrap_or(0))
    }

    async fn count(&mut self, since: i64, now: Timestamp) -> anyhow::Result<(u64, u64)> {
        let known = self.watch.counted.filter(|known| known.since == since);
        if let Some(known) = known.filter(|known| known.at.elapsed() < known.took * COUNTING) {
            return Ok(known.found);
        }
        let at = Instant::now();
        let settings = work::dataset_settings(&self.settings, &self.runs, (Timestamp::from_millis(since), now));
        let order = Order { url: self.around.location.url(), settings, anchors: None, out: None };
        let counts: Counts = work::dataset_child(&order).await?;
        let found = (counts.new_examples(), counts.new_corrected);
        self.watch.counted = Some(Counted { at, took: at.elapsed(), since, found });
        Ok(found)
    }

    /// Remembers, and logs where it is something else than before.
    fn say(&mut self, holds: Vec<Hold>) {
        let kinds = |holds: &[Hold]| holds.iter().map(std::mem::discriminant).collect::<Vec<_>>();
        if kinds(&holds) != kinds(&self.holds) && holds != [Hold::Calm] {
            let why = holds.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            tracing::info!(why, "finetune: not now");
        }
        self.holds = holds;
    }

    async fn remember_day(&mut self, fell: bool, now: Timestamp) -> Result<(), Refused> {
        let today = day(now);
        let mut days = self.standing.fall_days.clone();
        days.retain(|day| *day > today - 3);
        if fell {
            days.insert(today);
        }
        if days == self.standing.fall_days {
            return Ok(());
        }
        self.standing.fall_days = days;
        self.store_standing().await
    }

    /// Notes when the engine begins to serve other models than ours.
    async fn look_at_models(&mut self, now: Timestamp) -> Result<(), Refused> {
        let client = self.watch.client.get_or_insert_with(reqwest::Client::new);
        let asked = client.get(self.around.models.clone()).timeout(MODELS).send().await;
        let Ok(answer) = asked.and_then(reqwest::Response::error_for_status) else { return Ok(()) };
        let Ok(body) = answer.bytes().await else { return Ok(()) };
        let listed: Option<Value> = serde_json::from_slice(&body).ok();
        let Some(listed) = listed.as_ref().and_then(|listed| listed["data"].as_array()) else { return Ok(()) };
        let is_ours = |name: &str| self.versions.iter().any(|version| version.name == name);
        let model = |one: &Value| {
            let name = one["id"].as_str().filter(|name| !is_ours(name))?;
            Some(format!("{name} {}", one["root"].as_str().unwrap_or_default()))
        };
        let mut models: Vec<String> = listed.iter().filter_map(model).collect();
        models.sort_unstable();
        if models == self.standing.models {
            return Ok(());
        }
        if !self.standing.models.is_empty() {
            tracing::info!(?models, "finetune: the engine serves other models");
            self.standing.models_changed_ms = now.millis();
        }
        self.standing.models = models;
        self.store_standing().await
    }
}

fn firing<'a>(alerts: &'a Snapshot, wanted: &'a [Selection]) -> impl Iterator<Item = &'a ActiveAlert> {
    let matches = move |alert: &&ActiveAlert| {
        let labels = as_series(&alert.labels);
        alert.state == AlertState::Firing && wanted.iter().any(|one| one.matches(&labels))
    };
    alerts.alerts.iter().filter(matches)
}

/// An alert's labels, with its name where a series has its own.
fn as_series(labels: &Labels) -> Labels {
    let mut all = LabelsBuilder::default();
    for (name, value) in labels.iter() {
        all.set(name, value);
    }
    all.set(METRIC_NAME, labels.get("alertname").unwrap_or_default());
    all.build()
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(DAY_MS)
}
