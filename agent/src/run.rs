//! Starts everything in order, reloads on request, and stops everything in order.

mod listeners;
mod receivers;
mod sources;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use plimsoll_alerts::Dispatcher;
use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::{EngineOptions, Labels, LabelsBuilder, StoreLimits};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::capacity;
use crate::clock;
use crate::config::{self, Checked, LOCAL, Overrides, ShadowModel};
use crate::drift::{self, Drift, DriftTask, Outcome, OutcomeFeed};
use crate::experiment::{self, Splitter};
use crate::feed::{Feed, Feeds, Inbox};
use crate::health::Health;
use crate::http::api::{ApiState, ReloadRequest};
use crate::http::health::Readiness;
use crate::masking;
use crate::pairs::{self, Shelf};
use crate::pipeline::{Command, Desk, Pipeline, PipelineOptions};
use crate::ranks::Ranks;
use crate::records::{AuditEntry, Records, RecordsOptions};
use crate::retrain::{self, Around};
use crate::shadow::{self, Reading};
use crate::shutdown::Shutdown;
use crate::state::{StateFiles, take};
use crate::tap::Outlets;

use listeners::Listeners;

/// Exchanges that may wait between the tap and the records.
const EXCHANGE_QUEUE: usize = 4096;

/// What the agent starts from; kept for reloads.
#[derive(Debug)]
pub struct Start {
    /// The checked configuration.
    pub config: Checked,
    /// Its file, read again on reload.
    pub file: Option<PathBuf>,
    /// What the command line said over it.
    pub overrides: Overrides,
}

/// Runs until SIGTERM or SIGINT, then stops in order.
///
/// # Errors
/// A port cannot be bound, or a signal handler cannot be installed.
pub async fn run(start: Start) -> anyhow::Result<()> {
    let mut signals = Signals::install()?;
    let shutdown = Shutdown::default();
    let (agent, mut reloads) = Agent::start(start, &shutdown).await?;
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => {
                let said = agent.reload().await;
                let detail = json!({"request": "SIGHUP", "pod": pod(&agent.config.borrow()), "said": said.as_ref().ok()});
                agent.records.audit(AuditEntry::now(LOCAL, "reload", detail));
            }
            Some(request) = reloads.recv() => { let _ = request.send(agent.reload().await); }
        }
    }
    tracing::info!("stopping: no new connections, streams may finish");
    agent.readiness.stopping();
    let grace = agent.config.borrow().raw.shutdown_grace.0;
    let stuck = shutdown.finish(grace).await;
    if !stuck.is_empty() {
        tracing::warn!(?stuck, seconds = grace.as_secs(), "still running after the grace period; ended");
    }
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("signal handler");
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }
}

/// The running parts that a reload touches.
struct Agent {
    file: Option<PathBuf>,
    overrides: Overrides,
    config: watch::Sender<Arc<Checked>>,
    /// What the process started with, and what runs where a key takes a restart.
    started_with: Arc<Checked>,
    registry: Registry,
    pipeline: mpsc::Sender<Command>,
    dispatcher: Dispatcher,
    readiness: Readiness,
    records: Records,
    splitter: Splitter,
    /// The data folders, ours until the process ends.
    _locks: Vec<File>,
}

impl Agent {
    async fn start(start: Start, shutdown: &Shutdown) -> anyhow::Result<(Self, mpsc::Receiver<ReloadRequest>)> {
        let Start { config, file, overrides } = start;
        let locks = take(&config.data, &config.database).map_err(anyhow::Error::msg)?;
        let listeners = Listeners::bind(&config).await?;
        let registry = Registry::new(usize::try_from(config.raw.limits.series).unwrap_or(usize::MAX));
        let health = Health::new(registry.clone());
        let readiness = Readiness::default();
        let latch = readiness.latch("start");
        registry.set(
            Metric::BuildInfo,
            &[env!("CARGO_PKG_VERSION"), env!("PLIMSOLL_REVISION"), env!("PLIMSOLL_RUSTC")],
            1.0,
        );
        registry.set(Metric::ConfigReloadSuccess, &[], 1.0);
        let masker = masking::start(&config)?;
        let on = config.raw.drift.enabled;
        let (to_drift, inbox) = on.then(|| Feed::to_drift(registry.clone())).unzip();
        let (to_shadow, shadow_inbox) = config.shadow.as_ref().map(|shadow| to_shadow(shadow, &registry)).unzip();
        let feeds = Feeds::new(to_drift.into_iter().chain(to_shadow));
        let (readings, reading_inbox) = shadow::feed(registry.clone());
        let ((pairs, pair_inbox), shelf) = (pairs::post(registry.clone()), Shelf::default());
        let pairs = config.shadow.is_some().then_some(pairs);
        let (outcomes, outcome_inbox) = drift::outcome_feed(registry.clone());
        let records = Records::open(
            records_options(&config, on.then_some(outcomes)),
            registry.clone(),
            health.clone(),
            feeds.clone(),
        )
        .await;
        let splitter = Splitter::new(&config.experiments, registry.clone());
        experiment::restore(&splitter, &records).await;
        let around = Around {
            records: records.clone(),
            location: config.records.clone(),
            splitter: splitter.clone(),
            registry: registry.clone(),
            models: models_url(&config),
        };
        let prepared = retrain::prepare(config.finetune.as_ref(), &config.data, around).await;
        let dispatcher = receivers::start(&config, records.local(), shutdown).await?;
        let drift = match inbox {
            Some(inbox) => {
                let others = (outcome_inbox, reading_inbox);
                start_drift(&config, inbox, others, &records, (&registry, &health), shutdown).await?
            }
            None => Drift::off(),
        };
        if let (Some(shadow), Some(inbox)) = (&config.shadow, shadow_inbox) {
            let to = (on.then_some(readings), records.clone());
            shadow::start(&config, shadow, inbox, (pair_inbox, shelf.clone()), to, (&registry, &health), shutdown)?;
        }
        let options = pipeline_options(&config, drift.clone());
        let (pipeline, snapshot) = Pipeline::new(options, registry.clone(), health.clone(), dispatcher.clone());
        let (commands, command_queue) = mpsc::channel(8);
        let (config_sender, config) = watch::channel(Arc::new(config));
        let (reload, reloads) = mpsc::channel(1);
        let (exchanges, exchange_queue) = mpsc::channel(EXCHANGE_QUEUE);

        records.spawn(exchange_queue, shutdown);
        sources::spawn(&config, &registry, &health, &dispatcher, shutdown);
        let experiments = experiment::start(splitter.clone(), (records.clone(), shelf), registry.clone(), shutdown);
        experiments.begun().await;
        let retrain = retrain::start(prepared, experiments.clone(), snapshot.clone(), shutdown);
        let api = ApiState {
            config: config.clone(),
            snapshot,
            health,
            dispatcher: dispatcher.clone(),
            reload,
            started: clock::wall(),
            pipeline: Desk::new(commands.clone()),
            drift,
            experiments,
            retrain,
            ranks: Ranks::start(registry.clone(), shutdown),
            need: capacity::start(config.clone(), Desk::new(commands.clone()), registry.clone(), shutdown)?,
        };
        announce(&config.borrow(), &listeners);
        let started_with = config.borrow().clone();
        let outlets = Outlets { records: exchanges, feeds, pairs, masker };
        listeners.serve(config, api, &records, &registry, &readiness, (outlets, splitter.clone()), shutdown);
        shutdown.spawn("pipeline", pipeline.run(command_queue, shutdown.clone()));
        drop(latch);
        let (config, pipeline) = (config_sender, commands);
        Ok((
            Self {
                file,
                overrides,
                config,
                started_with,
                registry,
                pipeline,
                dispatcher,
                readiness,
                records,
                splitter,
                _locks: locks,
            },
            reloads,
        ))
    }

    /// Takes the configuration file anew, or keeps the last good one and says why.
    async fn reload(&self) -> Result<String, String> {
        let loaded = config::load(self.file.as_deref(), &self.overrides);
        self.registry.set(Metric::ConfigReloadSuccess, &[], if loaded.is_ok() { 1.0 } else { 0.0 });
        let new = loaded.map_err(|problems| {
            let text = problems.to_string();
            tracing::error!(%problems, "reload refused; the last good configuration goes on");
            text
        })?;
        let restart = needs_restart(&self.started_with, &new);
        let anew = begun_anew(&self.config.borrow(), &new);
        let command = Command::Reload { groups: new.groups.clone(), sampling: sampling(&new) };
        self.dispatcher.reconfigure(new.sinks.clone(), new.routing.clone()).map_err(|e| e.to_string())?;
        self.splitter.reconfigure(&new.experiments);
        experiment::restore(&self.splitter, &self.records).await;
        self.config.send_replace(Arc::new(new));
        let _ = self.pipeline.send(command).await;
        let mut said = "reloaded".to_owned();
        if !restart.is_empty() {
            said = format!("{said}; these take a restart: {}", restart.join(", "));
        }
        if !anew.is_empty() {
            said =
                format!("{said}; these experiments begin anew, what decides about them changed: {}", anew.join(", "));
        }
        tracing::info!("{said}");
        Ok(said)
    }
}

/// Experiments whose past says nothing of what they are now.
fn begun_anew(old: &Checked, new: &Checked) -> Vec<String> {
    let was = |one: &config::Experiment| {
        let before = old.experiments.iter().find(|before| before.spec.id == one.spec.id);
        before.is_some_and(|before| before.deciding() != one.deciding())
    };
    new.experiments.iter().filter(|one| was(one)).map(|one| one.spec.id.clone()).collect()
}

/// Keys that changed but are only read at start.
fn needs_restart(old: &Checked, new: &Checked) -> Vec<&'static str> {
    let (old, new) = (&old.raw, &new.raw);
    let mut keys = Vec::new();
    let mut changed = |key, differs: bool| {
        if differs {
            keys.push(key);
        }
    };
    changed("listen", old.listen != new.listen);
    changed("sources.system", old.sources.system != new.sources.system);
    changed("sources.gpu", old.sources.gpu != new.sources.gpu);
    changed("sources.tap.enabled", old.sources.tap.enabled != new.sources.tap.enabled);
    changed("sources.tap.listen", old.sources.tap.listen != new.sources.tap.listen);
    changed("identity", old.identity != new.identity);
    changed("masking", old.masking != new.masking);
    changed("records", old.records != new.records);
    changed("business", old.business != new.business);
    changed("drift", old.drift != new.drift);
    changed("shadow", old.shadow != new.shadow);
    changed("finetune", old.finetune != new.finetune);
    changed("limits", old.limits != new.limits);
    changed("log", old.log != new.log);
    keys
}

/// Where the engine lists its models.
fn models_url(config: &Checked) -> reqwest::Url {
    let mut url = config.engine_url.clone();
    if let Ok(models) = format!("{}/v1/models", config.upstream.to_string().trim_end_matches('/')).parse() {
        url = models;
    }
    url
}

/// The shortest interval of any source: samples are taken as often as the fastest source has news.
fn sampling(config: &Checked) -> std::time::Duration {
    let s = &config.raw.sources;
    s.system.interval.0.min(s.gpu.interval.0).min(s.engine.interval.0)
}

/// Reads what was saved before it returns: the series must be there before a rule looks for them.
async fn start_drift(
    config: &Checked,
    inbox: Inbox,
    others: (mpsc::Receiver<Outcome>, mpsc::Receiver<Reading>),
    records: &Records,
    (registry, health): (&Registry, &Health),
    shutdown: &Shutdown,
) -> anyhow::Result<Drift> {
    let settings = drift::Settings::new(&config.raw.drift, config.shadow.as_ref())?;
    let database = (records.local(), config.database.clone());
    let (task, drift) = DriftTask::start(settings, registry.clone(), health.clone(), database, others).await;
    shutdown.spawn("drift", task.run(inbox, shutdown.clone()));
    Ok(drift)
}

fn to_shadow(shadow: &ShadowModel, registry: &Registry) -> (Feed, Inbox) {
    let queue = usize::try_from(shadow.settings.queue).unwrap_or(usize::MAX);
    Feed::to_shadow(registry.clone(), shadow.settings.sample, queue)
}

fn pipeline_options(config: &Checked, drift: Drift) -> PipelineOptions {
    let external_url =
        config.raw.alerts.external_url.clone().unwrap_or_else(|| format!("http://{}", config.raw.listen.api));
    PipelineOptions {
        limits: StoreLimits {
            series: usize::try_from(config.raw.limits.series).unwrap_or(usize::MAX),
            retention: config.raw.limits.history.0,
        },
        groups: config.groups.clone(),
        engine: EngineOptions {
            external_labels: identity(config),
            external_url: external_url.clone(),
            resend_delay: config.raw.alerts.resend_delay.0,
        },
        sampling: sampling(config),
        state: StateFiles::new(&config.data),
        external_url,
        drift,
    }
}

fn records_options(config: &Checked, outcomes: Option<OutcomeFeed>) -> RecordsOptions {
    RecordsOptions {
        path: config.database.clone(),
        location: config.records.clone(),
        sample: config.raw.records.sample,
        store_text: config.raw.records.store_text,
        retention: config.raw.records.retention.0,
        disk: config.raw.limits.disk.0,
        window: config.raw.business.window.0,
        outcomes,
    }
}

/// Labels that say which pod speaks.
fn identity(config: &Checked) -> Labels {
    let identity = &config.raw.identity;
    let mut labels = LabelsBuilder::default();
    labels.set("service", &identity.service);
    labels.set("pod", &pod(config));
    labels.set("variant", &identity.variant);
    labels.build()
}

/// This pod's name: the host's where none is configured.
fn pod(config: &Checked) -> String {
    let name = &config.raw.identity.pod;
    if name.is_empty() { sysinfo::System::host_name().unwrap_or_default() } else { name.clone() }
}

fn announce(config: &Checked, listeners: &Listeners) {
    let tap = listeners.tap_address().map_or_else(|| "off".to_owned(), |a| a.to_string());
    tracing::info!(
        tap,
        upstream = %config.upstream,
        metrics = %listeners.metrics_address(),
        api = %listeners.api_address(),
        data = %config.data.display(),
        rule_groups = config.groups.len(),
        "plimsoll {} watches", env!("CARGO_PKG_VERSION")
    );
}
