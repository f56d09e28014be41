//! The values of one column of one file, as its kind keeps them; bounded.

use std::collections::HashMap;

use super::kind::{Kind, number};
use super::odd::OddCells;
use super::read::Cell;

/// Texts of a column that are compared; a seeded sample where there are more.
pub(super) const TEXTS: usize = 5_000;
/// Bytes of a text that are kept.
const TEXT_BYTES: usize = 8 << 10;
/// Different categories; beyond, the column is no category.
const CATEGORIES: usize = 50_000;

/// What was collected.
pub(super) enum Values {
    /// In the order of the file.
    Numbers(Vec<f64>),
    /// How often each category came.
    Counts(HashMap<Box<str>, u64>),
    /// At most [`TEXTS`] of them.
    Texts(Vec<String>),
}

/// One column of one file.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) values: Values,
    /// Values that were there.
    pub(super) count: u64,
    /// Cells that are no numbers where numbers are wanted.
    pub(super) odd: OddCells,
    random: fastrand::Rng,
}

impl Column {
    pub(super) fn new(name: String, kind: Kind, seed: u64) -> Self {
        let values = match kind {
            Kind::Numeric => Values::Numbers(Vec::new()),
            Kind::Categorical | Kind::Skip => Values::Counts(HashMap::new()),
            Kind::Text => Values::Texts(Vec::new()),
        };
        Self { name, values, count: 0, odd: OddCells::default(), random: fastrand::Rng::with_seed(seed) }
    }

    /// Takes one value, or says why the column cannot be taken as what it is.
    pub(super) fn push(&mut self, cell: Cell<'_>) -> Result<(), String> {
        let there = match &mut self.values {
            Values::Numbers(numbers) => match finite(cell) {
                Ok(Some(number)) => {
                    numbers.push(number);
                    true
                }
                Ok(None) => false,
                Err(found) => {
                    self.odd.note(found);
                    false
                }
            },
            Values::Counts(counts) => match cell {
                Cell::Missing => false,
                Cell::Number(number) => count(counts, &number.to_string(), &self.name)?,
                Cell::Text(text) => count(counts, text, &self.name)?,
            },
            Values::Texts(texts) => match cell {
                Cell::Missing => false,
                Cell::Number(number) => keep(texts, &number.to_string(), self.count, &mut self.random),
                Cell::Text(text) => keep(texts, text, self.count, &mut self.random),
            },
        };
        self.count += u64::from(there);
        Ok(())
    }
}

/// The finite number of a cell of a numeric column; what is found instead as an error.
pub(in crate::cli) fn finite(cell: Cell<'_>) -> Result<Option<f64>, String> {
    let found = match cell {
        Cell::Missing => None,
        Cell::Number(number) => (!number.is_nan()).then_some(number),
        Cell::Text(text) => number(text).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            format!("{shown:?} is no number")
        })?,
    };
    match found {
        Some(number) if number.is_infinite() => {
            let shown = match cell {
                Cell::Text(text) => text.chars().take(40).collect(),
                _ => number.to_string(),
            };
            Err(format!("{shown} is infinite, or beyond 1.8e308"))
        }
        found => Ok(found),
    }
}

fn count(counts: &mut HashMap<Box<str>, u64>, text: &str, name: &str) -> Result<bool, String> {
    if let Some(count) = counts.get_mut(text) {
        *count += 1;
    } else {
        if counts.len() == CATEGORIES {
            return Err(format!(
                "column {name:?} has more than {CATEGORIES} categories; say --columns {name}=text (or skip)"
            ));
        }
        counts.insert(text.into(), 1);
    }
    Ok(true)
}

/// Reservoir sampling (Vitter's R): every text has the same chance to be among the kept.
fn keep(texts: &mut Vec<String>, text: &str, before: u64, random: &mut fastrand::Rng) -> bool {
    let cut = text.floor_char_boundary(TEXT_BYTES);
    if texts.len() < TEXTS {
        texts.push(text[..cut].to_owned());
    } else if let Some(slot) = texts.get_mut(random.u64(0..=before) as usize) {
        text[..cut].clone_into(slot);
    }
    true
}
