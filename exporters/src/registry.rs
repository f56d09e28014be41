//! The current value of every metric: live instruments for what we observe, whole-source readings for what we read.

use std::sync::Arc;

use plimsoll_rules::Labels;
use prometheus::proto::MetricFamily;

use crate::Metric;

/// What a source read for one series.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadingValue {
    /// A gauge's value, or a counter's absolute value as the source reports it.
    Scalar(f64),
    /// Cumulative buckets `(upper bound, count)` as the source has them (never re-binned), sum and count.
    Histogram {
        /// `(le, cumulative count)`, ascending, `+Inf` included.
        buckets: Vec<(f64, f64)>,
        /// Sum of all observations.
        sum: f64,
        /// Number of observations.
        count: f64,
    },
}

/// One series as read from a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Which metric of the catalog.
    pub metric: Metric,
    /// Label values in the order of the catalog's label names.
    pub labels: Vec<String>,
    /// Its value.
    pub value: ReadingValue,
}

/// All current values; clones share them. Label sets are capped per metric, what is over is counted in
/// `plimsoll_dropped_total{what="label_sets"}`.
#[derive(Clone, Debug)]
pub struct Registry(Arc<()>);

impl Registry {
    /// An empty registry that holds at most `max_series` label sets over all metrics.
    pub fn new(_max_series: usize) -> Self {
        todo!()
    }

    /// Adds to a counter.
    pub fn add(&self, _metric: Metric, _labels: &[&str], _by: f64) {
        todo!()
    }

    /// Sets a gauge.
    pub fn set(&self, _metric: Metric, _labels: &[&str], _value: f64) {
        todo!()
    }

    /// Observes `values` in a histogram (one label look-up for all).
    pub fn observe(&self, _metric: Metric, _labels: &[&str], _values: &[f64]) {
        todo!()
    }

    /// Replaces everything `source` published before: what it no longer reads is gone at once. An empty list is how a
    /// failed source disappears. Non-finite scalars are refused and counted.
    pub fn publish(&self, _source: &'static str, _readings: Vec<Reading>) {
        todo!()
    }

    /// Every family, sorted by name, same-named ones merged: input of the text formats.
    pub fn gather(&self) -> Vec<MetricFamily> {
        todo!()
    }

    /// Every current value as a flat sample (`_bucket`, `_sum`, `_count` for histograms), for the store.
    pub fn samples(&self) -> Vec<(Labels, f64)> {
        todo!()
    }
}
