//! What was done to baselines, when, by whom and through which door; bounded, in the agent's SQLite database.

use plimsoll_rules::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::sqlite::SqlitePool;
use sqlx::{Row as _, SqliteConnection};

use super::act::Act;
use super::signal::SignalId;

/// Entries kept; the oldest go.
pub(super) const KEPT: usize = 10_000;
/// Longest name of who did it, in characters.
const LONGEST_NAME: usize = 128;

pub(super) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS drift_acts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, signal TEXT NOT NULL, model TEXT NOT NULL,
    variant TEXT NOT NULL, act TEXT NOT NULL, baseline INTEGER, door TEXT NOT NULL, who TEXT NOT NULL
) STRICT;";
const KEEP: &str = "INSERT INTO drift_acts (at_ms, signal, model, variant, act, baseline, door, who)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
const TRIM: &str = "DELETE FROM drift_acts WHERE id <= (SELECT max(id) FROM drift_acts) - ?";
const READ: &str =
    "SELECT at_ms, signal, model, variant, act, baseline, door, who FROM drift_acts ORDER BY id DESC LIMIT ?";

/// The way on which an act came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// The agent itself: it learned.
    Agent,
    /// `plimsoll baselines`.
    Cli,
    /// Another client of the API.
    Api,
}

impl Door {
    fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Cli => "cli",
            Self::Api => "api",
        }
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// Through which door.
    pub door: Door,
    /// What the caller calls itself; nobody checks it. `""` when it does not say.
    pub who: String,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    at: Timestamp,
    id: SignalId,
    act: &'static str,
    /// The version in force afterwards.
    baseline: Option<u64>,
    by: By,
}

impl Entry {
    /// The agent learned a baseline.
    pub(super) fn learned(at: Timestamp, id: SignalId, baseline: Option<u64>) -> Self {
        Self { at, id, act: "learn", baseline, by: By { door: Door::Agent, who: String::new() } }
    }

    /// Somebody did `act`.
    pub(super) fn done(at: Timestamp, id: SignalId, act: Act, baseline: u64, by: &By) -> Self {
        let act = match act {
            Act::Accept => "accept",
            Act::Pin(_) => "pin",
            Act::Unpin => "unpin",
            Act::RollBack(_) => "rollback",
        };
        let who = by.who.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        Self { at, id, act, baseline: Some(baseline), by: By { who, door: by.door } }
    }
}

/// Writes entries within a transaction, and lets the oldest go.
pub(super) async fn keep(tx: &mut SqliteConnection, entries: &[Entry]) -> Result<(), sqlx::Error> {
    for Entry { at, id, act, baseline, by } in entries {
        let [signal, model, variant] = id.labels();
        sqlx::query(KEEP)
            .bind(at.millis())
            .bind(signal)
            .bind(model)
            .bind(variant)
            .bind(*act)
            .bind(baseline.and_then(|version| i64::try_from(version).ok()))
            .bind(by.door.name())
            .bind(&by.who)
            .execute(&mut *tx)
            .await?;
    }
    if !entries.is_empty() {
        sqlx::query(TRIM).bind(KEPT as i64).execute(&mut *tx).await?;
    }
    Ok(())
}

/// The newest `limit` entries, the newest first.
pub(super) async fn read(pool: &SqlitePool, limit: usize) -> Result<Vec<Value>, sqlx::Error> {
    let rows = sqlx::query(READ).bind(limit.min(KEPT) as i64).fetch_all(pool).await?;
    let shown = |row: &sqlx::sqlite::SqliteRow| {
        let text = |column: usize| row.get::<String, _>(column);
        json!({
            "at": Timestamp::from_millis(row.get(0)).rfc3339(), "signal": text(1), "model": text(2), "variant": text(3),
            "act": text(4), "baseline": row.get::<Option<i64>, _>(5), "door": text(6), "who": text(7),
        })
    };
    Ok(rows.iter().map(shown).collect())
}
