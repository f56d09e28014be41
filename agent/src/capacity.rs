//! Watches what the pod is asked for and gets done, and says how many pods that takes. What is concluded is in `rules`.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_exporters::{Metric, Reading, Registry};
use plimsoll_rules::promql::{self, Expr, Value};
use plimsoll_rules::{Capacity, CapacitySettings, Look, Need, Store};
use tokio::sync::watch;

use crate::clock::{self, Clock};
use crate::config::Checked;
use crate::pipeline::Desk;
use crate::shutdown::Shutdown;
use crate::state::StateFiles;

/// How often what was learned is saved.
const SAVE: Duration = Duration::from_secs(300);

/// What is looked at: the tap's own count, where there is one.
const FINISHED: &str = r#"sum(plimsoll_requests_total{source="tap",outcome="ok"})
    or sum(plimsoll_requests_total{source="engine",outcome="ok"})"#;
const RUNNING: &str = r#"sum(plimsoll_requests_running{source="engine"})"#;
const WAITING: &str = r#"sum(plimsoll_requests_waiting{source="engine"})"#;

/// The task that watches.
struct Watch {
    capacity: Capacity,
    expressions: Arc<[Expr; 3]>,
    desk: Desk,
    files: StateFiles,
    registry: Registry,
    config: watch::Receiver<Arc<Checked>>,
    clock: Clock,
}

/// Starts watching; gives where what is known is told.
///
/// # Errors
/// What is looked at cannot be parsed.
pub fn start(
    config: watch::Receiver<Arc<Checked>>,
    desk: Desk,
    registry: Registry,
    shutdown: &Shutdown,
) -> anyhow::Result<watch::Receiver<Need>> {
    let expressions = [promql::parse(FINISHED)?, promql::parse(RUNNING)?, promql::parse(WAITING)?];
    let files = StateFiles::new(&config.borrow().data);
    let saved = files.load_capacity();
    let capacity = saved.and_then(|json| {
        let told = |error: &serde_json::Error| tracing::warn!(%error, "capacity.json cannot be read; measured anew");
        serde_json::from_str(&json).inspect_err(told).ok()
    });
    let (tell, told) = watch::channel(Need::default());
    let capacity = capacity.unwrap_or_default();
    let watch =
        Watch { capacity, expressions: expressions.into(), desk, files, registry, config, clock: Clock::start() };
    shutdown.spawn("capacity", watch.run(tell, shutdown.clone()));
    Ok(told)
}

impl Watch {
    async fn run(mut self, tell: watch::Sender<Need>, shutdown: Shutdown) {
        let mut saved = tokio::time::Instant::now();
        loop {
            let settings = self.config.borrow().capacity();
            self.show(&settings, &tell);
            tokio::select! {
                () = shutdown.begun() => break,
                () = tokio::time::sleep(settings.interval()) => {}
            }
            if let Some(look) = self.look().await {
                self.capacity.take(self.clock.now(), look, &settings);
            }
            if saved.elapsed() >= SAVE {
                saved = tokio::time::Instant::now();
                self.save();
            }
        }
        self.save();
    }

    async fn look(&self) -> Option<Look> {
        let (expressions, now) = (self.expressions.clone(), clock::wall());
        let values = self.desk.ask(move |store, _| expressions.each_ref().map(|expr| number(expr, store, now)));
        let [finished, running, waiting] = values.await?;
        Some(Look { finished: finished?, running, waiting })
    }

    fn show(&self, settings: &CapacitySettings, tell: &watch::Sender<Need>) {
        let need = self.capacity.need(settings);
        let by = if settings.configured.is_some() { "configured" } else { "measured" };
        let readings = [
            (Metric::PeakRequests, &[][..], need.peak),
            (Metric::CapacityRequests, &[by][..], need.capacity),
            (Metric::RecommendedReplicas, &[][..], need.replicas),
        ];
        let known = |(metric, labels, value): (Metric, &[&str], Option<f64>)| {
            value.map(|value| Reading::scalar(metric, labels, value))
        };
        self.registry.publish("capacity", readings.into_iter().filter_map(known).collect());
        tell.send_replace(need);
    }

    /// A disk that is full costs what was learned since, no more.
    fn save(&self) {
        let saved = serde_json::to_string(&self.capacity).map_err(std::io::Error::other);
        if let Err(error) = saved.and_then(|json| self.files.save_capacity(&json)) {
            tracing::debug!(%error, "capacity.json cannot be saved");
        }
    }
}

fn number(expr: &Expr, store: &Store, now: plimsoll_rules::Timestamp) -> Option<f64> {
    match promql::evaluate(expr, store, now) {
        Ok(Value::Vector(samples)) => samples.first().map(|sample| sample.value).filter(|value| value.is_finite()),
        _ => None, // the engine's source is down: not known
    }
}
