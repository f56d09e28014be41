//! What is watched: the signals, their units, and how each is read off an exchange.

use std::fmt;

use plimsoll_rules::{Exchange, ExchangeOutcome};
use serde::{Deserialize, Serialize};

use crate::config::{Setting, Signals};

/// What kind of value a signal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// One of a few words.
    Category,
    /// A text, by its embedding.
    Text,
    /// Outcomes from 0 to 1 whose mean must not fall below a floor.
    Ratio,
}

/// One line a signal: its variant, name, kind and unit.
macro_rules! signals {
    ($($variant:ident $name:ident $kind:ident $unit:literal, $next:literal;)*) => {
        /// Something that may drift.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Signal {
            $(#[doc = concat!("`", stringify!($name), "`")] $variant,)*
        }

        impl Signal {
            /// Every signal, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in the configuration, in series and in the API.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                }
            }

            /// What kind of value it has.
            pub fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => Kind::$kind,)*
                }
            }

            /// Unit of its values; `""` where they have none.
            pub fn unit(self) -> &'static str {
                match self {
                    $(Self::$variant => $unit,)*
                }
            }

            /// What to look at when it has drifted.
            pub fn next_step(self) -> &'static str {
                match self {
                    $(Self::$variant => $next,)*
                }
            }

            /// Its part of the configuration.
            pub(crate) fn setting(self, all: &Signals) -> &Setting {
                match self {
                    $(Self::$variant => &all.$name,)*
                }
            }
        }
    };
}

signals! {
    InputTokens input_tokens Number "tokens",
        "Look at who sends longer or shorter prompts, and at plimsoll_time_to_first_token_seconds and plimsoll_kv_cache_utilization_ratio.";
    OutputTokens output_tokens Number "tokens",
        "Look at finish_reason (cut off by a limit?), at the model's version and at the prompts' length.";
    TimeToFirstToken time_to_first_token Number "s",
        "Look at plimsoll_requests_waiting, at input_tokens and at the GPU's utilization and clocks.";
    Latency latency Number "s",
        "Look at output_tokens and time_to_first_token: longer answers, or slower ones? Then at plimsoll_requests_running.";
    TokensPerSecond tokens_per_second Number "tokens/s",
        "Look at plimsoll_requests_running (larger batches?), at plimsoll_gpu_throttled and at the engine's version.";
    FinishReason finish_reason Category "",
        "Look at output_tokens, at limits on the length of answers and at what was released.";
    ErrorKind error_kind Category "",
        "Look at plimsoll_requests_total by outcome and at the engine's log.";
    Language language Category "",
        "Look at who began to send; check that the model is good at this language.";
    PromptLength prompt_length Number "characters",
        "Look at the application's prompt template and at who sends.";
    ResponseLength response_length Number "characters",
        "Look at finish_reason, at the model's version and at the prompts.";
    Refusal refusal Category "",
        "Read a few refused prompts; look at the model's version, its system prompt and its safety settings.";
    Embedding embedding Text "",
        "Read the examples; look at who began to send; when the topic is meant to be served, accept it and judge answers to it.";
    ShadowEmbedding shadow_embedding Text "",
        "Read the examples; look at who began to send; when the topic is meant to be served, accept it and judge answers to it.";
    PromptNll prompt_nll Number "nats per token",
        "Look at shadow_embedding, language and the examples there: prompts have become less (or more) like usual text.";
    ResponseNll response_nll Number "nats per token",
        "Read a few answers; look at the model's version, its sampling settings (temperature) and at refusal.";
    TaskCompletion task_completion Ratio "",
        "Look at plimsoll_requests_total by outcome, at what else has drifted and at what was released.";
    UserSatisfaction user_satisfaction Ratio "",
        "Read what users say; look at task_completion, at latency and at what else has drifted.";
}

impl Signal {
    /// The signal of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|signal| signal.name() == name)
    }

    /// Whether the shadow model tells it: what one model says is not compared with what another does.
    pub(super) fn is_shadow(self) -> bool {
        matches!(self, Self::ShadowEmbedding | Self::PromptNll | Self::ResponseNll)
    }

    /// Its number in an exchange; `None` where it has none, and of requests that were not answered.
    pub(super) fn number(self, exchange: &Exchange) -> Option<f64> {
        if exchange.outcome != ExchangeOutcome::Ok {
            return None;
        }
        let tokens = |count: plimsoll_rules::TokenCount| count.value().map(|n| n as f64);
        match self {
            Self::InputTokens => tokens(exchange.input_tokens),
            Self::OutputTokens => tokens(exchange.output_tokens),
            Self::TimeToFirstToken => exchange.time_to_first_token.map(|span| span.as_secs_f64()),
            Self::Latency => Some(exchange.duration.as_secs_f64()),
            Self::TokensPerSecond => tokens_per_second(exchange),
            Self::PromptLength => {
                let text = exchange.text.as_ref().filter(|text| !text.prompt_truncated)?;
                text.prompt.as_ref().map(|text| text.as_str().chars().count() as f64)
            }
            Self::ResponseLength => {
                let text = exchange.text.as_ref().filter(|text| !text.response_truncated)?;
                text.response.as_ref().map(|text| text.as_str().chars().count() as f64)
            }
            _ => None,
        }
    }
}

/// Of the tokens after the first, where its time is known: waiting and prompts do not count. Answers of less than two
/// tokens say nothing.
fn tokens_per_second(exchange: &Exchange) -> Option<f64> {
    let tokens = exchange.output_tokens.value().filter(|n| *n >= 2)? as f64;
    let (counted, span) = match exchange.time_to_first_token {
        Some(first) => (tokens - 1.0, exchange.duration.saturating_sub(first)),
        None => (tokens, exchange.duration),
    };
    (!span.is_zero()).then(|| counted / span.as_secs_f64())
}

/// One signal of one model and variant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SignalId {
    /// Which signal.
    pub signal: Signal,
    /// Model name as served.
    pub model: String,
    /// Variant; `""` when there is none.
    pub variant: String,
}

impl SignalId {
    /// Values of the labels `signal`, `model`, `variant`.
    pub(super) fn labels(&self) -> [&str; 3] {
        [self.signal.name(), &self.model, &self.variant]
    }

    /// Starts random numbers: equal ids see equal ones, so that a replay is a replay.
    pub(super) fn seed(&self) -> u64 {
        // FNV-1a
        let text = self.to_string();
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

impl fmt::Display for SignalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.signal.name(), self.model, self.variant)
    }
}
