//! The pod's own database file: what alerts are still to be told, what is usual, and, unless they are kept elsewhere, the
//! records. Write-ahead log, every commit synced to disk.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

/// Opens the file, making it and its folder when they are not there, and checks that it is whole.
///
/// # Errors
/// It cannot, in words.
pub(crate) async fn open(path: &Path) -> Result<SqlitePool, String> {
    let said = |what: &str, error: &dyn std::fmt::Display| format!("{}: {what}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| said("its folder cannot be made", &e))?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(2))
        .pragma("cache_size", "-1000")
        .statement_cache_capacity(32);
    let pool = SqlitePoolOptions::new()
        .max_connections(2)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(options)
        .await
        .map_err(|e| said("cannot be opened", &e))?;
    let verdict = sqlx::query_scalar::<_, String>("PRAGMA quick_check(1)").fetch_one(&pool).await;
    let wrong = match verdict {
        Ok(verdict) if verdict == "ok" => return Ok(pool),
        Ok(verdict) => verdict,
        Err(error) => error.to_string(),
    };
    pool.close().await;
    Err(said("is damaged or not ours; move it away and restart, or restore a copy", &wrong))
}
