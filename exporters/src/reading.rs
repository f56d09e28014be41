//! One series as a source has read it.

use plimsoll_rules::Labels;

use crate::catalog::Metric;

/// What a source read for one series.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadingValue {
    /// A gauge's value, or a counter's absolute value as the source reports it.
    Scalar(f64),
    /// Cumulative buckets as the source has them (never re-binned), sum and count.
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

impl Reading {
    /// A reading without a histogram; `labels` are values in the order of the catalog's label names.
    #[must_use]
    pub fn scalar(metric: Metric, labels: &[&str], value: f64) -> Self {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Self { metric, labels, value: ReadingValue::Scalar(value) }
    }
}

/// Every series at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sampled {
    /// Those that there are.
    pub now: Vec<(Labels, f64)>,
    /// Those that were there the last time and are no more.
    pub gone: Vec<Labels>,
}
