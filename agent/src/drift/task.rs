//! The task that owns the detectors: exchanges in, series and snapshots out, state to disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::Exchange;
use serde_json::{Value, json};
use sqlx::sqlite::SqlitePool;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::audit::{self, Entry};
use super::bench::Bench;
use super::course::Parts;
use super::desk::{Drift, Question, Refusal, Request, Snapshot, answer};
use super::outcomes::Outcome;
use super::settings::Settings;
use super::store::{self, Saved};
use super::view::{annotations, readings, views};
use crate::clock::Clock;
use crate::feed::Inbox;
use crate::health::Health;
use crate::shadow::Reading;
use crate::shutdown::Shutdown;

/// Exchanges taken at once.
const BATCH: usize = 256;
/// How often what changed is written down.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// How often all is: recent values are saved whole then, in place of the parts that were added every minute.
const SAVE_ALL_EVERY: Duration = Duration::from_secs(600);
/// How often a database that could not be used is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// Owns the detectors.
pub struct DriftTask {
    /// Handed to a blocking thread and back: learning takes a good part of a second.
    bench: Option<Box<Bench>>,
    registry: Registry,
    health: Health,
    database: PathBuf,
    pool: Option<SqlitePool>,
    loaded: bool,
    clock: Clock,
    snapshot: watch::Sender<Arc<Snapshot>>,
    requests: mpsc::Receiver<Request>,
    outcomes: mpsc::Receiver<Outcome>,
    readings: mpsc::Receiver<Reading>,
    saved: Instant,
    saved_all: Instant,
}

impl DriftTask {
    /// Reads what was saved, so that the series are there before a rule looks for them. While that fails the source
    /// `drift` is down: rules over its series are errors, and their alerts stay.
    pub async fn start(
        settings: Settings,
        registry: Registry,
        health: Health,
        (pool, database): (Option<SqlitePool>, PathBuf),
        (outcomes, readings): (mpsc::Receiver<Outcome>, mpsc::Receiver<Reading>),
    ) -> (Self, Drift) {
        let (drift, snapshot, requests) = Drift::new();
        let (clock, now) = (Clock::start(), Instant::now());
        let bench = Some(Box::new(Bench::new(settings)));
        let mut task = Self {
            bench,
            registry,
            health,
            database,
            pool,
            loaded: false,
            clock,
            snapshot,
            requests,
            outcomes,
            readings,
            saved: now,
            saved_all: now,
        };
        task.load().await;
        (task, drift)
    }

    async fn load(&mut self) {
        if self.pool.is_none() {
            match crate::records::open_local(&self.database).await {
                Ok(pool) => self.pool = Some(pool),
                Err(why) => return self.unread(&why),
            }
        }
        let Some(pool) = &self.pool else { return };
        match store::load(pool).await {
            Ok(saved) => {
                let now = self.clock.now();
                self.loaded = self.work(move |bench| bench.restore(saved, now)).await.is_some();
                self.health.up("drift");
                self.publish().await;
            }
            Err(error) => self.unread(&format!("{}: {error}", self.database.display())),
        }
    }

    /// Nothing is known while what was saved cannot be read, and whoever asks hears why.
    fn unread(&self, why: &str) {
        let why = format!("its state cannot be read: {why}");
        self.snapshot.send_replace(Arc::new(Snapshot { unread: Some(why.clone()), ..Snapshot::default() }));
        self.health.down("drift", why);
    }

    fn not_ready(&self) -> Refusal {
        let why = self.snapshot.borrow().unread.clone();
        Refusal::NotReady(why.unwrap_or_else(|| "its state has not been read yet: try again later".into()))
    }

    /// Watches until shutdown, then saves.
    pub async fn run(mut self, mut inbox: Inbox, shutdown: Shutdown) {
        while !self.loaded {
            tokio::select! {
                () = tokio::time::sleep(RETRY_EVERY) => self.load().await,
                Some(request) = self.requests.recv() => drop(request.answer.send(Err(self.not_ready()))),
                lost = inbox.recv() => match lost {
                    Some(_) => self.registry.add(Metric::Dropped, &["drift_exchanges"], 1.0),
                    None => return,
                },
                () = shutdown.begun() => return,
            }
        }
        let mut every_second = tokio::time::interval(Duration::from_secs(1));
        every_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut batch, mut last) = (Vec::with_capacity(BATCH), Instant::now());
        loop {
            tokio::select! {
                count = inbox.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    self.take(std::mem::take(&mut batch)).await;
                }
                Some(request) = self.requests.recv() => self.answer(request).await,
                Some(outcome) = self.outcomes.recv() => self.take_outcome(outcome).await,
                Some(reading) = self.readings.recv() => self.take_reading(reading).await,
                _ = every_second.tick() => {
                    self.pass(last.elapsed()).await;
                    last = Instant::now();
                }
                () = shutdown.begun() => break,
            }
            if self.bench.is_none() {
                return self.health.down("drift", "its task broke down; restart the agent".into());
            }
        }
        while let Some(exchange) = inbox.try_recv() {
            batch.push(exchange);
        }
        self.take(batch).await;
        self.save(Some(Parts::All)).await;
    }

    /// Runs `work` on a blocking thread; `None` when it broke down.
    async fn work<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Bench) -> T + Send + 'static) -> Option<T> {
        let mut bench = self.bench.take()?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut bench);
            (bench, result)
        });
        let (bench, result) = done.await.ok()?;
        self.bench = Some(bench);
        Some(result)
    }

    async fn take(&mut self, exchanges: Vec<Exchange>) {
        let now = self.clock.now();
        self.take_in(move |bench| bench.take(&exchanges, now)).await;
    }

    async fn take_outcome(&mut self, first: Outcome) {
        let outcomes = waiting(first, &mut self.outcomes);
        let now = self.clock.now();
        let take = move |bench: &mut Bench| outcomes.iter().for_each(|outcome| bench.take_outcome(outcome, now));
        self.take_in(take).await;
    }

    async fn take_reading(&mut self, first: Reading) {
        let readings = waiting(first, &mut self.readings);
        let now = self.clock.now();
        let take = move |bench: &mut Bench| readings.iter().for_each(|reading| bench.take_reading(reading, now));
        self.take_in(take).await;
    }

    /// Lets the detectors take something, and tells at once what cannot wait.
    async fn take_in(&mut self, take: impl FnOnce(&mut Bench) + Send + 'static) {
        let work = self.work(move |bench| {
            take(bench);
            bench.take_urgent()
        });
        let urgent = work.await;
        self.tell_if(urgent).await;
    }

    async fn tell_if(&mut self, urgent: Option<bool>) {
        if urgent == Some(true) {
            self.save(None).await;
            self.publish().await;
        }
    }

    /// Saved before it is told: whoever hears of an alarm, or of a new baseline, finds it again after a crash.
    async fn answer(&mut self, Request { question, answer: waiting }: Request) {
        let (signal, which, ask) = match question {
            Question::Signal(signal, which, ask) => (signal, which, ask),
            // whoever asked may have gone away
            Question::Log(limit) => return drop(waiting.send(self.log(limit).await)),
        };
        let now = self.clock.now();
        let work = self.work(move |bench| (answer(bench, signal, &which, ask, now), bench.take_urgent()));
        let Some((mut said, urgent)) = work.await else { return };
        if urgent {
            let durable = self.save(None).await;
            self.publish().await;
            if let Ok(said) = &mut said {
                said["durable"] = durable.into();
            }
        }
        // whoever asked may have gone away
        let _ = waiting.send(said);
    }

    async fn log(&self, limit: usize) -> Result<Value, Refusal> {
        let pool = self.pool.as_ref().ok_or_else(|| self.not_ready())?;
        let acts = audit::read(pool, limit).await.map_err(|error| Refusal::Disk(error.to_string()))?;
        Ok(json!({"acts": acts}))
    }

    async fn pass(&mut self, elapsed: Duration) {
        let beyond = self.work(move |bench| {
            bench.pass(elapsed);
            bench.take_beyond()
        });
        if let Some(beyond) = beyond.await.filter(|beyond| *beyond > 0) {
            self.registry.add(Metric::Dropped, &["drift_models"], beyond as f64);
        }
        self.publish().await;
        if self.saved_all.elapsed() >= SAVE_ALL_EVERY {
            self.saved_all = Instant::now();
            self.save(Some(Parts::All)).await;
        } else if self.saved.elapsed() >= SAVE_EVERY {
            self.save(None).await;
        }
    }

    async fn publish(&mut self) {
        let at = self.clock.now();
        let Some(signals) = self.work(views).await else { return };
        self.registry.publish("drift", readings(&signals));
        let annotations = annotations(&signals);
        self.snapshot.send_replace(Arc::new(Snapshot { at, signals, annotations, unread: None }));
    }

    /// Writes down what changed; gives whether it is on disk. What could not be written is tried again.
    async fn save(&mut self, parts: Option<Parts>) -> bool {
        self.saved = Instant::now();
        let work = self.work(move |bench| (bench.unsaved(parts), bench.take_acts()));
        let Some((unsaved, acts)) = work.await else { return false };
        if unsaved.is_empty() && acts.is_empty() {
            return true;
        }
        match self.write(&unsaved, &acts).await {
            Ok(()) => true,
            Err(error) => {
                self.registry.add(Metric::Dropped, &["drift_saves"], 1.0);
                tracing::debug!(%error, "drift state cannot be saved");
                if let Some(bench) = &mut self.bench {
                    bench.not_saved(&unsaved);
                    bench.acts_not_saved(acts);
                }
                false
            }
        }
    }

    async fn write(&mut self, unsaved: &[Saved], acts: &[Entry]) -> Result<(), sqlx::Error> {
        let pool = self.pool.as_ref().ok_or_else(|| sqlx::Error::Protocol("the database is not open".into()))?;
        store::save(pool, unsaved, acts, self.clock.now()).await
    }
}

/// `first` and what else waits, at most a batch.
fn waiting<T>(first: T, queue: &mut mpsc::Receiver<T>) -> Vec<T> {
    let mut all = vec![first];
    while all.len() < BATCH
        && let Ok(next) = queue.try_recv()
    {
        all.push(next);
    }
    all
}
