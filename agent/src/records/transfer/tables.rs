//! The tables that are exported, column by column, and rows of them.

use anyhow::Context as _;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    /// Milliseconds since the Unix epoch.
    Time,
    Real,
    Bytes,
}

/// A table. Where an experiment stands is not exported: it follows from its decisions.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The column of the time by which it is partitioned.
    pub(crate) at: &'static str,
    /// Its columns, the first ones its primary key.
    pub(crate) columns: &'static [(&'static str, Kind)],
}

use Kind::{Bytes, Integer, Real, Text, Time};

/// All of them.
pub const TABLES: [Table; 7] = [
    Table {
        name: "exchanges",
        at: "started_ms",
        columns: &[
            ("id", Text),
            ("request_id", Text),
            ("started_ms", Time),
            ("source", Text),
            ("endpoint", Text),
            ("model", Text),
            ("variant", Text),
            ("outcome", Text),
            ("status", Integer),
            ("finish_reason", Text),
            ("stream", Integer),
            ("input_tokens", Integer),
            ("output_tokens", Integer),
            ("estimated", Integer),
            ("time_to_first_token_ms", Real),
            ("duration_ms", Real),
            ("prompt", Text),
            ("response", Text),
            ("prompt_truncated", Integer),
            ("response_truncated", Integer),
            ("experiment", Text),
            ("unit", Integer),
        ],
    },
    Table {
        name: "readings",
        at: "read_ms",
        columns: &[
            ("exchange", Text),
            ("read_ms", Time),
            ("reader", Text),
            ("prompt_nll", Real),
            ("prompt_tokens", Integer),
            ("response_nll", Real),
            ("response_tokens", Integer),
            ("embedding", Bytes),
        ],
    },
    Table {
        name: "feedback",
        at: "received_ms",
        columns: &[
            ("key", Text),
            ("target", Text),
            ("metric", Text),
            ("value", Real),
            ("score", Real),
            ("received_ms", Time),
            ("model", Text),
            ("variant", Text),
            ("tags", Text),
            ("text", Text),
        ],
    },
    Table {
        name: "episode_feedback",
        at: "received_ms",
        columns: &[("experiment", Text), ("unit", Integer), ("key", Text), ("received_ms", Time)],
    },
    Table {
        name: "assignments",
        at: "assigned_ms",
        columns: &[
            ("experiment", Text),
            ("unit", Integer),
            ("arm", Integer),
            ("propensity", Real),
            ("phase", Text),
            ("assigned_ms", Time),
            ("closed_seq", Integer),
            ("outcome", Text),
        ],
    },
    Table {
        name: "judgements",
        at: "judged_ms",
        columns: &[
            ("id", Text),
            ("control", Text),
            ("experiment", Text),
            ("treatment", Text),
            ("unit", Integer),
            ("judged_ms", Time),
            ("judge", Text),
            ("logits", Text),
            ("length_b_minus_a", Real),
            ("asked", Integer),
        ],
    },
    Table {
        name: "decisions",
        at: "at_ms",
        columns: &[
            ("experiment", Text),
            ("seq", Integer),
            ("at_ms", Time),
            ("state_from", Text),
            ("state_to", Text),
            ("action", Text),
            ("reason", Text),
            ("detail", Text),
            ("state_hash", Text),
        ],
    },
];

impl Table {
    /// The table of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name == name)
    }

    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// Rows of `[$1, $2)`, in the order of their time.
    pub(super) fn select(&self) -> String {
        let (name, at, first) = (self.name, self.at, self.columns[0].0);
        format!("SELECT {} FROM {name} WHERE {at} >= $1 AND {at} < $2 ORDER BY {at}, {first}", self.names())
    }

    /// One row, if it is not there.
    pub(super) fn insert(&self) -> String {
        let places = (1..=self.columns.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
        format!("INSERT INTO {} ({}) VALUES ({places}) ON CONFLICT DO NOTHING", self.name, self.names())
    }
}

/// A value, or none.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Text(Option<String>),
    Integer(Option<i64>),
    Real(Option<f64>),
    Bytes(Option<Vec<u8>>),
}

/// Values of one column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    Text(Vec<Option<String>>),
    Integer(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

/// Rows of a table.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    table: &'static Table,
    pub(super) columns: Vec<Values>,
    rows: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn of(table: &'static Table) -> Self {
        let empty = |(_, kind): &(&str, Kind)| match kind {
            Kind::Text => Values::Text(Vec::new()),
            Kind::Integer | Kind::Time => Values::Integer(Vec::new()),
            Kind::Real => Values::Real(Vec::new()),
            Kind::Bytes => Values::Bytes(Vec::new()),
        };
        Self { table, columns: table.columns.iter().map(empty).collect(), rows: 0, bytes: 0 }
    }

    /// Of columns that are all of `rows` values.
    pub(crate) fn from_columns(table: &'static Table, columns: Vec<Values>, rows: usize) -> Self {
        Self { table, columns, rows, bytes: 0 }
    }

    pub(super) fn table(&self) -> &'static Table {
        self.table
    }

    pub(in crate::records) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of its texts, and eight for each number.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a row of [`Table::select`].
    pub(super) fn take(&mut self, row: &AnyRow) -> anyhow::Result<()> {
        for (at, values) in self.columns.iter_mut().enumerate() {
            let column = || format!("{}.{}", self.table.name, self.table.columns[at].0);
            self.bytes += match values {
                Values::Text(all) => {
                    all.push(row.try_get(at).with_context(column)?);
                    all.last().and_then(Option::as_ref).map_or(0, String::len)
                }
                Values::Integer(all) => {
                    all.push(row.try_get(at).with_context(column)?);
                    8
                }
                Values::Real(all) => {
                    all.push(row.try_get(at).with_context(column)?);
                    8
                }
                Values::Bytes(all) => {
                    all.push(row.try_get(at).with_context(column)?);
                    all.last().and_then(Option::as_ref).map_or(0, Vec::len)
                }
            };
        }
        self.rows += 1;
        Ok(())
    }

    /// A text of a row; nothing where there is no such column.
    pub(in crate::records) fn text(&self, column: &str, row: usize) -> Option<&str> {
        match self.column(column)? {
            Values::Text(all) => all.get(row)?.as_deref(),
            _ => None,
        }
    }

    /// A whole number or time of a row; nothing where there is no such column.
    pub(in crate::records) fn integer(&self, column: &str, row: usize) -> Option<i64> {
        match self.column(column)? {
            Values::Integer(all) => *all.get(row)?,
            _ => None,
        }
    }

    /// A number of a row; nothing where there is no such column.
    pub(in crate::records) fn real(&self, column: &str, row: usize) -> Option<f64> {
        match self.column(column)? {
            Values::Real(all) => *all.get(row)?,
            _ => None,
        }
    }

    fn column(&self, name: &str) -> Option<&Values> {
        let at = self.table.columns.iter().position(|(column, _)| *column == name)?;
        self.columns.get(at)
    }

    /// The values of a row, in the order of the columns.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = Cell> {
        self.columns.iter().map(move |values| match values {
            Values::Text(all) => Cell::Text(all[row].clone()),
            Values::Integer(all) => Cell::Integer(all[row]),
            Values::Real(all) => Cell::Real(all[row]),
            Values::Bytes(all) => Cell::Bytes(all[row].clone()),
        })
    }
}
