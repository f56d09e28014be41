//! The records as files: out to hive-partitioned Parquet in a folder or an object store, and back.

mod files;
mod parquet;
mod tables;

use anyhow::{Context as _, bail};
use futures_util::TryStreamExt as _;
use object_store::path::Path as FilePath;
use plimsoll_rules::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;

use super::Location;
use super::audit::{self, AuditEntry};
use super::pool::Database;
pub use files::Files;
pub(crate) use parquet::write as parquet_file;
use tables::Cell;
pub(crate) use tables::{Batch, Kind, Values};
pub use tables::{TABLES, Table};

const DAY: i64 = 86_400_000;
/// A part is written when it has so many bytes of data, or so many rows.
const PART_BYTES: usize = 32 << 20;
const PART_ROWS: usize = 200_000;

/// An open database of records.
#[derive(Debug)]
pub struct Transfer {
    database: Database,
}

/// What is in one table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Its name.
    pub table: &'static str,
    /// Rows.
    pub rows: i64,
    /// Times of the oldest and the newest row.
    pub oldest: Option<String>,
    /// See `oldest`.
    pub newest: Option<String>,
}

/// One day of one table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Partition {
    /// The table.
    pub table: &'static str,
    /// The day, `2026-11-30`, UTC.
    pub date: String,
    /// Rows written or read.
    pub rows: u64,
    /// Of those read, rows that were there already.
    pub known: u64,
    /// Files.
    pub parts: u64,
    /// It was there already and was left alone.
    pub skipped: bool,
}

/// Which days are exported.
#[derive(Clone, Copy, Debug)]
pub struct Days {
    /// From this moment's day on.
    pub since: Option<Timestamp>,
    /// Up to this moment's day, which is left out.
    pub until: Timestamp,
}

impl Transfer {
    /// Opens the database of `location`, and makes what of it is not there.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn open(location: &Location) -> anyhow::Result<Self> {
        Ok(Self { database: Database::open(location).await.map_err(anyhow::Error::msg)? })
    }

    /// Opens the database of `location` and changes nothing in it; records of ours have to be there.
    ///
    /// # Errors
    /// They are not, or it cannot be opened.
    pub async fn look_at(location: &Location) -> anyhow::Result<Self> {
        if let Location::Sqlite(path) = location
            && !path.is_file()
        {
            bail!(
                "{}: there are no records; name the agent's database with --url or its configuration",
                path.display()
            );
        }
        let database = Database::connect(location).await.map_err(anyhow::Error::msg)?;
        let known = sqlx::query("SELECT count(*) FROM exchanges").fetch_one(&database.pool).await;
        known.context("that database has no records of an agent")?;
        Ok(Self { database })
    }

    /// What is in each table.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn stats(&self) -> anyhow::Result<Vec<Stats>> {
        let mut all = Vec::new();
        for table in &TABLES {
            let (name, at) = (table.name, table.at);
            let sql = format!("SELECT count(*), min({at}), max({at}) FROM {name}");
            let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.database.pool).await?;
            let time = |column| row.get::<Option<i64>, _>(column).map(|at| Timestamp::from_millis(at).rfc3339());
            all.push(Stats { table: name, rows: row.get(0), oldest: time(1), newest: time(2) });
        }
        Ok(all)
    }

    /// Bytes that the records take, where we can know: of a file.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn bytes(&self) -> anyhow::Result<Option<u64>> {
        let bytes = self.database.used_bytes().await?;
        Ok((bytes > 0).then_some(bytes))
    }

    /// Writes whole days of `table`. A day that is there already is left alone, unless `replace`; `dry` writes nothing.
    ///
    /// # Errors
    /// The database cannot be read, or a file cannot be written.
    pub async fn export(
        &self,
        table: &'static Table,
        days: Days,
        to: &Files,
        (replace, dry): (bool, bool),
        mut tell: impl FnMut(&Partition),
    ) -> anyhow::Result<()> {
        let (name, at) = (table.name, table.at);
        let sql = format!("SELECT min({at}), max({at}) FROM {name}");
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.database.pool).await?;
        let (Some(oldest), Some(newest)) = (row.get::<Option<i64>, _>(0), row.get::<Option<i64>, _>(1)) else {
            return Ok(());
        };
        let day = |at: i64| at.div_euclid(DAY);
        let first = days.since.map_or(day(oldest), |since| day(since.millis()).max(day(oldest)));
        let last = (day(days.until.millis()) - 1).min(day(newest));
        for day in first..=last {
            if let Some(partition) = self.day(table, day, to, (replace, dry)).await? {
                tell(&partition);
            }
        }
        Ok(())
    }

    /// One day; `None` where there is nothing of it.
    async fn day(
        &self,
        table: &'static Table,
        day: i64,
        to: &Files,
        (replace, dry): (bool, bool),
    ) -> anyhow::Result<Option<Partition>> {
        let date = Timestamp::from_millis(day * DAY).rfc3339()[..10].to_owned();
        let there = to.parts(table.name, &date).await?;
        let mut done = Partition { table: table.name, date, rows: 0, known: 0, parts: 0, skipped: false };
        if !there.is_empty() && !replace {
            return Ok(Some(Partition { skipped: true, ..done }));
        }
        let sql = table.select();
        let query = sqlx::query(AssertSqlSafe(sql)).bind(day * DAY).bind((day + 1) * DAY);
        let mut rows = query.fetch(&self.database.pool);
        let mut batch = Batch::of(table);
        while let Some(row) = rows.try_next().await.with_context(|| format!("reading {}", table.name))? {
            batch.take(&row)?;
            if batch.bytes() >= PART_BYTES || batch.rows() >= PART_ROWS {
                done.add(&batch, to, dry).await?;
                batch = Batch::of(table);
            }
        }
        if batch.rows() > 0 {
            done.add(&batch, to, dry).await?;
        }
        if !dry {
            to.forget(&there, done.parts).await?; // of a longer day than this one
        }
        Ok((done.rows > 0).then_some(done))
    }

    /// Takes in every file of our tables, or only reads them where `into` is nothing; rows that are there already stay as they
    /// are.
    ///
    /// # Errors
    /// A file is no good, or cannot be stored: nothing of that file is then.
    pub async fn import(into: Option<&Self>, from: &Files, mut tell: impl FnMut(&Partition)) -> anyhow::Result<()> {
        for (table, date, files) in from.all().await? {
            let mut done = Partition { table: table.name, date, rows: 0, known: 0, parts: 0, skipped: false };
            for file in files {
                let batch = rows_of(table, from, &file).await?;
                let new = match into {
                    Some(into) => into.store(&batch).await.with_context(|| from.shown(&file))?,
                    None => batch.rows() as u64,
                };
                done.rows += batch.rows() as u64;
                done.known += batch.rows() as u64 - new;
                done.parts += 1;
            }
            tell(&done);
        }
        Ok(())
    }

    /// Stores rows in one transaction; gives how many were new.
    async fn store(&self, batch: &Batch) -> anyhow::Result<u64> {
        let sql = batch.table().insert();
        let (mut tx, mut new) = (self.database.begin().await?, 0);
        for row in 0..batch.rows() {
            let mut query = sqlx::query(AssertSqlSafe(sql.clone()));
            for cell in batch.row(row) {
                query = match cell {
                    Cell::Text(text) => query.bind(text),
                    Cell::Integer(number) => query.bind(number),
                    Cell::Real(number) => query.bind(number),
                    Cell::Bytes(bytes) => query.bind(bytes),
                };
            }
            new += query.execute(&mut *tx).await?.rows_affected();
        }
        tx.commit().await?;
        Ok(new)
    }

    /// Writes down who took or brought what.
    ///
    /// # Errors
    /// It cannot be stored.
    pub async fn audit(&self, entry: &AuditEntry) -> anyhow::Result<()> {
        let mut connection = self.database.pool.acquire().await?;
        Ok(audit::put(&mut connection, entry).await?)
    }

    /// The newest `limit` entries of the audit log, the newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn audit_log(&self, limit: u32) -> anyhow::Result<Vec<AuditEntry>> {
        audit::newest(&self.database.pool, limit).await.context("the table audit")
    }

    /// The same records, to be read for a dataset.
    pub fn source(&self) -> super::Source {
        super::Source::of(self.database.clone())
    }
}

/// The rows of a file of an export.
pub(super) async fn rows_of(table: &'static Table, files: &Files, file: &FilePath) -> anyhow::Result<Batch> {
    parquet::read(table, files.read(file).await?).with_context(|| files.shown(file))
}

impl Partition {
    async fn add(&mut self, batch: &Batch, to: &Files, dry: bool) -> anyhow::Result<()> {
        if !dry {
            let bytes = parquet::write(batch)?;
            to.write(batch.table().name, &self.date, self.parts, bytes).await?;
        }
        self.rows += batch.rows() as u64;
        self.parts += 1;
        Ok(())
    }
}
