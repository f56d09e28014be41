//! Takes the current alerts, keeps them durably, sends them to every sink.
//!
//! One task per sink, so that a dead sink never stalls another, and one that keeps the copy on disk fresh. They share
//! the [`Outbox`] behind a short lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use sqlx::SqlitePool;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::journal::{Journal, Synced};
use crate::lock::lock;
use crate::outbox::{Outbox, Pending};
use crate::post::Clients;
use crate::route::Routing;
use crate::silence::{SILENCES_MOST, Silence, SilenceError};
use crate::worker::{Worker, keep_journal};
use crate::{Notification, OutboxLimits, Sink, SinkError};

/// How long `notify` waits for the disk before it goes on without.
const DISK_PATIENCE: Duration = Duration::from_secs(1);
/// The same while the disk is known to fail.
const FAILING_DISK_PATIENCE: Duration = Duration::from_millis(100);

/// Counters of one sink, read by the agent for `/metrics` and `status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SinkStats {
    /// Sink name as configured, or its URL's host and port.
    pub sink: String,
    /// Notifications accepted.
    pub sent: u64,
    /// Failed attempts by reason: `timeout`, `connect`, `network`, `tls`, `shutdown` or `http_` and the status.
    pub failed: Vec<(String, u64)>,
    /// Waiting.
    pub pending: u64,
    /// Given up: refused for good, too old, or waiting for a sink that does not want us.
    pub dead: u64,
    /// Dropped, oldest first, because more waited than the bounds allow.
    pub dropped: u64,
    /// Whether the sink does not want us (credentials, address) and is only looked into now and then.
    pub disabled: bool,
}

/// What the dispatcher needs.
#[derive(Debug)]
pub struct DispatcherOptions {
    /// Who is told.
    pub sinks: Vec<Sink>,
    /// Who hears what.
    pub routing: Routing,
    /// Where undelivered alerts survive a restart; without it they do not.
    pub pool: Option<SqlitePool>,
    /// Bounds of the outbox.
    pub limits: OutboxLimits,
    /// Counts our background tasks.
    pub tracker: TaskTracker,
    /// Says that the end has begun.
    pub token: CancellationToken,
    /// How long after that undelivered alerts may still be sent. What remains then is on disk.
    pub drain: Duration,
}

/// Cheap handle; clones share one outbox.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    shared: Arc<Shared>,
}

/// What the handle and the tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) outbox: Mutex<Outbox>,
    pub(crate) journal: Journal,
    /// Something changed that is not on disk.
    pub(crate) unsaved: Notify,
    pub(crate) clients: Clients,
    pub(crate) clock: Clock,
    pub(crate) token: CancellationToken,
    /// The workers alone, so that the journal can outlive them.
    pub(crate) workers: TaskTracker,
    running: Mutex<BTreeMap<Arc<str>, Worker>>,
    tracker: TaskTracker,
    drain: Duration,
    drained_by: OnceLock<Instant>,
}

impl Shared {
    /// The outbox, locked.
    pub(crate) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        lock(&self.outbox)
    }

    /// When sending must end, once the end has begun.
    pub(crate) fn drained_by(&self) -> Instant {
        *self.drained_by.get_or_init(|| Instant::now() + self.drain)
    }

    fn wake_all(&self) {
        for worker in lock(&self.running).values() {
            worker.wake();
        }
    }

    /// Makes the disk equal to memory, or counts why not.
    pub(crate) async fn sync(&self, patience: Duration) -> bool {
        match timeout(patience, self.journal.sync(&self.outbox, self.clock.now())).await {
            Ok(Ok(synced)) => {
                if synced == Synced::Restored {
                    self.wake_all();
                }
                return true;
            }
            Ok(Err(why)) => self.journal.count_failure(&why),
            Err(_) => self.journal.count_failure(&format_args!("the database took longer than {patience:?}")),
        }
        false
    }
}

impl Dispatcher {
    /// Starts a task per sink; alerts that were undelivered when the process last ended are sent first.
    ///
    /// # Errors
    /// [`SinkError::Twice`] when two sinks have one name. A database that fails is no error: it is counted, tried
    /// again, and alerts are delivered from memory.
    pub async fn start(options: DispatcherOptions) -> Result<Self, SinkError> {
        let DispatcherOptions { sinks, routing, pool, limits, tracker, token, drain } = options;
        let shared = Arc::new(Shared {
            outbox: Mutex::new(Outbox::new(limits)),
            journal: Journal::new(pool),
            unsaved: Notify::new(),
            clients: Clients::default(),
            clock: Clock::start(),
            token,
            workers: TaskTracker::new(),
            running: Mutex::new(BTreeMap::new()),
            tracker,
            drain,
            drained_by: OnceLock::new(),
        });
        let dispatcher = Self { shared };
        dispatcher.reconfigure(sinks, routing)?;
        let shared = &dispatcher.shared;
        if !shared.sync(DISK_PATIENCE).await {
            shared.unsaved.notify_one();
        }
        shared.tracker.spawn(keep_journal(shared.clone()));
        Ok(dispatcher)
    }

    /// Hands over the state of alerts that changed or are due to be repeated. Sending begins at once. Durable when it
    /// returns, unless the database fails: then it returns within a second, the failure is counted, and the alerts are
    /// delivered from memory.
    pub async fn notify(&self, batch: &[Notification]) {
        let shared = &self.shared;
        let now = shared.clock.now();
        {
            let mut outbox = shared.outbox();
            for notification in batch {
                outbox.put(&Arc::new(notification.clone()), now);
            }
        }
        shared.wake_all();
        let patience = if shared.journal.failing() { FAILING_DISK_PATIENCE } else { DISK_PATIENCE };
        if !shared.sync(patience).await {
            shared.unsaved.notify_one();
        }
    }

    /// Takes the sinks and the routes as they shall be from now on. A sink that stays, by name, keeps its queue; one whose settings
    /// changed is tried at once; the queue of one that is gone is dropped.
    ///
    /// # Errors
    /// [`SinkError::Twice`] when two sinks have one name; nothing has changed then.
    pub fn reconfigure(&self, sinks: Vec<Sink>, routing: Routing) -> Result<(), SinkError> {
        let shared = &self.shared;
        let mut wanted = BTreeMap::new();
        for sink in sinks {
            let name = sink.name().clone();
            if wanted.insert(name.clone(), Arc::new(sink)).is_some() {
                return Err(SinkError::Twice { name: name.to_string() });
            }
        }
        let mut running = lock(&shared.running);
        running.retain(|name, worker| wanted.contains_key(name) || worker.stop());
        let changed: Vec<Arc<str>> = wanted
            .iter()
            .filter(|(name, sink)| running.get(*name).is_some_and(|w| w.sink() != **sink))
            .map(|(n, _)| n.clone())
            .collect();
        shared.outbox().configure(&wanted.iter().map(|(name, sink)| (name.clone(), sink.policy())).collect(), &changed);
        shared.outbox().route(routing);
        for (name, sink) in wanted {
            match running.get(&name) {
                Some(worker) => worker.set_sink(sink),
                None => {
                    let worker = Worker::new(sink);
                    shared.tracker.spawn(shared.workers.track_future(worker.clone().run(shared.clone())));
                    running.insert(name, worker);
                }
            }
        }
        drop(running);
        shared.wake_all();
        shared.unsaved.notify_one();
        Ok(())
    }

    /// Counters per sink.
    pub fn stats(&self) -> Vec<SinkStats> {
        let outbox = self.shared.outbox();
        let stats = outbox.counts().map(|(name, counts)| SinkStats {
            sink: name.to_string(),
            sent: counts.sent,
            failed: counts.failed.into_iter().collect(),
            pending: counts.waiting,
            dead: counts.dead,
            dropped: counts.dropped,
            disabled: counts.disabled,
        });
        stats.collect()
    }

    /// Writes to the database that failed since the start.
    pub fn disk_failures(&self) -> u64 {
        self.shared.journal.failures()
    }

    /// Everything undelivered: waiting, parked, given up.
    pub fn list(&self) -> Vec<Pending> {
        self.shared.outbox().list(self.shared.clock.now())
    }

    /// Tries again what was given up or is parked: of one sink or of all, one message (by its id) or all. Gives how many
    /// alerts wait again.
    pub async fn retry(&self, sink: Option<&str>, id: Option<&str>) -> usize {
        let shared = &self.shared;
        let revived = shared.outbox().retry(sink, id, shared.clock.now());
        shared.wake_all();
        if !shared.sync(DISK_PATIENCE).await {
            shared.unsaved.notify_one();
        }
        revived
    }

    /// Every silence, those lately expired included.
    pub fn silences(&self) -> Vec<Silence> {
        self.shared.outbox().silences().to_vec()
    }

    /// Adds a silence, or replaces the one of the same id. Durable when it returns.
    ///
    /// # Errors
    /// The silence makes no sense, there are too many, or the database fails.
    pub async fn silence(&self, silence: Silence) -> Result<(), SilenceError> {
        let now = self.shared.clock.now();
        silence.check(now)?;
        let add = |silences: &mut Vec<Silence>| {
            silences.retain(|other| other.id != silence.id);
            if silences.len() >= SILENCES_MOST {
                return Err(SilenceError::TooMany);
            }
            silences.push(silence);
            Ok(())
        };
        self.shared.journal.silence(&self.shared.outbox, now, add).await
    }

    /// Ends a silence now. Durable when it returns.
    ///
    /// # Errors
    /// [`SilenceError::Unknown`], or the database fails.
    pub async fn end_silence(&self, id: &str) -> Result<(), SilenceError> {
        let now = self.shared.clock.now();
        let end = |silences: &mut Vec<Silence>| {
            let found = silences.iter_mut().find(|silence| silence.id == id);
            let silence = found.ok_or_else(|| SilenceError::Unknown { id: id.to_owned() })?;
            silence.ends_at = silence.ends_at.min(now);
            Ok(())
        };
        self.shared.journal.silence(&self.shared.outbox, now, end).await
    }
}
