//! The loop: quality falls, an adapter is trained of what was said since, a gate and an experiment decide about it.
//!
//! One task owns every run, every version and the route. What happens is stored before it is acted on; each stage of a run
//! can be done again after a kill. `plimsoll_rules::retrain` decides, here is what follows.

mod act;
mod outside;
mod prune;
mod route;
mod run;
mod serving;
mod task;
mod trying;
mod view;
mod watch;
mod work;

use std::path::Path;
use std::sync::Arc;

use plimsoll_exporters::Registry;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch as channel};

pub use run::{Run, Stage, Standing, Version, Wanted, name_of, number_of};
pub use view::View;

use crate::config::Finetune;
use crate::experiment::{Experiments, Splitter};
use crate::pipeline::Snapshot;
use crate::records::{Location, Records};
use crate::shutdown::Shutdown;
use task::Task;

/// What a person may want.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Begin a run, whatever the trigger says; examples from this moment on (milliseconds since 1970) are new.
    Begin(Option<i64>),
    /// Let a proposed run begin.
    Approve(u32),
    /// End a run.
    Cancel(u32),
    /// A trainer elsewhere is done, and says this.
    Trained(u32, Value),
    /// A version serves from now on, even (`true`) one that was refused or sent back; 0 is the base model.
    Promote(u32, bool),
    /// What served before serves again.
    RollBack,
    /// A version stays, or may go again.
    Pin(u32, bool),
    /// Runs may begin again.
    CloseCircuit,
}

/// Why a wish is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No such thing.
    #[error("{0}")]
    Unknown(String),
    /// Not now.
    #[error("{0}")]
    Conflict(String),
    /// It could not be stored, or the agent stops.
    #[error("{0}")]
    Unavailable(String),
}

/// What is wanted, whether it is only asked if it could be done, and where the answer goes.
type Wish = (Act, bool, oneshot::Sender<Result<(), Denied>>);

/// Where others look at the loop and act on it; clones share it. Off where nothing is configured.
#[derive(Clone, Debug)]
pub struct Retrain {
    wishes: Option<mpsc::Sender<Wish>>,
    view: channel::Receiver<Arc<View>>,
}

impl Retrain {
    /// Of an agent without a loop.
    pub fn off() -> Self {
        Self { wishes: None, view: channel::channel(Arc::default()).1 }
    }

    /// Whether there is one.
    pub fn is_on(&self) -> bool {
        self.wishes.is_some()
    }

    /// What is known.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Does what a person wants, durably; with `dry_run` it only says whether it would.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn act(&self, act: Act, dry_run: bool) -> Result<(), Denied> {
        let Some(wishes) = &self.wishes else {
            return Err(Denied::Unknown("there is no loop here: finetune.model is not configured".to_owned()));
        };
        let (answer, told) = oneshot::channel();
        let gone = || Denied::Unavailable("shutting down".to_owned());
        wishes.send((act, dry_run, answer)).await.map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }
}

/// What the loop needs of the rest.
#[derive(Clone, Debug)]
pub struct Around {
    /// Where everything is kept.
    pub records: Records,
    /// The same, for datasets.
    pub location: Location,
    /// Who routes.
    pub splitter: Splitter,
    /// Where figures are shown.
    pub registry: Registry,
    /// Where the engine lists its models.
    pub models: reqwest::Url,
}

/// A loop whose past has been read: its route is in force, but nothing happens yet.
pub struct Prepared(Task);

/// Reads what the loop was doing and puts its route in force; `None` where none is configured, or TLS cannot be set up.
pub async fn prepare(settings: Option<&Finetune>, data: &Path, around: Around) -> Option<Prepared> {
    let Some(settings) = settings else {
        tell_unused(&around.records).await;
        return None;
    };
    match Task::new(Arc::new(settings.clone()), data, around) {
        Ok(mut task) => {
            task.restore().await;
            Some(Prepared(task))
        }
        Err(why) => {
            tracing::error!(%why, "finetune: off");
            None
        }
    }
}

/// Without the loop no version serves; who has taken it out of the configuration is told what that changes.
async fn tell_unused(records: &Records) {
    let Ok(saved) = records.loop_saved().await else { return };
    let standing = saved.standing.as_deref().and_then(|text| serde_json::from_str::<Standing>(text).ok());
    if let Some(live) = standing.and_then(|standing| standing.live) {
        tracing::warn!(version = live, "finetune: no longer configured; the base model serves instead of this version");
    }
}

/// Starts the loop.
pub fn start(
    prepared: Option<Prepared>,
    experiments: Experiments,
    alerts: channel::Receiver<Arc<Snapshot>>,
    shutdown: &Shutdown,
) -> Retrain {
    let Some(Prepared(task)) = prepared else { return Retrain::off() };
    let (wishes, queue) = mpsc::channel(8);
    let view = task.views();
    shutdown.spawn("finetune", task.run(queue, experiments, alerts, shutdown.clone()));
    Retrain { wishes: Some(wishes), view }
}
