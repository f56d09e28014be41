//! Sole owner of the store and the rule engine: ticks, samples in, alerts out.

mod desk;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_alerts::{Dispatcher, Notification, Status};
use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::{
    ActiveAlert, AlertState, Append, EngineOptions, Group, GroupReport, RuleEngine, Store, StoreLimits, Timestamp,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use desk::{Desk, Question};

use crate::clock::Clock;
use crate::drift::Drift;
use crate::health::{Health, metrics_of};
use crate::shutdown::Shutdown;
use crate::state::StateFiles;

/// What others may see of the pipeline; replaced whole after every evaluation.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Timestamp,
    /// Pending, firing and lately resolved alerts.
    pub alerts: Vec<ActiveAlert>,
    /// The last report of each group.
    pub groups: BTreeMap<String, GroupReport>,
    /// Series in the store.
    pub series: usize,
    /// Samples in the store.
    pub samples: usize,
    /// Bytes of samples in the store.
    pub bytes: usize,
}

/// What the pipeline can be asked to do.
#[derive(Debug)]
pub enum Command {
    /// Take new rules; alerts of rules that did not change go on.
    Reload {
        /// The new groups.
        groups: Vec<Group>,
        /// The new sampling interval.
        sampling: Duration,
    },
    /// Answer a question at once.
    Answer(Question),
}

/// What the pipeline needs.
#[derive(Debug)]
pub struct PipelineOptions {
    /// Bounds of the store.
    pub limits: StoreLimits,
    /// Rule groups.
    pub groups: Vec<Group>,
    /// Settings of the rule engine.
    pub engine: EngineOptions,
    /// How often the registry is copied into the store.
    pub sampling: Duration,
    /// Where state survives a restart.
    pub state: StateFiles,
    /// Where people look a rule up; start of the links in alerts.
    pub external_url: String,
    /// Says more of alerts on signals than their series can.
    pub drift: Drift,
}

/// Samples in, alerts out.
#[derive(Debug)]
pub struct Pipeline {
    store: Store,
    engine: RuleEngine,
    registry: Registry,
    health: Health,
    dispatcher: Dispatcher,
    state: StateFiles,
    clock: Clock,
    sampling: Duration,
    external_url: String,
    drift: Drift,
    snapshot: watch::Sender<Arc<Snapshot>>,
    groups: BTreeMap<String, GroupReport>,
    last_sampled: Timestamp,
    last_saved: Option<Instant>,
    saved_digest: Vec<(u64, AlertState, Timestamp)>,
    warned_set_back: bool,
}

/// How often the store is written to disk.
const SAVE_EVERY: Duration = Duration::from_secs(60);

impl Pipeline {
    /// A pipeline that starts from the saved state, if there is one it can read.
    pub fn new(
        options: PipelineOptions,
        registry: Registry,
        health: Health,
        dispatcher: Dispatcher,
    ) -> (Self, watch::Receiver<Arc<Snapshot>>) {
        let mut clock = Clock::start();
        let now = clock.now();
        let store = options.state.load_store(options.limits);
        let mut engine = RuleEngine::new(options.groups, options.engine);
        if let Some(saved) = options.state.load_rules()
            && let Err(why) = engine.restore(&saved, now)
        {
            tracing::warn!(%why, "saved alert state cannot be read; starting without");
        }
        let (snapshot, receiver) = watch::channel(Arc::default());
        let pipeline = Self {
            store,
            engine,
            registry,
            health,
            dispatcher,
            state: options.state,
            clock,
            sampling: options.sampling,
            external_url: options.external_url,
            drift: options.drift,
            snapshot,
            groups: BTreeMap::new(),
            last_sampled: Timestamp::default(),
            last_saved: None,
            saved_digest: Vec::new(),
            warned_set_back: false,
        };
        (pipeline, receiver)
    }

    /// Runs until shutdown, then saves.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>, shutdown: Shutdown) {
        // What was saved and not told any more before the process died; the first evaluation may find it over.
        let now = self.now();
        self.tell(now).await;
        let mut next_sample = Instant::now();
        loop {
            let wake = next_sample.min(self.next_evaluation());
            tokio::select! {
                () = shutdown.begun() => break,
                () = tokio::time::sleep_until(wake) => {}
                Some(command) = commands.recv() => self.obey(command).await,
            }
            let now = self.now();
            if Instant::now() >= next_sample {
                self.sample(now);
                next_sample = next_slot(next_sample, self.sampling);
            }
            self.evaluate(now).await;
            if self.last_saved.is_none_or(|at| at.elapsed() >= SAVE_EVERY) {
                // Also when no alert has changed: after a crash its age says how long nothing was judged.
                self.save_rules();
                self.save_store().await;
            }
        }
        self.save_rules();
        self.save_store().await;
    }

    async fn obey(&mut self, command: Command) {
        let now = self.now();
        let (groups, sampling) = match command {
            Command::Reload { groups, sampling } => (groups, sampling),
            Command::Answer(question) => return question.answer(&self.store, &self.engine),
        };
        self.groups.retain(|name, _| groups.iter().any(|g| &g.name == name));
        self.engine.reload(groups, now);
        self.sampling = sampling;
        // Alerts of rules that are gone are over; no evaluation may ever come to say so.
        self.save_changes();
        self.tell(now).await;
    }

    fn now(&mut self) -> Timestamp {
        let now = self.clock.now();
        match self.clock.set_back() {
            Some(by) if !self.warned_set_back => {
                tracing::warn!(
                    seconds = by.as_secs(),
                    "the wall clock was set back; counting on until it has caught up"
                );
            }
            _ => {}
        }
        self.warned_set_back = self.clock.set_back().is_some();
        now
    }

    /// When the next rule group is due, on tokio's clock.
    fn next_evaluation(&mut self) -> Instant {
        let now = self.now();
        let wait = self.engine.next_due(now).map_or(Duration::from_secs(60), |due| due.since(now));
        Instant::now() + wait
    }

    /// Copies the registry into the store.
    fn sample(&mut self, now: Timestamp) {
        let (mut late, mut over) = (0_u32, 0_u32);
        let at = in_step(self.last_sampled, now, self.sampling);
        self.last_sampled = at;
        let samples = self.registry.sample();
        for series in &samples.gone {
            self.store.mark_stale(series, at);
        }
        for (series, value) in &samples.now {
            match self.store.append(series, at, *value) {
                Append::Stored => {}
                Append::OutOfOrder => late += 1,
                Append::TooManySeries => over += 1,
            }
        }
        for (what, count) in [("out_of_order_samples", late), ("series", over)] {
            if count > 0 {
                self.registry.add(Metric::Dropped, &[what], f64::from(count));
            }
        }
        for (source, why) in self.health.sources() {
            for name in metrics_of(source).iter().flat_map(|metric| metric.series_names()) {
                self.store.set_unavailable(&name, why.as_deref());
            }
        }
        self.store.expire(now);
    }

    async fn evaluate(&mut self, now: Timestamp) {
        let started = std::time::Instant::now();
        let reports = self.engine.evaluate_timed(&mut self.store, now, &|| started.elapsed());
        if reports.is_empty() {
            return;
        }
        self.publish_reports(reports, started.elapsed());
        // Saved before it is told: a process that dies in between tells again; the other way round, it would have told of
        // an alert that it knows nothing of when it is over.
        self.save_changes();
        self.tell(now).await;
        self.publish_snapshot(now);
    }

    /// Hands over what receivers must hear now.
    async fn tell(&mut self, now: Timestamp) {
        let told: Vec<Notification> = self.engine.to_notify(now).iter().map(|a| self.notification(a)).collect();
        if !told.is_empty() {
            self.dispatcher.notify(&told).await;
        }
    }

    /// Changes whenever an alert begins, changes state or ends: then the state file is due.
    fn digest(&self) -> Vec<(u64, AlertState, Timestamp)> {
        self.engine.alerts().iter().map(|a| (a.labels.fingerprint(), a.state, a.active_at)).collect()
    }

    fn publish_reports(&mut self, reports: Vec<GroupReport>, took: Duration) {
        for report in reports {
            let group = [report.group.as_str()];
            self.registry.add(Metric::RuleEvaluations, &group, report.evaluated as f64);
            self.registry.add(Metric::RuleFailures, &group, report.failures.len() as f64);
            self.registry.add(Metric::RuleSlotsMissed, &group, report.missed_slots as f64);
            self.registry.set(Metric::RuleDuration, &group, took.as_secs_f64());
            let news = self.groups.get(&report.group).is_none_or(|before| before.failures != report.failures);
            if news {
                for failure in &report.failures {
                    tracing::warn!(group = report.group, %failure, "rule failed; its alerts stay as they are");
                }
            }
            self.groups.insert(report.group.clone(), report);
        }
    }

    fn publish_snapshot(&mut self, now: Timestamp) {
        let mut alerts: Vec<ActiveAlert> = self.engine.alerts().into_iter().cloned().collect();
        alerts.iter_mut().for_each(|alert| alert.annotations = self.annotations(alert));
        let stats = self.store.stats();
        self.registry.set(Metric::StoreSeries, &[], stats.series as f64);
        self.registry.set(Metric::StoreSamples, &[], stats.samples as f64);
        let mut counts = BTreeMap::new();
        for alert in &alerts {
            let state = match alert.state {
                AlertState::Pending => "pending",
                AlertState::Firing => "firing",
                AlertState::Resolved => continue,
            };
            *counts.entry((alert.labels.get("alertname").unwrap_or("").to_owned(), state)).or_insert(0.0) += 1.0;
        }
        self.registry.publish(
            "alerts",
            counts
                .into_iter()
                .map(|((name, state), count)| plimsoll_exporters::Reading {
                    metric: Metric::Alerts,
                    labels: vec![name, state.to_owned()],
                    value: plimsoll_exporters::ReadingValue::Scalar(count),
                })
                .collect(),
        );
        let groups = self.groups.clone();
        let (series, samples, bytes) = (stats.series, stats.samples, stats.bytes);
        self.snapshot.send_replace(Arc::new(Snapshot { at: now, alerts, groups, series, samples, bytes }));
    }

    fn notification(&self, alert: &ActiveAlert) -> Notification {
        let resolved = alert.state == AlertState::Resolved;
        let started = alert.fired_at.unwrap_or(alert.active_at);
        Notification {
            status: if resolved { Status::Resolved } else { Status::Firing },
            labels: alert.labels.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            annotations: self.annotations(alert),
            starts_at: started,
            ends_at: if resolved { alert.resolved_at.unwrap_or(alert.valid_until) } else { alert.valid_until },
            value: alert.value,
            generator_url: format!(
                "{}/api/v1/alerts?alertname={}",
                self.external_url.trim_end_matches('/'),
                alert.labels.get("alertname").unwrap_or("")
            ),
            expr: alert.expr.clone(),
        }
    }

    /// What the rule says, and of an alert on a drifted signal what its detector says: direction, size, terms, examples.
    fn annotations(&self, alert: &ActiveAlert) -> BTreeMap<String, String> {
        let mut said = alert.annotations.clone();
        let label = |name| alert.labels.get(name).unwrap_or("").to_owned();
        if alert.labels.get("signal").is_some() {
            let snapshot = self.drift.snapshot();
            let more = snapshot.annotations.get(&(label("signal"), label("model"), label("variant")));
            for (name, text) in more.into_iter().flatten() {
                said.entry(name.clone()).or_insert_with(|| text.clone());
            }
        }
        said
    }

    /// Saves the alert states if any has changed.
    fn save_changes(&mut self) {
        let digest = self.digest();
        if digest != self.saved_digest {
            self.saved_digest = digest;
            self.save_rules();
        }
    }

    fn save_rules(&self) {
        self.count_failure("rule_state_saves", self.state.save_rules(&self.engine.save()));
    }

    async fn save_store(&mut self) {
        self.last_saved = Some(Instant::now());
        self.count_failure("store_saves", self.write_store().await);
    }

    /// Off the async threads, for a slow disk must not hold up the tap; a piece at a time, for the store is most of the
    /// agent's memory.
    async fn write_store(&self) -> io::Result<PathBuf> {
        let state = self.state.clone();
        let mut file = off_thread(move || state.begin_store()).await?;
        for piece in self.store.snapshot() {
            file = off_thread(move || file.append(&piece)).await?;
        }
        off_thread(move || file.finish()).await
    }

    /// A full or read-only disk costs us the state over a restart, never the watching.
    fn count_failure(&self, what: &str, result: io::Result<PathBuf>) {
        if let Err(error) = result {
            self.registry.add(Metric::Dropped, &[what], 1.0);
            tracing::debug!(what, %error, "state cannot be saved");
        }
    }
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// The time that samples taken `now` carry: a whole interval after the `last` ones, if that is not more than a hundredth of
/// one ago. Prometheus does the same: a clock that keeps time takes no bytes in the store.
fn in_step(last: Timestamp, now: Timestamp, every: Duration) -> Timestamp {
    let due = last + every;
    if due <= now && now.since(due) <= every / 100 { due } else { now }
}

/// The next sampling time after `last`; slots that passed while we slept are skipped, not made up.
fn next_slot(last: Instant, every: Duration) -> Instant {
    let next = last + every;
    let now = Instant::now();
    if next > now { next } else { now + every }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_time_through_small_delays() {
        let at = Timestamp::from_millis;
        for (why, last, now, expected) in [
            ("the first", 0, 1_000_000, 1_000_000),
            ("on time", 1_000_000, 1_005_000, 1_005_000),
            ("a little late", 1_000_000, 1_005_050, 1_005_000),
            ("later", 1_000_000, 1_005_051, 1_005_051),
            ("early (the clock was slewed)", 1_000_000, 1_004_999, 1_004_999),
            ("after a suspend", 1_000_000, 2_000_000, 2_000_000),
        ] {
            assert_eq!(in_step(at(last), at(now), Duration::from_secs(5)), at(expected), "{why}");
        }
    }
}
