//! The current value of every metric: live instruments for what we observe, whole-source readings for what we read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use plimsoll_rules::{Labels, LabelsBuilder, METRIC_NAME};
use prometheus::core::Collector as _;
use prometheus::proto::{self, MetricFamily, MetricType};
use prometheus::{Counter, Gauge, Histogram, HistogramOpts, Opts};

use crate::catalog::{Kind, Metric, Spec};
use crate::reading::{Reading, ReadingValue, Sampled};

/// All current values; clones share them. Label sets are capped over all metrics; what is over is counted in
/// `plimsoll_dropped_total{what="label_sets"}`.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max_series: usize,
    /// Live children by a 64-bit hash of metric and label values: a look-up allocates nothing. At ten thousand label
    /// sets the odds of two sharing a hash are below 1 in 10^11. (The vectors of crate prometheus 0.14 hash label values
    /// without a separator: there `("ab", "")` and `("a", "b")` are one series.)
    children: RwLock<HashMap<u64, (Metric, Child)>>,
    published: Mutex<BTreeMap<&'static str, Vec<Reading>>>,
    flat: Mutex<HashMap<u64, Arc<[Labels]>>>,
}

#[derive(Clone, Debug)]
enum Child {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(metric: Metric, labels: &[impl AsRef<str>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    metric.hash(&mut hasher);
    for value in labels {
        value.as_ref().hash(&mut hasher);
    }
    hasher.finish()
}

impl Child {
    fn new(spec: &Spec, labels: &[&str]) -> Option<Self> {
        if spec.labels.len() != labels.len() {
            return None;
        }
        let pairs = spec.labels.iter().zip(labels).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let opts = Opts::new(spec.name, spec.help).const_labels(pairs.collect());
        match spec.kind {
            Kind::Counter => Counter::with_opts(opts).map(Self::Counter),
            Kind::Gauge => Gauge::with_opts(opts).map(Self::Gauge),
            Kind::Histogram(bounds) => {
                Histogram::with_opts(HistogramOpts::from(opts).buckets(bounds.to_vec())).map(Self::Histogram)
            }
        }
        .ok()
    }

    fn collect(&self) -> impl Iterator<Item = proto::Metric> {
        let families = match self {
            Self::Counter(counter) => counter.collect(),
            Self::Gauge(gauge) => gauge.collect(),
            Self::Histogram(histogram) => histogram.collect(),
        };
        families.into_iter().flat_map(|mut family| family.take_metric())
    }
}

impl Registry {
    /// An empty registry that holds at most `max_series` label sets over all metrics.
    pub fn new(max_series: usize) -> Self {
        Self(Arc::new(Inner {
            max_series,
            children: RwLock::default(),
            published: Mutex::default(),
            flat: Mutex::default(),
        }))
    }

    /// Adds to a counter; a negative or non-finite amount is refused and counted.
    pub fn add(&self, metric: Metric, labels: &[&str], by: f64) {
        if !(by >= 0.0 && by.is_finite()) {
            return self.drop_one("bad_values");
        }
        if let Some(Child::Counter(counter)) = self.child(metric, labels) {
            counter.inc_by(by);
        }
    }

    /// Sets a gauge; a non-finite value is refused and counted.
    pub fn set(&self, metric: Metric, labels: &[&str], value: f64) {
        if !value.is_finite() {
            return self.drop_one("bad_values");
        }
        if let Some(Child::Gauge(gauge)) = self.child(metric, labels) {
            gauge.set(value);
        }
    }

    /// Observes `values` in a histogram (one label look-up for all).
    pub fn observe(&self, metric: Metric, labels: &[&str], values: &[f64]) {
        if let Some(Child::Histogram(histogram)) = self.child(metric, labels) {
            for value in values {
                if value.is_finite() {
                    histogram.observe(*value);
                } else {
                    self.drop_one("bad_values");
                }
            }
        }
    }

    /// Replaces everything `source` published before: what it no longer reads is gone at once. An empty list is how a
    /// failed source disappears. Readings with non-finite numbers or the wrong number of labels are refused and counted.
    pub fn publish(&self, source: &'static str, mut readings: Vec<Reading>) {
        let given = readings.len();
        readings.retain(|r| r.labels.len() == r.metric.spec().labels.len() && usable(r));
        self.drop_many("bad_values", given - readings.len());
        let mut published = lock(&self.0.published);
        let others: usize = published.iter().filter(|(name, _)| **name != source).map(|(_, list)| list.len()).sum();
        let room = self.0.max_series.saturating_sub(others + self.live_count());
        let over = readings.len().saturating_sub(room);
        readings.truncate(room);
        published.insert(source, readings);
        drop(published);
        self.drop_many("label_sets", over);
    }

    /// Every family that has a series, sorted by name, same-named ones merged: input of the text formats.
    pub fn gather(&self) -> Vec<MetricFamily> {
        let mut by_metric: BTreeMap<&'static str, (Metric, Vec<proto::Metric>)> = BTreeMap::new();
        let mut seen = HashSet::new();
        for (key, (metric, child)) in self.0.children.read().unwrap_or_else(PoisonError::into_inner).iter() {
            seen.insert(*key);
            by_metric.entry(metric.name()).or_insert((*metric, Vec::new())).1.extend(child.collect());
        }
        let mut doubled = 0;
        {
            let published = lock(&self.0.published);
            for reading in published.values().flatten() {
                if !seen.insert(key(reading.metric, &reading.labels)) {
                    doubled += 1; // two sources claim one series: the exposition must stay valid, the first wins
                    continue;
                }
                let entry = by_metric.entry(reading.metric.name()).or_insert((reading.metric, Vec::new()));
                entry.1.push(metric_of(reading));
            }
        }
        self.drop_many("doubled_series", doubled);
        by_metric.into_values().map(|(metric, metrics)| family_of(metric, metrics)).collect()
    }

    /// Every current value as a flat sample (`_bucket`, `_sum`, `_count` for histograms).
    pub fn samples(&self) -> Vec<(Labels, f64)> {
        self.sample().now
    }

    /// The same, for whoever keeps them: with the series that were there the last time and are gone.
    pub fn sample(&self) -> Sampled {
        let families = self.gather();
        let mut cache = lock(&self.0.flat);
        let mut fresh = HashMap::with_capacity(cache.len());
        let mut out = Vec::with_capacity(cache.len() * 2);
        for family in &families {
            for metric in family.get_metric() {
                let values = flat_values(family.get_field_type(), metric);
                let id = identity(family.name(), metric, values.len());
                let labels = cache.remove(&id).unwrap_or_else(|| flat_labels(family, metric).into());
                out.extend(labels.iter().cloned().zip(values));
                fresh.insert(id, labels);
            }
        }
        let gone = std::mem::replace(&mut *cache, fresh).into_values();
        Sampled { now: out, gone: gone.flat_map(|labels| labels.to_vec()).collect() }
    }

    fn child(&self, metric: Metric, labels: &[&str]) -> Option<Child> {
        let key = key(metric, labels);
        if let Some(child) = self.0.children.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Some(child.1.clone());
        }
        let mut children = self.0.children.write().unwrap_or_else(PoisonError::into_inner);
        // a quarter is kept for what sources publish: a flood of labels must not blind the CPU and GPU rules
        if children.len() >= self.0.max_series - self.0.max_series / 4 && metric != Metric::Dropped {
            drop(children);
            self.drop_one("label_sets");
            return None;
        }
        let child = Child::new(metric.spec(), labels)?;
        children.insert(key, (metric, child.clone()));
        Some(child)
    }

    fn live_count(&self) -> usize {
        self.0.children.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn drop_one(&self, what: &str) {
        self.drop_many(what, 1);
    }

    fn drop_many(&self, what: &str, count: usize) {
        if count > 0
            && let Some(Child::Counter(counter)) = self.child(Metric::Dropped, &[what])
        {
            counter.inc_by(count as f64);
        }
    }
}

fn usable(reading: &Reading) -> bool {
    match &reading.value {
        ReadingValue::Scalar(value) => value.is_finite(),
        ReadingValue::Histogram { buckets, sum, count } => {
            let whole = |n: &f64| n.is_finite() && *n >= 0.0;
            sum.is_finite() && whole(count) && buckets.iter().all(|(le, n)| !le.is_nan() && whole(n))
        }
    }
}

fn family_of(metric: Metric, metrics: Vec<proto::Metric>) -> MetricFamily {
    let spec = metric.spec();
    let mut family = MetricFamily::default();
    family.set_name(spec.name.to_owned());
    family.set_help(spec.help.to_owned());
    family.set_field_type(match spec.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram(_) => MetricType::HISTOGRAM,
    });
    family.set_metric(metrics);
    family
}

fn metric_of(reading: &Reading) -> proto::Metric {
    let spec = reading.metric.spec();
    let pairs = spec.labels.iter().zip(&reading.labels).map(|(name, value)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.clone());
        pair
    });
    let mut metric = proto::Metric::from_label(pairs.collect());
    match (&reading.value, spec.kind) {
        (ReadingValue::Scalar(value), Kind::Counter) => {
            let mut counter = proto::Counter::default();
            counter.set_value(*value);
            metric.set_counter(counter);
        }
        (ReadingValue::Scalar(value), _) => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(*value);
            metric.set_gauge(gauge);
        }
        (ReadingValue::Histogram { buckets, sum, count }, _) => {
            let mut histogram = proto::Histogram::default();
            histogram.set_bucket(buckets.iter().filter(|(le, _)| le.is_finite()).map(|b| bucket(*b)).collect());
            histogram.set_sample_sum(*sum);
            histogram.set_sample_count(*count as u64);
            metric.set_histogram(histogram);
        }
    }
    metric
}

fn bucket((le, count): (f64, f64)) -> proto::Bucket {
    let mut bucket = proto::Bucket::default();
    bucket.set_upper_bound(le);
    bucket.set_cumulative_count(count as u64);
    bucket
}

/// Values in the order of [`flat_labels`].
fn flat_values(kind: MetricType, metric: &proto::Metric) -> Vec<f64> {
    match kind {
        MetricType::COUNTER => vec![metric.get_counter().get_value()],
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            let count = histogram.get_sample_count() as f64;
            let buckets = histogram.get_bucket().iter().map(|b| b.cumulative_count() as f64);
            buckets.chain([count, histogram.get_sample_sum(), count]).collect()
        }
        _ => vec![metric.get_gauge().get_value()],
    }
}

fn flat_labels(family: &MetricFamily, metric: &proto::Metric) -> Vec<Labels> {
    let named = |suffix: &str| {
        let mut builder = LabelsBuilder::default();
        builder.set(METRIC_NAME, &format!("{}{suffix}", family.name()));
        for pair in metric.get_label() {
            builder.set(pair.name(), pair.value());
        }
        builder
    };
    if family.get_field_type() != MetricType::HISTOGRAM {
        return vec![named("").build()];
    }
    let bounds = metric.get_histogram().get_bucket().iter().map(|b| b.upper_bound().to_string());
    let with_le = |le: String| {
        let mut builder = named("_bucket");
        builder.set("le", &le);
        builder.build()
    };
    bounds.chain(["+Inf".to_owned()]).map(with_le).chain([named("_sum").build(), named("_count").build()]).collect()
}

/// What tells one flat label list from another: name, labels, bucket bounds.
fn identity(name: &str, metric: &proto::Metric, width: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    (name, width).hash(&mut hasher);
    for pair in metric.get_label() {
        (pair.name(), pair.value()).hash(&mut hasher);
    }
    for bucket in metric.get_histogram().get_bucket() {
        bucket.upper_bound().to_bits().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
