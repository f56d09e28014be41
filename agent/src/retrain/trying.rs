//! A version before users: its experiment, what it decided, who serves then.

use plimsoll_rules::Timestamp;
use plimsoll_rules::retrain::Status;
use plimsoll_rules::verdict::experiment::{Act, Reason, State};

use super::route;
use super::run::{Address, Route, Run, Stage};
use super::task::Task;
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
        let view = views.iter().find(|view| view.id == route.id);
        let by_hand = self.open().is_none_or(|at| self.runs[at].experiment.as_ref() != Some(&route.id));
        if by_hand {
            self.settle(&route, view, experiments).await;
            return Ok(());
        }
        let Some(view) = view else { return Ok(()) };
        let done = |view: &View| {
            let last = view.last_decision.as_ref().map(|decision| decision.reason);
            view.state == State::KeptControl && last == Some(Reason::OutOfUnits)
        };
        if route.mirror && done(view) && copies_failed(view) {
            return self.decided(Stage::RolledBack, Status::RolledBack, view).await;
        }
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
    async fn settle(&mut self, route: &Route, view: Option<&View>, experiments: &Experiments) {
        if view.is_some_and(|view| view.state.is_over()) {
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

    /// A version serves no longer; one that somebody forced is again what its run made it.
    pub(super) fn retire(&mut self, number: Option<u32>, change: &mut LoopChange) {
        let run = number.and_then(|number| self.version(number)).map(|version| version.run);
        let stage = self.runs.iter().find(|one| Some(one.id) == run).map(|run| run.stage);
        let Some(version) = number.and_then(|number| self.version_mut(number)) else { return };
        version.status = match stage {
            Some(Stage::RolledBack) => Status::RolledBack,
            Some(Stage::Refused) => Status::Refused,
            _ => Status::Retired,
        };
        change.versions.push(version.document());
    }
}

/// Whether most copies failed where what serves did not: too few to show it, and enough to let no user see it.
fn copies_failed(view: &View) -> bool {
    view.metrics.iter().any(|metric| metric.name == "error" && metric.means[1] - metric.means[0] > 0.5)
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
