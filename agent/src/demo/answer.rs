//! One answer of the stand-in engine on its way: word after word, streamed or whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use super::engine::{Engine, GAP};
use super::engine_metrics::Finished;
use super::words;

/// Which of OpenAI's interfaces was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completions,
}

impl Interface {
    /// What an id begins with.
    pub(crate) fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Completions => "cmpl-",
        }
    }

    /// Where the request carries its prompt.
    pub(crate) fn prompt_key(self) -> &'static str {
        match self {
            Self::Chat => "messages",
            Self::Completions => "prompt",
        }
    }

    fn object(self, streamed: bool) -> &'static str {
        match (self, streamed) {
            (Self::Chat, true) => "chat.completion.chunk",
            (Self::Chat, false) => "chat.completion",
            (Self::Completions, _) => "text_completion",
        }
    }
}

/// An answer being given. Dropped before its end, it is an abort.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Whose it is.
    pub(crate) engine: Arc<Engine>,
    /// How it was asked for.
    pub(crate) interface: Interface,
    /// Its `id`.
    pub(crate) id: String,
    /// The model's name.
    pub(crate) model: String,
    /// When it was asked for, in seconds since the Unix epoch.
    pub(crate) created: u64,
    /// Words of the prompt.
    pub(crate) prompt_tokens: u64,
    /// Words it will have.
    pub(crate) answer_tokens: u64,
    /// `stop` or `length`.
    pub(crate) reason: &'static str,
    /// Whether a stream ends with a chunk of usage.
    pub(crate) usage: bool,
    /// How long the prompt takes.
    pub(crate) first_token: Duration,
    /// When it was asked for.
    pub(crate) started: Instant,
    /// Words given so far.
    pub(crate) sent: u64,
    /// When the first word was given.
    pub(crate) first_at: Option<Instant>,
    /// Whether it came to its end.
    pub(crate) done: bool,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug)]
enum Next {
    Role,
    Word,
    Usage,
    Done,
}

impl Answer {
    /// The answer as server-sent events, each sent when it is ready.
    pub(crate) fn into_stream(self) -> Response {
        let frames = stream::unfold(Some((self, Next::Role)), |state| async {
            let (mut answer, next) = state?;
            let (frame, next) = answer.frame(next).await;
            let rest = next.map(|next| (answer, next));
            Some((Ok::<_, std::convert::Infallible>(Bytes::from(format!("data: {frame}\n\n"))), rest))
        });
        let kind = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
        (kind, Body::from_stream(frames)).into_response()
    }

    /// The answer in one piece, after all its words would have been generated.
    pub(crate) async fn into_whole(mut self) -> Response {
        tokio::time::sleep(self.first_token).await;
        self.first_at = Some(Instant::now());
        let gaps = u32::try_from(self.answer_tokens.saturating_sub(1)).unwrap_or(u32::MAX);
        tokio::time::sleep(GAP * gaps).await;
        self.sent = self.answer_tokens;
        self.done = true;
        let text = words::text(0, self.answer_tokens as usize);
        let mut choice = match self.interface {
            Interface::Chat => json!({"index": 0, "message": {"role": "assistant", "content": text}}),
            Interface::Completions => json!({"index": 0, "text": text}),
        };
        choice["logprobs"] = Value::Null;
        choice["finish_reason"] = self.reason.into();
        let mut body = self.envelope(false, &json!([choice]));
        body["usage"] = self.usage();
        axum::Json(body).into_response()
    }

    async fn frame(&mut self, next: Next) -> (String, Option<Next>) {
        match next {
            Next::Role if self.interface == Interface::Chat => {
                tokio::time::sleep(self.first_token).await;
                let choice = json!({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null});
                (self.envelope(true, &json!([choice])).to_string(), Some(self.after_word()))
            }
            Next::Role => {
                tokio::time::sleep(self.first_token).await;
                (self.word(), Some(self.after_word()))
            }
            Next::Word => {
                if self.sent > 0 {
                    tokio::time::sleep(GAP).await;
                }
                (self.word(), Some(self.after_word()))
            }
            Next::Usage => {
                let mut frame = self.envelope(true, &json!([]));
                frame["usage"] = self.usage();
                (frame.to_string(), Some(Next::Done))
            }
            Next::Done => {
                self.done = true;
                ("[DONE]".to_owned(), None)
            }
        }
    }

    fn after_word(&self) -> Next {
        match (self.sent < self.answer_tokens, self.usage) {
            (true, _) => Next::Word,
            (false, true) => Next::Usage,
            (false, false) => Next::Done,
        }
    }

    fn word(&mut self) -> String {
        let space = if self.sent > 0 { " " } else { "" };
        let text = format!("{space}{}", words::word(self.sent));
        self.first_at.get_or_insert_with(Instant::now);
        self.sent += 1;
        let reason = (self.sent >= self.answer_tokens).then_some(self.reason);
        let choice = match self.interface {
            Interface::Chat => {
                json!({"index": 0, "delta": {"content": text}, "logprobs": null, "finish_reason": reason})
            }
            Interface::Completions => json!({"index": 0, "text": text, "logprobs": null, "finish_reason": reason}),
        };
        self.envelope(true, &json!([choice])).to_string()
    }

    fn envelope(&self, streamed: bool, choices: &Value) -> Value {
        let object = self.interface.object(streamed);
        json!({"id": self.id, "object": object, "created": self.created, "model": self.model, "choices": choices})
    }

    fn usage(&self) -> Value {
        let total = self.prompt_tokens + self.answer_tokens;
        json!({"prompt_tokens": self.prompt_tokens, "total_tokens": total, "completion_tokens": self.answer_tokens})
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let first = self.first_at.unwrap_or_else(Instant::now);
        let request = Finished {
            reason: if self.done { self.reason } else { "abort" },
            prompt_tokens: self.prompt_tokens,
            answer_tokens: self.sent,
            first_token: first.duration_since(self.started).as_secs_f64(),
            decode: first.elapsed().as_secs_f64(),
        };
        self.engine.metrics().end(self.prompt_tokens + self.answer_tokens, request);
    }
}
