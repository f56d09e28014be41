//! Evaluation: an expression, the store and a time to a value.

use std::collections::HashMap;

use super::ast::*;
use super::functions::{Body, Function, Window};
use super::{EvalError, Value, VectorSample, aggregate, binary, histogram, labels};
use crate::store::Series;
use crate::{Labels, Store, Timestamp, is_stale};

/// How far back an instant selector looks for the last sample, in milliseconds.
const LOOKBACK_MS: Millis = 300_000;

/// Step of a subquery that names none, in milliseconds.
const DEFAULT_STEP_MS: Millis = 60_000;

/// Most samples one evaluation may touch.
const MOST_SAMPLES: usize = 50_000_000;

pub(super) type Result<T> = std::result::Result<T, EvalError>;

pub(super) fn fail<T>(message: impl Into<String>) -> Result<T> {
    Err(EvalError { message: message.into() })
}

/// One evaluation of one query.
pub(super) struct Evaluation<'a> {
    pub(super) store: &'a Store,
    /// Start and end of the query, for `@ start()` and `@ end()`.
    pub(super) bounds: (Millis, Millis),
    pub(super) touched: std::cell::Cell<usize>,
}

/// One series with samples, before a function takes it.
type Ranged = (Labels, Vec<(Millis, f64)>);

impl Evaluation<'_> {
    pub(super) fn value(&self, expr: &Expr, now: Millis) -> Result<Value> {
        Ok(match expr {
            Expr::String(text) => Value::String(text.clone()),
            Expr::Matrix { .. } | Expr::Subquery { .. } => {
                let (ranges, _) = self.ranges(expr, now)?;
                let timed = |samples: Vec<(Millis, f64)>| {
                    samples.into_iter().map(|(at, value)| (Timestamp::from_millis(at), value)).collect()
                };
                Value::Matrix(ranges.into_iter().map(|(labels, samples)| (labels, timed(samples))).collect())
            }
            Expr::Paren(inner) => self.value(inner, now)?,
            _ if expr.kind() == Type::Scalar => Value::Scalar(self.scalar(expr, now)?),
            _ => Value::Vector(self.vector(expr, now)?),
        })
    }

    pub(super) fn scalar(&self, expr: &Expr, now: Millis) -> Result<f64> {
        Ok(match expr {
            Expr::Number(number) => *number,
            Expr::Paren(inner) => self.scalar(inner, now)?,
            Expr::Negate(inner) => -self.scalar(inner, now)?,
            Expr::Binary { op, left, right, .. } => {
                binary::on_scalars(*op, self.scalar(left, now)?, self.scalar(right, now)?)
            }
            Expr::Call { function, arguments } => match (function.name, arguments.as_slice()) {
                ("pi", _) => std::f64::consts::PI,
                ("time", _) => now as f64 / 1000.0,
                ("scalar", [vector]) => match self.vector(vector, now)?.as_slice() {
                    [one] => one.value,
                    _ => f64::NAN,
                },
                _ => return fail(format!("{} is not a scalar", function.name)),
            },
            _ => return fail(format!("{expr} is not a scalar")),
        })
    }

    fn text<'e>(&self, expr: &'e Expr) -> Result<&'e str> {
        match expr {
            Expr::String(text) => Ok(text),
            Expr::Paren(inner) => self.text(inner),
            _ => fail(format!("{expr} is not a text")),
        }
    }

    pub(super) fn vector(&self, expr: &Expr, now: Millis) -> Result<Vec<VectorSample>> {
        match expr {
            Expr::Vector(selector) => self.instant(selector, now),
            Expr::Paren(inner) => self.vector(inner, now),
            Expr::Negate(inner) => {
                let negate = |s: VectorSample| VectorSample { labels: s.labels.without_name(), value: -s.value };
                distinct(self.vector(inner, now)?.into_iter().map(negate).collect())
            }
            Expr::Binary { op, bool_modifier, matching, left, right } => {
                self.binary(*op, *bool_modifier, matching.as_ref(), left, right, now)
            }
            Expr::Aggregate { op, parameter, grouping, expr } => {
                let parameter = match parameter.as_deref() {
                    None => aggregate::Parameter::None,
                    Some(p) if p.kind() == Type::String => aggregate::Parameter::Label(self.text(p)?),
                    Some(p) => aggregate::Parameter::Number(self.scalar(p, now)?),
                };
                aggregate::aggregate(*op, parameter, grouping.as_ref(), self.vector(expr, now)?)
            }
            Expr::Call { function, arguments } => self.call(function, arguments, now),
            _ => fail(format!("{expr} is not an instant vector")),
        }
    }

    fn binary(
        &self,
        op: BinaryOp,
        bool_modifier: bool,
        matching: Option<&Matching>,
        left: &Expr,
        right: &Expr,
        now: Millis,
    ) -> Result<Vec<VectorSample>> {
        let samples = match (left.kind(), right.kind()) {
            (Type::Scalar, _) => {
                let number = self.scalar(left, now)?;
                binary::with_scalar(op, bool_modifier, number, binary::Side::Left, self.vector(right, now)?)
            }
            (_, Type::Scalar) => {
                let number = self.scalar(right, now)?;
                binary::with_scalar(op, bool_modifier, number, binary::Side::Right, self.vector(left, now)?)
            }
            _ => {
                let (l, r) = (self.vector(left, now)?, self.vector(right, now)?);
                binary::on_vectors(op, bool_modifier, &matching.cloned().unwrap_or_default(), l, r)?
            }
        };
        distinct(samples)
    }

    /// The time a shifted selector looks at.
    fn shifted(&self, shift: Shift, now: Millis) -> Millis {
        let base = match shift.at {
            None => now,
            Some(At::Time(at)) => at,
            Some(At::Start) => self.bounds.0,
            Some(At::End) => self.bounds.1,
        };
        base.saturating_sub(shift.offset)
    }

    fn matching<'s>(&'s self, selector: &'s Selector) -> Result<impl Iterator<Item = &'s Series>> {
        let name = selector.exact_name();
        if let Some(why) = name.and_then(|name| self.store.why_unavailable(base_name(name))) {
            return fail(format!("{} cannot be judged: its source is down ({why})", name.unwrap_or("")));
        }
        let matches = |series: &&Series| {
            selector.matchers.iter().all(|matcher| matcher.matches(series.labels.get(&matcher.name).unwrap_or("")))
        };
        Ok(self.store.select(name).filter(matches))
    }

    fn touch(&self, samples: usize) -> Result<()> {
        self.touched.set(self.touched.get() + samples);
        if self.touched.get() > MOST_SAMPLES {
            return fail(format!("more than {MOST_SAMPLES} samples; select less"));
        }
        Ok(())
    }

    fn instant(&self, selector: &Selector, now: Millis) -> Result<Vec<VectorSample>> {
        let at = self.shifted(selector.shift, now);
        let mut found = Vec::new();
        for series in self.matching(selector)? {
            if let Some((_, value)) = series.last_in(at - LOOKBACK_MS, at).filter(|(_, value)| !is_stale(*value)) {
                found.push(VectorSample { labels: series.labels.clone(), value });
            }
        }
        self.touch(found.len())?;
        Ok(found)
    }

    /// Ranges of a matrix selector or subquery, and the end of their window.
    fn ranges(&self, expr: &Expr, now: Millis) -> Result<(Vec<Ranged>, Millis)> {
        match expr {
            Expr::Paren(inner) => self.ranges(inner, now),
            Expr::Matrix { selector, range } => {
                let end = self.shifted(selector.shift, now);
                let mut found = Vec::new();
                for series in self.matching(selector)? {
                    let samples: Vec<_> = series.range(end - range, end).collect();
                    self.touch(samples.len())?;
                    if !samples.is_empty() {
                        found.push((series.labels.clone(), samples));
                    }
                }
                Ok((found, end))
            }
            Expr::Subquery { expr, range, step, shift } => {
                let end = self.shifted(*shift, now);
                Ok((self.subquery(expr, end - range, end, step.unwrap_or(DEFAULT_STEP_MS))?, end))
            }
            _ => fail(format!("{expr} is not a range vector")),
        }
    }

    /// Evaluates `expr` at every multiple of `step` in `(after, until]`.
    fn subquery(&self, expr: &Expr, after: Millis, until: Millis, step: Millis) -> Result<Vec<Ranged>> {
        let mut order: Vec<Ranged> = Vec::new();
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut at = after.div_euclid(step) * step + step;
        while at <= until {
            let samples = match expr.kind() {
                Type::Scalar => vec![VectorSample { labels: Labels::default(), value: self.scalar(expr, at)? }],
                _ => self.vector(expr, at)?,
            };
            self.touch(samples.len() + 1)?;
            for sample in samples {
                let place = *places.entry(sample.labels.clone()).or_insert_with(|| {
                    order.push((sample.labels, Vec::new()));
                    order.len() - 1
                });
                order[place].1.push((at, sample.value));
            }
            at += step;
        }
        Ok(order)
    }

    fn call(&self, function: &Function, arguments: &[Expr], now: Millis) -> Result<Vec<VectorSample>> {
        match function.body {
            Body::Range(body) => self.over_ranges(arguments, now, body, Labels::without_name),
            Body::RangeKeepingName(body) => self.over_ranges(arguments, now, body, Labels::clone),
            Body::Map(body) => {
                let numbers = self.numbers(&arguments[1..], now)?;
                let samples = self.vector(&arguments[0], now)?.into_iter();
                distinct(samples.map(|s| renamed(&s, body(s.value, &numbers))).collect())
            }
            Body::Calendar(body) => {
                let part = |seconds: f64| if seconds.is_finite() { body(seconds as i64) } else { f64::NAN };
                match arguments.first() {
                    None => Ok(vec![VectorSample { labels: Labels::default(), value: part(now as f64 / 1000.0) }]),
                    Some(argument) => {
                        let samples = self.vector(argument, now)?.into_iter();
                        distinct(samples.map(|s| renamed(&s, part(s.value))).collect())
                    }
                }
            }
            Body::Special => self.special(function.name, arguments, now),
        }
    }

    fn numbers(&self, arguments: &[Expr], now: Millis) -> Result<Vec<f64>> {
        arguments.iter().map(|argument| self.scalar(argument, now)).collect()
    }

    fn over_ranges(
        &self,
        arguments: &[Expr],
        now: Millis,
        body: fn(Window<'_>) -> Option<f64>,
        label: fn(&Labels) -> Labels,
    ) -> Result<Vec<VectorSample>> {
        let (matrix, scalars): (Vec<&Expr>, Vec<&Expr>) = arguments.iter().partition(|a| a.kind() == Type::Matrix);
        let numbers = scalars.iter().map(|argument| self.scalar(argument, now)).collect::<Result<Vec<_>>>()?;
        let Some(matrix) = matrix.first() else { return fail("a range vector is missing") };
        let (ranges, end_ms) = self.ranges(matrix, now)?;
        let start_ms = end_ms - range_of(matrix);
        let mut out = Vec::with_capacity(ranges.len());
        for (labels, samples) in &ranges {
            if let Some(value) = body(Window { samples, start_ms, end_ms, numbers: &numbers }) {
                out.push(VectorSample { labels: label(labels), value });
            }
        }
        distinct(out)
    }

    fn special(&self, name: &str, arguments: &[Expr], now: Millis) -> Result<Vec<VectorSample>> {
        match (name, arguments) {
            ("vector", [number]) => {
                Ok(vec![VectorSample { labels: Labels::default(), value: self.scalar(number, now)? }])
            }
            ("absent", [inner]) => Ok(labels::absent(inner, self.vector(inner, now)?.is_empty())),
            ("absent_over_time", [inner]) => Ok(labels::absent(inner, self.ranges(inner, now)?.0.is_empty())),
            ("timestamp", [inner]) => self.timestamps(inner, now),
            ("clamp", [inner, low, high]) => {
                let (low, high) = (self.scalar(low, now)?, self.scalar(high, now)?);
                let samples = self.vector(inner, now)?;
                if low > high {
                    return Ok(Vec::new());
                }
                let clamp = |v: f64| if low.is_nan() || high.is_nan() { f64::NAN } else { v.max(low).min(high) };
                distinct(samples.iter().map(|s| renamed(s, clamp(s.value))).collect())
            }
            ("sort" | "sort_desc", [inner]) => {
                let mut samples = self.vector(inner, now)?;
                // NaN last in both directions
                let ascending = |a: &f64, b: &f64| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b));
                match name {
                    "sort" => samples.sort_by(|a, b| ascending(&a.value, &b.value)),
                    _ => samples.sort_by(|a, b| ascending(&(-a.value), &(-b.value))),
                }
                Ok(samples)
            }
            ("histogram_quantile", [q, buckets]) => {
                distinct(histogram::quantiles(self.scalar(q, now)?, self.vector(buckets, now)?))
            }
            ("label_replace", [inner, rest @ ..]) => {
                let texts = rest.iter().map(|argument| self.text(argument)).collect::<Result<Vec<_>>>()?;
                distinct(labels::replace(self.vector(inner, now)?, &texts)?)
            }
            ("label_join", [inner, rest @ ..]) => {
                let texts = rest.iter().map(|argument| self.text(argument)).collect::<Result<Vec<_>>>()?;
                distinct(labels::join(self.vector(inner, now)?, &texts)?)
            }
            _ => fail(format!("{name} cannot be evaluated")),
        }
    }

    /// The time of each element's sample: of the sample itself for a plain selector, else of the evaluation.
    fn timestamps(&self, inner: &Expr, now: Millis) -> Result<Vec<VectorSample>> {
        let mut plain = inner;
        while let Expr::Paren(below) = plain {
            plain = below;
        }
        let Expr::Vector(selector) = plain else {
            let samples = self.vector(inner, now)?;
            return distinct(samples.iter().map(|s| renamed(s, now as f64 / 1000.0)).collect());
        };
        let at = self.shifted(selector.shift, now);
        let found = self.matching(selector)?.filter_map(|series| {
            let (stamp, _) = series.last_in(at - LOOKBACK_MS, at).filter(|(_, value)| !is_stale(*value))?;
            Some(VectorSample { labels: series.labels.without_name(), value: stamp as f64 / 1000.0 })
        });
        distinct(found.collect())
    }
}

fn range_of(expr: &Expr) -> Millis {
    match expr {
        Expr::Matrix { range, .. } | Expr::Subquery { range, .. } => *range,
        Expr::Paren(inner) => range_of(inner),
        _ => 0,
    }
}

/// A histogram's metric name without the suffix of its parts.
fn base_name(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

fn renamed(sample: &VectorSample, value: f64) -> VectorSample {
    VectorSample { labels: sample.labels.without_name(), value }
}

/// Refuses a vector in which two elements have the same labels.
fn distinct(samples: Vec<VectorSample>) -> Result<Vec<VectorSample>> {
    if samples.len() > 1 {
        let mut seen = std::collections::HashSet::with_capacity(samples.len());
        if let Some(doubled) = samples.iter().find(|sample| !seen.insert(&sample.labels)) {
            return fail(format!("vector cannot contain metrics with the same labelset: {}", doubled.labels));
        }
    }
    Ok(samples)
}
