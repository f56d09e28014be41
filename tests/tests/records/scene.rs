//! Records on a file of SQLite's or on a real PostgreSQL.

use std::time::Duration;

use plimsoll_agent::config::{Secret, StoreText};
use plimsoll_agent::feed::Feeds;
use plimsoll_agent::health::Health;
use plimsoll_agent::records::{Feedback, Location, Records, RecordsOptions};
use plimsoll_agent::shutdown::Shutdown;
use plimsoll_exporters::Registry;
use plimsoll_rules::mask::{MaskOptions, Masker};
use plimsoll_rules::{Exchange, Source, TokenCount};
use plimsoll_tests::Postgres;
use serde_json::json;
use sqlx::AnyPool;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Which of the two.
#[derive(Clone, Copy, Debug)]
pub enum Store {
    Sqlite,
    Postgres,
}

impl Store {
    /// An empty one; `None`, said loudly, where PostgreSQL is not installed.
    pub async fn open(self) -> Option<Opened> {
        sqlx::any::install_default_drivers();
        let server = match self {
            Self::Sqlite => None,
            Self::Postgres => Some(Postgres::start().await.unwrap()?),
        };
        Some(Opened { folder: tempfile::tempdir().unwrap(), server })
    }
}

pub struct Opened {
    folder: TempDir,
    server: Option<Postgres>,
}

impl Opened {
    pub fn options(&self) -> RecordsOptions {
        let path = self.folder.path().join("deep/er/plimsoll ö?.db");
        let location = match &self.server {
            None => Location::Sqlite(path.clone()),
            Some(server) => Location::Postgres(Secret(server.url())),
        };
        RecordsOptions {
            path,
            location,
            sample: 0.0,
            store_text: StoreText::None,
            retention: Duration::from_secs(3600),
            disk: 1 << 30,
            window: Duration::from_secs(300),
            outcomes: None,
        }
    }

    /// As the command line takes it.
    pub fn url(&self) -> String {
        match self.options().location {
            Location::Sqlite(path) => format!("sqlite://{}", path.display()),
            Location::Postgres(Secret(url)) => url,
        }
    }

    /// A question about what is stored.
    pub async fn rows(&self, sql: &'static str) -> i64 {
        let url = match &self.server {
            Some(server) => server.url(),
            None => format!("sqlite://{}/deep/er/plimsoll%20%C3%B6%3F.db", self.folder.path().display()),
        };
        let pool = AnyPool::connect(&url).await.unwrap();
        let count = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        pool.close().await;
        count
    }
}

pub fn masker() -> Masker {
    Masker::new(b"salt of the tests", &MaskOptions::default()).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
pub fn item(id: &str, metric: &str, value: serde_json::Value) -> Feedback {
    Feedback::parse(&json!({"inference_id": id, "metric_name": metric, "value": value}), None, &masker()).unwrap()
}

pub fn exchange(id: &str) -> Exchange {
    Exchange {
        request_id: Some(format!("req-{id}")),
        source: Source::Tap,
        finish_reason: Some("stop".into()),
        stream: true,
        input_tokens: TokenCount::Reported(10),
        output_tokens: TokenCount::Reported(5),
        duration: Duration::from_millis(5),
        ..Exchange::chat(id, "m", plimsoll_agent::clock::wall())
    }
}

/// One agent's records.
pub struct Running {
    pub records: Records,
    registry: Registry,
    pub seen: mpsc::Sender<Exchange>,
    shutdown: Shutdown,
}

impl Running {
    pub async fn start(options: RecordsOptions) -> Self {
        let registry = Registry::new(1000);
        let health = Health::new(registry.clone());
        let shutdown = Shutdown::default();
        let records = Records::open(options, registry.clone(), health.clone(), Feeds::default()).await;
        assert_eq!(health.sources().get("records"), Some(&None), "the database is open");
        let (seen, queue) = mpsc::channel(64);
        records.spawn(queue, &shutdown);
        Self { records, registry, seen, shutdown }
    }

    pub fn value(&self, series: &str) -> Option<f64> {
        self.registry.samples().into_iter().find(|(labels, _)| labels.to_string() == series).map(|(_, value)| value)
    }

    pub async fn stop(self) {
        assert_eq!(self.shutdown.finish(Duration::from_secs(5)).await, Vec::<&str>::new());
    }
}
