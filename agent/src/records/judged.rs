//! Exchanges together with what was said of them, page by page: from a database, or from the files of an export.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use plimsoll_rules::Timestamp;
use plimsoll_rules::dataset::{CORRECTION, Said, Told};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::audit::{self, AuditEntry};
use super::pool::Database;
use super::transfer::{Batch, Files, Transfer, rows_of};
use super::{Location, transfer::Table};

/// Exchanges read at once.
const PAGE: i64 = 500;

/// What kind of place records are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
    /// Parquet files.
    Export,
}

/// Records that can be read.
#[derive(Debug)]
pub struct Source {
    place: Place,
    /// Who takes them, as the audit log calls them.
    actor: String,
}

#[derive(Debug)]
enum Place {
    Database(Database),
    Export(Files),
}

impl Source {
    /// A database, made fit for this version where it is older.
    ///
    /// # Errors
    /// There are no records, or they cannot be opened.
    pub async fn open(location: &Location) -> anyhow::Result<Self> {
        Transfer::look_at(location).await?; // makes no database where there is none
        Ok(Transfer::open(location).await?.source())
    }

    /// What `plimsoll records export` wrote: a folder, or an object store.
    ///
    /// # Errors
    /// The place is not there, or its URL says nothing to us.
    pub fn export(place: &str) -> anyhow::Result<Self> {
        Ok(Self::at(Place::Export(Files::at(place, false)?)))
    }

    pub(super) fn of(database: Database) -> Self {
        Self::at(Place::Database(database))
    }

    fn at(place: Place) -> Self {
        Self { place, actor: format!("uid {}", rustix::process::getuid().as_raw()) }
    }

    /// The same, taken by the agent itself.
    #[must_use]
    pub fn for_agent(self) -> Self {
        Self { actor: "agent".to_owned(), ..self }
    }

    /// What kind it is.
    pub fn kind(&self) -> SourceKind {
        match &self.place {
            Place::Database(database) if database.is_postgres => SourceKind::Postgres,
            Place::Database(_) => SourceKind::Sqlite,
            Place::Export(_) => SourceKind::Export,
        }
    }

    /// Gives every exchange that began in `[since, until)` with its feedback that came before `until`, in any order. Text is
    /// there for those of which something was said.
    ///
    /// # Errors
    /// The records cannot be read; what was given before is not taken back.
    pub async fn each(
        &self,
        since: Option<Timestamp>,
        until: Timestamp,
        take: &mut (dyn FnMut(Told) + Send),
    ) -> anyhow::Result<()> {
        let span = (since.map_or(i64::MIN, Timestamp::millis), until.millis());
        match &self.place {
            Place::Database(database) => pages(database, span, take).await.context("the records cannot be read"),
            Place::Export(files) => parts(files, span, take).await,
        }
    }

    /// Writes down who took what, where there is a table for it.
    ///
    /// # Errors
    /// It cannot be stored.
    pub async fn audit(&self, action: &str, detail: Value) -> anyhow::Result<()> {
        let Place::Database(database) = &self.place else { return Ok(()) };
        let mut connection = database.pool.acquire().await?;
        Ok(audit::put(&mut connection, &AuditEntry::now(&self.actor, action, detail)).await?)
    }
}

/// A page: what comes after `($1, $2)`, before `$3`.
const EXCHANGES: &str = "SELECT id, started_ms, endpoint, model, variant, outcome, finish_reason,
    CASE WHEN EXISTS (SELECT 1 FROM feedback WHERE target IN (exchanges.id, exchanges.request_id)) THEN prompt END,
    CASE WHEN EXISTS (SELECT 1 FROM feedback WHERE target IN (exchanges.id, exchanges.request_id)) THEN response END,
    coalesce(prompt_truncated, 0), coalesce(response_truncated, 0)
    FROM exchanges WHERE started_ms >= $1 AND (started_ms, id) > ($1, $2) AND started_ms < $3
    ORDER BY started_ms, id LIMIT $4";

/// Feedback on a page: on exchanges after `($1, $2)` up to `($3, $4)`.
const FEEDBACK: &str = "SELECT exchanges.id, key, metric, score, text, received_ms
    FROM exchanges JOIN feedback ON target IN (exchanges.id, exchanges.request_id)
    WHERE started_ms >= $1 AND (started_ms, id) > ($1, $2) AND started_ms <= $3 AND (started_ms, id) <= ($3, $4)
    AND received_ms < $5 AND (score IS NOT NULL OR metric = $6)";

async fn pages(
    database: &Database,
    (since, until): (i64, i64),
    take: &mut (dyn FnMut(Told) + Send),
) -> Result<(), sqlx::Error> {
    let mut after = (since, String::new());
    loop {
        let page = sqlx::query(EXCHANGES).bind(after.0).bind(after.1.clone()).bind(until).bind(PAGE);
        let page: Vec<Told> = page.fetch_all(&database.pool).await?.iter().map(exchange).collect();
        let Some(last) = page.last() else { return Ok(()) };
        let last = (last.started.millis(), last.id.clone());
        let feedback = sqlx::query(FEEDBACK).bind(after.0).bind(after.1).bind(last.0).bind(last.1.clone());
        let mut said: HashMap<String, Vec<Said>> = HashMap::new();
        for row in feedback.bind(until).bind(CORRECTION).fetch_all(&database.pool).await? {
            said.entry(row.get(0)).or_default().push(item(&row));
        }
        for told in page {
            let feedback = said.remove(&told.id).unwrap_or_default();
            take(Told { feedback, ..told });
        }
        after = last;
    }
}

fn exchange(row: &AnyRow) -> Told {
    let is = |column: usize| row.get::<i64, _>(column) != 0;
    Told {
        id: row.get(0),
        started: Timestamp::from_millis(row.get(1)),
        endpoint: row.get(2),
        model: row.get(3),
        variant: row.get(4),
        outcome: row.get(5),
        finish_reason: row.get(6),
        prompt: row.get(7),
        response: row.get(8),
        prompt_truncated: is(9),
        response_truncated: is(10),
        feedback: Vec::new(),
    }
}

fn item(row: &AnyRow) -> Said {
    Said {
        key: row.get(1),
        metric: row.get(2),
        score: row.get(3),
        text: row.get(4),
        received: Timestamp::from_millis(row.get(5)),
    }
}

/// Feedback of an export is held in memory, exchanges are one file at a time.
async fn parts(files: &Files, (since, until): (i64, i64), take: &mut (dyn FnMut(Told) + Send)) -> anyhow::Result<()> {
    let all = files.all().await?;
    let of = |name: &'static str| all.iter().filter(move |(table, ..)| table.name == name);
    let mut said: HashMap<String, Vec<Said>> = HashMap::new();
    for (table, _, parts) in of("feedback") {
        for part in parts {
            said_in(&rows_of(table, files, part).await?, until, &mut said);
        }
    }
    if of("exchanges").next().is_none() {
        bail!("the export holds no exchanges; export the tables exchanges and feedback");
    }
    for (table, date, parts) in of("exchanges") {
        if !may_hold(date, since, until) {
            continue;
        }
        for part in parts {
            exchanges_in(table, &rows_of(table, files, part).await?, (since, until), &said, take)?;
        }
    }
    Ok(())
}

/// Whether a day has a moment in `[since, until)`; one that is none may.
fn may_hold(date: &str, since: i64, until: i64) -> bool {
    let begin = Timestamp::from_rfc3339(&format!("{date}T00:00:00Z")).map(Timestamp::millis);
    begin.is_none_or(|begin| begin < until && begin.saturating_add(86_400_000) > since)
}

fn said_in(batch: &Batch, until: i64, said: &mut HashMap<String, Vec<Said>>) {
    for row in 0..batch.rows() {
        let text = |column| batch.text(column, row).map(str::to_owned);
        let (Some(target), Some(key), Some(metric)) = (text("target"), text("key"), text("metric")) else { continue };
        let (received, score) = (batch.integer("received_ms", row).unwrap_or(i64::MAX), batch.real("score", row));
        if received < until && (score.is_some() || metric == CORRECTION) {
            let received = Timestamp::from_millis(received);
            said.entry(target).or_default().push(Said { key, metric, score, text: text("text"), received });
        }
    }
}

fn exchanges_in(
    table: &'static Table,
    batch: &Batch,
    (since, until): (i64, i64),
    said: &HashMap<String, Vec<Said>>,
    take: &mut (dyn FnMut(Told) + Send),
) -> anyhow::Result<()> {
    for row in 0..batch.rows() {
        let text = |column| batch.text(column, row).map(str::to_owned);
        let (Some(id), Some(started)) = (text("id"), batch.integer("started_ms", row)) else {
            bail!("{}: row {row} has no id or no started_ms", table.name);
        };
        if !(since..until).contains(&started) {
            continue;
        }
        let by_request = text("request_id").filter(|request| *request != id);
        let of = |target: &str| said.get(target).cloned().unwrap_or_default();
        let mut feedback = of(&id);
        feedback.extend(by_request.map(|request| of(&request)).unwrap_or_default());
        take(Told {
            id,
            started: Timestamp::from_millis(started),
            endpoint: text("endpoint").unwrap_or_default(),
            model: text("model").unwrap_or_default(),
            variant: text("variant").unwrap_or_default(),
            outcome: text("outcome").unwrap_or_default(),
            finish_reason: text("finish_reason"),
            prompt: text("prompt"),
            response: text("response"),
            prompt_truncated: batch.integer("prompt_truncated", row) == Some(1),
            response_truncated: batch.integer("response_truncated", row) == Some(1),
            feedback,
        });
    }
    Ok(())
}
