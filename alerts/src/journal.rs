//! The outbox's copy on disk: table `outbox` in the agent's SQLite database.
//!
//! Memory leads, disk follows: a write makes the changed rows equal to memory, in one transaction, so that neither order
//! nor repetition matters. While the database fails, alerts are delivered from memory and the failures are counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use plimsoll_rules::Timestamp;
use sqlx::{Row as _, SqlitePool};

use crate::Notification;
use crate::lock::lock;
use crate::outbox::{Key, Outbox, Saved, Unsaved};

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
const LOAD: &str = "SELECT sink, fingerprint, id, notification, queued_at, died_at, why FROM outbox ORDER BY queued_at";
// Both take a JSON array of rows: a statement per row costs ten times as much.
const KEEP: &str = "INSERT OR REPLACE INTO outbox (sink, fingerprint, id, notification, queued_at, died_at, why)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 FROM json_each(?)";
const DELETE: &str = "DELETE FROM outbox WHERE (sink, fingerprint) IN (SELECT value->>0, value->>1 FROM json_each(?))";
const EMPTY: &str = "DELETE FROM outbox WHERE sink = ?";

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
            let rows = open(pool).await?;
            lock(outbox).restore(rows, now);
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

    /// Counts a failed write and says it once per outage.
    pub(crate) fn count_failure(&self, why: &dyn std::fmt::Display) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%why, "alerts cannot be written to the database; delivering from memory");
        }
    }
}

/// Creates the table if needed and reads it. Rows that make no sense are deleted and logged.
async fn open(pool: &SqlitePool) -> Result<Vec<(Key, Saved)>, sqlx::Error> {
    sqlx::query(CREATE).execute(pool).await?;
    let mut rows = Vec::new();
    for row in sqlx::query(LOAD).fetch_all(pool).await? {
        let key: Key =
            (Arc::from(row.try_get::<&str, _>("sink")?), row.try_get::<i64, _>("fingerprint")?.cast_unsigned());
        match serde_json::from_str::<Notification>(row.try_get("notification")?) {
            Ok(notification) => rows.push((key, saved(&row, notification)?)),
            Err(why) => {
                tracing::warn!(sink = %key.0, %why, "a saved alert cannot be read; dropped");
                let row = serde_json::json!([[&*key.0, key.1.cast_signed()]]);
                sqlx::query(DELETE).bind(row.to_string()).execute(pool).await?;
            }
        }
    }
    Ok(rows)
}

fn saved(row: &sqlx::sqlite::SqliteRow, notification: Notification) -> Result<Saved, sqlx::Error> {
    let died_at: Option<i64> = row.try_get("died_at")?;
    let why: Option<String> = row.try_get("why")?;
    Ok(Saved {
        id: Arc::from(row.try_get::<&str, _>("id")?),
        notification: Arc::new(notification),
        queued_at: Timestamp::from_millis(row.try_get("queued_at")?),
        dead: died_at.map(|at| (Timestamp::from_millis(at), why.unwrap_or_default())),
    })
}

async fn write(pool: &SqlitePool, unsaved: &Unsaved) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    for sink in &unsaved.emptied {
        sqlx::query(EMPTY).bind(&**sink).execute(&mut *transaction).await?;
    }
    let (mut kept, mut gone) = (Vec::new(), Vec::new());
    for row in &unsaved.rows {
        let (sink, fingerprint) = (&*row.sink, row.fingerprint.cast_signed());
        let Some(Saved { id, notification, queued_at, dead }) = &row.saved else {
            gone.push((sink, fingerprint));
            continue;
        };
        let text = json(&**notification)?;
        let (died_at, why) = dead.as_ref().map_or((None, None), |(at, why)| (Some(at), Some(why)));
        kept.push((sink, fingerprint, &**id, text, queued_at, died_at, why));
    }
    for (statement, rows) in [(DELETE, json(&gone)?), (KEEP, json(&kept)?)] {
        sqlx::query(statement).bind(rows).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|why| sqlx::Error::Encode(Box::new(why)))
}
