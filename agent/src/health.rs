//! Which sources deliver: `plimsoll_collector_up`, and what the rules must not take for an all-clear.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_exporters::{Metric, Registry};

/// Shared state of all sources; clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    registry: Registry,
    sources: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
}

impl Health {
    /// No source is known yet.
    pub fn new(registry: Registry) -> Self {
        Self { registry, sources: Arc::default() }
    }

    /// The source delivers.
    pub fn up(&self, source: &'static str) {
        self.set(source, None);
    }

    /// The source failed, and why. Logged once per change.
    pub fn down(&self, source: &'static str, why: String) {
        self.set(source, Some(why));
    }

    /// Every source with the reason when it is down.
    pub fn sources(&self) -> BTreeMap<&'static str, Option<String>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, source: &'static str, why: Option<String>) {
        self.registry.set(Metric::CollectorUp, &[source], if why.is_none() { 1.0 } else { 0.0 });
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let before = sources.insert(source, why.clone());
        let was_up = before.as_ref().is_none_or(Option::is_none);
        match why {
            Some(why) if was_up => tracing::warn!(source, %why, "source is down"),
            None if !was_up => tracing::info!(source, "source is back"),
            _ => {}
        }
    }
}

/// Metrics that only `source` delivers: while it is down, rules over them are errors, not all-clears.
pub fn metrics_of(source: &str) -> &'static [Metric] {
    use Metric::*;
    match source {
        "system" => &[CpuUtilization, CpuThrottled, MemoryUtilization, MemoryUsed, PressureStall, OomKills],
        "gpu" => &[
            GpuUtilization,
            GpuMemoryUsed,
            GpuMemoryTotal,
            GpuMemoryUtilization,
            GpuPower,
            GpuTemperature,
            GpuThrottled,
            GpuClock,
            GpuProcessMemory,
            GpuXidErrors,
            GpuEccErrors,
        ],
        "engine" => &[QueueTime, RequestsWaiting, KvCacheUtilization],
        "drift" => &[DriftAlarm, DriftScore, DriftEvidence, DriftSince, DriftTop],
        "records" => &[TaskCompletion, Satisfaction, Tasks, SatisfactionRatings, SatisfactionScore],
        _ => &[],
    }
}
