//! Who did what, and when: the table `audit`. Nothing waits for it, and nothing is undone because it could not be written: such
//! an entry is counted (`plimsoll_dropped_total{what="audit"}`) and stands in the log instead.

use std::time::Duration;

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sqlx::{AnyConnection, AnyPool, Row as _};

use super::database::plain;
use super::writer::Job;
use super::{Records, Refused};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Entries are kept for at least so long, whatever `records.retention` says...
const KEPT: Duration = Duration::from_secs(400 * 86_400);
/// ... unless there are more than this; the oldest go.
const MOST: i64 = 200_000;

/// Something that was done, or text that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditEntry {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    /// Who: an admin's name, `admin#` and digits of their token's hash, `local`, `uid N` of a command line, or `agent`.
    pub actor: String,
    /// What, as `experiments.promote`.
    pub action: String,
    /// More of it, an object. Neither text of the traffic nor a token.
    pub detail: Value,
}

fn rfc3339<S: serde::Serializer>(at: &Timestamp, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    at.rfc3339().serialize(serializer)
}

impl AuditEntry {
    /// Done now.
    pub fn now(actor: &str, action: &str, detail: Value) -> Self {
        Self { at: crate::clock::wall(), actor: actor.to_owned(), action: action.to_owned(), detail }
    }

    /// It cannot be written: the log has it then.
    pub(super) fn drop_into_log(&self, registry: &Registry, why: &str) {
        registry.add(Metric::Dropped, &["audit"], 1.0);
        let Self { actor, action, detail, .. } = self;
        tracing::warn!(%actor, %action, %detail, %why, "audit: not in the records");
    }
}

impl Records {
    /// Writes an entry down, without waiting for it.
    pub fn audit(&self, entry: AuditEntry) {
        if let Err(refused) = self.jobs.try_send(Job::Audit(Box::new(entry)))
            && let Job::Audit(entry) = refused.into_inner()
        {
            entry.drop_into_log(&self.shared.registry, "too much is waiting for the disk");
        }
    }

    /// The newest `limit` entries, the newest first.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn audit_log(&self, limit: u32) -> std::result::Result<Vec<AuditEntry>, Refused> {
        self.ask(async |pool| newest(pool, limit).await).await
    }
}

pub(super) async fn put(tx: &mut AnyConnection, entry: &AuditEntry) -> Result<()> {
    sqlx::query("INSERT INTO audit (at_ms, actor, action, detail) VALUES ($1, $2, $3, $4)")
        .bind(entry.at.millis())
        .bind(plain(&entry.actor))
        .bind(plain(&entry.action))
        .bind(plain(&entry.detail.to_string()))
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn newest(pool: &AnyPool, limit: u32) -> Result<Vec<AuditEntry>> {
    let sql = "SELECT at_ms, actor, action, detail FROM audit ORDER BY at_ms DESC LIMIT $1";
    let rows = sqlx::query(sql).bind(i64::from(limit)).fetch_all(pool).await?;
    let entry = |row: &sqlx::any::AnyRow| AuditEntry {
        at: Timestamp::from_millis(row.get(0)),
        actor: row.get(1),
        action: row.get(2),
        detail: serde_json::from_str(row.get(3)).unwrap_or_default(),
    };
    Ok(rows.iter().map(entry).collect())
}

/// Lets go what is older than `retention` and [`KEPT`], and the oldest of what is over [`MOST`].
pub(super) async fn trim(pool: &AnyPool, retention: Duration) -> Result<()> {
    let oldest = crate::clock::wall() - retention.max(KEPT);
    sqlx::query("DELETE FROM audit WHERE at_ms < $1").bind(oldest.millis()).execute(pool).await?;
    let over = "DELETE FROM audit WHERE at_ms <= (SELECT at_ms FROM audit ORDER BY at_ms DESC LIMIT 1 OFFSET $1)";
    sqlx::query(over).bind(MOST).execute(pool).await?;
    Ok(())
}
