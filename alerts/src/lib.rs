//! Tells: an alert's transitions become delivered notifications.
//!
//! Called by `agent`, which hands over the alerts that the rules decided on. This crate never decides; it keeps the
//! latest state per (sink, alert) in a durable outbox and retries until a sink has it. `docs/alerts.md` is its manual.

mod alertmanager;
mod backoff;
mod chat;
mod clock;
mod dispatcher;
#[cfg(fuzzing)]
mod fuzzing;
mod gate;
mod group;
mod journal;
mod lock;
mod matcher;
mod notification;
mod outbox;
mod post;
mod rate;
mod route;
mod sign;
mod silence;
mod silence_store;
mod sink;
mod text;
mod verdict;
mod webhook;
mod worker;

pub use chat::{ChatSink, DingTalk, Discord, Feishu, PagerDuty, Service, Slack, Teams, WeCom, WebhookV4};
pub use dispatcher::{Dispatcher, DispatcherOptions, SinkStats};
#[cfg(fuzzing)]
pub use fuzzing::fuzz_answer;
pub use group::{GroupBy, Timing};
pub use matcher::{Equal, Kind, Matcher, MatcherError};
pub use notification::{Notification, Status};
pub use outbox::{OutboxLimits, Pending, Standing};
pub use rate::Rate;
pub use route::{Route, Routing, Then};
pub use sign::{Signer, headers as signed_headers};
pub use silence::{Silence, SilenceError, SilenceState};
pub use sink::{AlertmanagerSink, Sink, SinkError, WebhookSink};
pub use text::{Lang, TextSource};
