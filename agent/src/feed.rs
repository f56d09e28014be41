//! The way of every exchange, seen or posted, to the drift detectors: never waits, bounded in number and in bytes of text.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::Exchange;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Exchanges that may wait for the detectors.
const QUEUE: usize = 1024;
/// Bytes of their text that may.
const QUEUE_BYTES: usize = 8 << 20;

/// The sources' end; clones share one queue.
#[derive(Clone, Debug)]
pub struct DriftFeed {
    queue: mpsc::Sender<Exchange>,
    /// Bytes of text in the queue.
    waiting: Arc<AtomicUsize>,
    registry: Registry,
}

/// The detectors' end.
#[derive(Debug)]
pub struct DriftInbox {
    queue: mpsc::Receiver<Exchange>,
    waiting: Arc<AtomicUsize>,
}

impl DriftFeed {
    /// An empty queue and its two ends; what is dropped is counted in `registry`.
    pub fn new(registry: Registry) -> (Self, DriftInbox) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let inbox = DriftInbox { queue: receiver, waiting: waiting.clone() };
        (Self { queue: sender, waiting, registry }, inbox)
    }

    /// Hands on a copy of `exchange`, or drops it and counts that (`plimsoll_dropped_total{what="drift_exchanges"}`) when
    /// too much is waiting. Does nothing when nobody listens any more.
    pub fn offer(&self, exchange: &Exchange) {
        let place = match self.queue.try_reserve() {
            Ok(place) => place,
            Err(TrySendError::Closed(())) => return,
            Err(TrySendError::Full(())) => return self.drop_one(),
        };
        let bytes = text_bytes(exchange);
        if self.waiting.fetch_add(bytes, Ordering::Relaxed) > QUEUE_BYTES {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return self.drop_one();
        }
        place.send(exchange.clone());
    }

    fn drop_one(&self) {
        self.registry.add(Metric::Dropped, &["drift_exchanges"], 1.0);
    }
}

impl DriftInbox {
    /// The next exchange; `None` when every [`DriftFeed`] is gone.
    pub async fn recv(&mut self) -> Option<Exchange> {
        let next = self.queue.recv().await;
        self.taken(next.iter());
        next
    }

    /// Up to `most` exchanges at once, appended to `into`; gives how many, 0 when every [`DriftFeed`] is gone.
    pub async fn recv_many(&mut self, into: &mut Vec<Exchange>, most: usize) -> usize {
        let before = into.len();
        let count = self.queue.recv_many(into, most).await;
        self.taken(into[before..].iter());
        count
    }

    /// The next exchange, if one is waiting.
    pub fn try_recv(&mut self) -> Option<Exchange> {
        let next = self.queue.try_recv().ok();
        self.taken(next.iter());
        next
    }

    fn taken<'a>(&self, exchanges: impl Iterator<Item = &'a Exchange>) {
        self.waiting.fetch_sub(exchanges.map(text_bytes).sum(), Ordering::Relaxed);
    }
}

fn text_bytes(exchange: &Exchange) -> usize {
    exchange.text.as_ref().map_or(0, |text| text.bytes())
}
