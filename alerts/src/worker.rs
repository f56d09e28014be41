//! The tasks behind the dispatcher: one per sink that sends, one that writes to disk.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_rules::Timestamp;
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::Sink;
use crate::dispatcher::Shared;
use crate::lock::lock;
use crate::outbox::{Batch, Step};
use crate::verdict::{Failure, Verdict};

/// How long the journal waits for the disk, and between tries while it fails.
const DISK_PATIENCE: Duration = Duration::from_secs(10);
const DISK_RETRY: Duration = Duration::from_secs(5);

/// Sends to one sink. Clones are handles of the same task.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    sink: Arc<Mutex<Arc<Sink>>>,
    wake: Arc<Notify>,
    stop: CancellationToken,
}

impl Worker {
    /// Not running yet.
    pub(crate) fn new(sink: Arc<Sink>) -> Self {
        Self { sink: Arc::new(Mutex::new(sink)), wake: Arc::default(), stop: CancellationToken::new() }
    }

    /// The settings as they are now.
    pub(crate) fn sink(&self) -> Arc<Sink> {
        lock(&self.sink).clone()
    }

    /// New settings, from the next request on.
    pub(crate) fn set_sink(&self, sink: Arc<Sink>) {
        *lock(&self.sink) = sink;
    }

    /// There may be something to do.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends the task, a running request included; always false, so that it can end a `retain`.
    pub(crate) fn stop(&self) -> bool {
        self.stop.cancel();
        false
    }

    /// Sends until the sink is removed or the process ends.
    pub(crate) async fn run(self, shared: Arc<Shared>) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.work(&shared) => {}
        }
    }

    async fn work(&self, shared: &Shared) {
        let name = self.sink().name().clone();
        while !shared.token.is_cancelled() {
            let step = shared.outbox().next(&name, shared.clock.now());
            match step {
                Step::Send(batch) => {
                    self.attempt(shared, &name, &batch).await;
                }
                Step::Wait(at) => self.pause(shared, Some(at)).await,
                Step::Idle => self.pause(shared, None).await,
            }
        }
        self.drain(shared, &name).await;
    }

    async fn pause(&self, shared: &Shared, until: Option<Timestamp>) {
        let due = async {
            match until {
                Some(at) => sleep_until(shared.clock.instant(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.token.cancelled() => {}
            () = self.wake.notified() => {}
            () = due => {}
        }
    }

    /// The last chance: a pod's disk often goes with the pod, so even a sink that is being left alone gets one try.
    async fn drain(&self, shared: &Shared, name: &str) {
        shared.outbox().hurry(name);
        loop {
            let step = shared.outbox().next(name, shared.clock.now());
            let Step::Send(batch) = step else { return };
            let delivered = self.attempt(shared, name, &batch).await;
            if !delivered {
                return;
            }
        }
    }

    /// One request; whether the sink is worth another one at once.
    async fn attempt(&self, shared: &Shared, name: &str, batch: &Batch) -> bool {
        let sink = self.sink();
        let too_late = async {
            shared.token.cancelled().await;
            sleep_until(shared.drained_by()).await;
        };
        let verdict = tokio::select! {
            verdict = shared.clients.post(&sink, batch) => verdict,
            () = too_late => {
                Verdict::Retry { failure: Failure::new("shutdown", "the process ended before an answer came"), after: None }
            }
        };
        let failures = shared.outbox().done(name, batch, &verdict, shared.clock.now(), fastrand::f64());
        log(name, batch, &verdict, failures);
        shared.unsaved.notify_one();
        matches!(verdict, Verdict::Delivered | Verdict::Refused(_))
    }
}

/// One line when a sink begins to fail and one when it is well again, not one per attempt.
fn log(sink: &str, batch: &Batch, verdict: &Verdict, failures: (u32, u32)) {
    let alerts = batch.items.len();
    match (verdict, failures) {
        (Verdict::Delivered, (0, _)) => tracing::debug!(sink, alerts, "delivered"),
        (Verdict::Delivered, _) => tracing::info!(sink, alerts, "delivered; the sink works again"),
        (Verdict::Retry { failure, .. }, (_, 1)) => {
            tracing::warn!(sink, alerts, why = failure.detail, "not delivered; will be tried again");
        }
        (Verdict::Retry { failure, .. }, _) => tracing::debug!(sink, alerts, why = failure.detail, "not delivered"),
        (Verdict::Refused(failure), _) if alerts == 1 => {
            let of = |label: &str| batch.items.first().and_then(|item| item.notification.labels.get(label)).cloned();
            let alert = of("alertname").unwrap_or_default();
            tracing::warn!(sink, alert, why = failure.detail, "the sink refuses an alert; given up");
        }
        (Verdict::Refused(failure), _) => tracing::debug!(sink, alerts, why = failure.detail, "refused; trying halves"),
        (Verdict::Disabled(failure), _) => {
            tracing::warn!(sink, why = failure.detail, "the sink does not want us; looking in now and then");
        }
    }
}

/// Writes to disk what changes, until the last worker has ended.
pub(crate) async fn keep_journal(shared: Arc<Shared>) {
    let ended = async {
        shared.token.cancelled().await;
        shared.workers.close();
        shared.workers.wait().await;
    };
    tokio::pin!(ended);
    loop {
        tokio::select! {
            () = &mut ended => break,
            () = shared.unsaved.notified() => {}
        }
        if !shared.sync(DISK_PATIENCE).await {
            shared.unsaved.notify_one();
            tokio::select! {
                () = &mut ended => break,
                () = sleep(DISK_RETRY) => {}
            }
        }
    }
    shared.sync(DISK_PATIENCE).await;
}
