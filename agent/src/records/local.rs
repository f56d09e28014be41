//! The pod's own database file: what alerts are still to be told, what is usual, and, unless they are kept elsewhere, the
//! records. Write-ahead log, every commit synced to disk.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

/// Makes the file where it is not there, for this user alone: texts are masked, and still nobody else's. SQLite gives its log
/// and index the mode of the file.
pub(super) fn make(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Opens the file, making it and its folder when they are not there, and checks that it is whole.
///
/// # Errors
/// It cannot, in words.
pub(crate) async fn open(path: &Path) -> Result<SqlitePool, String> {
    let said = |what: &str, error: &dyn std::fmt::Display| format!("{}: {what}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| said("its folder cannot be made", &e))?;
    }
    make(path).map_err(|e| said("cannot be made", &e))?;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_new_file_is_for_its_user_alone_and_an_old_one_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/plimsoll.db");
        let modes = || ["", "-wal", "-shm"].map(|end| mode(&format!("{}{end}", path.display())));
        let pool = open(&path).await.unwrap();
        sqlx::query("CREATE TABLE t (a INTEGER)").execute(&pool).await.unwrap();
        assert_eq!(modes(), [0o600; 3]);
        pool.close().await;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let pool = open(&path).await.unwrap();
        sqlx::query("INSERT INTO t VALUES (1)").execute(&pool).await.unwrap();
        assert_eq!(modes(), [0o640; 3]);
    }

    fn mode(path: &str) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }
}
