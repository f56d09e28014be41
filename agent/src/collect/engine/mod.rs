//! Scrapes the inference engine's own metrics and names them as ours.

mod map;
mod names;

use std::time::Duration;

use plimsoll_exporters::{Metric, Reading, ReadingValue, parse};
use reqwest::{Client, StatusCode, Url};

use crate::config::EngineKind;

/// Most sample lines taken from one exposition.
const MOST_LINES: usize = 100_000;

/// What one scrape gave.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The engine, as configured or recognised; `Auto` when nothing in the exposition is known.
    pub kind: EngineKind,
    /// Its metrics in our names.
    pub readings: Vec<Reading>,
    /// Lines that were no exposition, or more than the bound.
    pub garbage: usize,
}

/// Why a scrape gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// The engine does not offer metrics there (Ollama, or llama.cpp without `--metrics`): not a failure.
    #[error(
        "{url} offers no metrics ({status}); start the engine with its metrics on, or set sources.engine.enabled: false"
    )]
    NotOffered {
        /// Where we asked.
        url: Url,
        /// What it answered.
        status: StatusCode,
    },
    /// It answered with an error.
    #[error("{url} answered {status}")]
    Status {
        /// Where we asked.
        url: Url,
        /// What it answered.
        status: StatusCode,
    },
    /// It cannot be reached, broke off, or took too long.
    #[error("{url}: {reason}")]
    Transport {
        /// Where we asked.
        url: Url,
        /// What happened.
        reason: String,
    },
    /// The exposition is larger than allowed.
    #[error("{url}: more than {limit} bytes; raise sources.engine.max_size if that is right")]
    TooLarge {
        /// Where we asked.
        url: Url,
        /// The bound, in bytes.
        limit: u64,
    },
    /// It is another engine than the configuration says.
    #[error("{url} speaks for {}, not {}; set sources.engine.kind to auto or {}", word(*.found), word(*.configured), word(*.found))]
    WrongKind {
        /// Where we asked.
        url: Url,
        /// `sources.engine.kind`.
        configured: EngineKind,
        /// What its metrics are named for.
        found: EngineKind,
    },
    /// Nothing in it is a sample.
    #[error("{url}: not an exposition ({garbage} lines of something else)")]
    NotExposition {
        /// Where we asked.
        url: Url,
        /// How many lines were not understood.
        garbage: usize,
    },
}

/// Where and how to scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The metrics URL.
    pub url: Url,
    /// The engine, or `Auto`.
    pub kind: EngineKind,
    /// Give up after this long.
    pub timeout: Duration,
    /// Largest exposition read, in bytes.
    pub max_size: u64,
}

/// A client that goes straight to the engine: a proxy of the environment is not meant for the pod's own loopback.
pub fn client() -> Client {
    Client::builder().no_proxy().build().unwrap_or_default()
}

/// Scrapes `target` once.
///
/// # Errors
/// [`ScrapeError`] says what was found there instead.
pub async fn scrape(client: &Client, target: &Target) -> Result<Scrape, ScrapeError> {
    let body = fetch(client, target).await?;
    let found = parse::parse(&body, MOST_LINES);
    let recognised = found.lines.iter().find_map(|line| names::detect(&line.name));
    // in noise, a line may look like a sample by chance
    if recognised.is_none() && found.garbage > found.lines.len() {
        return Err(ScrapeError::NotExposition { url: target.url.clone(), garbage: found.garbage });
    }
    let kind = match (target.kind, recognised) {
        (EngineKind::Auto, found) => found.unwrap_or(EngineKind::Auto),
        (configured, Some(found)) if found != configured => {
            return Err(ScrapeError::WrongKind { url: target.url.clone(), configured, found });
        }
        (configured, _) => configured,
    };
    let mut readings = map::readings(kind, &found.lines);
    let labels = vec![word(kind).to_owned(), target.url.to_string()];
    readings.push(Reading { metric: Metric::EngineInfo, labels, value: ReadingValue::Scalar(1.0) });
    Ok(Scrape { kind, readings, garbage: found.garbage + found.over })
}

/// How an engine is called in labels and configuration.
pub fn word(kind: EngineKind) -> &'static str {
    match kind {
        EngineKind::Auto => "unknown",
        EngineKind::Vllm => "vllm",
        EngineKind::Sglang => "sglang",
        EngineKind::Tgi => "tgi",
        EngineKind::Llamacpp => "llamacpp",
        EngineKind::Triton => "triton",
    }
}

async fn fetch(client: &Client, target: &Target) -> Result<Vec<u8>, ScrapeError> {
    let url = || target.url.clone();
    let transport = |error: reqwest::Error| ScrapeError::Transport { url: url(), reason: reason(&error) };
    let request = client.get(target.url.clone()).header("accept", "text/plain;version=0.0.4").timeout(target.timeout);
    let mut response = request.send().await.map_err(transport)?;
    match response.status() {
        status if status.is_success() => {}
        status @ (StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED) => {
            return Err(ScrapeError::NotOffered { url: url(), status });
        }
        status => return Err(ScrapeError::Status { url: url(), status }),
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if (body.len() + chunk.len()) as u64 > target.max_size {
            return Err(ScrapeError::TooLarge { url: url(), limit: target.max_size });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause, which is what an operator can act on.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
