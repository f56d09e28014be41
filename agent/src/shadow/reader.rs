//! Shows a sample of the traffic to the worker and hands on what it says: bounded, beside the traffic, and silent while
//! the worker is away.

use std::sync::Arc;
use std::time::Instant;

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::{Exchange, MaskedText, Timestamp};
use plimsoll_shadow_model::{Nll, Score};
use tokio::sync::mpsc;

use super::breaker::Breaker;
use super::client::{Ability, Client, ClientError};
use super::judging::Judging;
use super::supervise::{self, Supervised};
use crate::config::{Checked, Reader, ShadowModel, WorkerUrl};
use crate::feed::{Inbox, Post};
use crate::health::Health;
use crate::pairs::{Half, Pair, Shelf};
use crate::records::Records;
use crate::shutdown::Shutdown;

/// Exchanges shown at once.
const BATCH: usize = 16;
/// How often a worker that is away is looked for.
const PROBE: std::time::Duration = std::time::Duration::from_secs(2);
/// Readings that may wait for the drift detectors.
const QUEUE: usize = 256;

/// What the shadow model says of one exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The exchange's id.
    pub exchange: String,
    /// Model name as served.
    pub model: String,
    /// Variant.
    pub variant: String,
    /// When it was read.
    pub at: Timestamp,
    /// Which shadow model read it.
    pub reader: Arc<str>,
    /// The prompt's vector; empty where the worker has none.
    pub embedding: Arc<[f32]>,
    /// The masked prompt, to show why.
    pub prompt: Option<MaskedText>,
    /// How surprising the prompt is: nats per token, and tokens.
    pub prompt_nll: Option<(f64, u64)>,
    /// How surprising the answer is after the prompt.
    pub response_nll: Option<(f64, u64)>,
}

/// The way of readings to the drift detectors.
pub type ShadowFeed = Post<Reading>;

/// An empty queue of readings and its two ends; what is dropped is counted as `shadow_readings`.
pub fn feed(registry: Registry) -> (ShadowFeed, mpsc::Receiver<Reading>) {
    Post::new(registry, QUEUE, "shadow_readings")
}

/// Starts the worker, if it is a child of ours, and the reading.
///
/// # Errors
/// The client cannot be made.
pub fn start(
    config: &Checked,
    shadow: &ShadowModel,
    inbox: Inbox,
    pairs: (mpsc::Receiver<Half>, Shelf),
    (feed, records): (Option<ShadowFeed>, Records),
    (registry, health): (&Registry, &Health),
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let socket = supervise::socket(&config.data);
    let engine = config.raw.sources.engine.enabled.then(|| config.engine_url.to_string());
    let log = config.raw.log.format;
    if let Some(child) = Supervised::new(&shadow.reader, &socket, engine, log, (registry, health))? {
        shutdown.spawn("shadow worker", child.run(shutdown.clone()));
    }
    let (url, model) = match &shadow.reader {
        Reader::Child { .. } => (WorkerUrl::Unix(socket), None),
        Reader::Remote { url, model, .. } => (url.clone(), model.clone()),
    };
    let client = Client::new(&url, supervise::token(&shadow.reader), model.as_deref(), shadow.settings.timeout.0)?;
    let identity: Arc<str> = shadow.identity.as_str().into();
    let judging = Judging::new(pairs, records.clone(), registry.clone(), identity.clone());
    let task = ReaderTask {
        client,
        ability: None,
        breaker: Breaker::default(),
        is_down: true,
        began: Instant::now(),
        identity,
        url: url.to_string(),
        feed,
        records,
        registry: registry.clone(),
        health: health.clone(),
    };
    shutdown.spawn("shadow", task.run(inbox, judging, shutdown.clone()));
    Ok(())
}

struct ReaderTask {
    client: Client,
    /// Asked anew after every failure: another worker may have come.
    ability: Option<Ability>,
    breaker: Breaker,
    /// Whether the last request failed; true before the first, so that the worker is looked for at once.
    is_down: bool,
    began: Instant,
    identity: Arc<str>,
    url: String,
    feed: Option<ShadowFeed>,
    records: Records,
    registry: Registry,
    health: Health,
}

impl ReaderTask {
    async fn run(mut self, mut inbox: Inbox, mut judging: Judging, shutdown: Shutdown) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut probes = tokio::time::interval(PROBE);
        loop {
            batch.clear();
            tokio::select! {
                () = shutdown.begun() => return,
                _ = probes.tick(), if self.is_down => {
                    self.probe().await;
                    continue;
                }
                pair = judging.next() => {
                    tokio::select! {
                        () = shutdown.begun() => return,
                        () = self.compare(&judging, &pair) => continue,
                    }
                }
                count = inbox.recv_many(&mut batch, BATCH) => if count == 0 { return },
            }
            tokio::select! {
                () = shutdown.begun() => return,
                () = self.take(&batch) => {}
            }
        }
    }

    async fn take(&mut self, batch: &[Exchange]) {
        let left_out = |registry: &Registry| registry.add(Metric::Dropped, &["shadow_exchanges"], batch.len() as f64);
        if !self.breaker.allows(self.began.elapsed()) {
            return left_out(&self.registry);
        }
        let asked = Instant::now();
        let outcome = match self.read(batch).await {
            Ok(readings) => {
                self.registry.observe(Metric::ShadowRequestDuration, &[], &[asked.elapsed().as_secs_f64()]);
                self.answered();
                readings.into_iter().for_each(|reading| self.tell(reading));
                "ok"
            }
            Err(ClientError::Busy) => {
                self.answered();
                self.registry.add(Metric::Dropped, &["shadow_busy"], batch.len() as f64);
                "busy"
            }
            Err(why) => {
                self.failed(&why);
                left_out(&self.registry);
                "failed"
            }
        };
        self.registry.add(Metric::ShadowRequests, &[outcome], 1.0);
    }

    async fn read(&mut self, batch: &[Exchange]) -> Result<Vec<Reading>, ClientError> {
        let ability = self.abilities().await?;
        let (embeds, scores) = (ability.embeds(), ability.scores());
        let prompts: Vec<&str> = pairs(batch).into_iter().map(|(prompt, _)| prompt).collect();
        let vectors = if embeds { self.client.embed(&prompts).await? } else { Vec::new() };
        let scores = if scores { self.client.score(&pairs(batch)).await? } else { Vec::new() };
        let (mut vectors, mut scores) = (vectors.into_iter(), scores.iter());
        let reading = |exchange| self.reading(exchange, vectors.next().unwrap_or_default(), scores.next());
        Ok(batch.iter().map(reading).collect())
    }

    /// Has two answers judged, where the worker can.
    async fn compare(&mut self, judging: &Judging, pair: &Pair) {
        if !self.breaker.allows(self.began.elapsed()) {
            return judging.leave();
        }
        let outcome = match self.abilities().await {
            Ok(ability) if !ability.judges() => return judging.leave(),
            Ok(_) => judging.judge(&self.client, pair).await,
            Err(why) => Err(why),
        };
        match outcome {
            Ok(()) => self.answered(),
            Err(ClientError::Busy) => {
                self.answered();
                judging.leave();
            }
            Err(why) => {
                self.failed(&why);
                judging.leave();
            }
        }
    }

    /// What the worker is able to do.
    async fn abilities(&mut self) -> Result<&Ability, ClientError> {
        Ok(match &mut self.ability {
            Some(known) => known,
            unknown => unknown.insert(self.client.ability().await?),
        })
    }

    fn reading(&self, exchange: &Exchange, vector: Vec<f32>, score: Option<&Score>) -> Reading {
        let per_token = |nll: Option<&Nll>| nll.filter(|nll| nll.tokens > 0).map(|nll| (nll.mean(), nll.tokens as u64));
        let answered = exchange.text.as_ref().is_some_and(|text| text.response.is_some());
        Reading {
            exchange: exchange.id.clone(),
            model: exchange.model.clone(),
            variant: exchange.variant.clone(),
            at: crate::clock::wall(),
            reader: self.identity.clone(),
            embedding: vector.into(),
            prompt: prompt(exchange).cloned(),
            prompt_nll: per_token(score.and_then(|score| score.prompt.as_ref())),
            response_nll: per_token(score.and_then(|score| score.response.as_ref())).filter(|_| answered),
        }
    }

    /// A pod without traffic learns too that the worker is back.
    async fn probe(&mut self) {
        if self.breaker.allows(self.began.elapsed()) {
            match self.client.ability().await {
                // another server's health says nothing of its vectors: only a request does
                Ok(ability) if ability.is_ours() => {
                    self.ability = Some(ability);
                    self.answered();
                }
                Ok(_) => {}
                Err(why) => self.failed(&why),
            }
        }
    }

    fn answered(&mut self) {
        self.is_down = false;
        if self.breaker.succeeded() {
            tracing::info!(url = %self.url, "the shadow worker answers again");
        }
        self.health.up("shadow");
    }

    fn failed(&mut self, why: &ClientError) {
        self.is_down = true;
        self.ability = None;
        if self.breaker.failed(self.began.elapsed()) {
            tracing::warn!(url = %self.url, %why, "the shadow worker does not answer; it is tried again now and then");
        }
        self.health.down("shadow", why.to_string());
    }

    fn tell(&self, reading: Reading) {
        let labels = [reading.model.as_str(), reading.variant.as_str()];
        for (metric, nll) in [(Metric::PromptNll, reading.prompt_nll), (Metric::ResponseNll, reading.response_nll)] {
            nll.iter().for_each(|(nats, _)| self.registry.observe(metric, &labels, &[*nats]));
        }
        self.records.read(reading.clone());
        if let Some(feed) = &self.feed {
            feed.offer(reading);
        }
    }
}

fn prompt(exchange: &Exchange) -> Option<&MaskedText> {
    exchange.text.as_ref()?.prompt.as_ref()
}

fn response(exchange: &Exchange) -> Option<&MaskedText> {
    exchange.text.as_ref()?.response.as_ref()
}

fn words(text: Option<&MaskedText>) -> &str {
    text.map_or("", MaskedText::as_str)
}

fn pairs(batch: &[Exchange]) -> Vec<(&str, &str)> {
    batch.iter().map(|exchange| (words(prompt(exchange)), words(response(exchange)))).collect()
}
