//! The outbox's copy on disk: tables `outbox` (what waits or was given up), `outbox_told` (what the direct receivers were
//! told) and `silences` in the agent's SQLite database.
//!
//! Memory leads, disk follows: a write makes the changed rows equal to memory, in one transaction, so that neither order
//! nor repetition matters. While the database fails, alerts are delivered from memory and the failures are counted.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_rules::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};

use crate::Notification;
use crate::lock::lock;
use crate::outbox::{Key, Outbox, Saved, SavedTold, Then, Unsaved};
use crate::silence::{Silence, SilenceError};
use crate::silence_store;

/// How long a silence that is over is still shown.
const SILENCE_KEPT: Duration = Duration::from_secs(24 * 3600);

const CREATE: &str = "CREATE TABLE IF NOT EXISTS outbox (
    sink TEXT NOT NULL,
    fingerprint INTEGER NOT NULL,
    id TEXT NOT NULL,
    notification TEXT NOT NULL,
    queued_at INTEGER NOT NULL,
    died_at INTEGER,
    why TEXT,
    PRIMARY KEY (sink, fingerprint)
) STRICT, WITHOUT ROWID";
const CREATE_TOLD: &str = "CREATE TABLE IF NOT EXISTS outbox_told (
    sink TEXT NOT NULL,
    fingerprint INTEGER NOT NULL,
    notification TEXT NOT NULL,
    told_at INTEGER NOT NULL,
    PRIMARY KEY (sink, fingerprint)
) STRICT, WITHOUT ROWID";
const LOAD_TOLD: &str = "SELECT sink, fingerprint, notification, told_at FROM outbox_told";
const LOAD: &str = "SELECT sink, fingerprint, id, notification, queued_at, died_at, why FROM outbox ORDER BY queued_at";
// Both take a JSON array of rows: a statement per row costs ten times as much.
const KEEP: &str = "INSERT OR REPLACE INTO outbox (sink, fingerprint, id, notification, queued_at, died_at, why)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 FROM json_each(?)";
const DELETE: &str = "DELETE FROM outbox WHERE (sink, fingerprint) IN (SELECT value->>0, value->>1 FROM json_each(?))";
const KEEP_TOLD: &str = "INSERT OR REPLACE INTO outbox_told (sink, fingerprint, notification, told_at)
    SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?)";
const DELETE_TOLD: &str =
    "DELETE FROM outbox_told WHERE (sink, fingerprint) IN (SELECT value->>0, value->>1 FROM json_each(?))";
const EMPTY: [&str; 2] = ["DELETE FROM outbox WHERE sink = ?", "DELETE FROM outbox_told WHERE sink = ?"];

/// Writes the outbox down.
#[derive(Debug)]
pub(crate) struct Journal {
    pool: Option<SqlitePool>,
    /// One writer at a time; holds whether the table is there and was read.
    opened: tokio::sync::Mutex<bool>,
    failing: AtomicBool,
    failures: AtomicU64,
}

/// What a write did besides writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Synced {
    /// Nothing.
    Wrote,
    /// It read the table for the first time: queues may have new work.
    Restored,
}

impl Journal {
    /// In `pool`; without one nothing survives a restart.
    pub(crate) fn new(pool: Option<SqlitePool>) -> Self {
        let opened = tokio::sync::Mutex::new(false);
        Self { pool, opened, failing: AtomicBool::new(false), failures: AtomicU64::new(0) }
    }

    /// Writes that failed since the start.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether the last write failed.
    pub(crate) fn failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Makes disk equal to memory. May be cancelled at any point: what was not committed stays to be written.
    ///
    /// # Errors
    /// What the database said.
    pub(crate) async fn sync(&self, outbox: &Mutex<Outbox>, now: Timestamp) -> Result<Synced, sqlx::Error> {
        let Some(pool) = &self.pool else {
            let unsaved = lock(outbox).unsaved();
            lock(outbox).saved(&unsaved);
            return Ok(Synced::Wrote);
        };
        let mut opened = self.opened.lock().await;
        let mut synced = Synced::Wrote;
        if !*opened {
            let (rows, told) = open(pool).await?;
            let silences = silence_store::load(pool).await?;
            let mut outbox = lock(outbox);
            // Silences first: what they mute is not to slip out while the rest is read.
            outbox.silence(silences, now);
            outbox.restore_told(told, now);
            outbox.restore(rows, now);
            *opened = true;
            synced = Synced::Restored;
        }
        let unsaved = lock(outbox).unsaved();
        if !unsaved.is_empty() {
            write(pool, &unsaved).await?;
            lock(outbox).saved(&unsaved);
        }
        self.failing.store(false, Ordering::Relaxed);
        Ok(synced)
    }

    /// Makes `silences` the ones on disk, then in `outbox`. Durable when it returns; without a database they last as
    /// long as the process.
    ///
    /// # Errors
    /// What the database said; nothing has changed then.
    pub(crate) async fn silence(
        &self,
        outbox: &Mutex<Outbox>,
        now: Timestamp,
        change: impl FnOnce(&mut Vec<Silence>) -> Result<(), SilenceError> + Send,
    ) -> Result<(), SilenceError> {
        let opened = self.opened.lock().await;
        if self.pool.is_some() && !*opened {
            return Err(SilenceError::Disk { why: "it has not been read yet".into() });
        }
        let mut silences = lock(outbox).silences().to_vec();
        silences.retain(|silence| now < silence.ends_at + SILENCE_KEPT);
        change(&mut silences)?;
        if let Some(pool) = &self.pool {
            silence_store::save(pool, &silences).await.map_err(|e| SilenceError::Disk { why: e.to_string() })?;
        }
        lock(outbox).silence(silences, now);
        Ok(())
    }

    /// Counts a failed write and says it once per outage.
    pub(crate) fn count_failure(&self, why: &dyn std::fmt::Display) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%why, "alerts cannot be written to the database; delivering from memory");
        }
    }
}

/// Column `notification`: what is said next, and what follows it.
#[derive(Serialize, Deserialize)]
struct States<'a> {
    #[serde(flatten)]
    first: Cow<'a, Notification>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    then: Option<Cow<'a, Then>>,
}

type Rows<T> = Vec<(Key, T)>;

/// Creates the tables if needed and reads them. Rows that make no sense are deleted and logged.
async fn open(pool: &SqlitePool) -> Result<(Rows<Saved>, Rows<SavedTold>), sqlx::Error> {
    for create in [CREATE, CREATE_TOLD] {
        sqlx::query(create).execute(pool).await?;
    }
    let (mut rows, mut told) = (Vec::new(), Vec::new());
    for row in sqlx::query(LOAD).fetch_all(pool).await? {
        if let Some((key, States { first, then })) = read::<States<'_>>(pool, &row, DELETE).await? {
            rows.push((key, saved(&row, first.into_owned(), then.map(Cow::into_owned))?));
        }
    }
    for row in sqlx::query(LOAD_TOLD).fetch_all(pool).await? {
        if let Some((key, notification)) = read(pool, &row, DELETE_TOLD).await? {
            let at = Timestamp::from_millis(row.try_get("told_at")?);
            told.push((key, SavedTold { notification: Arc::new(notification), at }));
        }
    }
    Ok((rows, told))
}

async fn read<T: DeserializeOwned>(
    pool: &SqlitePool,
    row: &SqliteRow,
    delete: &'static str,
) -> Result<Option<(Key, T)>, sqlx::Error> {
    let key: Key = (Arc::from(row.try_get::<&str, _>("sink")?), row.try_get::<i64, _>("fingerprint")?.cast_unsigned());
    match serde_json::from_str::<T>(row.try_get("notification")?) {
        Ok(said) => Ok(Some((key, said))),
        Err(why) => {
            tracing::warn!(sink = %key.0, %why, "a saved alert cannot be read; dropped");
            let row = serde_json::json!([[&*key.0, key.1.cast_signed()]]);
            sqlx::query(delete).bind(row.to_string()).execute(pool).await?;
            Ok(None)
        }
    }
}

fn saved(row: &SqliteRow, notification: Notification, then: Option<Then>) -> Result<Saved, sqlx::Error> {
    let died_at: Option<i64> = row.try_get("died_at")?;
    let why: Option<String> = row.try_get("why")?;
    Ok(Saved {
        id: Arc::from(row.try_get::<&str, _>("id")?),
        notification: Arc::new(notification),
        queued_at: Timestamp::from_millis(row.try_get("queued_at")?),
        dead: died_at.map(|at| (Timestamp::from_millis(at), why.unwrap_or_default())),
        then,
    })
}

async fn write(pool: &SqlitePool, unsaved: &Unsaved) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for (sink, empty) in unsaved.emptied.iter().flat_map(|sink| EMPTY.map(|empty| (sink, empty))) {
        sqlx::query(empty).bind(&**sink).execute(&mut *transaction).await?;
    }
    let (mut kept, mut gone, mut told, mut forgotten) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in &unsaved.rows {
        let (sink, fingerprint) = (&*row.sink, row.fingerprint.cast_signed());
        match &row.saved {
            Some(Saved { id, notification, queued_at, dead, then }) => {
                let states = States { first: Cow::Borrowed(notification), then: then.as_ref().map(Cow::Borrowed) };
                let (died_at, why) = dead.as_ref().map_or((None, None), |(at, why)| (Some(at), Some(why)));
                kept.push((sink, fingerprint, &**id, json(&states)?, queued_at, died_at, why));
            }
            None => gone.push((sink, fingerprint)),
        }
        match &row.told {
            Some(SavedTold { notification, at }) => told.push((sink, fingerprint, json(&**notification)?, at)),
            None => forgotten.push((sink, fingerprint)),
        }
    }
    let statements =
        [(DELETE, json(&gone)?), (KEEP, json(&kept)?), (DELETE_TOLD, json(&forgotten)?), (KEEP_TOLD, json(&told)?)];
    for (statement, rows) in statements {
        sqlx::query(statement).bind(rows).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|why| sqlx::Error::Encode(Box::new(why)))
}
