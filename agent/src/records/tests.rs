//! A file that is bad, full, locked or old harms nobody. What is promised on both databases: `tests/tests/records/`.

use std::path::Path;

use plimsoll_rules::mask::{MaskOptions, Masker};
use plimsoll_rules::{ExchangeText, MaskedText, Source, Timestamp, TokenCount};
use serde_json::json;

use super::*;
use crate::feed::Feed;

pub(super) fn options(path: &Path) -> RecordsOptions {
    RecordsOptions {
        path: path.to_path_buf(),
        location: Location::Sqlite(path.to_path_buf()),
        sample: 0.0,
        store_text: StoreText::None,
        retention: Duration::from_secs(3600),
        disk: 1 << 30,
        window: Duration::from_secs(300),
        outcomes: None,
    }
}

pub(super) fn exchange(id: &str) -> Exchange {
    Exchange {
        request_id: Some(format!("req-{id}")),
        source: Source::Tap,
        finish_reason: Some("stop".into()),
        stream: true,
        input_tokens: TokenCount::Reported(10),
        output_tokens: TokenCount::Reported(5),
        duration: Duration::from_millis(5),
        ..Exchange::chat(id, "m", crate::clock::wall())
    }
}

fn masker() -> Masker {
    Masker::new(b"salt of the tests", &MaskOptions::default()).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
pub(super) fn item(id: &str, metric: &str, value: serde_json::Value) -> Feedback {
    Feedback::parse(&json!({"inference_id": id, "metric_name": metric, "value": value}), None, &masker()).unwrap()
}

pub(super) struct Running {
    pub(super) records: Records,
    health: Health,
    pub(super) seen: mpsc::Sender<Exchange>,
    shutdown: Shutdown,
}

impl Running {
    pub(super) async fn start(options: RecordsOptions) -> Self {
        let registry = Registry::new(1000);
        let health = Health::new(registry.clone());
        let shutdown = Shutdown::default();
        let records = Records::open(options, registry, health.clone(), Feeds::default()).await;
        let (seen, queue) = mpsc::channel(64);
        records.spawn(queue, &shutdown);
        Self { records, health, seen, shutdown }
    }

    pub(super) async fn stop(self) {
        assert_eq!(self.shutdown.finish(Duration::from_secs(5)).await, Vec::<&str>::new());
    }
}

pub(super) async fn open(path: &Path) -> Database {
    Database::open(&Location::Sqlite(path.to_path_buf())).await.unwrap()
}

pub(super) async fn rows(path: &Path, sql: &'static str) -> i64 {
    let pool = open(path).await;
    let count = sqlx::query_scalar(sql).fetch_one(&pool.pool).await.unwrap();
    pool.pool.close().await;
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_refuses_feedback_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let running = Running::start(options(&path)).await;
    let refused = running.records.feedback(vec![item("a", "thumbs", json!(true))]).await;
    assert!(matches!(refused, Err(Refused::Unavailable(_))), "{refused:?}");
    let why = running.health.sources()["records"].clone().unwrap();
    assert!(why.contains("p.db"), "{why}");
    running.seen.send(exchange("a")).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut taken = false;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        taken = taken || running.records.feedback(vec![item("a", "thumbs", json!(true))]).await.is_ok();
    }
    assert!(taken, "usable again once the file is gone");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_refuses_in_time_and_nothing_is_lost_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let running = Running::start(options(&path)).await;
    running.records.feedback(vec![item("a", "thumbs", json!(true))]).await.unwrap();
    let other = open(&path).await;
    let lock = other.begin().await.unwrap();
    let refused = running.records.feedback(vec![item("b", "thumbs", json!(true))]).await;
    assert!(matches!(refused, Err(Refused::Unavailable(_))), "{refused:?}");
    lock.rollback().await.unwrap();
    running.records.feedback(vec![item("b", "thumbs", json!(true))]).await.unwrap();
    assert_eq!(running.health.sources()["records"], None, "up again");
    running.stop().await;
    assert_eq!(rows(&path, "SELECT count(*) FROM feedback").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn age_and_size_are_bounded_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let pool = open(&path).await;
    let mut tx = pool.begin().await.unwrap();
    for n in 0..5000_i64 {
        let mut old = exchange(&format!("e{n}"));
        old.started = Timestamp::from_millis(n);
        database::put_exchange(&mut tx, &old, StoreText::None).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(database::trim(&pool, Timestamp::from_millis(1000), 1 << 30).await.unwrap(), 1000);
    assert!(database::trim(&pool, Timestamp::from_millis(0), 400_000).await.unwrap() >= 1000);
    let left: i64 = sqlx::query_scalar("SELECT min(started_ms) FROM exchanges").fetch_one(&pool.pool).await.unwrap();
    assert!(left >= 2000, "the oldest went first: {left}");
}

fn said(id: &str, words: &str) -> Exchange {
    let prompt = Some(MaskedText::of(&masker(), words));
    let text = ExchangeText { prompt, response_truncated: true, ..ExchangeText::default() };
    Exchange { text: Some(Arc::new(text)), ..exchange(id) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_file_gets_the_columns_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let pool = SqlitePool::connect_with(file).await.unwrap();
    let first = "CREATE TABLE exchanges (
        id TEXT PRIMARY KEY, request_id TEXT, started_ms INTEGER NOT NULL, source TEXT NOT NULL, endpoint TEXT NOT NULL,
        model TEXT NOT NULL, variant TEXT NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL, finish_reason TEXT,
        stream INTEGER NOT NULL, input_tokens INTEGER, output_tokens INTEGER, estimated INTEGER NOT NULL,
        time_to_first_token_ms REAL, duration_ms REAL NOT NULL) WITHOUT ROWID;
        INSERT INTO exchanges VALUES
        ('old', NULL, 9e15, 'tap', 'chat', 'm', '', 'ok', 200, NULL, 0, 1, 2, 0, NULL, 5.0);
        CREATE TABLE feedback (key TEXT PRIMARY KEY, target TEXT NOT NULL, metric TEXT NOT NULL, value REAL NOT NULL,
        score REAL, received_ms INTEGER NOT NULL, model TEXT, variant TEXT, tags TEXT) WITHOUT ROWID";
    sqlx::Executor::execute(&pool, first).await.unwrap();
    pool.close().await;
    let running = Running::start(RecordsOptions { store_text: StoreText::Masked, ..options(&path) }).await;
    running.records.exchanges(vec![said("new", "hello")]).await.unwrap();
    running.records.feedback(vec![item("new", "correction", json!("goodbye"))]).await.unwrap();
    running.stop().await;
    assert_eq!(rows(&path, "SELECT count(*) FROM exchanges WHERE prompt = 'hello' OR id = 'old'").await, 2);
    assert_eq!(rows(&path, "SELECT count(*) FROM feedback WHERE text = 'goodbye'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drift_feed_hears_of_a_posted_exchange_once_with_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new(1000);
    let (drift, mut inbox) = Feed::to_drift(registry.clone());
    let health = Health::new(registry.clone());
    let records = Records::open(options(&folder.path().join("p.db")), registry, health, Feeds::new([drift])).await;
    let shutdown = Shutdown::default();
    let (_seen, queue) = mpsc::channel(64);
    records.spawn(queue, &shutdown);
    for _ in 0..2 {
        records.exchanges(vec![said("a", "hello")]).await.unwrap();
    }
    let heard = inbox.recv().await.unwrap();
    assert_eq!(heard.text.unwrap().prompt.as_ref().unwrap().as_str(), "hello", "stored or not");
    assert!(inbox.try_recv().is_none(), "the second time it is known");
    shutdown.finish(Duration::from_secs(5)).await;
}

/// `RAISE(ROLLBACK)` ends the transaction as a full disk does: by SQLite itself, without sqlx learning of it.
#[tokio::test]
async fn a_connection_whose_trim_failed_is_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let pool = open(&folder.path().join("p.sqlite3")).await;
    let mut tx = pool.begin().await.unwrap();
    for n in 0..10 {
        let mut one = exchange(&format!("x{n}"));
        one.started = Timestamp::from_millis(n);
        database::put_exchange(&mut tx, &one, StoreText::None).await.unwrap();
    }
    tx.commit().await.unwrap();
    let fail = "CREATE TRIGGER full BEFORE DELETE ON exchanges BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END";
    sqlx::query(fail).execute(&pool.pool).await.unwrap();
    for _ in 0..4 {
        let refused = database::trim(&pool, Timestamp::from_millis(5), 1 << 30).await.unwrap_err();
        assert!(refused.to_string().contains("disk is full"), "{refused}");
    }
    sqlx::query("DROP TRIGGER full").execute(&pool.pool).await.unwrap();
    assert_eq!(database::trim(&pool, Timestamp::from_millis(5), 1 << 30).await.unwrap(), 5);
    let both = (pool.begin().await, pool.pool.acquire().await);
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_outlives_the_records_and_what_it_cannot_take_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let running = Running::start(options(&path)).await;
    let (now, day) = (crate::clock::wall(), Duration::from_secs(86_400));
    for (action, age) in [("old", 399 * day), ("older", 401 * day), ("new", Duration::ZERO)] {
        running.records.audit(AuditEntry { at: now - age, ..AuditEntry::now("ann", action, json!({"n": 1})) });
    }
    running.records.exchanges(vec![exchange("x")]).await.unwrap(); // is written after them
    running.stop().await;
    let database = open(&path).await;
    audit::trim(&database.pool, Duration::from_secs(60)).await.unwrap();
    let left = audit::newest(&database.pool, 10).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(), ["new", "old"]);
    assert_eq!((left[0].actor.as_str(), &left[0].detail), ("ann", &json!({"n": 1})));

    let bad = folder.path().join("bad.db");
    std::fs::write(&bad, vec![b'x'; 8192]).unwrap();
    let running = Running::start(options(&bad)).await;
    running.records.audit(AuditEntry::now("ann", "reload", json!({})));
    assert!(running.records.audit_log(10).await.is_err());
    let registry = running.records.shared.registry.clone();
    running.stop().await;
    let dropped = registry.samples().into_iter().find(|(labels, _)| labels.get("what") == Some("audit"));
    assert_eq!(dropped.map(|(_, count)| count), Some(1.0));
}
