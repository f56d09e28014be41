//! A stand-in for an inference server: OpenAI's chat and completions API, plain and streamed, and vLLM's `/metrics`.
//!
//! It generates no thought, only words, at the pace of a small GPU: a first token after some 30 to 120 ms, then one
//! every few milliseconds. A word counts as a token. Answer lengths follow a real trace (see `quantiles`), and end
//! early at `max_tokens`, with `finish_reason` `length`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Answer, Interface};
use super::engine_metrics::EngineMetrics;
use super::quantiles::{self, Spread, Step};
use super::words;
use crate::shutdown::Shutdown;

/// Before the first token of an empty prompt.
const FIRST_TOKEN: Duration = Duration::from_millis(30);
/// More of that for each token of the prompt.
const PER_PROMPT_TOKEN: Duration = Duration::from_micros(4);
/// Between two tokens.
pub(crate) const GAP: Duration = Duration::from_millis(4);

/// The stand-in's state; requests share it.
#[derive(Debug)]
pub(crate) struct Engine {
    model: String,
    metrics: Mutex<EngineMetrics>,
    lengths: Mutex<Spread>,
}

impl Engine {
    /// An engine that serves `model`.
    pub(crate) fn new(model: &str) -> Arc<Self> {
        let lengths = Mutex::new(Spread::new(Step::Answer, &mut fastrand::Rng::new()));
        Arc::new(Self { model: model.to_owned(), metrics: Mutex::default(), lengths })
    }

    /// Its counters.
    pub(crate) fn metrics(&self) -> MutexGuard<'_, EngineMetrics> {
        lock(&self.metrics)
    }

    /// Serves on `port` of the loopback (0: any free one) until shutdown; gives the address.
    ///
    /// # Errors
    /// The port cannot be had.
    pub(crate) async fn serve(self: Arc<Self>, port: u16, shutdown: &Shutdown) -> anyhow::Result<SocketAddr> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("the stand-in engine cannot listen on 127.0.0.1:{port}"))?;
        let address = listener.local_addr()?;
        let stop = shutdown.clone();
        let app = router(self);
        shutdown.spawn("stand-in engine", async move {
            let serve = axum::serve(listener, app).into_future();
            tokio::select! {
                _ = serve => {}
                () = stop.begun() => {}
            }
        });
        Ok(address)
    }

    fn answer_length(&self) -> u64 {
        quantiles::at(&quantiles::ANSWER_TOKENS, lock(&self.lengths).draw()).round() as u64
    }
}

/// A poisoned counter is still a counter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completions))
        .route("/v1/models", get(models))
        .route("/metrics", get(metrics))
        .route("/health", get(async || ()))
        .layer(DefaultBodyLimit::disable())
        .with_state(engine)
}

async fn chat(engine: State<Arc<Engine>>, headers: HeaderMap, body: Bytes) -> Response {
    generate(&engine.0, &headers, &body, Interface::Chat).await
}

async fn completions(engine: State<Arc<Engine>>, headers: HeaderMap, body: Bytes) -> Response {
    generate(&engine.0, &headers, &body, Interface::Completions).await
}

async fn models(engine: State<Arc<Engine>>) -> Response {
    let model = json!({"id": engine.model, "object": "model", "created": 0, "owned_by": "plimsoll demo"});
    axum::Json(json!({"object": "list", "data": [model]})).into_response()
}

async fn metrics(engine: State<Arc<Engine>>) -> Response {
    let text = engine.metrics().text(&engine.model);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn generate(engine: &Arc<Engine>, headers: &HeaderMap, body: &[u8], interface: Interface) -> Response {
    let request: Value = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, "BadRequestError", &format!("not JSON: {error}")),
    };
    if let Some(asked) = request["model"].as_str().filter(|asked| *asked != engine.model) {
        let why = format!("The model `{asked}` does not exist. Valid aliases: {}.", engine.model);
        return refuse(StatusCode::NOT_FOUND, "NotFoundError", &why);
    }
    let Some(prompt_tokens) = interface.prompt_tokens(&request) else {
        let why = format!("`{}` is missing or is not text", interface.prompt_key());
        return refuse(StatusCode::BAD_REQUEST, "BadRequestError", &why);
    };
    let answer = begin(engine, headers, &request, interface, prompt_tokens);
    if request["stream"].as_bool().unwrap_or(false) { answer.into_stream() } else { answer.into_whole().await }
}

fn begin(
    engine: &Arc<Engine>,
    headers: &HeaderMap,
    request: &Value,
    interface: Interface,
    prompt_tokens: u64,
) -> Answer {
    let drawn = engine.answer_length();
    let most = ["max_completion_tokens", "max_tokens"].iter().find_map(|key| request[*key].as_u64());
    let most = most.unwrap_or(u64::MAX).max(1);
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).map_or_else(random_id, str::to_owned);
    let tokens = u32::try_from(prompt_tokens).unwrap_or(u32::MAX);
    engine.metrics().begin(prompt_tokens + drawn.min(most));
    Answer {
        engine: engine.clone(),
        interface,
        id: format!("{}{id}", interface.id_prefix()),
        model: engine.model.clone(),
        created: super::board::now() as u64,
        prompt_tokens,
        answer_tokens: drawn.min(most),
        reason: if drawn > most { "length" } else { "stop" },
        usage: request["stream_options"]["include_usage"].as_bool().unwrap_or(false),
        first_token: FIRST_TOKEN + PER_PROMPT_TOKEN * tokens,
        started: Instant::now(),
        sent: 0,
        first_at: None,
        done: false,
    }
}

fn random_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// An error as vLLM words it.
fn refuse(status: StatusCode, kind: &str, message: &str) -> Response {
    let error = json!({"message": message, "type": kind, "param": null, "code": status.as_u16()});
    (status, axum::Json(json!({ "error": error }))).into_response()
}

impl Interface {
    /// Words of the prompt, or `None` when there is none.
    fn prompt_tokens(self, request: &Value) -> Option<u64> {
        let words = match self {
            Self::Chat => {
                let messages = request["messages"].as_array()?;
                messages.iter().map(|message| words_of(&message["content"])).sum()
            }
            Self::Completions => match &request["prompt"] {
                Value::Null => return None,
                prompt => words_of(prompt),
            },
        };
        Some(words as u64)
    }
}

/// Words of a text, of an array of texts or of an array of `{"type": "text", "text": ...}`.
fn words_of(content: &Value) -> usize {
    match content {
        Value::String(text) => words::count(text),
        Value::Array(parts) => parts.iter().map(words_of).sum(),
        Value::Object(part) => part.get("text").map_or(0, words_of),
        _ => 0,
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
