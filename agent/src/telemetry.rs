//! Our own log, on standard error: never a prompt, an answer or a token.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LogLevel};

/// Starts logging; a second call is ignored.
pub fn start(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // libraries speak only when something is wrong: their debug lines may quote what passes through
    let ours = filter_fn(move |meta| {
        let limit = if meta.target().starts_with("plimsoll") { level } else { LevelFilter::WARN.min(level) };
        *meta.level() <= limit
    });
    let base = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let layer = match format {
        LogFormat::Text => base.with_target(false).with_filter(ours).boxed(),
        LogFormat::Json => base.json().with_filter(ours).boxed(),
    };
    let _ = tracing_subscriber::registry().with(layer).try_init();
}
