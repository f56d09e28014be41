//! Who is told: the configuration's receivers as sinks of the dispatcher.

use std::time::Duration;

use anyhow::Context as _;
use plimsoll_alerts::{AlertmanagerSink, Dispatcher, DispatcherOptions, OutboxLimits, Sink, SinkError, WebhookSink};
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
        sinks: sinks(config).context("alerts")?,
        pool,
        limits: OutboxLimits::default(),
        tracker: shutdown.tracker(),
        token: shutdown.token(),
        drain: (config.raw.shutdown_grace.0 / 2).min(Duration::from_secs(10)),
    };
    Dispatcher::start(options).await.context("alerts")
}

/// Every receiver, named by its configuration or its host and port.
pub(super) fn sinks(config: &Checked) -> Result<Vec<Sink>, SinkError> {
    let alerts = &config.raw.alerts;
    let mut sinks = Vec::new();
    for (peer, token) in alerts.alertmanagers.iter().zip(&config.alertmanager_tokens) {
        let mut sink = AlertmanagerSink::new("", &peer.url)?.timeout(peer.timeout.0)?;
        if let Some(token) = token {
            sink = sink.bearer(&token.0)?;
        }
        sinks.push(Sink::Alertmanager(sink));
    }
    for (hook, secret) in alerts.webhooks.iter().zip(&config.webhook_secrets) {
        let mut sink = WebhookSink::new(&hook.name, &hook.url)?.timeout(hook.timeout.0)?;
        if let Some(secret) = secret {
            sink = sink.secret(&secret.0)?;
        }
        sinks.push(Sink::Webhook(sink));
    }
    Ok(sinks)
}
