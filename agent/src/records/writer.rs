//! The one task that writes: takes what is waiting, commits it together, then says so.

mod count;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use plimsoll_exporters::Metric;
use plimsoll_rules::{Exchange, Timestamp};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, Connection as _};
use tokio::sync::{mpsc, oneshot};

use super::audit::{self, AuditEntry};
use super::database::{self, Before};
use super::experiments;
use super::item::Feedback;
use super::judgements::{self, Judgement};
use super::pool::Database;
use super::steps::Step;
use super::{Refused, Shared};
use crate::shadow::Reading;
use crate::shutdown::Shutdown;

/// Jobs committed together at most.
const BATCH: usize = 512;
/// Targets of unjoined feedback remembered at most.
const MOST_UNJOINED: i64 = 65_536;
/// Metric names counted under their own name at most.
const MOST_METRICS: usize = 64;

/// How often feedback that came through other agents is looked for.
const JOIN: Duration = Duration::from_secs(2);
/// How old it may be: longer than an answer takes.
const JOIN_BACK: Duration = Duration::from_secs(900);

/// Something to write.
#[derive(Debug)]
pub(super) enum Job {
    /// Feedback; answered once durable.
    Feedback(Vec<Feedback>, oneshot::Sender<Result<(), Refused>>),
    /// Exchanges that were posted; answered once durable.
    Posted(Vec<Exchange>, oneshot::Sender<Result<(), Refused>>),
    /// Exchanges seen by the tap; nobody waits.
    Seen(Vec<Exchange>),
    /// Exchanges that were remembered, and that feedback has come for elsewhere; nobody waits.
    Joined(Vec<Exchange>),
    /// What the shadow model said; nobody waits.
    Read(Box<Reading>),
    /// What the judge said of a pair; nobody waits.
    Judged(Box<Judgement>),
    /// Who did what; nobody waits.
    Audit(Box<AuditEntry>),
    /// What the desk of the experiments took in and decided; answered once durable.
    Step(Box<Step>, oneshot::Sender<Result<(), Refused>>),
}

/// Feedback that was stored, whose it is, and what stood there before.
type Told = (Feedback, Option<(String, String)>, Option<Before>);

/// What a commit changed, told to the counters afterwards.
#[derive(Debug, Default)]
struct Done {
    feedback: Vec<Told>,
    /// Posted exchanges that were not known.
    posted: Vec<Exchange>,
    /// Jobs refused for themselves, by their place in the batch.
    refused: HashMap<usize, Refused>,
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) database: Option<Database>,
    unjoined: HashSet<String>,
    metrics: BTreeSet<String>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let database = shared.database.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { shared, database, unjoined: HashSet::new(), metrics: BTreeSet::new() }
    }

    /// Reads back what the windows and the joins need.
    pub(super) async fn load(&mut self) -> Result<(), sqlx::Error> {
        let Some(Database { pool, .. }) = &self.database else { return Ok(()) };
        self.unjoined = database::unjoined(pool, MOST_UNJOINED).await?.into_iter().collect();
        self.publish_waiting();
        let since = crate::clock::wall() - self.shared.options.window;
        let scored = database::scored_since(pool, since).await?;
        let mut window = self.shared.window.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, key, metric, score) in scored {
            window.add(at, key, super::item::meaning(&metric), score);
        }
        Ok(())
    }

    /// Writes until shutdown. The pool stays open: the outbox may still be using it.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>, shutdown: Shutdown) {
        let mut trim = tokio::time::interval(Duration::from_secs(600));
        let mut retry = tokio::time::interval(Duration::from_secs(5));
        let mut join = tokio::time::interval(JOIN);
        loop {
            tokio::select! {
                biased;
                job = jobs.recv() => match job {
                    Some(first) => self.batch(first, &mut jobs).await,
                    None => break,
                },
                () = shutdown.begun() => {
                    jobs.close(); // what is queued is still written
                    while let Some(first) = jobs.recv().await {
                        self.batch(first, &mut jobs).await;
                    }
                    break;
                }
                _ = trim.tick() => self.trim().await,
                _ = join.tick(), if self.shared.options.location.is_shared() => self.join(&mut jobs).await,
                _ = retry.tick(), if self.database.is_none() => self.reopen().await,
            }
        }
    }

    async fn reopen(&mut self) {
        match Database::open(&self.shared.options.location).await {
            Ok(database) => {
                *self.shared.database.lock().unwrap_or_else(PoisonError::into_inner) = Some(database.clone());
                self.database = Some(database);
                let loaded = self.load().await;
                self.judge(loaded);
            }
            Err(why) => self.shared.health.down("records", why),
        }
    }

    /// Feedback that another agent has taken may be about an exchange that only we remember.
    async fn join(&mut self, jobs: &mut mpsc::Receiver<Job>) {
        let Some(Database { pool, .. }) = &self.database else { return };
        let since = crate::clock::wall() - JOIN_BACK;
        let waiting = match database::unjoined_since(pool, since, MOST_UNJOINED).await {
            Ok(waiting) => waiting,
            Err(error) => return self.judge(Err(error)),
        };
        let known: Vec<Exchange> = {
            let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.iter().filter_map(|target| recent.find(target).cloned()).collect()
        };
        let room = usize::try_from(MOST_UNJOINED).unwrap_or(0).saturating_sub(self.unjoined.len());
        self.unjoined.extend(waiting.into_iter().take(room));
        self.publish_waiting();
        if !known.is_empty() {
            self.batch(Job::Joined(known), jobs).await;
        }
    }

    async fn trim(&mut self) {
        let Some(database) = &self.database else { return };
        let oldest = crate::clock::wall() - self.shared.options.retention;
        let gone = match database::trim(database, oldest, self.shared.options.disk).await {
            Ok(_) => audit::trim(&database.pool, self.shared.options.retention).await,
            Err(error) => Err(error),
        };
        self.judge(gone);
    }

    /// Says whether the store works, by how the last use of it went.
    fn judge(&self, result: Result<(), sqlx::Error>) {
        match result {
            Ok(()) => self.shared.health.up("records"),
            Err(error) => self.shared.health.down("records", error.to_string()),
        }
    }

    async fn batch(&mut self, first: Job, jobs: &mut mpsc::Receiver<Job>) {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        let mut done = Done::default();
        let written = self.write(&batch, &mut done).await;
        let failed = written.as_ref().err().map(ToString::to_string);
        if self.database.is_some() {
            self.judge(written);
        }
        if failed.is_none() {
            done.feedback.into_iter().for_each(|item| self.count(item));
            done.posted.into_iter().for_each(|exchange| self.count_posted(exchange));
            self.shared.registry.set(Metric::FeedbackUnjoined, &[], self.unjoined.len() as f64);
        }
        for (place, job) in batch.into_iter().enumerate() {
            let mut answer = || match &failed {
                Some(why) => Err(Refused::Unavailable(why.clone())),
                None => done.refused.remove(&place).map_or(Ok(()), Err),
            };
            match job {
                Job::Feedback(_, waiting) | Job::Posted(_, waiting) | Job::Step(_, waiting) => {
                    drop(waiting.send(answer()));
                }
                Job::Read(_) | Job::Judged(_) => {
                    let what = if matches!(job, Job::Read(_)) { "shadow_readings" } else { "judge_pairs" };
                    if failed.is_some() {
                        self.shared.registry.add(Metric::Dropped, &[what], 1.0);
                    }
                }
                Job::Joined(_) => {}
                Job::Audit(entry) => {
                    if let Some(why) = &failed {
                        entry.drop_into_log(&self.shared.registry, why);
                    }
                }
                Job::Seen(exchanges) => {
                    self.shared.text_waiting.fetch_sub(super::text_bytes(&exchanges), Ordering::Relaxed);
                    if failed.is_some() {
                        let enrolled = exchanges.iter().filter(|exchange| exchange.assignment.is_some()).count();
                        super::count_dropped(&self.shared.registry, exchanges.len(), enrolled);
                    }
                }
            }
        }
    }

    async fn write(&mut self, batch: &[Job], done: &mut Done) -> Result<(), sqlx::Error> {
        let not_open = || sqlx::Error::Protocol("the records are not open".into());
        let database = self.database.clone().ok_or_else(not_open)?;
        let mut connection = database.pool.acquire().await?;
        let written = self.write_on(&database, &mut connection, batch, done).await;
        if written.is_err() {
            // On a full disk SQLite ends the transaction by itself and sqlx does not learn of it: no transaction could ever begin
            // on this connection again. What is wrong with it has been said already.
            let _ = connection.close().await;
        }
        written
    }

    async fn write_on(
        &mut self,
        database: &Database,
        connection: &mut PoolConnection<Any>,
        batch: &[Job],
        done: &mut Done,
    ) -> Result<(), sqlx::Error> {
        let now = crate::clock::wall();
        let mut tx = database.begin_on(connection).await?;
        let mut waiting = HashSet::new();
        let mut joined = Vec::new();
        for (place, job) in batch.iter().enumerate() {
            match job {
                Job::Feedback(items, _) => {
                    let mut told = Vec::with_capacity(items.len());
                    let mut part = tx.begin().await?; // one refused item takes back its whole request, and no other
                    match self.write_all(&mut part, items, now, &mut told, &mut waiting).await? {
                        None => {
                            part.commit().await?;
                            done.feedback.append(&mut told);
                        }
                        Some(conflict) => {
                            part.rollback().await?;
                            done.refused.insert(place, conflict);
                        }
                    }
                }
                Job::Step(step, _) => {
                    let mut part = tx.begin().await?;
                    if experiments::put_step(&mut part, step).await? {
                        part.commit().await?;
                    } else {
                        part.rollback().await?;
                        done.refused.insert(place, Refused::Overtaken);
                    }
                }
                Job::Read(reading) => database::put_reading(&mut tx, reading).await?,
                Job::Audit(entry) => audit::put(&mut tx, entry).await?,
                Job::Judged(judgement) => judgements::put(&mut tx, judgement).await?,
                Job::Posted(exchanges, _) | Job::Seen(exchanges) | Job::Joined(exchanges) => {
                    for exchange in exchanges {
                        let new = self.put_exchange(&mut tx, exchange).await?;
                        if new && matches!(job, Job::Posted(..)) {
                            done.posted.push(exchange.clone());
                        }
                        joined.extend([Some(exchange.id.clone()), exchange.request_id.clone()].into_iter().flatten());
                    }
                }
            }
        }
        tx.commit().await?;
        self.unjoined.extend(waiting);
        for id in joined {
            self.unjoined.remove(&id);
        }
        self.publish_waiting();
        Ok(())
    }

    /// Writes the items of one request, up to the first that cannot be.
    async fn write_all(
        &self,
        tx: &mut AnyConnection,
        items: &[Feedback],
        now: Timestamp,
        told: &mut Vec<Told>,
        waiting: &mut HashSet<String>,
    ) -> Result<Option<Refused>, sqlx::Error> {
        for item in items {
            let before = database::before(tx, item).await?;
            if let Some(other) = before.as_ref().filter(|b| b.target != item.target || b.metric != item.metric) {
                return Ok(Some(Refused::Conflict {
                    key: item.key.clone(),
                    target: other.target.clone(),
                    metric: other.metric.clone(),
                }));
            }
            let owner = self.write_feedback(tx, item, now, waiting).await?;
            told.push((item.clone(), owner, before));
        }
        Ok(None)
    }

    fn count_posted(&self, exchange: Exchange) {
        crate::tap::record(&self.shared.registry, &exchange);
        self.shared.feeds.offer(&exchange);
        self.shared.remember(exchange);
    }

    /// What the intake asks before it lets an unsampled exchange go.
    fn publish_waiting(&self) {
        let mut shared = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if *shared != self.unjoined {
            shared.clone_from(&self.unjoined);
        }
    }

    /// Writes an exchange, and what the shadow model said of it before; gives whether it is new.
    async fn put_exchange(&self, tx: &mut AnyConnection, exchange: &Exchange) -> Result<bool, sqlx::Error> {
        let new = database::put_exchange(tx, exchange, self.shared.options.store_text).await?;
        let reading = self.shared.readings.lock().unwrap_or_else(PoisonError::into_inner).find(&exchange.id);
        if let Some(reading) = reading {
            database::put_reading(tx, &reading).await?;
        }
        Ok(new)
    }

    /// Writes one item; gives whose it is.
    async fn write_feedback(
        &self,
        tx: &mut AnyConnection,
        item: &Feedback,
        now: Timestamp,
        waiting: &mut HashSet<String>,
    ) -> Result<Option<(String, String)>, sqlx::Error> {
        let known = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner).find(&item.target).cloned();
        let owner = match known {
            Some(exchange) => {
                self.put_exchange(tx, &exchange).await?;
                Some((exchange.model, exchange.variant))
            }
            None => database::owner_of(tx, &item.target).await?,
        };
        database::put_feedback(tx, item, owner.as_ref().map(|(m, v)| (m.as_str(), v.as_str())), now).await?;
        if owner.is_none() && self.unjoined.len() + waiting.len() < usize::try_from(MOST_UNJOINED).unwrap_or(0) {
            waiting.insert(item.target.clone());
        }
        Ok(owner)
    }
}
