//! Decides: takes in each unit once its window has closed, stores what follows from it, and only then acts on it.
//!
//! A unit, what it says, the machine's new state and its decisions are one transaction. So a kill at any moment leaves
//! either all of a step or none of it, and the next start goes on from there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_exporters::Registry;
use plimsoll_rules::Phase;
use plimsoll_rules::verdict::experiment::{Act, Decision, Experiment as Machine, State, UnitResult};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use super::course::Course;
use super::judged::Reports;
use super::splitter::{Running, Splitter};
use super::values::values;
use super::view::{self, View};
use crate::clock;
use crate::config::{Experiment, Split};
use crate::pairs::{Shelf, Shown};
use crate::records::{self, ClosedUnit, OpenUnit, Records, Refused, SavedExperiment, Step};
use crate::shutdown::Shutdown;

/// How often units are taken in.
const EVERY: Duration = Duration::from_secs(1);
/// The records get this long to write down what came before the end of a window.
const GRACE: Duration = Duration::from_secs(2);
/// How far back other agents' assignments are read, by when they were given: they are written with the end of the unit's first
/// answer. Each time, and now and then, for answers that took long.
const LATELY: Duration = Duration::from_secs(15);
const LONG_AGO: Duration = Duration::from_secs(900);
/// Passes between the latter.
const SELDOM: u32 = 30;
/// The start of the agent waits so long for it.
const BEGUN: Duration = Duration::from_secs(5);
/// Units taken in at once.
const MOST: u32 = 500;

/// Why a wish is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No such experiment, or none that has begun.
    #[error("there is no running experiment {0:?}")]
    Unknown(String),
    /// Nothing would change.
    #[error("the experiment is {0}: that changes nothing")]
    Nothing(&'static str),
    /// It could not be stored.
    #[error("{0}")]
    Disk(String),
}

/// A wish of an operator, and where the answer goes.
type Wish = (String, Act, oneshot::Sender<Result<View, Denied>>);

/// Where others look at experiments and act on them.
#[derive(Clone, Debug)]
pub struct Experiments {
    wishes: mpsc::Sender<Wish>,
    views: watch::Receiver<Arc<Vec<View>>>,
    records: Records,
    shelf: Shelf,
}

impl Experiments {
    /// Waits until it is known where each stands, a few seconds at most.
    pub async fn begun(&self) {
        let mut views = self.views.clone();
        let _ = tokio::time::timeout(BEGUN, views.changed()).await;
    }

    /// All that are configured and known.
    #[must_use]
    pub fn views(&self) -> Arc<Vec<View>> {
        self.views.borrow().clone()
    }

    /// Does what an operator wishes, durably, and says where the experiment stands then.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn act(&self, id: &str, act: Act) -> Result<View, Denied> {
        let (answer, told) = oneshot::channel();
        let gone = || Denied::Disk("shutting down".to_owned());
        self.wishes.send((id.to_owned(), act, answer)).await.map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }

    /// Pairs of answers that wait for a person's label, the newest first.
    ///
    /// # Errors
    /// The records cannot be read.
    pub async fn pairs(&self, id: &str) -> Result<Vec<Shown>, Refused> {
        let mut open = Vec::new();
        let views = self.views();
        let treatment = views.iter().find(|view| view.id == id).map_or("", |view| view.variants[1].as_str());
        for shown in self.shelf.of(id, treatment) {
            if !self.records.is_labelled(&shown.id).await? {
                open.push(shown);
            }
        }
        Ok(open)
    }

    /// What was decided, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The records cannot be read.
    pub async fn decisions(&self, id: &str, limit: u32) -> Result<Vec<records::Decision>, Refused> {
        self.records.decisions(id, 0, limit).await
    }
}

/// One experiment in the desk's hands.
struct Known {
    machine: Machine,
    spec_hash: String,
    /// Units taken in.
    seq: u64,
    /// Steps taken, by all agents.
    version: u64,
    last: Option<Decision>,
}

/// The task that decides.
struct Desk {
    splitter: Splitter,
    records: Records,
    registry: Registry,
    known: BTreeMap<String, Known>,
    judged: Reports,
    passes: u32,
    views: watch::Sender<Arc<Vec<View>>>,
}

/// Starts the task; the handle is for the API.
pub fn start(
    splitter: Splitter,
    (records, shelf): (Records, Shelf),
    registry: Registry,
    shutdown: &Shutdown,
) -> Experiments {
    let (wishes, queue) = mpsc::channel(8);
    let (views, seen) = watch::channel(Arc::default());
    let handle = Experiments { wishes, views: seen, records: records.clone(), shelf };
    let desk =
        Desk { splitter, records, registry, known: BTreeMap::new(), judged: Reports::default(), passes: 0, views };
    shutdown.spawn("experiments", desk.run(queue, shutdown.clone()));
    handle
}

impl Desk {
    async fn run(mut self, mut wishes: mpsc::Receiver<Wish>, shutdown: Shutdown) {
        let stop = shutdown.token();
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // where each stands is known before any unit is taken in
        for one in self.splitter.all().iter().filter(|one| one.is_restored()) {
            if let Err(why) = self.load(one.experiment()).await {
                tracing::warn!(experiment = one.experiment().spec.id, %why, "experiment: nothing is decided meanwhile");
            }
        }
        self.publish();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some((id, act, answer)) = wishes.recv() => {
                    let _ = answer.send(self.wish(&id, act).await);
                }
                _ = tick.tick() => {}
            }
            self.pass().await;
            self.publish();
        }
    }

    /// Takes in what is due in every experiment.
    async fn pass(&mut self) {
        let running = self.splitter.all();
        self.passes = self.passes.wrapping_add(1);
        if running.iter().any(|one| !one.is_restored()) {
            super::restore(&self.splitter, &self.records).await;
        }
        let is_there = |id: &str| running.iter().any(|one| one.experiment().spec.id == id);
        self.known.retain(|id, _| is_there(id));
        self.judged.retain(is_there);
        for one in running.iter().filter(|one| one.is_restored()) {
            let taken = self.take_in(one).await;
            if let Err(why) = taken.or_else(|why| if why == Refused::Overtaken { Ok(()) } else { Err(why) }) {
                tracing::warn!(experiment = one.experiment().spec.id, %why, "experiment: nothing is decided meanwhile");
            } else if let Err(why) = self.judged.refresh(one.experiment(), &self.records).await {
                tracing::warn!(experiment = one.experiment().spec.id, %why, "experiment: the judge is not heard");
            }
        }
    }

    async fn take_in(&mut self, running: &Running) -> Result<(), Refused> {
        let experiment = running.experiment().clone();
        let id = experiment.spec.id.clone();
        if self.records.is_shared() {
            self.follow(running).await?;
        }
        self.load(&experiment).await?;
        let window = experiment.spec.window;
        loop {
            let Some(known) = self.known.get(&id) else { return Ok(()) };
            let before = clock::wall() - window - GRACE;
            let due = self.records.open_units(&id, before, MOST).await?;
            if due.is_empty() {
                return Ok(());
            }
            let (mut machine, mut seq) = (known.machine.clone(), known.seq);
            let mut step =
                Step { experiment: id.as_str().into(), units: Vec::new(), decisions: Vec::new(), state: None };
            let mut last = known.last.clone();
            for unit in &due {
                let until = unit.assigned + window;
                let facts = self.records.outcomes_of(&id, unit.assignment.unit, until).await?;
                let result = result_of(&experiment, unit, &facts);
                seq += 1;
                if fits(machine.state(), unit.assignment.phase)
                    && let Some(decision) = machine.close(&result, until)
                {
                    step.decisions.push(stored(&decision, &machine, seq));
                    last = Some(decision);
                }
                let outcome = serde_json::to_string(&result).unwrap_or_default();
                step.units.push(ClosedUnit { unit: unit.assignment.unit, seq, outcome });
            }
            let whole = due.len() < MOST as usize;
            self.commit(&experiment, machine, seq, last, step).await?;
            if whole {
                return Ok(());
            }
        }
    }

    /// Learns what other agents have done: steps, and halves given to units.
    async fn follow(&mut self, running: &Running) -> Result<(), Refused> {
        let id = &running.experiment().spec.id;
        let version = self.records.experiment_version(id).await?;
        if self.known.get(id).is_some_and(|known| known.version != version) {
            self.known.remove(id);
        }
        let back = if self.passes.is_multiple_of(SELDOM) { LONG_AGO } else { LATELY };
        for place in self.records.assignments_since(id, clock::wall() - back).await? {
            running.remember(place.unit, place.arm, place.propensity);
        }
        Ok(())
    }

    /// Stores a step; only what is durable is acted on.
    async fn commit(
        &mut self,
        experiment: &Experiment,
        machine: Machine,
        seq: u64,
        last: Option<Decision>,
        mut step: Step,
    ) -> Result<(), Refused> {
        let id = &experiment.spec.id;
        let Some(known) = self.known.get_mut(id) else { return Ok(()) };
        let course = course(experiment, &machine);
        let version = known.version + 1;
        step.state = Some(SavedExperiment {
            version,
            spec_hash: known.spec_hash.clone(),
            state: serde_json::to_string(&(&machine, &last)).unwrap_or_default(),
            seq,
            course,
        });
        let decisions = std::mem::take(&mut step.decisions);
        let stored = self.records.close_units(Step { decisions: decisions.clone(), ..step }).await;
        if stored == Err(Refused::Overtaken) {
            self.known.remove(id);
        }
        stored?;
        let Some(known) = self.known.get_mut(id) else { return Ok(()) };
        (known.machine, known.seq, known.version, known.last) = (machine, seq, version, last);
        for one in &decisions {
            tracing::info!(experiment = id, from = one.from, to = one.to, reason = one.reason, "experiment: decided");
            view::count(&self.registry, id, one);
        }
        self.splitter.set(id, course);
        Ok(())
    }

    /// Makes sure that an experiment is known: from what was saved, or anew where its spec is another.
    async fn load(&mut self, experiment: &Experiment) -> Result<(), Refused> {
        let id = &experiment.spec.id;
        let spec_hash = experiment.deciding();
        if self.known.get(id).is_some_and(|known| known.spec_hash == spec_hash) {
            return Ok(());
        }
        let found = self.records.experiment_state(id).await?;
        let version = found.as_ref().map_or(0, |saved| saved.version);
        let known = match found.filter(|saved| saved.spec_hash == spec_hash) {
            Some(saved) => match serde_json::from_str::<(Machine, Option<Decision>)>(&saved.state) {
                Ok((machine, last)) => Known { machine, spec_hash, seq: saved.seq, version, last },
                Err(error) => return Err(Refused::Unavailable(format!("the saved state cannot be read: {error}"))),
            },
            None => {
                let seq = self.records.closed(id).await?;
                if seq > 0 {
                    tracing::warn!(experiment = id, "experiment: its settings are others than before; it begins anew");
                }
                Known { machine: Machine::new(experiment.spec.clone()), spec_hash, seq, version, last: None }
            }
        };
        self.splitter.set(id, course(experiment, &known.machine));
        self.known.insert(id.clone(), known);
        Ok(())
    }

    async fn wish(&mut self, id: &str, act: Act) -> Result<View, Denied> {
        let unknown = || Denied::Unknown(id.to_owned());
        let running = self.splitter.find(id).ok_or_else(unknown)?;
        let experiment = running.experiment().clone();
        let disk = |why: Refused| Denied::Disk(why.to_string());
        self.load(&experiment).await.map_err(disk)?;
        let known = self.known.get(id).ok_or_else(unknown)?;
        let mut machine = known.machine.clone();
        let state = machine.state().as_str();
        let decision = machine.act(act, clock::wall()).ok_or(Denied::Nothing(state))?;
        let seq = known.seq;
        let decisions = vec![stored(&decision, &machine, seq)];
        let step = Step { experiment: id.into(), units: Vec::new(), decisions, state: None };
        self.commit(&experiment, machine, seq, Some(decision), step).await.map_err(disk)?;
        let known = self.known.get(id).ok_or_else(unknown)?;
        Ok(View::of(&experiment, &known.machine, known.last.as_ref(), self.judged.of(id)))
    }

    /// Logs the first warnings of an experiment.
    fn warn(&self, views: &[View]) {
        let before = self.views.borrow();
        let is_new = |view: &&View| !before.iter().any(|old| old.id == view.id && !old.warnings.is_empty());
        for view in views.iter().filter(is_new) {
            view.warnings.iter().for_each(|warning| tracing::warn!(experiment = view.id, "experiment: {warning}"));
        }
    }

    fn publish(&self) {
        let running = self.splitter.all();
        let of = |one: &Arc<Running>| {
            let experiment = one.experiment();
            let known = self.known.get(&experiment.spec.id)?;
            Some(View::of(experiment, &known.machine, known.last.as_ref(), self.judged.of(&experiment.spec.id)))
        };
        let views: Vec<View> = running.iter().filter_map(of).collect();
        self.warn(&views);
        self.registry.publish("experiments", views.iter().flat_map(View::readings).collect());
        self.views.send_replace(Arc::new(views));
    }
}

/// Whether a unit of `phase` says something to a machine in `state`; what was begun in an earlier phase does not.
fn fits(state: State, phase: Phase) -> bool {
    matches!(state, State::AaCheck | State::Hold(None)) == (phase == Phase::Aa)
}

fn result_of(experiment: &Experiment, unit: &OpenUnit, facts: &records::UnitFacts) -> UnitResult {
    let place = &unit.assignment;
    UnitResult {
        arm: place.arm,
        propensity: place.propensity,
        values: values(experiment, place.phase, place.arm, facts),
        asked: true,
    }
}

/// What is done with requests while the machine stands where it does. A hold changes nothing for the users.
fn course(experiment: &Experiment, machine: &Machine) -> Course {
    if matches!(experiment.split, Split::Outside { .. }) && machine.propensity().is_some() {
        return Course::first(experiment);
    }
    match (machine.state(), machine.propensity()) {
        (State::AaCheck | State::Hold(None), _) => Course::Aa,
        (State::Promoted, _) if experiment.promote_routes => Course::Treatment,
        (_, Some(share)) if experiment.split == Split::Mirror => Course::Mirror { share },
        (_, Some(share)) => Course::Split { share },
        _ => Course::Control,
    }
}

fn stored(decision: &Decision, machine: &Machine, seq: u64) -> records::Decision {
    records::Decision {
        seq,
        at: decision.at,
        from: decision.from.as_str().to_owned(),
        to: decision.to.as_str().to_owned(),
        action: view::action(decision).to_owned(),
        reason: decision.reason.as_str().to_owned(),
        detail: serde_json::to_string(decision).unwrap_or_default(),
        state_hash: machine.hash(),
    }
}
