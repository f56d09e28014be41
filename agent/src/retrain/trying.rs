//! A version before users: its experiment, what it decided, who serves then.

use plimsoll_rules::Timestamp;
use plimsoll_rules::retrain::Status;
use plimsoll_rules::verdict::experiment::{Act, Reason, State};

use super::route;
use super::run::{Address, Route, Run, Stage};
use super::task::Task;
use super::work::{self, Done, What, Work};
use crate::clock;
use crate::experiment::{Denied, Experiments, View};
use crate::records::{LoopChange, Refused};

impl Task {
    /// The engine has the version: copies of requests go to it, or an experiment of its own begins.
    pub(super) async fn try_out(&mut self, run: Run, address: Address, now: Timestamp) -> Result<(), Refused> {
        let mut change = LoopChange::default();
        let Some(number) = run.version else { return Ok(()) };
        if let Some(version) = self.version_mut(number) {
            version.address = Some(address);
            change.versions.push(version.document());
        }
        let mirror = self.settings.mirror.is_some();
        self.before_users(run, mirror, change, now).await
    }

    /// A mirror, or the experiment after it, begins.
    async fn before_users(
        &mut self,
        mut run: Run,
        mirror: bool,
        change: LoopChange,
        now: Timestamp,
    ) -> Result<(), Refused> {
        run.experiment = Some(self.route_to(run.version, mirror));
        run.reach(if mirror { Stage::Mirroring } else { Stage::Trying }, now);
        self.keep(run, change).await?;
        self.set_route().await;
        Ok(())
    }

    /// A new route from what serves to another version, with an id of its own; gives the id.
    pub(super) fn route_to(&mut self, treatment: Option<u32>, mirror: bool) -> String {
        self.standing.routes += 1;
        let id = format!("finetune-{}", self.standing.routes);
        let side = |number: Option<u32>| route::side(number.and_then(|number| self.version(number)));
        let (control, treatment) = (side(self.standing.live), side(treatment));
        self.standing.route = Some(Route { id: id.clone(), mirror, control, treatment });
        id
    }

    /// Follows the experiment of the route: what it decided, or a person did.
    pub(super) async fn try_route(&mut self, experiments: &Experiments) -> Result<(), Refused> {
        let Some(route) = self.standing.route.clone() else { return Ok(()) };
        let views = experiments.views();
        let Some(view) = views.iter().find(|view| view.id == route.id) else { return Ok(()) };
        let by_hand = self.open().is_none_or(|at| self.runs[at].experiment.as_ref() != Some(&route.id));
        if by_hand {
            self.settle(&route, view, experiments).await;
            return Ok(());
        }
        let done = |view: &View| {
            let last = view.last_decision.as_ref().map(|decision| decision.reason);
            view.state == State::KeptControl && last == Some(Reason::OutOfUnits)
        };
        if route.mirror && (self.settings.mirror.is_none() || done(view)) {
            let Some(run) = self.open().map(|at| self.runs[at].clone()) else { return Ok(()) };
            return self.before_users(run, false, LoopChange::default(), clock::wall()).await;
        }
        match view.state {
            State::Promoted => self.decided(Stage::Promoted, Status::Live, view).await,
            State::RolledBack => self.decided(Stage::RolledBack, Status::RolledBack, view).await,
            State::KeptControl => self.decided(Stage::Kept, Status::Kept, view).await,
            _ => Ok(()),
        }
    }

    /// A route of no run is no question: who serves is known, so its experiment is ended.
    async fn settle(&mut self, route: &Route, view: &View, experiments: &Experiments) {
        if view.state.is_over() {
            return;
        }
        let act = if self.standing.live == route.treatment.version { Act::Promote } else { Act::Keep };
        match experiments.act(&route.id, act).await {
            Ok(_) | Err(Denied::Nothing(_)) => {}
            Err(why) => self.fault(&why.to_string()),
        }
    }

    /// The verdict is in: the run is over, the loser leaves the engine.
    async fn decided(&mut self, stage: Stage, status: Status, view: &View) -> Result<(), Refused> {
        let Some(at) = self.open() else { return Ok(()) };
        let (mut run, now) = (self.runs[at].clone(), clock::wall());
        let Some(number) = run.version else { return Ok(()) };
        let why = told(view);
        run.why = Some(why.clone());
        run.reach(stage, now);
        let (before, mut change) = (self.standing.live, LoopChange::default());
        let promoted = stage == Stage::Promoted;
        if let Some(version) = self.version_mut(number) {
            (version.status, version.decision) = (status, Some(why));
            if promoted {
                version.before = before;
            }
            change.versions.push(version.document());
        }
        if promoted {
            self.retire(before, &mut change);
            self.standing.live = Some(number);
            (self.standing.attempts, self.standing.refused) = (0, 0);
        }
        self.keep(run, change).await
    }

    /// The version of a run that ends early stays, unused.
    pub(super) fn give_up(&mut self, run: &Run, change: &mut LoopChange) {
        if let Some(version) = run.version.and_then(|number| self.version_mut(number)) {
            version.status = Status::Kept;
            if run.stage == Stage::Loading {
                // perhaps the engine has it: it is unloaded at the next look
                version.address = Some(Address::default());
            }
            change.versions.push(version.document());
        }
    }

    fn retire(&mut self, number: Option<u32>, change: &mut LoopChange) {
        if let Some(version) = number.and_then(|number| self.version_mut(number)) {
            version.status = Status::Retired;
            change.versions.push(version.document());
        }
    }

    /// Versions that nobody is sent to any more leave the engine, at the look after the decision: answers may still be under
    /// way.
    pub(super) async fn tidy(&mut self) -> Result<(), Refused> {
        let needed = |status| matches!(status, Status::Live | Status::Candidate);
        let left = self.versions.iter().filter(|version| version.address.is_some() && !needed(version.status));
        let left: Vec<(u32, String)> = left.map(|version| (version.number, version.name.clone())).collect();
        for (number, name) in left {
            if let Err(why) = self.deployer.unload(&name).await {
                self.fault(&format!("{name} is not unloaded: {why}"));
                continue;
            }
            tracing::info!(version = name, "finetune: unloaded");
            if let Some(version) = self.version_mut(number) {
                version.address = None;
                let change = LoopChange { versions: vec![version.document()], ..LoopChange::default() };
                self.store(&change).await?;
            }
        }
        Ok(())
    }

    /// Begins to serve a version by hand; what follows is [`Task::served`].
    pub(super) fn serve(&mut self, number: Option<u32>) {
        let live = self.live_name();
        let version = number.and_then(|number| self.version(number)).cloned();
        let deployer = self.deployer.clone();
        self.work = Some(Work::start(What::Serve(number), async move {
            match version {
                Some(version) => work::load(deployer, version, live).await,
                None => Ok(Done::Loaded(crate::deploy::Served::default())),
            }
        }));
    }

    /// A version that a person wants is loaded: it serves from now on.
    pub(super) async fn served(&mut self, number: Option<u32>, outcome: anyhow::Result<Done>) -> Result<(), Refused> {
        let address = match outcome {
            Ok(Done::Loaded(served)) => Address::from(served),
            Ok(_) => return Ok(()),
            Err(why) => {
                self.fault(&format!("{why:#}"));
                return Ok(());
            }
        };
        let (before, mut change) = (self.standing.live, LoopChange::default());
        self.retire(before, &mut change);
        if let Some(version) = number.and_then(|number| self.version_mut(number)) {
            (version.status, version.address) = (Status::Live, Some(address));
            if before.is_none_or(|before| before < version.number) {
                version.before = before;
            }
            change.versions.push(version.document());
        }
        self.route_to(number, false);
        self.standing.live = number;
        (self.standing.attempts, self.standing.refused) = (0, 0);
        change.standing = serde_json::to_string(&self.standing).ok();
        self.store(&change).await?;
        tracing::info!(version = number.unwrap_or(0), "finetune: serves from now on");
        self.set_route().await;
        Ok(())
    }

    /// The version that serves, and one that is tried, are in the engine; where it has lost one, it is loaded again.
    pub(super) async fn heal(&mut self) {
        if self.work.is_some() {
            return;
        }
        let tried = self.open().map(|at| &self.runs[at]).filter(|run| run.stage.has_experiment());
        let tried = tried.and_then(|run| run.version);
        // each is loaded without disturbing the other
        for (number, other) in [(self.standing.live, tried), (tried, self.standing.live)] {
            let Some(number) = number else { continue };
            let Some(version) = self.version(number).cloned() else { continue };
            match self.deployer.served(&version.name).await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    tracing::warn!(version = version.name, "finetune: the engine has lost it; it is loaded again");
                    let other = other.and_then(|other| self.version(other)).map(|other| other.name.clone());
                    let load = work::load(self.deployer.clone(), version, other);
                    self.work = Some(Work::start(What::Heal(number), load));
                    return;
                }
                Err(why) => return self.fault(&why.to_string()),
            }
        }
    }

    /// It may be somewhere else now.
    pub(super) async fn healed(&mut self, number: u32, outcome: anyhow::Result<Done>) -> Result<(), Refused> {
        match outcome {
            Ok(Done::Loaded(served)) => {
                let address = Some(Address::from(served));
                let Some(version) = self.version_mut(number).filter(|version| version.address != address) else {
                    return Ok(());
                };
                version.address = address;
                let mut change = LoopChange { versions: vec![version.document()], ..LoopChange::default() };
                let moved = route::side(self.version(number));
                if let Some(route) = &mut self.standing.route {
                    let sides = [&mut route.control, &mut route.treatment];
                    sides
                        .into_iter()
                        .filter(|side| side.version == Some(number))
                        .for_each(|side| *side = moved.clone());
                }
                change.standing = serde_json::to_string(&self.standing).ok();
                self.store(&change).await?;
                self.set_route().await;
            }
            Ok(_) => {}
            Err(why) => self.fault(&format!("{why:#}")),
        }
        Ok(())
    }
}

/// What an experiment decided, in words.
fn told(view: &View) -> String {
    let decision = view.last_decision.as_ref();
    let metric = decision.and_then(|one| one.metric.as_deref()).map_or(String::new(), |metric| format!(" of {metric}"));
    let reason = decision.map_or("", |one| one.reason.as_str());
    let metrics = view.metrics.iter().map(|one| format!("{} {:.3} -> {:.3}", one.name, one.means[0], one.means[1]));
    let metrics: Vec<String> = metrics.collect();
    format!(
        "{}: {reason}{metric} after {} units; {}",
        view.state.as_str(),
        view.units[0] + view.units[1],
        metrics.join(", ")
    )
}
