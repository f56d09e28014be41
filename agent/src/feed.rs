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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use plimsoll_rules::mask::{MaskOptions, Masker};
    use plimsoll_rules::{Endpoint, ExchangeOutcome, ExchangeText, MaskedText, Source, Timestamp, TokenCount};

    use super::*;

    fn exchange(text: &str) -> Exchange {
        let masker = Masker::new(b"salt of the tests", &MaskOptions::default()).unwrap();
        let prompt = Some(MaskedText::of(&masker, text));
        Exchange {
            id: "a".into(),
            request_id: None,
            started: Timestamp::from_millis(0),
            source: Source::Tap,
            endpoint: Endpoint::Chat,
            model: String::new(),
            variant: String::new(),
            outcome: ExchangeOutcome::Ok,
            status: 200,
            finish_reason: None,
            stream: false,
            input_tokens: TokenCount::Unknown,
            output_tokens: TokenCount::Unknown,
            time_to_first_token: None,
            inter_token_seconds: Vec::new(),
            duration: Duration::ZERO,
            text: Some(Arc::new(ExchangeText { prompt, ..ExchangeText::default() })),
        }
    }

    fn dropped(registry: &Registry) -> f64 {
        let samples = registry.samples();
        let found = samples.iter().find(|(labels, _)| labels.get("what") == Some("drift_exchanges"));
        found.map_or(0.0, |(_, value)| *value)
    }

    #[tokio::test]
    async fn a_full_feed_drops_the_newest_and_counts_it() {
        let registry = Registry::new(100);
        let (feed, mut inbox) = DriftFeed::new(registry.clone());
        let short = exchange("hi");
        for _ in 0..QUEUE + 3 {
            feed.offer(&short);
        }
        assert_eq!(dropped(&registry), 3.0);
        let mut taken = Vec::new();
        while taken.len() < QUEUE {
            assert!(inbox.recv_many(&mut taken, 100).await > 0);
        }
        let long = exchange(&"word ".repeat(QUEUE_BYTES / 20)); // a quarter of what may wait
        for _ in 0..7 {
            feed.offer(&long);
        }
        assert_eq!(dropped(&registry), 5.0, "the bound of bytes counts too");
        assert!(inbox.recv().await.is_some() && inbox.try_recv().is_some());
        feed.offer(&long);
        feed.offer(&long);
        assert_eq!(dropped(&registry), 5.0, "there is room again");
        drop(inbox);
        feed.offer(&short);
        assert_eq!(dropped(&registry), 5.0, "nobody listens, nothing is missed");
    }

    #[tokio::test]
    async fn the_inbox_ends_with_the_last_feed() {
        let (feed, mut inbox) = DriftFeed::new(Registry::new(100));
        feed.clone().offer(&exchange("hi"));
        drop(feed);
        assert!(inbox.recv().await.is_some() && inbox.recv().await.is_none());
        assert_eq!(inbox.recv_many(&mut Vec::new(), 5).await, 0);
    }
}
