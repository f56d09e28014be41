//! The rows of an experiment's file, and the units they make: each with its first variant and its mean outcomes.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{anyhow, bail};
use plimsoll_rules::Timestamp;
use plimsoll_rules::verdict::experiment::Arm;

use crate::cli::drift::column::finite;
use crate::cli::drift::read::{Cell, Table, open};

/// Columns that are read, in the order of [`Row`].
const COLUMNS: [&str; 8] = ["ts", "unit", "variant", "propensity", "metric", "value", "judge", "label_prob"];
/// Columns without which nothing can be judged.
const NEEDED: [usize; 5] = [0, 1, 2, 4, 5];
/// Where the value stands among them.
const VALUE: usize = 5;
/// Most metrics of a file.
const MOST_METRICS: usize = 100;

/// Sum and number of values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1.0;
        }
    }

    /// The mean; `None` of nothing.
    pub(super) fn get(self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

/// What a unit's rows say of one metric.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    pub(super) value: Mean,
    pub(super) judge: Mean,
    /// Probability that the value would be asked for; 1 where nothing is said.
    pub(super) label_prob: Option<f64>,
}

/// One unit.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) at: Timestamp,
    pub(super) arm: Arm,
    pub(super) propensity: f64,
    /// By the number of the metric.
    pub(super) outcomes: Vec<Outcome>,
}

/// A whole file.
#[derive(Debug)]
pub(super) struct File {
    /// Names of control and treatment.
    pub(super) variants: [String; 2],
    pub(super) metrics: Vec<String>,
    /// In the order of their first row's time, then of the file.
    pub(super) units: Vec<Unit>,
    pub(super) rows: u64,
    /// Units seen in both variants; only their first counts.
    pub(super) crossed: u64,
    /// Whether the file said propensities.
    pub(super) propensities: bool,
}

/// How a file is read.
#[derive(Clone, Debug)]
pub(super) struct Reading<'a> {
    /// The variant that is served now; the first in the file where nothing is said.
    pub(super) control: Option<&'a str>,
    /// Probability of the treatment where the file has no column `propensity`.
    pub(super) propensity: f64,
}

/// One row.
#[derive(Debug, Default)]
struct Row {
    texts: [String; 3],
    numbers: [Option<f64>; 5],
}

struct Gathered {
    variants: Vec<String>,
    metrics: Vec<String>,
    /// Metric names to their numbers.
    known: BTreeMap<String, usize>,
    units: HashMap<String, (usize, usize, Unit, bool)>,
}

/// Reads a whole file.
///
/// # Errors
/// What is wrong, with its place.
pub(super) fn read(path: &Path, reading: &Reading<'_>) -> anyhow::Result<File> {
    let mut table = open(path)?;
    let mut gathered =
        Gathered { variants: Vec::new(), metrics: Vec::new(), known: BTreeMap::new(), units: HashMap::new() };
    let (mut rows, mut propensities) = (0_u64, false);
    while let Some(row) = next(table.as_mut())? {
        rows += 1;
        propensities |= row.numbers[1].is_some();
        let place = table.place();
        gathered.take(&row, reading).map_err(|why| anyhow!("{place}: {why}"))?;
    }
    gathered.finish(path, reading, rows, propensities)
}

/// The next row, its cells by [`COLUMNS`]; `None` at the end.
fn next(table: &mut dyn Table) -> anyhow::Result<Option<Row>> {
    let mut cells: Vec<(usize, Option<String>, Option<f64>)> = Vec::new();
    let more = table.next(&mut |column, cell| {
        let (text, number) = match cell {
            Cell::Missing => (None, None),
            Cell::Number(number) => (None, Some(number)),
            Cell::Text(text) => (Some(text.to_owned()), None),
        };
        cells.push((column, text, number));
        Ok(())
    })?;
    if !more {
        return Ok(None);
    }
    let place = table.place();
    let mut row = Row::default();
    let mut found = [false; COLUMNS.len()];
    for (column, text, number) in cells {
        let Some(at) = COLUMNS.iter().position(|name| *name == table.names()[column]) else { continue };
        found[at] = text.is_some() || number.is_some();
        let told = |why: String| anyhow!("{place}: {}: {why}", COLUMNS[at]);
        let text_slot = [1, 2, 4].iter().position(|slot| *slot == at);
        if let Some(slot) = text_slot {
            row.texts[slot] = text.or(number.map(|number| number.to_string())).unwrap_or_default();
        } else {
            let slot = [0, 3, 5, 6, 7].iter().position(|slot| *slot == at).unwrap_or(0);
            row.numbers[slot] = match (&text, at) {
                (Some(text), 0) => Some(time(text).ok_or_else(|| {
                    told(format!("{text:?} is no time; write seconds since 1970 or 2026-08-04T10:00:00Z"))
                })?),
                (Some(text), _) => finite(Cell::Text(text)).map_err(told)?,
                (None, _) => finite(number.map_or(Cell::Missing, Cell::Number)).map_err(told)?,
            };
        }
    }
    // A value may be missing, its column not.
    let has_column = |at: usize| table.names().iter().any(|name| name == COLUMNS[at]);
    if let Some(at) = NEEDED.into_iter().find(|at| !found[*at] && (*at != VALUE || !has_column(VALUE))) {
        let have = table.names().join(", ");
        bail!("{place}: no {}; the columns ts, unit, variant, metric and value are wanted, found {have}", COLUMNS[at]);
    }
    Ok(Some(row))
}

/// Seconds since 1970.
fn time(text: &str) -> Option<f64> {
    text.parse().ok().or_else(|| Timestamp::from_rfc3339(text).map(Timestamp::secs_f64))
}

impl Gathered {
    fn take(&mut self, row: &Row, reading: &Reading<'_>) -> Result<(), String> {
        let [unit, variant, metric] = &row.texts;
        let [ts, propensity, value, judge, label_prob] = row.numbers;
        let propensity = propensity.unwrap_or(reading.propensity);
        if !(propensity > 0.0 && propensity < 1.0) {
            return Err(format!(
                "propensity {propensity}: the probability of the treatment, above 0 and below 1, is wanted"
            ));
        }
        if label_prob.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
            return Err("label_prob: a probability above 0 is wanted".to_owned());
        }
        let variant = self.variant(variant, reading)?;
        let metric = self.metric(metric)?;
        let order = self.units.len();
        let at = Timestamp::from_secs_f64(ts.unwrap_or(0.0));
        let arm = if variant == 0 { Arm::Control } else { Arm::Treatment };
        let fresh = || (order, variant, Unit { at, arm, propensity, outcomes: Vec::new() }, false);
        let (_, first, known, crossed) = self.units.entry(unit.clone()).or_insert_with(fresh);
        if *first != variant {
            *crossed = true;
            // Only the first variant counts; rows are taken to be in time.
            return Ok(());
        }
        known.at = known.at.min(at);
        if known.outcomes.len() <= metric {
            known.outcomes.resize(metric + 1, Outcome::default());
        }
        if let Some(outcome) = known.outcomes.get_mut(metric) {
            outcome.value.add(value);
            outcome.judge.add(judge);
            outcome.label_prob = label_prob.or(outcome.label_prob);
        }
        Ok(())
    }

    fn variant(&mut self, name: &str, reading: &Reading<'_>) -> Result<usize, String> {
        if self.variants.is_empty() {
            self.variants.push(reading.control.unwrap_or(name).to_owned());
        }
        if let Some(at) = self.variants.iter().position(|known| known == name) {
            return Ok(at);
        }
        if self.variants.len() == 2 {
            return Err(format!(
                "variant {name:?} is the third, after {:?} and {:?}; two are compared",
                self.variants[0], self.variants[1]
            ));
        }
        self.variants.push(name.to_owned());
        Ok(1)
    }

    fn metric(&mut self, name: &str) -> Result<usize, String> {
        if let Some(at) = self.known.get(name) {
            return Ok(*at);
        }
        if self.metrics.len() == MOST_METRICS {
            return Err(format!("more than {MOST_METRICS} metrics"));
        }
        self.known.insert(name.to_owned(), self.metrics.len());
        self.metrics.push(name.to_owned());
        Ok(self.metrics.len() - 1)
    }

    fn finish(self, path: &Path, reading: &Reading<'_>, rows: u64, propensities: bool) -> anyhow::Result<File> {
        let file = path.display();
        let [control, treatment] = self.variants.as_slice() else {
            let found = self.variants.first().map_or("none".to_owned(), |name| format!("only {name:?}"));
            bail!("{file}: two variants are wanted, found {found}");
        };
        if let Some(wanted) = reading.control
            && !self.units.values().any(|(_, variant, ..)| *variant == 0)
        {
            bail!("{file}: no row of the control {wanted:?}; found {treatment:?}");
        }
        let variants = [control.clone(), treatment.clone()];
        let mut units: Vec<(usize, usize, Unit, bool)> = self.units.into_values().collect();
        units.sort_by_key(|(order, _, unit, _)| (unit.at, *order));
        let crossed = units.iter().filter(|(.., crossed)| *crossed).count() as u64;
        let metrics = self.metrics;
        let pad = |mut unit: Unit| {
            unit.outcomes.resize(metrics.len(), Outcome::default());
            unit
        };
        let units = units.into_iter().map(|(_, _, unit, _)| pad(unit)).collect();
        Ok(File { variants, metrics, units, rows, crossed, propensities })
    }
}
