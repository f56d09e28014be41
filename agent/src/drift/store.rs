//! Drift on disk: baselines, detectors and recent values in the agent's SQLite database. No text is: only what masking
//! left of words, counted.

use plimsoll_rules::Timestamp;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Connection as _, Executor as _, Row as _, SqliteConnection};

use super::audit::{self, Entry};
use super::course::SavedCourse;
use super::rate::Rate;
use super::signal::{Signal, SignalId};

// What changes with every observation stands apart from what seldom does: a row is written whole.
const CREATE: &str = "
CREATE TABLE IF NOT EXISTS drift_state (
    signal TEXT NOT NULL, model TEXT NOT NULL, variant TEXT NOT NULL, saved_ms INTEGER NOT NULL,
    settings TEXT NOT NULL, observations INTEGER NOT NULL, rate TEXT NOT NULL, detector TEXT,
    PRIMARY KEY (signal, model, variant)
) STRICT;
CREATE TABLE IF NOT EXISTS drift_baselines (
    signal TEXT NOT NULL, model TEXT NOT NULL, variant TEXT NOT NULL, saved_ms INTEGER NOT NULL,
    baselines TEXT, recent TEXT, weeks TEXT,
    PRIMARY KEY (signal, model, variant)
) STRICT;
CREATE TABLE IF NOT EXISTS drift_recent (
    id INTEGER PRIMARY KEY, signal TEXT NOT NULL, model TEXT NOT NULL, variant TEXT NOT NULL, newer TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS drift_recent_of ON drift_recent (signal, model, variant);";
const KEEP_STATE: &str = "INSERT OR REPLACE INTO drift_state
    (signal, model, variant, saved_ms, settings, observations, rate, detector) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
const KEEP_BASELINES: &str = "INSERT INTO drift_baselines (signal, model, variant, saved_ms, baselines, recent, weeks)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET saved_ms = excluded.saved_ms,
    baselines = coalesce(excluded.baselines, baselines), recent = coalesce(excluded.recent, recent),
    weeks = coalesce(excluded.weeks, weeks)";
// recent values that came after those in drift_baselines, part by part
const ADD_RECENT: &str = "INSERT INTO drift_recent (signal, model, variant, newer) VALUES (?, ?, ?, ?)";
const FORGET_RECENT: &str = "DELETE FROM drift_recent WHERE signal = ? AND model = ? AND variant = ?";
const LOAD_RECENT: &str = "SELECT newer FROM drift_recent WHERE signal = ? AND model = ? AND variant = ? ORDER BY id";
const LOAD: &str = "SELECT signal, model, variant, settings, observations, rate, detector, baselines, recent, weeks
    FROM drift_state LEFT JOIN drift_baselines USING (signal, model, variant)";

/// One signal as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) id: SignalId,
    pub(super) settings: String,
    pub(super) rate: Rate,
    pub(super) course: SavedCourse,
}

/// Everything that was saved. Signals that this version does not know stay where they are.
pub(super) async fn load(pool: &SqlitePool) -> Result<Vec<Saved>, sqlx::Error> {
    pool.execute(CREATE).await?;
    pool.execute(audit::CREATE).await?;
    widen(pool).await?;
    let rows = sqlx::query(LOAD).fetch_all(pool).await?;
    let mut all: Vec<Saved> = rows.iter().filter_map(read).collect();
    for Saved { id, course, .. } in &mut all {
        let [signal, model, variant] = id.labels();
        let newer = sqlx::query_scalar(LOAD_RECENT).bind(signal).bind(model).bind(variant);
        course.newer = newer.fetch_all(pool).await?;
    }
    Ok(all)
}

/// Adds what files of the first version lack.
async fn widen(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let there = "SELECT count(*) FROM pragma_table_info('drift_baselines') WHERE name = 'weeks'";
    if sqlx::query_scalar::<_, i64>(there).fetch_one(pool).await? == 0 {
        pool.execute("ALTER TABLE drift_baselines ADD COLUMN weeks TEXT").await?;
    }
    Ok(())
}

fn read(row: &SqliteRow) -> Option<Saved> {
    let signal = Signal::named(row.get(0))?;
    Some(Saved {
        id: SignalId { signal, model: row.get(1), variant: row.get(2) },
        settings: row.get(3),
        rate: serde_json::from_str(row.get(5)).unwrap_or_default(),
        course: SavedCourse {
            observations: u64::try_from(row.get::<i64, _>(4)).unwrap_or(0),
            detector: row.get(6),
            baselines: row.get(7),
            ring: row.get(8),
            newer: Vec::new(),
            weeks: row.get(9),
        },
    })
}

/// Writes all of it and what was done, or nothing.
///
/// After a failure the connection is closed: on a full disk SQLite ends the transaction by itself, sqlx does not learn of it,
/// and the next one to begin on that connection would be refused for ever.
pub(super) async fn save(pool: &SqlitePool, all: &[Saved], acts: &[Entry], now: Timestamp) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let written = write(&mut connection, all, acts, now).await;
    if written.is_err() {
        // what is wrong with it has been said already
        let _ = connection.close().await;
    }
    written
}

async fn write(
    connection: &mut SqliteConnection,
    all: &[Saved],
    acts: &[Entry],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    for Saved { id, settings, rate, course } in all {
        let [signal, model, variant] = id.labels();
        let rate = serde_json::to_string(rate).unwrap_or_default();
        sqlx::query(KEEP_STATE)
            .bind(signal)
            .bind(model)
            .bind(variant)
            .bind(now.millis())
            .bind(settings)
            .bind(i64::try_from(course.observations).unwrap_or(i64::MAX))
            .bind(rate)
            .bind(&course.detector)
            .execute(&mut *tx)
            .await?;
        keep_recent(&mut tx, id, course).await?;
        if course.baselines.is_none() && course.ring.is_none() {
            continue;
        }
        sqlx::query(KEEP_BASELINES)
            .bind(signal)
            .bind(model)
            .bind(variant)
            .bind(now.millis())
            .bind(&course.baselines)
            .bind(&course.ring)
            .bind(&course.weeks)
            .execute(&mut *tx)
            .await?;
    }
    audit::keep(&mut tx, acts).await?;
    tx.commit().await
}

/// Adds recent values to those that were saved; where all of them are saved anew, forgets what was added.
async fn keep_recent(tx: &mut SqliteConnection, id: &SignalId, course: &SavedCourse) -> Result<(), sqlx::Error> {
    let [signal, model, variant] = id.labels();
    if course.ring.is_some() {
        sqlx::query(FORGET_RECENT).bind(signal).bind(model).bind(variant).execute(&mut *tx).await?;
    }
    for newer in &course.newer {
        sqlx::query(ADD_RECENT).bind(signal).bind(model).bind(variant).bind(newer).execute(&mut *tx).await?;
    }
    Ok(())
}
