//! Starts the sources, each on its own interval, each on its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plimsoll_alerts::{Dispatcher, SinkStats};
use plimsoll_exporters::{Metric, Reading, ReadingValue, Registry};
use tokio::time::MissedTickBehavior;

use crate::collect::process;
use crate::collect::system::{Roots, System};
use crate::config::Checked;
use crate::health::Health;
use crate::shutdown::Shutdown;

/// How often we look at ourselves.
const OURSELVES: Duration = Duration::from_secs(5);

/// Starts every source that the configuration turns on.
pub(super) fn spawn(
    config: &Checked,
    registry: &Registry,
    health: &Health,
    dispatcher: &Dispatcher,
    shutdown: &Shutdown,
) {
    let sources = &config.raw.sources;
    let feed = Feed { registry: registry.clone(), health: health.clone(), shutdown: shutdown.clone() };
    if sources.system.enabled {
        let mut system = System::new(&sources.system.cgroup, Roots::default());
        feed.every("system", sources.system.interval.0, move || system.read(Instant::now()));
    }
    let (registry, dispatcher) = (registry.clone(), dispatcher.clone());
    let mut told = BTreeMap::new();
    feed.every("self", OURSELVES, move || {
        publish_receivers(&registry, &dispatcher.stats(), &mut told);
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
