//! Who is told: starts delivery to the configuration's receivers.

use std::time::Duration;

use anyhow::Context as _;
use plimsoll_alerts::{Dispatcher, DispatcherOptions, OutboxLimits};
use sqlx::sqlite::SqlitePool;

use crate::config::Checked;
use crate::shutdown::Shutdown;

/// Starts delivery; what was undelivered when the process last ended is sent first.
pub(super) async fn start(
    config: &Checked,
    pool: Option<SqlitePool>,
    shutdown: &Shutdown,
) -> anyhow::Result<Dispatcher> {
    let options = DispatcherOptions {
        sinks: config.sinks.clone(),
        routing: config.routing.clone(),
        pool,
        limits: OutboxLimits::default(),
        tracker: shutdown.tracker(),
        token: shutdown.token(),
        drain: (config.raw.shutdown_grace.0 / 2).min(Duration::from_secs(10)),
    };
    Dispatcher::start(options).await.context("alerts")
}
