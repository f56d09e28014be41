//! The task that owns the loop: what it knows, how a run goes from stage to stage.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_exporters::Metric;
use plimsoll_rules::retrain::{Hold, Status};
use tokio::sync::{mpsc, watch as channel};
use tokio::time::MissedTickBehavior;

use super::run::{Run, Stage, Standing, Version, Wanted, name_of};
use super::view::View;
use super::watch::Watch;
use super::work::{self, Done, Places, What, Work};
use super::{Around, Wish, route};
use crate::clock;
use crate::config::{Finetune, Mode};
use crate::deploy::{DeployError, Deployer};
use crate::experiment::{self, Experiments};
use crate::pipeline::Snapshot;
use crate::records::{LoopChange, Refused};
use crate::shutdown::Shutdown;

/// How often work is looked after.
const TICK: Duration = Duration::from_millis(500);
/// Runs that are shown and kept in memory.
const RUNS: usize = 200;
/// Gates in a row that open the circuit.
const REFUSALS: u32 = 2;

/// The loop.
pub(super) struct Task {
    pub(super) settings: Arc<Finetune>,
    pub(super) around: Around,
    pub(super) deployer: Deployer,
    pub(super) places: Places,
    pub(super) runs: Vec<Run>,
    pub(super) versions: Vec<Version>,
    pub(super) standing: Standing,
    pub(super) work: Option<Work>,
    pub(super) watch: Watch,
    /// What is in the way of a run.
    pub(super) holds: Vec<Hold>,
    /// What kept the loop from going on last, and what of it is in the log.
    pub(super) trouble: Option<String>,
    logged: Option<String>,
    /// What a person wants to serve, until it does.
    pub(super) wanted: Option<Wanted>,
    /// Versions that requests are sent to and that the engine does not have.
    pub(super) missing: BTreeSet<String>,
    pub(super) restored: bool,
    view: channel::Sender<Arc<View>>,
}

impl Task {
    pub(super) fn new(settings: Arc<Finetune>, data: &Path, around: Around) -> Result<Self, DeployError> {
        Ok(Self {
            deployer: Deployer::new(&settings.deploy, &settings.model)?,
            places: Places::new(data),
            settings,
            around,
            runs: Vec::new(),
            versions: Vec::new(),
            standing: Standing::default(),
            work: None,
            watch: Watch::default(),
            holds: Vec::new(),
            trouble: None,
            logged: None,
            wanted: None,
            missing: BTreeSet::new(),
            restored: false,
            view: channel::channel(Arc::default()).0,
        })
    }

    pub(super) fn views(&self) -> channel::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// Reads the past, once; the route is in force then.
    pub(super) async fn restore(&mut self) {
        if self.restored {
            return;
        }
        let saved = match self.around.records.loop_saved().await {
            Ok(saved) => saved,
            Err(why) => {
                tracing::warn!(%why, "finetune: off, for its records cannot be read");
                return;
            }
        };
        fn read<T: serde::de::DeserializeOwned>(texts: &[String]) -> Result<Vec<T>, serde_json::Error> {
            texts.iter().map(|text| serde_json::from_str(text)).collect()
        }
        let standing = saved.standing.as_deref().map_or(Ok(Standing::default()), serde_json::from_str);
        match (read(&saved.runs), read(&saved.versions), standing) {
            (Ok(runs), Ok(versions), Ok(standing)) => {
                (self.runs, self.versions, self.standing, self.restored) = (runs, versions, standing, true);
                self.set_route().await;
            }
            (runs, versions, standing) => {
                let why = [runs.err(), versions.err(), standing.err()].into_iter().flatten().next();
                tracing::error!(?why, "finetune: off, for what it kept cannot be understood");
            }
        }
    }

    /// Puts the route in force.
    pub(super) async fn set_route(&self) {
        let route = self.standing.route.as_ref();
        let template = self.settings.mirror.as_ref().filter(|_| route.is_some_and(|route| route.mirror));
        let template = template.unwrap_or(&self.settings.experiment);
        let experiment = route.map(|route| route::experiment(template, route)).transpose();
        if let Err(why) = &experiment {
            tracing::error!(why, "finetune: the base model serves");
        }
        self.around.splitter.set_route(experiment.ok().flatten());
        experiment::restore(&self.around.splitter, &self.around.records).await;
    }

    pub(super) async fn run(
        mut self,
        mut wishes: mpsc::Receiver<Wish>,
        experiments: Experiments,
        alerts: channel::Receiver<Arc<Snapshot>>,
        shutdown: Shutdown,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = tokio::time::interval(self.settings.interval);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut looks = false;
            tokio::select! {
                // work under way ends with us; it is done again at the next start
                () = shutdown.begun() => return,
                Some((act, dry_run, answer)) = wishes.recv() => {
                    self.restore().await;
                    let told = self.grant(act, dry_run, &experiments).await;
                    // what serves from now on is asked from now on
                    if told.is_ok() && self.restored
                        && let Err(why) = self.try_route(&experiments).await
                    {
                        self.fault(&why.to_string());
                    }
                    self.publish();
                    let _ = answer.send(told);
                }
                _ = tick.tick() => {}
                _ = look.tick() => looks = true,
            }
            self.restore().await;
            if !self.restored {
                continue;
            }
            let alerts = alerts.borrow().clone();
            if let Err(why) = self.pass(looks, &experiments, &alerts).await {
                self.fault(&why.to_string());
            }
            self.publish();
        }
    }

    async fn pass(&mut self, looks: bool, experiments: &Experiments, alerts: &Snapshot) -> Result<(), Refused> {
        if looks {
            if self.trouble.take().is_none() {
                self.logged = None;
            }
            self.tidy().await?;
            self.heal().await;
            self.prune().await?;
        }
        if self.work.as_ref().is_some_and(Work::is_done)
            && let Some(work) = self.work.take()
        {
            let what = work.what;
            let outcome = work.outcome().await;
            self.take(what, outcome).await?;
        }
        self.try_route(experiments).await?;
        if self.work.is_none() {
            match self.open() {
                Some(_) if self.settings.mode == Mode::Off => {}
                Some(at) => self.begin_stage(at),
                None if looks => self.look(experiments, alerts).await?,
                None => {}
            }
        }
        Ok(())
    }

    /// The run that is not over.
    pub(super) fn open(&self) -> Option<usize> {
        self.runs.iter().rposition(|run| !run.stage.is_over())
    }

    pub(super) fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    pub(super) fn version_mut(&mut self, number: u32) -> Option<&mut Version> {
        self.versions.iter_mut().find(|version| version.number == number)
    }

    pub(super) fn live_name(&self) -> Option<String> {
        Some(self.version(self.standing.live?)?.name.clone())
    }

    fn adapter_of(&self, number: Option<u32>) -> Option<PathBuf> {
        Some(self.version(number?)?.adapter.clone())
    }

    /// Begins the work of a run's stage.
    fn begin_stage(&mut self, at: usize) {
        let (settings, places, run) = (self.settings.clone(), self.places.clone(), self.runs[at].clone());
        let parent = self.adapter_of(run.parent);
        let what = What::Stage(run.stage);
        let work = match run.stage {
            Stage::Curating => Work::start(
                what,
                work::curate(settings, self.around.location.clone(), places, (run, self.runs.clone())),
            ),
            Stage::Training => Work::start(what, work::train(settings, places, run, parent)),
            Stage::Gating => Work::start(what, work::gate(settings, places, run, parent, self.standing.attempts + 1)),
            Stage::Loading => {
                let Some(version) = run.version.and_then(|number| self.version(number)).cloned() else { return };
                Work::start(what, work::load(self.deployer.clone(), version, self.live_name()))
            }
            _ => return,
        };
        self.work = Some(work);
    }

    /// Goes on from what a piece of work gave.
    async fn take(&mut self, what: What, outcome: anyhow::Result<Done>) -> Result<(), Refused> {
        if let What::Serve(number) = what {
            return self.served(number, outcome).await;
        }
        if let What::Heal(number) = what {
            return self.healed(number, outcome).await;
        }
        let Some(at) = self.open() else { return Ok(()) };
        let (mut run, now) = (self.runs[at].clone(), clock::wall());
        let mut change = LoopChange::default();
        match outcome {
            Err(why) => {
                run.why = Some(format!("{why:#}"));
                self.give_up(&run, &mut change);
                run.reach(Stage::Failed, now);
            }
            Ok(Done::Dataset(manifest)) => {
                run.dataset = Some(work::told(&manifest));
                run.why = work::too_small(&manifest, &self.settings.gate);
                run.reach(if run.why.is_some() { Stage::Failed } else { Stage::Training }, now);
            }
            Ok(Done::Trained(told)) => {
                run.training = Some(told);
                run.reach(Stage::Gating, now);
            }
            Ok(Done::Gated(report)) => {
                self.gated(&mut run, *report, now, &mut change).await;
            }
            Ok(Done::Loaded(served)) => return self.try_out(run, served.into(), now).await,
        }
        self.keep(run, change).await
    }

    /// Makes the version and says whether it may be tried.
    async fn gated(
        &mut self,
        run: &mut Run,
        report: plimsoll_rules::retrain::GateReport,
        now: plimsoll_rules::Timestamp,
        change: &mut LoopChange,
    ) {
        let number = self.standing.newest + 1;
        let (passed, attempt) = (report.passed, report.attempt);
        let text = |value: Option<&serde_json::Value>, key: &str| {
            value.and_then(|value| value[key].as_str()).unwrap_or_default().to_owned()
        };
        let adapter = self.places.adapter(run.id);
        let version = Version {
            number,
            name: name_of(number),
            made_ms: now.millis(),
            status: if passed { Status::Candidate } else { Status::Refused },
            pinned: false,
            run: run.id,
            parent: run.parent,
            before: None,
            adapter_sha256: hash(adapter.join("adapter_model.safetensors")).await,
            adapter,
            base_sha256: text(run.training.as_ref(), "model_sha256"),
            dataset_sha256: text(run.dataset.as_ref(), "sha256"),
            gate: Some(report.clone()),
            decision: None,
            address: None,
        };
        (self.standing.newest, self.standing.attempts) = (number, attempt);
        run.version = Some(number);
        if passed {
            self.standing.refused = 0;
            run.reach(Stage::Loading, now);
        } else {
            self.standing.refused += 1;
            self.standing.circuit_open |= self.standing.refused >= REFUSALS;
            let failed = report.checks.iter().filter(|check| !check.passed);
            run.why = Some(failed.map(|check| check.told.as_str()).collect::<Vec<_>>().join("; "));
            run.reach(Stage::Refused, now);
        }
        run.gate = Some(report);
        change.versions.push(version.document());
        self.versions.push(version);
    }

    /// Stores a run with what changes with it; what is not stored has not happened.
    pub(super) async fn keep(&mut self, run: Run, mut change: LoopChange) -> Result<(), Refused> {
        change.runs.push(run.document());
        change.standing = serde_json::to_string(&self.standing).ok();
        self.store(&change).await?;
        let why = run.why.as_deref().unwrap_or_default();
        tracing::info!(run = run.id, stage = run.stage.as_str(), why, "finetune");
        if run.stage.is_over() {
            self.around.registry.add(Metric::FinetuneRuns, &[run.stage.as_str()], 1.0);
        }
        match self.runs.iter_mut().find(|known| known.id == run.id) {
            Some(known) => *known = run,
            None => self.runs.push(run),
        }
        let many = self.runs.len().saturating_sub(RUNS);
        self.runs.drain(..many);
        Ok(())
    }

    /// Stores a change; where that fails, what is known is read anew, and everything since is done again.
    pub(super) async fn store(&mut self, change: &LoopChange) -> Result<(), Refused> {
        let stored = self.around.records.keep_loop(change).await;
        if stored.is_err() {
            self.restored = false;
        }
        stored
    }

    pub(super) async fn store_standing(&mut self) -> Result<(), Refused> {
        let standing = serde_json::to_string(&self.standing).ok();
        self.store(&LoopChange { standing, ..LoopChange::default() }).await
    }

    pub(super) fn fault(&mut self, why: &str) {
        self.trouble = Some(why.to_owned());
        if self.logged != self.trouble {
            tracing::warn!(why, "finetune: it does not go on");
            self.logged.clone_from(&self.trouble);
        }
    }

    fn publish(&self) {
        let view = View::of(self);
        self.around.registry.publish("finetune", view.readings(&self.places));
        self.view.send_replace(Arc::new(view));
    }
}

/// SHA-256 of a file in hexadecimal; empty where it cannot be read.
async fn hash(path: PathBuf) -> String {
    let work = move || plimsoll_shadow_model::train::sha256(&[path]).unwrap_or_default();
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}
