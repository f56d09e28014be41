//! What a person may do: begin, approve, cancel, promote, roll back, pin, close the circuit.

use plimsoll_rules::retrain::Status;
use plimsoll_rules::verdict::experiment;
use serde_json::Value;

use super::outside::DONE;
use super::run::{Run, Stage, Version};
use super::task::Task;
use super::{Act, Denied};
use crate::clock;
use crate::config::{Mode, Trainer};
use crate::experiment::Experiments;
use crate::records::{LoopChange, Refused};

impl From<Refused> for Denied {
    fn from(why: Refused) -> Self {
        Self::Unavailable(why.to_string())
    }
}

impl Task {
    /// Does what is wanted, or says whether it would.
    pub(super) async fn grant(&mut self, act: Act, dry_run: bool, experiments: &Experiments) -> Result<(), Denied> {
        if !self.restored {
            return Err(Denied::Unavailable("what the loop did before cannot be read yet; try again".to_owned()));
        }
        self.allow(&act)?;
        if dry_run {
            return Ok(());
        }
        match act {
            Act::Begin(since) => self.begin_by_hand(since).await,
            Act::Approve(id) => self.approve(id).await,
            Act::Cancel(id) => self.cancel(id, experiments).await,
            Act::Trained(id, told) => self.trained(id, &told),
            Act::Promote(number, _) => self.promote(number).await,
            Act::RollBack => self.promote(self.before_live()).await,
            Act::Pin(number, pinned) => self.pin(number, pinned).await,
            Act::CloseCircuit => self.close_circuit().await,
        }
    }

    /// Whether it can be done as things stand.
    fn allow(&self, act: &Act) -> Result<(), Denied> {
        match *act {
            Act::Begin(_) => self.may_begin(),
            Act::Approve(id) => {
                let run = &self.runs[self.opened(id)?];
                let stage = run.stage.as_str();
                if run.stage == Stage::Proposed { Ok(()) } else { conflict(&format!("run {id} is {stage} already")) }
            }
            Act::Cancel(id) => self.opened(id).map(|_| ()),
            Act::Trained(id, _) => self.may_be_trained(id),
            Act::Promote(number, force) => self.may_serve(number, force),
            Act::RollBack if self.standing.live.is_none() && !self.is_loading() => {
                conflict("the base model serves; there is nothing to roll back")
            }
            Act::RollBack => self.free_to_serve(),
            Act::Pin(0, _) => Err(Denied::Unknown("the base model is no version, and always there".to_owned())),
            Act::Pin(number, _) => self.known(number).map(|_| ()),
            Act::CloseCircuit if self.standing.circuit_open => Ok(()),
            Act::CloseCircuit => conflict("the circuit is closed"),
        }
    }

    /// A version that a person wants is being loaded.
    fn is_loading(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.failed.is_none())
    }

    fn may_begin(&self) -> Result<(), Denied> {
        if self.settings.mode == Mode::Off {
            return conflict("finetune.mode is off; write propose or auto");
        }
        if let Some(at) = self.open() {
            return under_way(&self.runs[at]);
        }
        if self.work.is_some() {
            return conflict("a version is being loaded; try again in a moment");
        }
        if self.standing.circuit_open {
            return conflict(
                "the circuit is open: two gates refused in a row; plimsoll versions close-circuit closes it",
            );
        }
        Ok(())
    }

    /// No run is under way that a change of what serves would disturb.
    fn free_to_serve(&self) -> Result<(), Denied> {
        match self.open().map(|at| &self.runs[at]).filter(|run| run.stage != Stage::Proposed) {
            Some(run) => under_way(run),
            None => Ok(()),
        }
    }

    fn known(&self, number: u32) -> Result<&Version, Denied> {
        self.version(number).ok_or_else(|| Denied::Unknown(format!("there is no version {number}")))
    }

    fn may_serve(&self, number: u32, force: bool) -> Result<(), Denied> {
        let wanted = (number > 0).then_some(number);
        if wanted == self.standing.live && !self.is_loading() {
            return conflict("it serves already");
        }
        self.free_to_serve()?;
        let Some(number) = wanted else { return Ok(()) };
        let version = self.known(number)?;
        if !version.adapter.join("adapter_model.safetensors").is_file() {
            return conflict(&format!("{} is not there any more", version.adapter.display()));
        }
        let by = match version.status {
            Status::Refused => "the gate refused it",
            Status::RolledBack => "it was rolled back",
            _ => return Ok(()),
        };
        let why = format!("version {number} is not for users: {by}; with force (--force) it serves all the same");
        if force { Ok(()) } else { conflict(&why) }
    }

    /// Where a rollback goes: to what served before, or, where a wish is being granted, nowhere.
    fn before_live(&self) -> u32 {
        let live = self.standing.live;
        if self.is_loading() {
            return live.unwrap_or(0);
        }
        live.and_then(|live| self.version(live)?.before).unwrap_or(0)
    }

    async fn begin_by_hand(&mut self, since: Option<i64>) -> Result<(), Denied> {
        let now = clock::wall();
        let since = since.unwrap_or_else(|| self.since(&[], now));
        Ok(self.begin(None, since, now).await?)
    }

    /// The run of this id, where it is open.
    fn opened(&self, id: u32) -> Result<usize, Denied> {
        let Some(at) = self.runs.iter().position(|run| run.id == id) else {
            return Err(Denied::Unknown(format!("there is no run {id}")));
        };
        let stage = self.runs[at].stage;
        if stage.is_over() { Err(Denied::Conflict(format!("run {id} is over: {}", stage.as_str()))) } else { Ok(at) }
    }

    async fn approve(&mut self, id: u32) -> Result<(), Denied> {
        let mut run = self.runs[self.opened(id)?].clone();
        let now = clock::wall();
        (run.until_ms, run.parent) = (now.millis(), self.standing.live);
        run.reach(Stage::Curating, now);
        Ok(self.keep(run, LoopChange::default()).await?)
    }

    /// One that is before users, or gets copies, is rolled back.
    async fn cancel(&mut self, id: u32, experiments: &Experiments) -> Result<(), Denied> {
        let mut run = self.runs[self.opened(id)?].clone();
        if run.stage.has_experiment() {
            let experiment = run.experiment.unwrap_or_default();
            return match experiments.act(&experiment, experiment::Act::RollBack).await {
                Ok(_) => Ok(()),
                Err(why) => conflict(&why.to_string()),
            };
        }
        self.work = None;
        let mut change = LoopChange::default();
        self.give_up(&run, &mut change);
        run.reach(Stage::Cancelled, clock::wall());
        Ok(self.keep(run, change).await?)
    }

    fn may_be_trained(&self, id: u32) -> Result<(), Denied> {
        let run = &self.runs[self.opened(id)?];
        let elsewhere = matches!(self.settings.trainer, Trainer::Webhook(..) | Trainer::Job(..));
        if run.stage != Stage::Training || !elsewhere {
            return conflict(&format!("run {id} is {}, and waits for no trainer", run.stage.as_str()));
        }
        let folder = self.places.adapter(id);
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            if !folder.join(name).is_file() {
                return conflict(&format!("{} is not there yet", folder.join(name).display()));
            }
        }
        Ok(())
    }

    /// A trainer elsewhere says that the adapter is in its folder.
    fn trained(&self, id: u32, told: &Value) -> Result<(), Denied> {
        let folder = self.places.adapter(id);
        let aside = folder.join(format!("{DONE}.part"));
        std::fs::write(&aside, told.to_string())
            .and_then(|()| std::fs::rename(&aside, folder.join(DONE)))
            .map_err(|why| Denied::Unavailable(why.to_string()))
    }

    /// A wish that is being granted is taken back where what serves is wanted.
    async fn promote(&mut self, number: u32) -> Result<(), Denied> {
        let number = (number > 0).then_some(number);
        if number == self.standing.live {
            self.withdraw();
            return Ok(());
        }
        Ok(self.serve(number).await?)
    }

    async fn pin(&mut self, number: u32, pinned: bool) -> Result<(), Denied> {
        let Some(version) = self.version_mut(number) else { return Ok(()) };
        version.pinned = pinned;
        let change = LoopChange { versions: vec![version.document()], ..LoopChange::default() };
        Ok(self.store(&change).await?)
    }

    async fn close_circuit(&mut self) -> Result<(), Denied> {
        (self.standing.circuit_open, self.standing.refused) = (false, 0);
        Ok(self.store_standing().await?)
    }
}

fn under_way(run: &Run) -> Result<(), Denied> {
    conflict(&format!("run {} is {}; plimsoll versions cancel {0} ends it", run.id, run.stage.as_str()))
}

fn conflict<T>(why: &str) -> Result<T, Denied> {
    Err(Denied::Conflict(why.to_owned()))
}
