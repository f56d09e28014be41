//! What the loop keeps: a document for each run and each version, and one for where it stands. A change is one transaction.

use sqlx::{AnyConnection, Row as _};

use super::{Records, Refused};

/// A document by its number: when it was begun, what state it is in, and all of it as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its number.
    pub number: u32,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Its stage or status, for people with SQL.
    pub state: String,
    /// All of it.
    pub doc: String,
}

/// What changes together.
#[derive(Clone, Debug, Default)]
pub struct LoopChange {
    /// Runs, new or changed.
    pub runs: Vec<Document>,
    /// Versions, new or changed.
    pub versions: Vec<Document>,
    /// Numbers of versions that go.
    pub gone: Vec<u32>,
    /// Where the loop stands.
    pub standing: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct LoopSaved {
    /// Every run, oldest first.
    pub runs: Vec<String>,
    /// Every version, oldest first.
    pub versions: Vec<String>,
    /// Where the loop stands, if it ever ran.
    pub standing: Option<String>,
}

impl Records {
    /// Reads everything.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn loop_saved(&self) -> Result<LoopSaved, Refused> {
        self.ask(async |pool| {
            let texts = async |sql: &'static str| {
                let rows = sqlx::query(sql).fetch_all(pool).await?;
                Ok::<Vec<String>, sqlx::Error>(rows.iter().map(|row| row.get(0)).collect())
            };
            Ok(LoopSaved {
                runs: texts("SELECT doc FROM finetunes ORDER BY id").await?,
                versions: texts("SELECT doc FROM versions ORDER BY number").await?,
                standing: texts("SELECT doc FROM loop_state WHERE id = 1").await?.pop(),
            })
        })
        .await
    }

    /// Stores a change; returns once it is durable.
    ///
    /// # Errors
    /// [`Refused::Unavailable`]; nothing of it is stored then.
    pub async fn keep_loop(&self, change: &LoopChange) -> Result<(), Refused> {
        self.ask(async |pool| {
            let mut tx = pool.begin().await?;
            for run in &change.runs {
                let sql = "INSERT INTO finetunes (id, begun_ms, stage, doc) VALUES ($1, $2, $3, $4)
                           ON CONFLICT (id) DO UPDATE SET stage = excluded.stage, doc = excluded.doc";
                put(&mut tx, sql, run).await?;
            }
            for version in &change.versions {
                let sql = "INSERT INTO versions (number, made_ms, status, doc) VALUES ($1, $2, $3, $4)
                           ON CONFLICT (number) DO UPDATE SET status = excluded.status, doc = excluded.doc";
                put(&mut tx, sql, version).await?;
            }
            for &number in &change.gone {
                let sql = "DELETE FROM versions WHERE number = $1";
                sqlx::query(sql).bind(i64::from(number)).execute(&mut *tx).await?;
            }
            if let Some(standing) = &change.standing {
                let sql = "INSERT INTO loop_state (id, doc) VALUES (1, $1)
                           ON CONFLICT (id) DO UPDATE SET doc = excluded.doc";
                sqlx::query(sql).bind(standing).execute(&mut *tx).await?;
            }
            tx.commit().await
        })
        .await
    }
}

async fn put(tx: &mut AnyConnection, sql: &'static str, one: &Document) -> Result<(), sqlx::Error> {
    let query = sqlx::query(sql).bind(i64::from(one.number)).bind(one.at_ms);
    query.bind(&one.state).bind(&one.doc).execute(tx).await.map(|_| ())
}
