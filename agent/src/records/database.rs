//! The SQL of the records, which SQLite and PostgreSQL both understand.

use std::borrow::Cow;

use plimsoll_rules::{Exchange, ExchangeText, MaskedText, Timestamp, TokenCount};
use sqlx::AnyPool;
use sqlx::any::AnyRow;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, Row as _};

use super::experiments::put_assignment;
use super::item::Feedback;
use super::pool::Database;
use crate::config::StoreText;
use crate::shadow::Reading;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// A row that an upsert met: whose it is, its score and when it was received.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Before {
    pub(super) target: String,
    pub(super) metric: String,
    pub(super) value: f64,
    pub(super) score: Option<f64>,
    pub(super) received: Timestamp,
}

/// A text as it can be stored: PostgreSQL's hold no zero.
pub(super) fn plain(text: &str) -> String {
    let text: Cow<'_, str> = if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() };
    text.into_owned()
}

/// What stands under the key of `item`.
pub(super) async fn before(tx: &mut AnyConnection, item: &Feedback) -> Result<Option<Before>> {
    let old = sqlx::query("SELECT target, metric, value, score, received_ms FROM feedback WHERE key = $1")
        .bind(plain(&item.key))
        .fetch_optional(&mut *tx)
        .await?;
    Ok(old.map(|row| Before {
        target: row.get(0),
        metric: row.get(1),
        value: row.get(2),
        score: row.get(3),
        received: Timestamp::from_millis(row.get(4)),
    }))
}

/// Stores feedback.
pub(super) async fn put_feedback(
    tx: &mut AnyConnection,
    item: &Feedback,
    owner: Option<(&str, &str)>,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO feedback (key, target, metric, value, score, received_ms, model, variant, tags, text)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value, score = excluded.score, tags = excluded.tags,
         text = excluded.text",
    )
    .bind(plain(&item.key))
    .bind(plain(&item.target))
    .bind(plain(&item.metric))
    .bind(item.value)
    .bind(item.score)
    .bind(now.millis())
    .bind(owner.map(|(model, _)| plain(model)))
    .bind(owner.map(|(_, variant)| plain(variant)))
    .bind(item.tags.as_deref().map(plain))
    .bind(item.text.as_ref().map(|text| plain(text.as_str())))
    .execute(&mut *tx)
    .await?;
    for (experiment, unit) in &item.units {
        let sql = "INSERT INTO episode_feedback (experiment, unit, key, received_ms) VALUES ($1, $2, $3, $4)
                   ON CONFLICT DO NOTHING";
        let row = sqlx::query(sql).bind(experiment).bind(unit.cast_signed()).bind(plain(&item.key));
        row.bind(now.millis()).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Model and variant of a stored exchange, by its id or request id.
pub(super) async fn owner_of(tx: &mut AnyConnection, id: &str) -> Result<Option<(String, String)>> {
    let by_id = "SELECT model, variant FROM exchanges WHERE id = $1
                 UNION ALL SELECT model, variant FROM exchanges WHERE request_id = $1 LIMIT 1";
    let row = sqlx::query(by_id).bind(plain(id)).fetch_optional(&mut *tx).await?;
    Ok(row.map(|row| (row.get(0), row.get(1))))
}

const INSERT: &str = "INSERT INTO exchanges (id, request_id, started_ms, source, endpoint, model, variant, outcome,
    status, finish_reason, stream, input_tokens, output_tokens, estimated, time_to_first_token_ms, duration_ms,
    prompt, response, prompt_truncated, response_truncated, experiment, unit)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
    ON CONFLICT DO NOTHING";

/// Stores an exchange (once) and joins feedback that was waiting for it; gives whether it is new.
pub(super) async fn put_exchange(tx: &mut AnyConnection, exchange: &Exchange, store_text: StoreText) -> Result<bool> {
    let word = |value: &dyn erased::Word| value.word();
    let text = exchange.text.as_ref().filter(|_| store_text == StoreText::Masked);
    let inserted = sqlx::query(INSERT)
        .bind(plain(&exchange.id))
        .bind(exchange.request_id.as_deref().map(plain))
        .bind(exchange.started.millis())
        .bind(exchange.source.as_str().to_owned())
        .bind(word(&exchange.endpoint))
        .bind(plain(&exchange.model))
        .bind(plain(&exchange.variant))
        .bind(exchange.outcome.as_str().to_owned())
        .bind(i64::from(exchange.status))
        .bind(exchange.finish_reason.as_deref().map(plain))
        .bind(i64::from(exchange.stream))
        .bind(exchange.input_tokens.value().and_then(|n| i64::try_from(n).ok()))
        .bind(exchange.output_tokens.value().and_then(|n| i64::try_from(n).ok()))
        .bind(i64::from(matches!(exchange.output_tokens, TokenCount::Estimated(_))))
        .bind(exchange.time_to_first_token.map(|t| t.as_secs_f64() * 1000.0))
        .bind(exchange.duration.as_secs_f64() * 1000.0)
        .bind(words(text.and_then(|text| text.prompt.as_ref())))
        .bind(words(text.and_then(|text| text.response.as_ref())))
        .bind(text.map(|text| i64::from(text.prompt_truncated)))
        .bind(text.map(|text| i64::from(text.response_truncated)))
        .bind(exchange.assignment.as_ref().map(|place| place.experiment.to_string()))
        .bind(exchange.assignment.as_ref().map(|place| place.unit.cast_signed()))
        .execute(&mut *tx)
        .await?;
    if let (0, Some(text)) = (inserted.rows_affected(), text) {
        put_text(tx, &exchange.id, text).await?;
    }
    if let Some(place) = &exchange.assignment {
        put_assignment(tx, place, exchange.started).await?;
    }
    sqlx::query("UPDATE feedback SET model = $1, variant = $2 WHERE model IS NULL AND target IN ($3, $4)")
        .bind(plain(&exchange.model))
        .bind(plain(&exchange.variant))
        .bind(plain(&exchange.id))
        .bind(plain(exchange.request_id.as_deref().unwrap_or(&exchange.id)))
        .execute(&mut *tx)
        .await?;
    Ok(inserted.rows_affected() == 1)
}

fn words(text: Option<&MaskedText>) -> Option<String> {
    text.map(|text| plain(text.as_str()))
}

/// Stores the text of an exchange that was stored without it, when too much was waiting for the disk.
async fn put_text(tx: &mut AnyConnection, id: &str, text: &ExchangeText) -> Result<()> {
    sqlx::query(
        "UPDATE exchanges SET prompt = $2, response = $3, prompt_truncated = $4, response_truncated = $5
         WHERE id = $1 AND prompt_truncated IS NULL",
    )
    .bind(plain(id))
    .bind(words(text.prompt.as_ref()))
    .bind(words(text.response.as_ref()))
    .bind(i64::from(text.prompt_truncated))
    .bind(i64::from(text.response_truncated))
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores what the shadow model said of an exchange that is kept; of another one nothing.
pub(super) async fn put_reading(tx: &mut AnyConnection, reading: &Reading) -> Result<()> {
    let count = |nll: Option<(f64, u64)>| nll.and_then(|(_, tokens)| i64::try_from(tokens).ok());
    let embedding: Vec<u8> = reading.embedding.iter().flat_map(|value| value.to_le_bytes()).collect();
    sqlx::query(
        "INSERT INTO readings (exchange, read_ms, reader, prompt_nll, prompt_tokens, response_nll,
         response_tokens, embedding) SELECT id, $2, $3, $4, $5, $6, $7, $8 FROM exchanges WHERE id = $1
         ON CONFLICT (exchange) DO UPDATE SET read_ms = excluded.read_ms, reader = excluded.reader,
         prompt_nll = excluded.prompt_nll, prompt_tokens = excluded.prompt_tokens, response_nll = excluded.response_nll,
         response_tokens = excluded.response_tokens, embedding = excluded.embedding",
    )
    .bind(plain(&reading.exchange))
    .bind(reading.at.millis())
    .bind(reading.reader.to_string())
    .bind(reading.prompt_nll.map(|(nats, _)| nats))
    .bind(count(reading.prompt_nll))
    .bind(reading.response_nll.map(|(nats, _)| nats))
    .bind(count(reading.response_nll))
    .bind(Some(embedding).filter(|bytes| !bytes.is_empty()))
    .execute(&mut *tx)
    .await?;
    Ok(())
}

mod erased {
    //! The name serde gives a unit variant, for a column.

    pub(super) trait Word {
        fn word(&self) -> String;
    }

    impl<T: serde::Serialize> Word for T {
        fn word(&self) -> String {
            serde_json::to_value(self).ok().and_then(|value| value.as_str().map(ToOwned::to_owned)).unwrap_or_default()
        }
    }
}

/// Targets of feedback whose exchange is not known, at most `most`.
pub(super) async fn unjoined(pool: &AnyPool, most: i64) -> Result<Vec<String>> {
    sqlx::query_scalar("SELECT DISTINCT target FROM feedback WHERE model IS NULL LIMIT $1")
        .bind(most)
        .fetch_all(pool)
        .await
}

/// The same, of what was received since then.
pub(super) async fn unjoined_since(pool: &AnyPool, since: Timestamp, most: i64) -> Result<Vec<String>> {
    sqlx::query_scalar("SELECT DISTINCT target FROM feedback WHERE model IS NULL AND received_ms > $1 LIMIT $2")
        .bind(since.millis())
        .bind(most)
        .fetch_all(pool)
        .await
}

/// A scored item as the window takes it: when, model and variant, metric, score.
pub(super) type Scored = (Timestamp, (String, String), String, f64);

/// Scored feedback received after `since`, oldest first.
pub(super) async fn scored_since(pool: &AnyPool, since: Timestamp) -> Result<Vec<Scored>> {
    let sql = "SELECT received_ms, coalesce(model, ''), coalesce(variant, ''), metric, score FROM feedback
               WHERE received_ms > $1 AND score IS NOT NULL ORDER BY received_ms";
    let rows = sqlx::query(sql).bind(since.millis()).fetch_all(pool).await?;
    let scored = |row: &AnyRow| (Timestamp::from_millis(row.get(0)), (row.get(1), row.get(2)), row.get(3), row.get(4));
    Ok(rows.iter().map(scored).collect())
}

/// What [`trim`] deletes in one transaction: what is old, or, where there is too much, anything. Exchanges of units whose
/// outcome has not been taken in stay for as long again.
const TRIMS: [(&str, &str); 6] = [
    (
        "DELETE FROM assignments WHERE (experiment, unit) IN (SELECT experiment, unit FROM assignments
         WHERE assigned_ms < $1 AND (closed_seq IS NOT NULL OR assigned_ms < $2) ORDER BY assigned_ms LIMIT 1000)",
        "DELETE FROM assignments WHERE (experiment, unit) IN
         (SELECT experiment, unit FROM assignments WHERE closed_seq IS NOT NULL ORDER BY assigned_ms LIMIT 1000)",
    ),
    (
        "DELETE FROM readings WHERE exchange IN (SELECT exchange FROM readings WHERE read_ms < $1 ORDER BY read_ms LIMIT 1000)",
        "DELETE FROM readings WHERE exchange IN (SELECT exchange FROM readings ORDER BY read_ms LIMIT 1000)",
    ),
    (
        "DELETE FROM judgements WHERE id IN (SELECT id FROM judgements WHERE judged_ms < $1 ORDER BY judged_ms LIMIT 1000)",
        "DELETE FROM judgements WHERE id IN (SELECT id FROM judgements ORDER BY judged_ms LIMIT 1000)",
    ),
    (
        "DELETE FROM exchanges WHERE id IN (SELECT id FROM exchanges WHERE started_ms < $1 AND (experiment IS NULL OR
         NOT EXISTS (SELECT 1 FROM assignments WHERE assignments.experiment = exchanges.experiment AND
         assignments.unit = exchanges.unit AND closed_seq IS NULL)) ORDER BY started_ms LIMIT 1000)",
        "DELETE FROM exchanges WHERE id IN (SELECT id FROM exchanges ORDER BY started_ms LIMIT 1000)",
    ),
    (
        "DELETE FROM episode_feedback WHERE (experiment, unit, key) IN (SELECT experiment, unit, key FROM episode_feedback
         WHERE received_ms < $1 ORDER BY received_ms LIMIT 1000)",
        "DELETE FROM episode_feedback WHERE (experiment, unit, key) IN
         (SELECT experiment, unit, key FROM episode_feedback ORDER BY received_ms LIMIT 1000)",
    ),
    (
        "DELETE FROM feedback WHERE key IN (SELECT key FROM feedback WHERE received_ms < $1 ORDER BY received_ms LIMIT 1000)",
        "DELETE FROM feedback WHERE key IN (SELECT key FROM feedback ORDER BY received_ms LIMIT 1000)",
    ),
];

/// Deletes what is older than `oldest`, and the oldest of what is over `most_bytes`; a thousand rows at a time, so that
/// no lock is held long. Gives how many rows went.
pub(super) async fn trim(database: &Database, oldest: Timestamp, most_bytes: u64) -> Result<u64> {
    let mut gone = 0;
    loop {
        let too_much = database.used_bytes().await? > most_bytes;
        let mut connection = database.pool.acquire().await?;
        let round = trim_on(database, &mut connection, oldest, too_much).await;
        if round.is_err() {
            // On a full disk SQLite ends the transaction by itself and sqlx does not learn of it: no transaction could ever begin
            // on this connection again. What is wrong with it has been said already.
            let _ = connection.close().await;
        }
        let round = round?;
        gone += round;
        if round == 0 {
            break;
        }
    }
    if gone > 0 {
        database.vacuum().await?;
    }
    Ok(gone)
}

/// One transaction of [`trim`].
async fn trim_on(
    database: &Database,
    connection: &mut PoolConnection<Any>,
    oldest: Timestamp,
    too_much: bool,
) -> Result<u64> {
    let mut tx = database.begin_on(connection).await?;
    // Twice as old: nobody is going to take in what is open since then.
    let older = Timestamp::from_millis(2 * oldest.millis() - crate::clock::wall().millis());
    let mut round = 0;
    for (old, any) in TRIMS {
        let done = match too_much {
            true => sqlx::query(any).execute(&mut *tx).await?,
            false if old.contains("$2") => {
                sqlx::query(old).bind(oldest.millis()).bind(older.millis()).execute(&mut *tx).await?
            }
            false => sqlx::query(old).bind(oldest.millis()).execute(&mut *tx).await?,
        };
        round += done.rows_affected();
    }
    tx.commit().await?;
    Ok(round)
}
