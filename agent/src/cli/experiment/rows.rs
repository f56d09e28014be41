//! The rows of an experiment's file, and the units they make: each with its first variant and its mean outcomes.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

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
    /// Probability that the value would be asked for, where the file says it.
    pub(super) label_prob: Option<f64>,
}

/// One unit.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// When its window has closed.
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
    pub(super) metrics: Vec<Seen>,
    /// In the order of their first row's time, then of the file.
    pub(super) units: Vec<Unit>,
    pub(super) rows: u64,
    /// Rows after their unit's window.
    pub(super) late: u64,
    /// Units seen in both variants; they are left out.
    pub(super) crossed: u64,
    /// Whether the file said propensities.
    pub(super) propensities: bool,
    /// Whether control was told, and not taken to be the first.
    pub(super) control_told: bool,
    /// How long a unit's outcomes counted.
    pub(super) window: Duration,
}

/// A metric of the file.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) name: String,
    /// A value that is neither 0 nor 1, and its place.
    pub(super) other: Option<(f64, String)>,
    /// The least and the largest label_prob.
    pub(super) label_probs: Option<(f64, f64)>,
    /// Whether a value is missing somewhere.
    pub(super) missing: bool,
}

/// How a file is read.
#[derive(Clone, Debug)]
pub(super) struct Reading<'a> {
    /// The variant that is served now; that of the first row in time where nothing is said.
    pub(super) control: Option<&'a str>,
    /// Probability of the treatment where the file has no column `propensity`.
    pub(super) propensity: f64,
    /// Least and largest values of metrics.
    pub(super) bounds: &'a [(String, f64, f64)],
    /// How long a unit's outcomes count; the longest unit of the file where nothing is said.
    pub(super) window: Option<Duration>,
}

/// One row.
#[derive(Debug, Default)]
struct Row {
    texts: [String; 3],
    numbers: [Option<f64>; 5],
}

/// One row of a unit.
struct Said {
    ts: f64,
    metric: usize,
    value: Option<f64>,
    judge: Option<f64>,
    label_prob: Option<f64>,
}

/// A unit while the file is read: its rows by time.
struct Growing {
    order: usize,
    variant: usize,
    propensity: f64,
    first: f64,
    last: f64,
    rows: Vec<Said>,
    crossed: bool,
}

struct Gathered {
    variants: Vec<String>,
    metrics: Vec<Seen>,
    /// Metric names to their numbers.
    known: BTreeMap<String, usize>,
    units: HashMap<String, Growing>,
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
        let has_propensity = table.names().iter().any(|name| name == "propensity");
        gathered.take(&row, reading, has_propensity, &place).map_err(|why| anyhow!("{place}: {why}"))?;
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
                (Some(text), VALUE) if text == "true" => Some(1.0),
                (Some(text), VALUE) if text == "false" => Some(0.0),
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
    fn take(&mut self, row: &Row, reading: &Reading<'_>, has_propensity: bool, place: &str) -> Result<(), String> {
        let [unit, variant, metric] = &row.texts;
        let [ts, propensity, value, judge, label_prob] = row.numbers;
        if has_propensity && propensity.is_none() {
            return Err("propensity is empty; every row of a file with this column needs it".to_owned());
        }
        let propensity = propensity.unwrap_or(reading.propensity);
        if !(propensity > 0.0 && propensity < 1.0) {
            return Err(format!(
                "propensity {propensity}: the probability of the treatment, above 0 and below 1, is wanted"
            ));
        }
        if label_prob.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
            return Err("label_prob: a probability above 0 is wanted".to_owned());
        }
        let ts = seconds(ts)?;
        in_bounds(metric, value, reading)?;
        let variant = self.variant(variant, reading)?;
        let metric = self.metric(metric)?;
        if let Some(seen) = self.metrics.get_mut(metric) {
            seen.note(value, label_prob, place);
        }
        let order = self.units.len();
        let fresh = || Growing { order, variant, propensity, first: ts, last: ts, rows: Vec::new(), crossed: false };
        let known = self.units.entry(unit.clone()).or_insert_with(fresh);
        known.crossed |= known.variant != variant;
        known.first = known.first.min(ts);
        known.last = known.last.max(ts);
        known.rows.push(Said { ts, metric, value, judge, label_prob });
        Ok(())
    }

    fn variant(&mut self, name: &str, reading: &Reading<'_>) -> Result<usize, String> {
        if let Some(at) = self.variants.iter().position(|known| known == name) {
            return Ok(at);
        }
        if self.variants.len() == 2 {
            return Err(format!(
                "variant {name:?} is the third, after {:?} and {:?}; two are compared",
                self.variants[0], self.variants[1]
            ));
        }
        if let (Some(control), [first]) = (reading.control, self.variants.as_slice())
            && control != first
            && control != name
        {
            return Err(format!("neither {first:?} nor {name:?} is the control {control:?}"));
        }
        self.variants.push(name.to_owned());
        Ok(self.variants.len() - 1)
    }

    fn metric(&mut self, name: &str) -> Result<usize, String> {
        if let Some(at) = self.known.get(name) {
            return Ok(*at);
        }
        if self.metrics.len() == MOST_METRICS {
            return Err(format!("more than {MOST_METRICS} metrics"));
        }
        self.known.insert(name.to_owned(), self.metrics.len());
        self.metrics.push(Seen { name: name.to_owned(), other: None, label_probs: None, missing: false });
        Ok(self.metrics.len() - 1)
    }

    fn finish(self, path: &Path, reading: &Reading<'_>, rows: u64, propensities: bool) -> anyhow::Result<File> {
        let file = path.display();
        let [one, other] = self.variants.as_slice() else {
            let found = self.variants.first().map_or("none".to_owned(), |name| format!("only {name:?}"));
            bail!("{file}: two variants are wanted, found {found}");
        };
        let mut units: Vec<Growing> = self.units.into_values().collect();
        units.sort_by(|a, b| a.first.total_cmp(&b.first).then(a.order.cmp(&b.order)));
        let first = units.first().map_or(0, |unit| unit.variant);
        let control = reading.control.map_or(first, |name| usize::from(name != one.as_str()));
        let variants = if control == 0 { [one.clone(), other.clone()] } else { [other.clone(), one.clone()] };
        let longest = units.iter().map(|unit| unit.last - unit.first).fold(0.0, f64::max);
        let window = reading.window.unwrap_or_else(|| Duration::try_from_secs_f64(longest).unwrap_or_default());
        let all = units.len();
        units.retain(|unit| !unit.crossed);
        let crossed = (all - units.len()) as u64;
        let mut late = 0;
        let metrics = self.metrics.len();
        let units = units.iter().map(|unit| unit.close(control, window, metrics, &mut late)).collect();
        let control_told = reading.control.is_some();
        Ok(File { variants, metrics: self.metrics, units, rows, late, crossed, propensities, control_told, window })
    }
}

impl Growing {
    /// The unit as its window leaves it.
    fn close(&self, control: usize, window: Duration, metrics: usize, late: &mut u64) -> Unit {
        let mut outcomes = vec![Outcome::default(); metrics];
        for row in &self.rows {
            if row.ts > self.first + window.as_secs_f64() {
                *late += 1;
                continue;
            }
            if let Some(outcome) = outcomes.get_mut(row.metric) {
                outcome.value.add(row.value);
                outcome.judge.add(row.judge);
                outcome.label_prob = row.label_prob.or(outcome.label_prob);
            }
        }
        let arm = if self.variant == control { Arm::Control } else { Arm::Treatment };
        Unit { at: Timestamp::from_secs_f64(self.first) + window, arm, propensity: self.propensity, outcomes }
    }
}

impl Seen {
    fn note(&mut self, value: Option<f64>, label_prob: Option<f64>, place: &str) {
        if let Some(value) = value.filter(|value| *value != 0.0 && *value != 1.0)
            && self.other.is_none()
        {
            self.other = Some((value, place.to_owned()));
        }
        self.missing |= value.is_none();
        if let Some(share) = label_prob {
            let (low, high) = self.label_probs.unwrap_or((share, share));
            self.label_probs = Some((low.min(share), high.max(share)));
        }
    }

    /// Whether values were asked for with different probabilities: raw outcomes then say nothing of all units.
    pub(super) fn labels_vary(&self) -> bool {
        self.label_probs.is_some_and(|(low, high)| low < high)
    }
}

/// A time as seconds since 1970, between 1970 and 2200.
fn seconds(ts: Option<f64>) -> Result<f64, String> {
    match ts {
        Some(ts) if (0.0..=7.3e9).contains(&ts) => Ok(ts),
        Some(ts) if ts > 7.3e9 => Err(format!(
            "ts {ts} looks like milliseconds or less; seconds since 1970, or 2026-08-04T10:00:00Z, are wanted"
        )),
        _ => Err("ts: seconds since 1970, or 2026-08-04T10:00:00Z, are wanted".to_owned()),
    }
}

fn in_bounds(metric: &str, value: Option<f64>, reading: &Reading<'_>) -> Result<(), String> {
    let Some((_, low, high)) = reading.bounds.iter().find(|(name, ..)| name == metric) else { return Ok(()) };
    match value {
        Some(value) if !(*low..=*high).contains(&value) => {
            Err(format!("value {value} of {metric} is outside its --bounds, {low} to {high}"))
        }
        _ => Ok(()),
    }
}
