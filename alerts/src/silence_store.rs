//! Silences on disk: table `silences`, replaced whole; there are few.

use plimsoll_rules::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;

use crate::matcher::{Equal, Kind, Matcher};
use crate::silence::Silence;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS silences (id TEXT NOT NULL PRIMARY KEY, silence TEXT NOT NULL) STRICT";
const LOAD: &str = "SELECT silence FROM silences ORDER BY id";
const EMPTY: &str = "DELETE FROM silences";
const KEEP: &str = "INSERT INTO silences (id, silence) SELECT value->>0, value->>1 FROM json_each(?)";

#[derive(Serialize, Deserialize)]
struct Row {
    id: String,
    /// Label, value, whether it shall be so, whether it is a regular expression.
    matchers: Vec<(String, String, bool, bool)>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    created_by: String,
    comment: String,
}

/// Creates the table if needed and reads it. What cannot be read is left out and logged: better one alert too many.
///
/// # Errors
/// What the database said.
pub(crate) async fn load(pool: &SqlitePool) -> Result<Vec<Silence>, sqlx::Error> {
    sqlx::query(CREATE).execute(pool).await?;
    let rows: Vec<String> = sqlx::query_scalar(LOAD).fetch_all(pool).await?;
    let read = |text: &String| {
        let read = serde_json::from_str::<Row>(text).map_err(|e| e.to_string()).and_then(silence);
        read.inspect_err(|why| tracing::warn!(why, "a saved silence cannot be read; left out")).ok()
    };
    Ok(rows.iter().filter_map(read).collect())
}

/// Makes the table hold `silences` and nothing else.
///
/// # Errors
/// What the database said; nothing has changed then.
pub(crate) async fn save(pool: &SqlitePool, silences: &[Silence]) -> Result<(), sqlx::Error> {
    let encode = |why: serde_json::Error| sqlx::Error::Encode(Box::new(why));
    let mut rows = Vec::new();
    for silence in silences {
        rows.push((&silence.id, serde_json::to_string(&row(silence)).map_err(encode)?));
    }
    let rows = serde_json::to_string(&rows).map_err(encode)?;
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(CREATE).execute(&mut *transaction).await?;
    sqlx::query(EMPTY).execute(&mut *transaction).await?;
    sqlx::query(KEEP).bind(rows).execute(&mut *transaction).await?;
    transaction.commit().await
}

fn row(silence: &Silence) -> Row {
    let matchers = silence.matchers.iter().map(|matcher| {
        let (name, value, equal, kind) = matcher.parts();
        (name.to_owned(), value.to_owned(), equal == Equal::Is, kind == Kind::Regex)
    });
    let Silence { id, starts_at, ends_at, created_by, comment, .. } = silence.clone();
    Row { id, matchers: matchers.collect(), starts_at, ends_at, created_by, comment }
}

fn silence(row: Row) -> Result<Silence, String> {
    let Row { id, matchers, starts_at, ends_at, created_by, comment } = row;
    let matchers = matchers.iter().map(|(name, value, equal, regex)| {
        let equal = if *equal { Equal::Is } else { Equal::IsNot };
        Matcher::new(name, value, equal, if *regex { Kind::Regex } else { Kind::Text })
    });
    let matchers = matchers.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    Ok(Silence { id, matchers, starts_at, ends_at, created_by, comment })
}
