//! What a person may do: begin, approve, cancel, promote, roll back, pin, close the circuit.

use serde_json::Value;

use super::outside::DONE;
use super::run::Stage;
use super::task::Task;
use super::{Act, Denied};
use crate::clock;
use crate::config::{Mode, Trainer};
use crate::records::{LoopChange, Refused};

impl From<Refused> for Denied {
    fn from(why: Refused) -> Self {
        Self::Unavailable(why.to_string())
    }
}

impl Task {
    /// Does what is wanted.
    pub(super) async fn grant(&mut self, act: Act) -> Result<(), Denied> {
        if !self.restored {
            return Err(Denied::Unavailable("what the loop did before cannot be read yet; try again".to_owned()));
        }
        match act {
            Act::Begin(since) => self.begin_by_hand(since).await,
            Act::Approve(id) => self.approve(id).await,
            Act::Cancel(id) => self.cancel(id).await,
            Act::Trained(id, told) => self.trained(id, &told),
            Act::Promote(number) => self.promote(number),
            Act::RollBack => self.roll_back(),
            Act::Pin(number, pinned) => self.pin(number, pinned).await,
            Act::CloseCircuit => self.close_circuit().await,
        }
    }

    async fn begin_by_hand(&mut self, since: Option<i64>) -> Result<(), Denied> {
        if self.settings.mode == Mode::Off {
            return Err(Denied::Conflict("finetune.mode is off; write propose or auto".to_owned()));
        }
        self.free()?;
        if self.standing.circuit_open {
            return Err(Denied::Conflict("the circuit is open: two gates refused in a row; close it first".to_owned()));
        }
        let now = clock::wall();
        let since = since.unwrap_or_else(|| self.since(&[], now));
        Ok(self.begin(None, since, now).await?)
    }

    /// Nothing else is under way.
    fn free(&self) -> Result<(), Denied> {
        if let Some(at) = self.open() {
            let run = &self.runs[at];
            return Err(Denied::Conflict(format!("run {} is {}; cancel it first", run.id, run.stage.as_str())));
        }
        match &self.work {
            Some(_) => Err(Denied::Conflict("a version is being loaded; try again in a moment".to_owned())),
            None => Ok(()),
        }
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
        if run.stage != Stage::Proposed {
            return Err(Denied::Conflict(format!("run {id} is {} already", run.stage.as_str())));
        }
        let now = clock::wall();
        (run.until_ms, run.parent) = (now.millis(), self.standing.live);
        run.reach(Stage::Curating, now);
        Ok(self.keep(run, LoopChange::default()).await?)
    }

    async fn cancel(&mut self, id: u32) -> Result<(), Denied> {
        let mut run = self.runs[self.opened(id)?].clone();
        if run.stage.has_experiment() {
            let experiment = run.experiment.unwrap_or_default();
            return Err(Denied::Conflict(format!(
                "run {id} is before users; POST /api/v1/experiments/{experiment}/rollback ends it"
            )));
        }
        self.work = None;
        let mut change = LoopChange::default();
        self.give_up(&run, &mut change);
        run.reach(Stage::Cancelled, clock::wall());
        Ok(self.keep(run, change).await?)
    }

    /// A trainer elsewhere says that the adapter is in its folder.
    fn trained(&self, id: u32, told: &Value) -> Result<(), Denied> {
        let run = &self.runs[self.opened(id)?];
        let elsewhere = matches!(self.settings.trainer, Trainer::Webhook(..) | Trainer::Job(..));
        if run.stage != Stage::Training || !elsewhere {
            return Err(Denied::Conflict(format!("run {id} is {}, and waits for no trainer", run.stage.as_str())));
        }
        let folder = self.places.adapter(id);
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            if !folder.join(name).is_file() {
                return Err(Denied::Conflict(format!("{} is not there yet", folder.join(name).display())));
            }
        }
        let aside = folder.join(format!("{DONE}.part"));
        std::fs::write(&aside, told.to_string())
            .and_then(|()| std::fs::rename(&aside, folder.join(DONE)))
            .map_err(|why| Denied::Unavailable(why.to_string()))
    }

    fn promote(&mut self, number: u32) -> Result<(), Denied> {
        let number = (number > 0).then_some(number);
        if let Some(number) = number {
            let Some(version) = self.version(number) else {
                return Err(Denied::Unknown(format!("there is no version {number}")));
            };
            if !version.adapter.join("adapter_model.safetensors").is_file() {
                return Err(Denied::Conflict(format!("{} is not there any more", version.adapter.display())));
            }
        }
        if number == self.standing.live {
            return Err(Denied::Conflict("it serves already".to_owned()));
        }
        self.free()?;
        self.serve(number);
        Ok(())
    }

    fn roll_back(&mut self) -> Result<(), Denied> {
        let Some(live) = self.standing.live else {
            return Err(Denied::Conflict("the base model serves; there is nothing to roll back".to_owned()));
        };
        let before = self.version(live).and_then(|version| version.before);
        self.promote(before.unwrap_or(0))
    }

    async fn pin(&mut self, number: u32, pinned: bool) -> Result<(), Denied> {
        let Some(version) = self.version_mut(number) else {
            return Err(Denied::Unknown(format!("there is no version {number}")));
        };
        version.pinned = pinned;
        let change = LoopChange { versions: vec![version.document()], ..LoopChange::default() };
        Ok(self.store(&change).await?)
    }

    async fn close_circuit(&mut self) -> Result<(), Denied> {
        if !self.standing.circuit_open {
            return Err(Denied::Conflict("the circuit is closed".to_owned()));
        }
        (self.standing.circuit_open, self.standing.refused) = (false, 0);
        Ok(self.store_standing().await?)
    }
}
