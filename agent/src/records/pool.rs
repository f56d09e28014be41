//! Where the records are kept: a file of SQLite's, or a PostgreSQL that the agents of a service share. The SQL is the same;
//! what differs is here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _, Transaction};

use crate::config::Secret;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file.
    Sqlite(PathBuf),
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`
    Postgres(Secret),
}

impl Location {
    /// As a URL names it.
    ///
    /// # Errors
    /// It is of another kind.
    pub fn parse(url: &str) -> anyhow::Result<Self> {
        match url.strip_prefix("sqlite://") {
            Some(path) => Ok(Self::Sqlite(path.into())),
            None if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Self::Postgres(Secret(url.to_owned())))
            }
            None => anyhow::bail!("write sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE"),
        }
    }

    /// What [`Location::parse`] takes, its password in it.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(Secret(url)) => url.clone(),
        }
    }

    /// Whether other agents write there too.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

impl fmt::Display for Location {
    /// Without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(Secret(url)) => shown(url).fmt(f),
        }
    }
}

/// An open database; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) pool: AnyPool,
    pub(super) is_postgres: bool,
}

/// Set for every connection to a file. The first one makes the file, so `auto_vacuum` has to come first.
const PRAGMAS: &str = "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    PRAGMA busy_timeout = 2000; PRAGMA cache_size = -2000;";

/// Columns that the first files did not have.
const LATER: [(&str, &str, &str); 8] = [
    ("exchanges", "experiment", "TEXT"),
    ("exchanges", "unit", "INTEGER"),
    ("exchanges", "prompt", "TEXT"),
    ("exchanges", "response", "TEXT"),
    ("exchanges", "prompt_truncated", "INTEGER"),
    ("exchanges", "response_truncated", "INTEGER"),
    ("experiment_states", "version", "INTEGER NOT NULL DEFAULT 0"),
    ("feedback", "text", "TEXT"),
];

/// On columns that came later.
const INDEX: &str =
    "CREATE INDEX IF NOT EXISTS exchanges_unit ON exchanges (experiment, unit) WHERE experiment IS NOT NULL";

/// Agents that start at once change the tables one after the other: any number, the same for all.
const LOCK: &str = "SELECT pg_advisory_xact_lock(5066063)";

impl Database {
    /// Opens it and makes the tables that are not there.
    pub(super) async fn open(location: &Location) -> std::result::Result<Self, String> {
        let database = Self::connect(location).await?;
        match database.make().await {
            Ok(()) => Ok(database),
            Err(error) => {
                database.pool.close().await;
                Err(format!("{location}: its tables cannot be made: {error}"))
            }
        }
    }

    /// Opens it as it is.
    pub(super) async fn connect(location: &Location) -> std::result::Result<Self, String> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let database = match location {
            Location::Sqlite(path) => Self::file(path).await,
            Location::Postgres(Secret(url)) => Self::server(url).await,
        };
        database.map_err(|error| format!("{location}: cannot be opened: {error}"))
    }

    /// The pool, after one connection whose failure says why; a pool would only say that it has waited.
    async fn pool(options: AnyPoolOptions, url: &str) -> Result<AnyPool> {
        let url: AnyConnectOptions = url.parse()?;
        AnyConnection::connect_with(&url).await?.close().await?;
        options.connect_with(url).await
    }

    async fn file(path: &Path) -> Result<Self> {
        let url = std::path::absolute(path).ok().and_then(|path| reqwest::Url::from_file_path(path).ok());
        let url = url.ok_or_else(|| sqlx::Error::Protocol("no path of a file".to_owned()))?;
        super::local::make(path)?;
        let options = limits()
            .max_connections(2)
            .after_connect(|connection, _| Box::pin(async move { connection.execute(PRAGMAS).await.map(|_| ()) }));
        let pool = Self::pool(options, &format!("sqlite://{}?mode=rwc", url.path())).await?;
        Ok(Self { pool, is_postgres: false })
    }

    async fn server(url: &str) -> Result<Self> {
        let pool = Self::pool(limits().max_connections(4), url).await?;
        Ok(Self { pool, is_postgres: true })
    }

    /// A transaction that writes.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>> {
        self.pool.begin_with(self.begins()).await
    }

    /// The same on a connection.
    pub(super) async fn begin_on<'a>(&self, connection: &'a mut PoolConnection<Any>) -> Result<Transaction<'a, Any>> {
        connection.begin_with(self.begins()).await
    }

    /// SQLite takes the lock at once: one that is taken later may be refused in the middle.
    fn begins(&self) -> &'static str {
        if self.is_postgres { "BEGIN" } else { "BEGIN IMMEDIATE" }
    }

    async fn make(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        if self.is_postgres {
            tx.execute(LOCK).await?;
        }
        tx.execute(sqlx::raw_sql(AssertSqlSafe(self.dialect(include_str!("schema.sql"))))).await?;
        for (table, column, kind) in LATER {
            if !self.has(&mut tx, table, column).await? {
                let sql = self.dialect(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"));
                tx.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
            }
        }
        tx.execute(INDEX).await?;
        tx.commit().await
    }

    /// SQL that makes tables is written for SQLite.
    fn dialect(&self, sql: &str) -> String {
        if !self.is_postgres {
            return sql.to_owned();
        }
        [(" WITHOUT ROWID", ""), ("INTEGER", "BIGINT"), ("REAL", "DOUBLE PRECISION"), ("BLOB", "BYTEA")]
            .into_iter()
            .fold(sql.to_owned(), |sql, (from, to)| sql.replace(from, to))
    }

    async fn has(&self, tx: &mut AnyConnection, table: &str, column: &str) -> Result<bool> {
        let sql = match self.is_postgres {
            true => {
                "SELECT count(*) FROM information_schema.columns
                     WHERE table_schema = current_schema() AND table_name = $1 AND column_name = $2"
            }
            false => "SELECT count(*) FROM pragma_table_info($1) WHERE name = $2",
        };
        let count: i64 = sqlx::query_scalar(sql).bind(table.to_owned()).bind(column.to_owned()).fetch_one(tx).await?;
        Ok(count > 0)
    }

    /// Bytes of the file that hold data. A server's disk is its own.
    pub(super) async fn used_bytes(&self) -> Result<u64> {
        if self.is_postgres {
            return Ok(0);
        }
        let mut figures = [0; 3];
        for (figure, sql) in figures.iter_mut().zip(["PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA page_size"])
        {
            *figure = sqlx::query_scalar::<_, i64>(sql).fetch_one(&self.pool).await?;
        }
        let [pages, free, size] = figures;
        u64::try_from((pages - free) * size).map_err(|error| sqlx::Error::Protocol(error.to_string()))
    }

    /// Gives free pages of the file back.
    pub(super) async fn vacuum(&self) -> Result<()> {
        if !self.is_postgres {
            self.pool.execute("PRAGMA incremental_vacuum").await?;
        }
        Ok(())
    }
}

fn limits() -> AnyPoolOptions {
    AnyPoolOptions::new().acquire_timeout(Duration::from_secs(5))
}

/// A URL without its password.
fn shown(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(mut url) => {
            let _ = url.set_password(None);
            url.set_query(None);
            url.to_string()
        }
        Err(_) => "records.url".to_owned(),
    }
}
