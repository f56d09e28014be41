//! The ways of every exchange, seen or posted, to those that look at it more closely (drift detectors, shadow model): never
//! wait, bounded in number and in bytes of text.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::{Exchange, ExchangeOutcome};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Exchanges that may wait for the drift detectors.
const QUEUE: usize = 1024;
/// Bytes of their text that may.
const QUEUE_BYTES: usize = 8 << 20;

/// A way that never waits: what does not fit is dropped and counted. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Post<T> {
    queue: mpsc::Sender<T>,
    registry: Registry,
    what: &'static str,
}

impl<T> Post<T> {
    /// A queue of so many places and its two ends; what is dropped is counted in `plimsoll_dropped_total{what=...}`.
    pub fn new(registry: Registry, places: usize, what: &'static str) -> (Self, mpsc::Receiver<T>) {
        let (queue, inbox) = mpsc::channel(places);
        (Self { queue, registry, what }, inbox)
    }

    /// Hands something on, or drops it and counts that when too much is waiting. Does nothing when nobody listens any more.
    pub fn offer(&self, something: T) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(something) {
            self.registry.add(Metric::Dropped, &[self.what], 1.0);
        }
    }
}

/// Everybody who looks; clones share the queues.
#[derive(Clone, Debug, Default)]
pub struct Feeds(Arc<[Feed]>);

impl Feeds {
    /// Of these.
    pub fn new(feeds: impl IntoIterator<Item = Feed>) -> Self {
        Self(feeds.into_iter().collect())
    }

    /// Hands a copy of `exchange` to everybody.
    pub fn offer(&self, exchange: &Exchange) {
        self.0.iter().for_each(|feed| feed.offer(exchange));
    }
}

/// Which exchanges a feed takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    All,
    /// So large a share of the answered ones whose text was read.
    Texts(f64),
}

/// The sources' end of one queue.
#[derive(Clone, Debug)]
pub struct Feed {
    queue: mpsc::Sender<Exchange>,
    /// Bytes of text in the queue.
    waiting: Arc<AtomicUsize>,
    registry: Registry,
    wanted: Wanted,
    /// How what is dropped is called (`plimsoll_dropped_total{what=...}`).
    what: &'static str,
}

/// The other end.
#[derive(Debug)]
pub struct Inbox {
    queue: mpsc::Receiver<Exchange>,
    waiting: Arc<AtomicUsize>,
}

impl Feed {
    /// Of all exchanges to the drift detectors; what is dropped is counted as `drift_exchanges`.
    pub fn to_drift(registry: Registry) -> (Self, Inbox) {
        Self::new(registry, QUEUE, Wanted::All, "drift_exchanges")
    }

    /// Of a share of the texts to the shadow model, `queue` of which may wait; what is dropped is counted as
    /// `shadow_exchanges`.
    pub fn to_shadow(registry: Registry, share: f64, queue: usize) -> (Self, Inbox) {
        Self::new(registry, queue.max(1), Wanted::Texts(share), "shadow_exchanges")
    }

    fn new(registry: Registry, queue: usize, wanted: Wanted, what: &'static str) -> (Self, Inbox) {
        let (sender, receiver) = mpsc::channel(queue);
        let waiting = Arc::new(AtomicUsize::new(0));
        let inbox = Inbox { queue: receiver, waiting: waiting.clone() };
        (Self { queue: sender, waiting, registry, wanted, what }, inbox)
    }

    /// Hands on a copy of `exchange` if it is wanted, or drops it and counts that when too much is waiting. Does nothing
    /// when nobody listens any more.
    fn offer(&self, exchange: &Exchange) {
        if !self.wants(exchange) {
            return;
        }
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

    fn wants(&self, exchange: &Exchange) -> bool {
        match self.wanted {
            Wanted::All => true,
            Wanted::Texts(share) => {
                let said = exchange.text.as_ref().is_some_and(|text| text.prompt.is_some());
                said && exchange.outcome == ExchangeOutcome::Ok && fastrand::f64() < share
            }
        }
    }

    fn drop_one(&self) {
        self.registry.add(Metric::Dropped, &[self.what], 1.0);
    }
}

impl Inbox {
    /// The next exchange; `None` when every [`Feed`] is gone.
    pub async fn recv(&mut self) -> Option<Exchange> {
        let next = self.queue.recv().await;
        self.taken(next.iter());
        next
    }

    /// Up to `most` exchanges at once, appended to `into`; gives how many, 0 when every [`Feed`] is gone.
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
    use plimsoll_rules::mask::{MaskOptions, Masker};
    use plimsoll_rules::{ExchangeText, MaskedText, Source, Timestamp};

    use super::*;

    fn exchange(text: &str) -> Exchange {
        let masker = Masker::new(b"salt of the tests", &MaskOptions::default()).unwrap();
        let prompt = Some(MaskedText::of(&masker, text));
        Exchange {
            source: Source::Tap,
            text: Some(Arc::new(ExchangeText { prompt, ..ExchangeText::default() })),
            ..Exchange::chat("a", "", Timestamp::from_millis(0))
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
        let (feed, mut inbox) = Feed::to_drift(registry.clone());
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
        let (feed, mut inbox) = Feed::to_drift(Registry::new(100));
        feed.clone().offer(&exchange("hi"));
        drop(feed);
        assert!(inbox.recv().await.is_some() && inbox.recv().await.is_none());
        assert_eq!(inbox.recv_many(&mut Vec::new(), 5).await, 0);
    }

    #[tokio::test]
    async fn the_shadow_sees_a_share_of_what_was_answered_and_read() {
        let registry = Registry::new(100);
        let (feed, mut inbox) = Feed::to_shadow(registry.clone(), 0.5, 10_000);
        let failed = Exchange { outcome: ExchangeOutcome::ServerError, ..exchange("hi") };
        let unread = Exchange { text: None, ..exchange("hi") };
        (0..1000).for_each(|_| [&exchange("hi"), &failed, &unread].into_iter().for_each(|one| feed.offer(one)));
        let mut taken = 0;
        while let Some(one) = inbox.try_recv() {
            assert!(one.outcome == ExchangeOutcome::Ok && one.text.is_some());
            taken += 1;
        }
        assert!((400..600).contains(&taken), "{taken}");
        let (none, mut inbox) = Feed::to_shadow(registry, 0.0, 1);
        none.offer(&exchange("hi"));
        assert!(inbox.try_recv().is_none());
    }
}
