//! What survives a restart, and what happens when the database fails.

use sqlx::sqlite::SqliteLockingMode;

use super::*;
use crate::receiver::{OK, Receiver, Reply};

#[tokio::test]
async fn undelivered_alerts_survive_a_restart_with_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let down = Receiver::start(&[Reply::Status(503, "", "")]).await;
    let (port, sinks) = (down.port, vec![hook("hook", &down.url("/x")), peer("am", &down.url(""))]);
    let running = Running::start(sinks.clone(), Some(database(folder.path()).await)).await;
    running.dispatcher.notify(&[firing("Hot"), alert("Cold", Status::Resolved)]).await;
    let before = rows(&database(folder.path()).await).await;
    assert_eq!(before.len(), 4, "on disk when notify returns: {before:?}");
    running.end().await;
    down.stop().await;

    let up = Receiver::on(port, &[OK]).await;
    let pool = database(folder.path()).await;
    let running = Running::start(sinks, Some(pool.clone())).await;
    for sink in ["hook", "am"] {
        assert_eq!(running.sent(sink, 2).await.sent, 2);
    }
    let mut ids: Vec<String> = up.seen().iter().filter_map(|r| r.headers.get("webhook-id").cloned()).collect();
    ids.sort();
    assert_eq!(ids, before.iter().filter(|(sink, _)| sink == "hook").map(|(_, id)| id.clone()).collect::<Vec<_>>());
    running.end().await;
    assert_eq!(rows(&pool).await, [], "delivered alerts leave the disk");
}

#[tokio::test]
async fn alerts_arrive_while_the_database_is_locked_and_reach_it_later() {
    let folder = tempfile::tempdir().unwrap();
    let (receiver, pool) = (Receiver::start(&[OK]).await, database(folder.path()).await);
    let down = peer("down", "http://127.0.0.1:9");
    let running = Running::start(vec![peer("am", &receiver.url("")), down], Some(pool.clone())).await;
    let mut lock = pool.acquire().await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut *lock).await.unwrap();
    running.dispatcher.notify(&[firing("Hot")]).await;
    running.sent("am", 1).await;
    assert!(running.dispatcher.disk_failures() >= 1);
    sqlx::query("ROLLBACK").execute(&mut *lock).await.unwrap();
    drop(lock);
    running.dispatcher.notify(&[firing("Cold")]).await;
    let kept = rows(&pool).await;
    assert_eq!(kept.iter().filter(|(sink, _)| sink == "down").count(), 2, "{kept:?}");
}

#[tokio::test]
async fn a_database_that_is_locked_at_the_start_is_read_once_it_opens() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[OK]).await;
    let sinks = || vec![peer("am", &receiver.url(""))];
    let pool = database(folder.path()).await;
    let running = Running::start(vec![peer("am", "http://127.0.0.1:9")], Some(pool.clone())).await;
    running.dispatcher.notify(&[firing("Old")]).await;
    running.end().await;

    pool.close().await;

    let file = SqliteConnectOptions::new().filename(folder.path().join("plimsoll.db"));
    let owner = file.clone().locking_mode(SqliteLockingMode::Exclusive);
    let owner = SqlitePoolOptions::new().max_connections(1).connect_with(owner).await.unwrap();
    sqlx::query("CREATE TABLE other (x INTEGER)").execute(&owner).await.unwrap();
    let blocked = SqlitePoolOptions::new().connect_lazy_with(file.busy_timeout(Duration::from_millis(50)));
    let running = Running::start(sinks(), Some(blocked)).await;
    running.dispatcher.notify(&[firing("New")]).await;
    running.sent("am", 1).await;
    assert!(running.dispatcher.disk_failures() >= 1);
    owner.close().await;
    running.sent("am", 2).await;
    let names: Vec<String> = receiver.seen().iter().flat_map(super::receiver::Request::names).collect();
    assert_eq!(names, ["New", "Old"]);
}

#[tokio::test]
async fn alerts_arrive_whatever_is_wrong_with_the_disk() {
    for (why, break_it) in [
        ("full", "PRAGMA max_page_count = 1"),
        ("read-only", "PRAGMA query_only = 1"),
        ("the table is gone", "DROP TABLE outbox"),
        ("another table has its name", "DROP TABLE outbox; CREATE TABLE outbox (x INTEGER)"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("plimsoll.db")).create_if_missing(true);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let receiver = Receiver::start(&[OK]).await;
        let running = Running::start(vec![peer("am", &receiver.url(""))], Some(pool.clone())).await;
        sqlx::raw_sql(break_it).execute(&pool).await.unwrap();
        for i in 0..200 {
            let big = Notification { generator_url: "x".repeat(1000), ..firing(&format!("A{i}")) };
            running.dispatcher.notify(&[big]).await;
        }
        running.sent("am", 200).await;
        assert!(running.dispatcher.disk_failures() >= 1, "{why}");
        running.end().await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_and_rows_that_make_no_sense_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[OK]).await;
    let sinks = || vec![peer("am", &receiver.url(""))];
    std::fs::write(folder.path().join("garbage.db"), vec![b'x'; 8192]).unwrap();
    let garbage = SqliteConnectOptions::new().filename(folder.path().join("garbage.db"));
    let running = Running::start(sinks(), Some(SqlitePoolOptions::new().connect_lazy_with(garbage))).await;
    running.dispatcher.notify(&[firing("Hot")]).await;
    running.sent("am", 1).await;
    running.end().await;

    let pool = database(folder.path()).await;
    let running = Running::start(vec![peer("am", "http://127.0.0.1:9")], Some(pool.clone())).await;
    running.dispatcher.notify(&[firing("Good"), firing("Torn")]).await;
    running.end().await;
    let torn = firing("Torn").fingerprint().cast_signed();
    let tear = "UPDATE outbox SET notification = substr(notification, 1, 30) WHERE fingerprint = ?";
    sqlx::query(tear).bind(torn).execute(&pool).await.unwrap();
    let running = Running::start(sinks(), Some(pool.clone())).await;
    running.sent("am", 1).await;
    assert_eq!(receiver.seen()[1].names(), ["Good"]);
    running.end().await;
    assert_eq!(rows(&pool).await, []);
}
