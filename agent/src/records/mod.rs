//! Exchanges and outcomes in SQL: durable before acknowledged, bounded, and never in the way of the tap.
//!
//! Feedback and posted exchanges wait for the disk; exchanges of the tap do not, a share of them is kept and what gets
//! feedback is always kept. When the file cannot be used, feedback is refused (503) until it can, and the rest goes on.

mod audit;
mod database;
mod experiments;
mod item;
mod judged;
mod judgements;
mod local;
mod pool;
mod quality;
mod readings;
mod recent;
mod retrain;
mod steps;
pub mod transfer;
mod window;
mod writer;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::Exchange;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{mpsc, oneshot};

pub use audit::AuditEntry;
pub use item::{Feedback, Meaning};
pub use judged::{Source, SourceKind};
pub use judgements::{Judgement, LABEL};
pub(crate) use local::open as open_local;
pub use pool::Location;
pub use retrain::{Document, LoopChange, LoopSaved};
pub use steps::{ClosedUnit, Decision, OpenUnit, SavedExperiment, Step, UnitExchange, UnitFacts, UnitFeedback};

use crate::config::StoreText;
use crate::drift::OutcomeFeed;
use crate::feed::Feeds;
use crate::health::Health;
use crate::shadow::Reading;
use crate::shutdown::Shutdown;
use pool::Database;
use readings::Readings;
use recent::Recent;
use window::Window;
use writer::{Job, Writer};

/// Jobs that may wait for the disk; beyond, feedback is refused with 503.
const QUEUE: usize = 1024;
/// Bytes of the tap's text that may wait for the disk; beyond, exchanges are stored without.
const TEXT_WAITING: usize = 8 << 20;

/// Where and how much.
#[derive(Clone, Debug)]
pub struct RecordsOptions {
    /// The pod's own database file.
    pub path: PathBuf,
    /// Where the records are kept: in that file, or elsewhere.
    pub location: Location,
    /// Share of the tap's exchanges that is kept, 0 to 1.
    pub sample: f64,
    /// What becomes of their text.
    pub store_text: StoreText,
    /// How long.
    pub retention: Duration,
    /// Most bytes on disk.
    pub disk: u64,
    /// Window of the business ratios.
    pub window: Duration,
    /// Hears of every outcome once it is durable.
    pub outcomes: Option<OutcomeFeed>,
}

/// Why something was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The disk does not keep up.
    #[error("too much is waiting for the disk; try again in a second")]
    Busy,
    /// The database cannot be used.
    #[error("the records cannot be written at present: {0}")]
    Unavailable(String),
    /// Another agent has taken a step that this one rests on.
    #[error("another agent has decided meanwhile; look again")]
    Overtaken,
    /// An idempotency key that stands for something else already.
    #[error(
        "the id {key:?} belongs to {metric} of {target:?} already; a retry repeats all three, a new item has a new id"
    )]
    Conflict {
        /// The id, or `Idempotency-Key`.
        key: String,
        /// What was stored under it first.
        target: String,
        /// The metric of that.
        metric: String,
    },
}

#[derive(Debug)]
struct Shared {
    options: RecordsOptions,
    registry: Registry,
    health: Health,
    /// Hears of posted exchanges.
    feeds: Feeds,
    recent: Mutex<Recent>,
    readings: Mutex<Readings>,
    /// The database, while it is open.
    database: Mutex<Option<Database>>,
    window: Mutex<Window>,
    /// Targets of feedback that waits for its exchange.
    waiting: Mutex<HashSet<String>>,
    /// Bytes of text on their way to the writer.
    text_waiting: AtomicUsize,
}

impl Shared {
    /// For feedback that may come.
    fn remember(&self, mut exchange: Exchange) {
        if self.options.store_text == StoreText::None {
            exchange.text = None;
        }
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).remember(exchange);
    }
}

/// Cheap handle; clones share one writer.
#[derive(Clone, Debug)]
pub struct Records {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    local: Option<SqlitePool>,
    start: Arc<Mutex<Option<mpsc::Receiver<Job>>>>,
}

impl Records {
    /// Opens the database. One that cannot be opened is reported (source `records` is down) and tried again; the agent
    /// starts all the same. `feeds` hear of every posted exchange once it is durable.
    pub async fn open(options: RecordsOptions, registry: Registry, health: Health, feeds: Feeds) -> Self {
        let local = local::open(&options.path).await;
        let database = match (&options.location, &local) {
            (Location::Sqlite(_), Err(why)) => Err(why.clone()),
            (location, _) => Database::open(location).await,
        };
        match &database {
            Ok(_) => health.up("records"),
            Err(why) => health.down("records", why.clone()),
        }
        if let (Err(why), true) = (&local, options.location.is_shared()) {
            tracing::warn!(%why, "the pod's own database: alerts and baselines do not survive a restart");
        }
        let (jobs, queue) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            window: Mutex::new(Window::new(options.window)),
            options,
            registry,
            health,
            feeds,
            recent: Mutex::default(),
            readings: Mutex::default(),
            database: Mutex::new(database.ok()),
            waiting: Mutex::default(),
            text_waiting: AtomicUsize::new(0),
        });
        Self { shared, jobs, local: local.ok(), start: Arc::new(Mutex::new(Some(queue))) }
    }

    /// The pod's own database, for other tables of ours; `None` when it could not be opened at start.
    pub fn local(&self) -> Option<SqlitePool> {
        self.local.clone()
    }

    /// Whether other agents write these records too.
    pub fn is_shared(&self) -> bool {
        self.shared.options.location.is_shared()
    }

    /// Whether the text of exchanges and corrections is stored.
    pub fn stores_text(&self) -> bool {
        self.shared.options.store_text == StoreText::Masked
    }

    /// Where what was stored can be read for a dataset; `None` while the database is not open.
    pub fn source(&self) -> Option<Source> {
        let database = self.shared.database.lock().unwrap_or_else(PoisonError::into_inner).clone();
        database.map(Source::of)
    }

    /// Starts the writer and the intake of the tap's exchanges.
    pub fn spawn(&self, seen: mpsc::Receiver<Exchange>, shutdown: &Shutdown) {
        let Some(queue) = self.start.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let mut writer = Writer::new(self.shared.clone());
        let stopping = shutdown.clone();
        shutdown.spawn("records", async move {
            if let Err(error) = writer.load().await {
                writer.shared.health.down("records", error.to_string());
            }
            writer.run(queue, stopping).await;
        });
        shutdown.spawn("exchanges", intake(self.shared.clone(), self.jobs.clone(), seen, shutdown.clone()));
        shutdown.spawn("business", publish(self.shared.clone(), shutdown.clone()));
    }

    /// Stores feedback; returns once it is durable.
    ///
    /// # Errors
    /// [`Refused`]; nothing of it is stored then.
    pub async fn feedback(&self, items: Vec<Feedback>) -> Result<(), Refused> {
        self.write(|answer| Job::Feedback(items, answer)).await
    }

    /// Stores posted exchanges; returns once they are durable.
    ///
    /// # Errors
    /// [`Refused`]; nothing of it is stored then.
    pub async fn exchanges(&self, exchanges: Vec<Exchange>) -> Result<(), Refused> {
        self.write(|answer| Job::Posted(exchanges, answer)).await
    }

    /// Keeps what the shadow model said of an exchange that is kept, or that will be when feedback on it comes; never
    /// waits, drops it when the disk does not keep up (`plimsoll_dropped_total{what="shadow_readings"}`).
    pub fn read(&self, reading: Reading) {
        self.shared.readings.lock().unwrap_or_else(PoisonError::into_inner).remember(&reading);
        if self.jobs.try_send(Job::Read(Box::new(reading))).is_err() {
            self.shared.registry.add(Metric::Dropped, &["shadow_readings"], 1.0);
        }
    }

    async fn write(&self, job: impl FnOnce(oneshot::Sender<Result<(), Refused>>) -> Job) -> Result<(), Refused> {
        let (answer, done) = oneshot::channel();
        self.jobs.try_send(job(answer)).map_err(|_| Refused::Busy)?;
        done.await.unwrap_or_else(|_| Err(Refused::Unavailable("the agent is stopping".into())))
    }
}

/// Remembers every exchange of the tap, keeps a share of them, all that feedback waits for and all of experiments.
async fn intake(shared: Arc<Shared>, jobs: mpsc::Sender<Job>, mut seen: mpsc::Receiver<Exchange>, shutdown: Shutdown) {
    let mut rng = fastrand::Rng::new();
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    let mut kept = Vec::new();
    loop {
        tokio::select! {
            next = seen.recv() => {
                let Some(exchange) = next else { break };
                if exchange.assignment.is_some() || is_awaited(&shared, &exchange) || rng.f64() < shared.options.sample {
                    kept.push(to_write(&shared, &exchange));
                }
                shared.remember(exchange);
                if kept.len() < 256 {
                    continue;
                }
            }
            _ = every_second.tick() => {}
            () = shutdown.begun() => break,
        }
        pass_on(&shared, &jobs, &mut kept);
    }
    pass_on(&shared, &jobs, &mut kept);
}

fn is_awaited(shared: &Shared, exchange: &Exchange) -> bool {
    let waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let waits = |id: &String| waiting.contains(id);
    !waiting.is_empty() && (waits(&exchange.id) || exchange.request_id.as_ref().is_some_and(waits))
}

/// Hands the kept exchanges to the writer; when it is behind they are dropped and counted.
fn pass_on(shared: &Shared, jobs: &mpsc::Sender<Job>, kept: &mut Vec<Exchange>) {
    let (all, bytes) = (kept.len(), text_bytes(kept));
    let enrolled = kept.iter().filter(|exchange| exchange.assignment.is_some()).count();
    if all > 0 && jobs.try_send(Job::Seen(std::mem::take(kept))).is_err() {
        shared.text_waiting.fetch_sub(bytes, Ordering::Relaxed);
        count_dropped(&shared.registry, all, enrolled);
    }
}

/// Counts exchanges that were not kept; `enrolled` of them were of experiments.
fn count_dropped(registry: &Registry, all: usize, enrolled: usize) {
    for (what, count) in [("exchanges", all - enrolled), ("experiment_exchanges", enrolled)] {
        if count > 0 {
            registry.add(Metric::Dropped, &[what], count as f64);
        }
    }
}

/// What is written of an exchange: without its text where that is not stored, or too much of it is waiting for the disk.
fn to_write(shared: &Shared, exchange: &Exchange) -> Exchange {
    let mut exchange = exchange.clone();
    let bytes = text_bytes(std::slice::from_ref(&exchange));
    if shared.options.store_text == StoreText::None {
        exchange.text = None;
    } else if shared.text_waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > TEXT_WAITING {
        shared.text_waiting.fetch_sub(bytes, Ordering::Relaxed);
        shared.registry.add(Metric::Dropped, &["texts"], 1.0);
        exchange.text = None;
    }
    exchange
}

fn text_bytes(exchanges: &[Exchange]) -> usize {
    exchanges.iter().filter_map(|exchange| exchange.text.as_ref()).map(|text| text.bytes()).sum()
}

/// Publishes the windows every second.
async fn publish(shared: Arc<Shared>, shutdown: Shutdown) {
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = every_second.tick() => {}
            () = shutdown.begun() => return,
        }
        let readings = shared.window.lock().unwrap_or_else(PoisonError::into_inner).readings(crate::clock::wall());
        shared.registry.publish("business", readings);
    }
}

#[cfg(test)]
mod experiment_tests;
#[cfg(test)]
mod tests;
