//! `sum by (...)` and its kin: one value, or a choice of samples, for each group.

use super::super::EvalError;
use super::super::ast::{Aggregate, AggregateOp, LabelChoice, Node};
use super::super::print::format_float;
use super::ordering::{ascending, descending};
use super::over_time::quantile_of;
use super::subset::{Groups, Subset};
use super::{Evaluator, Sample, fail};
use crate::Labels;
use crate::kahan::{Mean, Sum};

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, now: i64) -> Result<Vec<Sample>, EvalError> {
        let nothing = LabelChoice::Only(Vec::new());
        let subset = Subset::of(aggregate.grouping.as_ref().unwrap_or(&nothing));
        let vector = self.vector(&aggregate.inner, now)?;
        if let Some(Node::Text(label)) = aggregate.parameter.as_ref().map(Node::bare) {
            return count_values(&vector, &subset, label);
        }
        let parameter = match &aggregate.parameter {
            Some(parameter) => self.scalar(parameter, now)?,
            None => 0.0,
        };
        match aggregate.op {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk => {
                Ok(choose(&vector, &subset, aggregate.op, how_many(parameter)?))
            }
            AggregateOp::LimitRatio => self.limit_ratio(vector, parameter),
            op => {
                if op == AggregateOp::Quantile {
                    self.warn_of_quantile(parameter);
                }
                Ok(reduce(&vector, &subset, op, parameter))
            }
        }
    }

    /// Warns unless `q` lies in 0..=1; NaN does not.
    pub(super) fn warn_of_quantile(&mut self, q: f64) {
        if !(0.0..=1.0).contains(&q) {
            let q = format_float(q);
            self.notes.warn(format!("PromQL warning: quantile value should be between 0 and 1, got {q}"));
        }
    }

    /// A share of the samples, chosen by their labels: the same ones every time.
    fn limit_ratio(&mut self, mut vector: Vec<Sample>, ratio: f64) -> Result<Vec<Sample>, EvalError> {
        if ratio.is_nan() {
            return fail("the ratio of limit_ratio is NaN; give one between -1 and 1");
        }
        let capped = ratio.clamp(-1.0, 1.0);
        if capped != ratio {
            let (ratio, capped) = (format_float(ratio), format_float(capped));
            let message = format!("ratio value should be between -1 and 1, got {ratio}, capping to {capped}");
            self.notes.warn(format!("PromQL warning: {message}"));
        }
        vector.retain(|sample| {
            let place = sample.labels.fingerprint() as f64 / u64::MAX as f64;
            if capped >= 0.0 { place < capped } else { place >= 1.0 + capped }
        });
        Ok(vector)
    }
}

/// A count of samples; less than one means none.
fn how_many(parameter: f64) -> Result<usize, EvalError> {
    if parameter.is_nan() {
        return fail("the number of samples to choose is NaN");
    }
    if parameter >= i64::MAX as f64 {
        return fail(format!("{} samples to choose are too many", format_float(parameter)));
    }
    Ok(parameter.max(0.0) as usize)
}

/// What the samples of one group come to.
#[derive(Debug)]
struct Accumulator {
    drop_name: bool,
    count: f64,
    sum: Sum,
    mean: Mean,
    /// Welford's mean and sum of squared differences.
    center: f64,
    spread: f64,
    least: f64,
    most: f64,
    values: Vec<f64>,
}

impl Accumulator {
    fn new(drop_name: bool) -> Self {
        Self {
            drop_name,
            count: 0.0,
            sum: Sum::default(),
            mean: Mean::default(),
            center: 0.0,
            spread: 0.0,
            least: f64::NAN,
            most: f64::NAN,
            values: Vec::new(),
        }
    }

    fn add(&mut self, op: AggregateOp, value: f64) {
        self.count += 1.0;
        match op {
            AggregateOp::Sum => self.sum.add(value),
            AggregateOp::Avg => self.mean.add(value),
            AggregateOp::Min if self.least > value || self.least.is_nan() => self.least = value,
            AggregateOp::Max if self.most < value || self.most.is_nan() => self.most = value,
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                let delta = value - self.center;
                self.center += delta / self.count;
                self.spread += delta * (value - self.center);
            }
            AggregateOp::Quantile => self.values.push(value),
            _ => {}
        }
    }

    fn value(&mut self, op: AggregateOp, parameter: f64) -> f64 {
        match op {
            AggregateOp::Sum => self.sum.total(),
            AggregateOp::Avg => self.mean.value(),
            AggregateOp::Min => self.least,
            AggregateOp::Max => self.most,
            AggregateOp::Count => self.count,
            AggregateOp::Stddev => (self.spread / self.count).sqrt(),
            AggregateOp::Stdvar => self.spread / self.count,
            AggregateOp::Quantile => quantile_of(parameter, &mut self.values),
            _ => 1.0,
        }
    }
}

fn reduce(vector: &[Sample], subset: &Subset<'_>, op: AggregateOp, parameter: f64) -> Vec<Sample> {
    let mut groups = Groups::new(subset);
    let mut accumulators: Vec<Accumulator> = Vec::new();
    for sample in vector {
        let number = groups.add(&sample.labels).number();
        if number == accumulators.len() {
            accumulators.push(Accumulator::new(sample.drop_name));
        }
        accumulators[number].add(op, sample.value);
    }
    let finish = |(first, group): (&&Labels, &mut Accumulator)| Sample {
        labels: subset.project(first),
        drop_name: group.drop_name,
        value: group.value(op, parameter),
    };
    groups.firsts().iter().zip(&mut accumulators).map(finish).collect()
}

/// The `most` largest, smallest or first samples of each group; labels stay as they are.
fn choose(vector: &[Sample], subset: &Subset<'_>, op: AggregateOp, most: usize) -> Vec<Sample> {
    if most == 0 {
        return Vec::new();
    }
    let mut groups = Groups::new(subset);
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (index, sample) in vector.iter().enumerate() {
        let number = groups.add(&sample.labels).number();
        if number == members.len() {
            members.push(Vec::new());
        }
        members[number].push(index);
    }
    for group in &mut members {
        match op {
            AggregateOp::Topk => group.sort_by(|a, b| descending(vector[*a].value, vector[*b].value)),
            AggregateOp::Bottomk => group.sort_by(|a, b| ascending(vector[*a].value, vector[*b].value)),
            _ => {}
        }
        group.truncate(most);
    }
    members.iter().flatten().map(|index| vector[*index].clone()).collect()
}

/// How often each value occurs in each group; the value goes into `label`.
fn count_values(vector: &[Sample], subset: &Subset<'_>, label: &str) -> Result<Vec<Sample>, EvalError> {
    if label.is_empty() {
        return fail("count_values needs the name of a label");
    }
    let labelled: Vec<(Labels, bool)> = vector
        .iter()
        .map(|sample| {
            let mut builder = subset.project(&sample.labels).to_builder();
            builder.set(label, &format_float(sample.value));
            (builder.build(), sample.drop_name)
        })
        .collect();
    let everything = Subset::Except(&[]);
    let mut groups = Groups::new(&everything);
    let mut counted: Vec<Sample> = Vec::new();
    for (labels, drop_name) in &labelled {
        let number = groups.add(labels).number();
        if number == counted.len() {
            counted.push(Sample { labels: labels.clone(), drop_name: *drop_name, value: 0.0 });
        }
        counted[number].value += 1.0;
    }
    Ok(counted)
}
