//! The dispatcher against receivers that answer well, badly, late or not at all, and databases that fail.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test stops at an error and may say so"
)]

mod answers;
mod chat;
mod disk;
mod life;
mod receiver;

use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};

use plimsoll_alerts::{
    AlertmanagerSink, Dispatcher, DispatcherOptions, Notification, OutboxLimits, Routing, Sink, SinkStats, Status,
    WebhookSink,
};
use plimsoll_rules::Timestamp;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A dispatcher with the means to end it.
#[derive(Debug)]
struct Running {
    dispatcher: Dispatcher,
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Running {
    async fn start(sinks: Vec<Sink>, pool: Option<SqlitePool>) -> Self {
        Self::routed(sinks, Routing::default(), pool).await
    }

    async fn routed(sinks: Vec<Sink>, routing: Routing, pool: Option<SqlitePool>) -> Self {
        static RING: Once = Once::new();
        RING.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
        let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
        let dispatcher = Dispatcher::start(DispatcherOptions {
            sinks,
            routing,
            pool,
            limits: OutboxLimits::default(),
            tracker: tracker.clone(),
            token: token.clone(),
            drain: Duration::from_secs(1),
        });
        Self { dispatcher: dispatcher.await.unwrap(), tracker, token }
    }

    /// Ends it as the agent does; gives how long that took.
    async fn end(self) -> Duration {
        let begun = Instant::now();
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(Duration::from_secs(20), self.tracker.wait()).await.expect("every task ends");
        begun.elapsed()
    }

    fn stats(&self, sink: &str) -> SinkStats {
        self.dispatcher.stats().into_iter().find(|stats| stats.sink == sink).unwrap()
    }

    /// Waits until `sink` has `sent` notifications and nothing waits.
    async fn sent(&self, sink: &str, sent: u64) -> SinkStats {
        eventually(sink, || {
            let stats = self.stats(sink);
            (stats.sent >= sent && stats.pending == 0).then_some(stats)
        })
        .await
    }
}

/// Asks `look` every few milliseconds until it gives something; a test fails after 20 s.
async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: not so after 20 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn peer(name: &str, url: &str) -> Sink {
    AlertmanagerSink::new(name, url).unwrap().timeout(Duration::from_millis(300)).unwrap().into()
}

fn hook(name: &str, url: &str) -> Sink {
    WebhookSink::new(name, url).unwrap().timeout(Duration::from_millis(300)).unwrap().into()
}

fn alert(name: &str, status: Status) -> Notification {
    Notification {
        status,
        labels: [("alertname", name), ("pod", "chat-0")].map(|(k, v)| (k.into(), v.into())).into(),
        annotations: [("summary".into(), format!("{name} changed"))].into(),
        starts_at: Timestamp::from_millis(1_785_837_600_000),
        ends_at: Timestamp::from_millis(1_785_837_840_000),
        value: 0.93,
        generator_url: "http://127.0.0.1:9465/api/v1/alerts".into(),
        expr: "hot > 0.85".into(),
    }
}

fn firing(name: &str) -> Notification {
    alert(name, Status::Firing)
}

/// A database as the agent opens it.
async fn database(folder: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("plimsoll.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_millis(200));
    SqlitePoolOptions::new().max_connections(2).connect_with(options).await.unwrap()
}

/// `sink id` of every row.
async fn rows(pool: &SqlitePool) -> Vec<(String, String)> {
    sqlx::query_as("SELECT sink, id FROM outbox ORDER BY sink, id").fetch_all(pool).await.unwrap()
}
