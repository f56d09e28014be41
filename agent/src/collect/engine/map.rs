//! An engine's sample lines to readings in our names, labels and types.

use std::collections::BTreeMap;

use plimsoll_exporters::parse::Line;
use plimsoll_exporters::{Metric, Reading, ReadingValue};

use super::names::{self, Name, Take};
use crate::config::EngineKind;

/// Labels in which engines say which model a series is about, in order of preference.
const MODEL_LABELS: [&str; 3] = ["model_name", "model", "model_id"];

#[derive(Debug, Default)]
struct Histogram {
    /// By its own bounds (bits of the bound, so that it can be a key), cumulative, one list per raw series.
    series: BTreeMap<String, Vec<(f64, f64)>>,
    sum: Option<f64>,
    count: Option<f64>,
}

type Key = (Metric, Vec<String>);

/// What has been taken so far.
#[derive(Debug, Default)]
struct Taken {
    scalars: BTreeMap<Key, f64>,
    histograms: BTreeMap<Key, Histogram>,
    /// Which raw name filled a metric: of two names for one thing (an old and a new one) only the first counts.
    filled_by: BTreeMap<(Metric, &'static str), &'static str>,
}

/// Readings of `kind` in `lines`. NaN and infinite samples are passed over: they say nothing.
pub(super) fn readings(kind: EngineKind, lines: &[Line]) -> Vec<Reading> {
    let names = names::of(kind);
    let mut taken = Taken::default();
    for line in lines.iter().filter(|line| line.value.is_finite()) {
        for name in names {
            if name.only.is_none_or(|(label, value)| line.label(label) == value)
                && let Some(part) = part_of(&line.name, name)
            {
                taken.take(line, name, part);
            }
        }
    }
    taken.readings()
}

/// Which part of `name` a line is: `""` for the whole, else a histogram's suffix.
fn part_of<'l>(line: &'l str, name: &Name) -> Option<&'l str> {
    let rest = line.strip_prefix(name.raw)?;
    let fits = match name.take {
        Take::Histogram(_) => matches!(rest, "_bucket" | "_sum" | "_count"),
        _ => rest.is_empty(),
    };
    fits.then_some(rest)
}

impl Taken {
    fn take(&mut self, line: &Line, name: &'static Name, part: &str) {
        let model = MODEL_LABELS.iter().map(|label| line.label(label)).find(|v| !v.is_empty()).unwrap_or("").to_owned();
        let labels = |model: String| vec![model, String::new(), "engine".to_owned()];
        let (metric, tag) = match name.take {
            Take::Sum(metric) | Take::Max(metric) | Take::Histogram(metric) => (metric, ""),
            Take::Requests(outcome, _) => (Metric::Requests, outcome),
        };
        let owner = *self.filled_by.entry((metric, tag)).or_insert(name.raw);
        if owner != name.raw {
            return;
        }
        match name.take {
            Take::Sum(_) => *self.scalars.entry((metric, labels(model))).or_default() += line.value,
            Take::Max(_) => {
                let value = self.scalars.entry((metric, labels(model))).or_insert(f64::NEG_INFINITY);
                *value = value.max(line.value);
            }
            Take::Requests(outcome, reason) => {
                let reason = reason.map_or("", |label| line.label(label));
                // vLLM's counter of "successes" has these two among its reasons
                let outcome = match reason {
                    "abort" => "client_abort",
                    "error" => "server_error",
                    _ => outcome,
                };
                let labels = [&model, "", outcome, reason, "engine"].map(ToOwned::to_owned).to_vec();
                *self.scalars.entry((metric, labels)).or_default() += line.value;
            }
            Take::Histogram(_) => {
                let histogram = self.histograms.entry((metric, labels(model))).or_default();
                match part {
                    "_sum" => *histogram.sum.get_or_insert(0.0) += line.value,
                    "_count" => *histogram.count.get_or_insert(0.0) += line.value,
                    _ => histogram.bucket(line),
                }
            }
        }
    }

    fn readings(self) -> Vec<Reading> {
        let scalars = self.scalars.into_iter().map(|((metric, labels), value)| Reading {
            metric,
            labels,
            value: ReadingValue::Scalar(value),
        });
        // without a sum it would say that everything was 0
        let histograms = self.histograms.into_iter().filter_map(|((metric, labels), histogram)| {
            let buckets = histogram.merged();
            let all = buckets.last().filter(|(bound, _)| bound.is_infinite()).map(|(_, count)| *count);
            let (sum, count) = (histogram.sum?, histogram.count.or(all)?);
            Some(Reading { metric, labels, value: ReadingValue::Histogram { buckets, sum, count } })
        });
        scalars.chain(histograms).collect()
    }
}

impl Histogram {
    fn bucket(&mut self, line: &Line) {
        let bound = match line.label("le") {
            "+Inf" | "Inf" => f64::INFINITY,
            text => match text.parse::<f64>() {
                Ok(bound) if !bound.is_nan() => bound,
                _ => return, // a bound that is no number belongs to no bucket
            },
        };
        let id: Vec<String> = line
            .labels
            .iter()
            .filter(|(name, _)| name != "le")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        self.series.entry(id.join(",")).or_default().push((bound, line.value));
    }

    /// Sums the series' cumulative counts at every bound that any of them has. Where one lacks a bound, what it had at
    /// the next lower one of its own counts: never more than is true.
    fn merged(&self) -> Vec<(f64, f64)> {
        let mut lists: Vec<Vec<(f64, f64)>> = self.series.values().cloned().collect();
        lists.iter_mut().for_each(|list| list.sort_by(|a, b| a.0.total_cmp(&b.0)));
        let mut bounds: Vec<f64> = lists.iter().flatten().map(|(bound, _)| *bound).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        let at = |list: &[(f64, f64)], bound: f64| {
            let below = list.partition_point(|(own, _)| *own <= bound);
            below.checked_sub(1).map_or(0.0, |last| list[last].1)
        };
        bounds.iter().map(|bound| (*bound, lists.iter().map(|list| at(list, *bound)).sum())).collect()
    }
}
