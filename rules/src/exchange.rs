//! One request to the model and its answer, as every source (tap, push, OTLP) reports it. Text only where it is masked.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Assignment, ExchangeText, Timestamp};

/// Which interface of the inference server was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
    /// `/v1/responses`
    Responses,
    /// Ollama's `/api/chat`
    OllamaChat,
    /// Ollama's `/api/generate`
    OllamaGenerate,
}

/// Who told us of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Seen passing through our proxy.
    Tap,
    /// Posted to `/api/v1/exchanges`.
    Push,
    /// Scraped from the engine's own `/metrics`.
    Engine,
    /// A copy of a request that an experiment sent to its treatment; no client saw the answer.
    Mirror,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeOutcome {
    /// 2xx and the body came to its proper end.
    Ok,
    /// 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// The client went away before the end.
    ClientAbort,
    /// The upstream connection broke in the middle of the answer, or the stream ended without its terminator.
    BrokenStream,
    /// The upstream could not be reached, or closed before it answered (the client got 502).
    Unreachable,
    /// The upstream did not answer within the configured time (the client got 504).
    Timeout,
}

impl ExchangeOutcome {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::ClientAbort => "client_abort",
            Self::BrokenStream => "broken_stream",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
        }
    }
}

impl Source {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Push => "push",
            Self::Engine => "engine",
            Self::Mirror => "mirror",
        }
    }
}

/// A number of tokens and how sure we are of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenCount {
    /// The engine said so (its `usage`).
    Reported(u64),
    /// Counted from the stream's deltas.
    Estimated(u64),
    /// Nobody knows.
    Unknown,
}

impl TokenCount {
    /// The number, however it was found.
    pub fn value(self) -> Option<u64> {
        match self {
            Self::Reported(n) | Self::Estimated(n) => Some(n),
            Self::Unknown => None,
        }
    }
}

/// One request and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The engine's response `id`, else `x-request-id`, else one of ours. Feedback refers to it.
    pub id: String,
    /// The client's or the engine's `x-request-id`, when it differs from `id`: feedback may use either.
    pub request_id: Option<String>,
    /// When the request's head had arrived.
    pub started: Timestamp,
    /// Who told us.
    pub source: Source,
    /// Which interface.
    pub endpoint: Endpoint,
    /// Model name as served (response's, else request's, else `""`).
    pub model: String,
    /// Variant in an experiment; `""` when there is none.
    pub variant: String,
    /// Its unit's place in an experiment, when it takes part in one.
    #[serde(default)]
    pub assignment: Option<Assignment>,
    /// How it ended.
    pub outcome: ExchangeOutcome,
    /// HTTP status the client saw.
    pub status: u16,
    /// `stop`, `length`, `tool_calls`...; of the first choice.
    pub finish_reason: Option<String>,
    /// Whether the answer was streamed.
    pub stream: bool,
    /// Prompt tokens.
    pub input_tokens: TokenCount,
    /// Generated tokens.
    pub output_tokens: TokenCount,
    /// Request's arrival to the first content of a streamed answer.
    pub time_to_first_token: Option<Duration>,
    /// Gaps between one content chunk and the next of a streamed answer, in seconds; bounded by its producer.
    pub inter_token_seconds: Vec<f32>,
    /// Request's arrival to the last byte of the answer.
    pub duration: Duration,
    /// What was said, masked, of exchanges that were picked for it. Never read back: text comes in by masking only.
    #[serde(skip)]
    pub text: Option<Arc<ExchangeText>>,
}

impl Exchange {
    /// A chat that was answered at once, of which no more is known; whoever knows more sets it.
    #[must_use]
    pub fn chat(id: impl Into<String>, model: impl Into<String>, started: Timestamp) -> Self {
        Self {
            id: id.into(),
            request_id: None,
            started,
            source: Source::Push,
            endpoint: Endpoint::Chat,
            model: model.into(),
            variant: String::new(),
            assignment: None,
            outcome: ExchangeOutcome::Ok,
            status: 200,
            finish_reason: None,
            stream: false,
            input_tokens: TokenCount::Unknown,
            output_tokens: TokenCount::Unknown,
            time_to_first_token: None,
            inter_token_seconds: Vec::new(),
            duration: Duration::ZERO,
            text: None,
        }
    }
}
