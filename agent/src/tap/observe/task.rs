//! The observer task: reads the batches, makes exchanges of them, writes figures.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::verdict::experiment::Arm;
use plimsoll_rules::{Exchange, ExchangeOutcome, arm_at};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::text::Sampler;
use super::trail::Trail;
use super::{Inbox, Message, Sink};
use crate::pairs::{Half, Pairing};
use crate::tap::options::TapOptions;
use crate::tap::outlets::Outlets;
use crate::tap::record::record;

/// After a message the observer rests this long, and works on all that came in one go: the request path then pays for
/// waking it a hundred times a second at most.
const REST: Duration = Duration::from_millis(10);
/// How often gauges and drop counts are brought up to date.
const TICK: Duration = Duration::from_secs(1);
/// Most model names told apart; later ones are all `other`.
const MODELS: usize = 100;

struct Observer {
    registry: Registry,
    outlets: Outlets,
    /// Share of exchanges whose text is read, and how many bytes of prompt and response each; as the options last said.
    share: f64,
    most: usize,
    sampler: Sampler,
    /// Models that have answered.
    models: HashSet<String>,
}

/// Runs until every [`Sink`] handle is gone and the queue is empty.
pub(in crate::tap) async fn run(
    mut inbox: Inbox,
    sink: std::sync::Weak<Sink>,
    registry: Registry,
    options: watch::Receiver<Arc<TapOptions>>,
    outlets: Outlets,
) {
    let variant = options.borrow().variant.clone();
    let mut observer = Observer::new(registry, outlets);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut messages = Vec::new();
    let mut gauges = Gauges::default();
    loop {
        tokio::select! {
            count = inbox.0.recv_many(&mut messages, 1024) => {
                if count == 0 {
                    return;
                }
                let sizes: usize = messages.iter().map(|message| message.batch.size()).sum();
                if let Some(sink) = sink.upgrade() {
                    sink.waiting.fetch_sub(sizes, Ordering::Relaxed);
                }
                observer.look_at(&options.borrow());
                for message in messages.drain(..) {
                    observer.take(message);
                }
                sleep(REST).await;
            }
            _ = tick.tick() => {
                if let Some(sink) = sink.upgrade() {
                    gauges.write(&sink, &observer.registry, &variant);
                }
            }
        }
    }
}

impl Observer {
    fn new(registry: Registry, outlets: Outlets) -> Self {
        // any start will do: pods of one service should not pick in step
        let sampler = Sampler::new(fastrand::u64(..));
        Self { registry, outlets, share: 0.0, most: 0, sampler, models: HashSet::new() }
    }

    fn look_at(&mut self, options: &TapOptions) {
        (self.share, self.most) = (options.text_sample, options.text_bytes);
    }

    /// Reads one message. A bug in reading costs this exchange's figures, nothing else.
    fn take(&mut self, message: Message) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let pairing = message.pairing;
            if let Some(exchange) = self.read(message) {
                self.tell(exchange, pairing);
            }
        }));
        if outcome.is_err() {
            self.registry.add(Metric::Dropped, &["tap_observations"], 1.0);
        }
    }

    fn read(&mut self, mut message: Message) -> Option<Exchange> {
        let Self { outlets, share, most, sampler, models, .. } = self;
        let known = |name: &str| models.contains(name);
        // of a pair both halves are read, or neither
        let pairing = message.pairing.filter(|_| outlets.pairs.is_some());
        let picked = |sampler: &mut Sampler| match pairing {
            Some(pairing) => arm_at(pairing.number, *share) == Arm::Treatment,
            None => sampler.pick(*share),
        };
        let wanted = || picked(sampler).then_some(*most);
        let Some(shared) = message.trail else {
            let mut trail = Trail::default();
            trail.begin(wanted);
            trail.read(&mut message.batch);
            return message.end.map(|end| trail.finish(&end, known, &outlets.masker));
        };
        let mut trail = shared.lock().unwrap_or_else(PoisonError::into_inner);
        trail.begin(wanted);
        trail.read(&mut message.batch);
        message.end.map(|end| std::mem::take(&mut *trail).finish(&end, known, &outlets.masker))
    }

    fn tell(&mut self, mut exchange: Exchange, pairing: Option<Pairing>) {
        if exchange.outcome == ExchangeOutcome::Ok && !self.models.contains(&exchange.model) {
            if self.models.len() < MODELS {
                self.models.insert(exchange.model.clone());
            } else {
                exchange.model = "other".to_owned();
            }
        }
        record(&self.registry, &exchange);
        let gaps = std::mem::take(&mut exchange.inter_token_seconds); // up to 32 KiB that nobody of these reads
        self.outlets.feeds.offer(&exchange);
        if let (Some(pairing), Some(pairs), Some(_)) = (pairing, &self.outlets.pairs, &exchange.text) {
            pairs.offer(Half { pairing, exchange: exchange.clone() });
        }
        exchange.inter_token_seconds = gaps;
        let what = if exchange.assignment.is_some() { "experiment_exchanges" } else { "exchanges" };
        if self.outlets.records.try_send(exchange).is_err() {
            self.registry.add(Metric::Dropped, &[what], 1.0);
        }
    }
}

/// What was written last, so that nothing is written twice.
#[derive(Default)]
struct Gauges {
    dropped: u64,
}

impl Gauges {
    fn write(&mut self, sink: &Sink, registry: &Registry, variant: &str) {
        let running = sink.running.load(Ordering::Relaxed);
        registry.set(Metric::RequestsRunning, &["", variant, "tap"], running as f64);
        registry.set(Metric::TapConnections, &[], sink.connections.load(Ordering::Relaxed) as f64);
        let dropped = sink.dropped.load(Ordering::Relaxed);
        if dropped > self.dropped {
            registry.add(Metric::Dropped, &["tap_observations"], (dropped - self.dropped) as f64);
            self.dropped = dropped;
        }
    }
}
