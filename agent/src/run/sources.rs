//! Starts the sources, each on its own interval, each on its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plimsoll_alerts::{Dispatcher, SinkStats};
use plimsoll_exporters::{Metric, Reading, ReadingValue, Registry};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::collect::engine::{self, ScrapeError, Target};
use crate::collect::gpu::Gpu;
use crate::collect::process;
use crate::collect::system::{Roots, System};
use crate::config::Checked;
use crate::health::Health;
use crate::shutdown::Shutdown;

/// How often we look at ourselves.
const OURSELVES: Duration = Duration::from_secs(5);

/// Starts every source that the configuration turns on.
pub(super) fn spawn(
    config: &watch::Receiver<Arc<Checked>>,
    registry: &Registry,
    health: &Health,
    dispatcher: &Dispatcher,
    shutdown: &Shutdown,
) {
    let now = config.borrow().clone();
    let sources = &now.raw.sources;
    let feed = Feed { registry: registry.clone(), health: health.clone(), shutdown: shutdown.clone() };
    if sources.system.enabled {
        let mut system = System::new(&sources.system.cgroup, Roots::default());
        feed.every("system", sources.system.interval.0, move || system.read(Instant::now()));
    }
    if sources.gpu.enabled {
        match Gpu::open(sources.gpu.library.as_deref()) {
            Ok(mut gpu) => feed.every("gpu", sources.gpu.interval.0, move || gpu.read()),
            Err(why) => tracing::info!("{why}"),
        }
    }
    shutdown.spawn("engine", engine(config.clone(), feed.clone()));
    let (registry, dispatcher) = (registry.clone(), dispatcher.clone());
    let (mut told, mut unsaved_before) = (BTreeMap::new(), 0);
    feed.every("self", OURSELVES, move || {
        publish_receivers(&registry, &dispatcher.stats(), &mut told);
        let unsaved = dispatcher.disk_failures();
        registry.add(Metric::Dropped, &["outbox_saves"], unsaved.saturating_sub(unsaved_before) as f64);
        unsaved_before = unsaved;
        Ok(process::read())
    });
}

/// Where readings go.
#[derive(Clone)]
struct Feed {
    registry: Registry,
    health: Health,
    shutdown: Shutdown,
}

impl Feed {
    /// Reads a blocking source on its interval, off the async threads; a reading that hangs delays only its own source.
    fn every<F>(&self, source: &'static str, interval: Duration, read: F)
    where
        F: FnMut() -> Result<Vec<Reading>, String> + Send + 'static,
    {
        let feed = self.clone();
        let read = Arc::new(Mutex::new(read));
        self.shutdown.spawn(source, async move {
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = feed.shutdown.begun() => return,
                    _ = ticks.tick() => {}
                }
                let read = read.clone();
                let reading =
                    tokio::task::spawn_blocking(move || (read.lock().unwrap_or_else(PoisonError::into_inner))());
                tokio::select! {
                    () = feed.shutdown.begun() => return,
                    result = reading => feed.take(source, result.unwrap_or_else(|e| Err(e.to_string()))),
                }
            }
        });
    }

    /// Publishes what a source read; a failed source has no series.
    fn take(&self, source: &'static str, result: Result<Vec<Reading>, String>) {
        match result {
            Ok(readings) => {
                self.registry.publish(source, readings);
                self.health.up(source);
            }
            Err(why) => {
                self.registry.publish(source, Vec::new());
                self.health.down(source, why);
            }
        }
    }
}

/// Scrapes the engine; follows reloads. An engine that offers no metrics is said once and is not down.
async fn engine(mut config: watch::Receiver<Arc<Checked>>, feed: Feed) {
    let client = engine::client();
    let (mut said, mut known) = (None, None);
    loop {
        let now = config.borrow_and_update().clone();
        let settings = &now.raw.sources.engine;
        let next = tokio::time::Instant::now() + settings.interval.0;
        if settings.enabled {
            let target = Target {
                url: now.engine_url.clone(),
                kind: settings.kind,
                timeout: settings.timeout.0,
                max_size: settings.max_size.0,
            };
            match engine::scrape(&client, &target).await {
                Ok(scrape) => {
                    if known.replace(scrape.kind) != Some(scrape.kind) {
                        tracing::info!(engine = engine::word(scrape.kind), url = %target.url, "scraping the engine");
                    }
                    if scrape.garbage > 0 {
                        feed.registry.add(Metric::Dropped, &["engine_lines"], scrape.garbage as f64);
                    }
                    feed.take("engine", Ok(scrape.readings));
                }
                Err(error @ ScrapeError::NotOffered { .. }) => {
                    feed.take("engine", Ok(Vec::new()));
                    if said.as_ref() != Some(&target) {
                        tracing::info!("{error}");
                        said = Some(target);
                    }
                }
                Err(error) => feed.take("engine", Err(error.to_string())),
            }
        } else {
            feed.registry.publish("engine", Vec::new());
        }
        tokio::select! {
            () = feed.shutdown.begun() => return,
            _ = config.changed() => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// The dispatcher counts for itself; the registry gets what has been added since the last look.
fn publish_receivers(registry: &Registry, stats: &[SinkStats], told: &mut BTreeMap<(String, String), u64>) {
    let mut add = |metric: Metric, sink: &str, reason: Option<&str>, total: u64| {
        let before = told.insert((sink.to_owned(), reason.unwrap_or("").to_owned()), total).unwrap_or(0);
        let labels: Vec<&str> = [Some(sink), reason].into_iter().flatten().collect();
        registry.add(metric, &labels, total.saturating_sub(before) as f64);
    };
    for sink in stats {
        add(Metric::NotificationsSent, &sink.sink, None, sink.sent);
        for (reason, count) in &sink.failed {
            add(Metric::NotificationsFailed, &sink.sink, Some(reason), *count);
        }
    }
    let gauge = |metric, sink: &SinkStats, value: u64| Reading {
        metric,
        labels: vec![sink.sink.clone()],
        value: ReadingValue::Scalar(value as f64),
    };
    let both = |sink| {
        [gauge(Metric::NotificationsPending, sink, sink.pending), gauge(Metric::NotificationsDead, sink, sink.dead)]
    };
    registry.publish("receivers", stats.iter().flat_map(both).collect());
}
