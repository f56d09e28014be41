//! Makes way for the served model: while its requests wait or its GPU is busy, the worker does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plimsoll_exporters::{Metric, Reading, ReadingValue, Registry};
use reqwest::Url;

use super::models::Models;
use crate::collect::engine::{self, Target};
use crate::collect::gpu::Gpu;
use crate::config::EngineKind;
use crate::shutdown::Shutdown;

/// How often we look.
const EVERY: Duration = Duration::from_millis(500);
/// The utilization of a GPU above which it is busy.
const BUSY: f64 = 0.85;
/// Our own batches keep the GPU busy too: what is measured within this time after one says nothing of the tenant.
const OURS: Duration = Duration::from_secs(1);

/// Whether to make way; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Polite {
    busy: Arc<AtomicBool>,
    began: Instant,
    /// Milliseconds since `began` at which the last batch of ours ended; 0 when there was none.
    last_batch: Arc<AtomicU64>,
}

impl Polite {
    fn new() -> Self {
        Self { busy: Arc::default(), began: Instant::now(), last_batch: Arc::default() }
    }

    /// Looks at the engine's queue, and at the GPU where the models use one.
    pub(super) fn start(
        engine: Option<Url>,
        nvml: Option<&str>,
        models: &Models,
        registry: Registry,
        shutdown: &Shutdown,
    ) -> Self {
        let polite = Self::new();
        let gpu = models.uses_gpu().then(|| Gpu::open(nvml)).and_then(|opened| {
            opened.inspect_err(|why| tracing::warn!("{why}: the worker cannot see whether the GPU is busy")).ok()
        });
        if engine.is_some() || gpu.is_some() {
            let (watching, ending) = (polite.clone(), shutdown.clone());
            shutdown.spawn("polite", async move {
                tokio::select! {
                    () = ending.begun() => {}
                    () = watching.watch(engine, gpu, registry) => {}
                }
            });
        }
        polite
    }

    /// Whether the worker must do nothing now.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// A batch of ours has ended.
    pub(super) fn ran(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_batch.store(now.max(1), Ordering::Relaxed);
    }

    fn is_ours(&self) -> bool {
        let last = self.last_batch.load(Ordering::Relaxed);
        last > 0 && self.began.elapsed() < Duration::from_millis(last) + OURS
    }

    async fn watch(self, engine: Option<Url>, mut gpu: Option<Gpu>, registry: Registry) {
        let (client, mut sight) = (engine::client(), Sight::default());
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let waits = match &engine {
                Some(url) => {
                    let seen = requests_wait(&client, url).await;
                    registry.set(Metric::ShadowEngineUp, &[], f64::from(u8::from(sight.is(url, &seen))));
                    seen.unwrap_or(false) // an engine that cannot be asked has no queue that we know of
                }
                None => false,
            };
            // what was seen before our last batch still holds while we cannot tell the tenant from ourselves
            let loaded = match &mut gpu {
                Some(gpu) if !self.is_ours() => gpu.read().is_ok_and(|readings| is_loaded(&readings)),
                _ => false,
            };
            self.busy.store(waits || loaded, Ordering::Relaxed);
            registry.set(Metric::ShadowBusy, &[], f64::from(u8::from(waits || loaded)));
        }
    }
}

/// Whether requests wait at the engine, or why that cannot be told.
async fn requests_wait(client: &reqwest::Client, url: &Url) -> Result<bool, String> {
    let target = Target { url: url.clone(), kind: EngineKind::Auto, timeout: EVERY, max_size: 16 << 20 };
    let scrape = engine::scrape(client, &target).await.map_err(|why| why.to_string())?;
    let mut queues = scrape.readings.iter().filter(|reading| reading.metric == Metric::RequestsWaiting).peekable();
    match queues.peek() {
        None => Err("its metrics do not tell how many requests wait".to_owned()),
        Some(_) => Ok(queues.any(|reading| above(reading, Metric::RequestsWaiting, 0.0))),
    }
}

/// Failures in a row after which the engine is not seen any more: one may be a moment without a processor.
const BLIND: u32 = 3;

/// Whether the engine's queue is seen; what changes is said once.
#[derive(Debug, Default)]
struct Sight {
    failures: u32,
}

impl Sight {
    /// Takes in one look; gives whether the queue is seen.
    fn is(&mut self, url: &Url, looked: &Result<bool, String>) -> bool {
        let before = self.failures;
        self.failures = if looked.is_ok() { 0 } else { before.saturating_add(1) };
        match looked {
            Err(why) if self.failures == BLIND => {
                tracing::warn!(%url, %why, "the served engine's queue is not seen: the worker does not make way for it");
            }
            Ok(_) if before >= BLIND => tracing::info!(%url, "the served engine's queue is seen again"),
            _ => {}
        }
        self.failures < BLIND
    }
}

fn is_loaded(readings: &[Reading]) -> bool {
    readings.iter().any(|reading| above(reading, Metric::GpuUtilization, BUSY))
}

fn above(reading: &Reading, metric: Metric, least: f64) -> bool {
    reading.metric == metric && matches!(reading.value, ReadingValue::Scalar(value) if value > least)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// An engine's metrics with so many waiting requests, one answer for each.
    #[expect(clippy::disallowed_methods, reason = "a test server has no shutdown to wait for")]
    async fn engine(waiting: &'static [u32]) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            for count in waiting {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await;
                let body = format!("vllm:num_requests_waiting{{model_name=\"m\"}} {count}\n");
                let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        });
        url
    }

    #[tokio::test]
    async fn a_queue_at_the_engine_is_seen() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = engine(&[0, 3]).await;
        let client = engine::client();
        assert_eq!(requests_wait(&client, &url).await, Ok(false));
        assert_eq!(requests_wait(&client, &url).await, Ok(true));
        assert!(requests_wait(&client, &url).await.is_err(), "an engine that is gone has no queue");
    }

    #[test]
    fn an_engine_is_not_seen_after_failures_in_a_row() {
        let url: Url = "http://engine/metrics".parse().unwrap();
        let (mut sight, failed) = (Sight::default(), || Err("refused".to_owned()));
        let looks = [failed(), failed(), Ok(true), failed(), failed(), failed(), failed(), Ok(false)];
        let seen = looks.map(|look| sight.is(&url, &look));
        assert_eq!(seen, [true, true, true, true, true, false, false, true]);
    }

    #[test]
    fn a_busy_gpu_is_seen_but_not_our_own_work() {
        let reading =
            |value| Reading { metric: Metric::GpuUtilization, labels: Vec::new(), value: ReadingValue::Scalar(value) };
        assert!(is_loaded(&[reading(0.2), reading(0.9)]) && !is_loaded(&[reading(0.85)]) && !is_loaded(&[]));
        let polite = Polite::new();
        assert!(!polite.is_ours());
        polite.ran();
        assert!(polite.is_ours());
    }
}
