//! Tells: an alert's transitions become delivered notifications.
//!
//! Called by `agent`, which hands over the alerts that the rules decided on. This crate never decides; it keeps the
//! latest state per (sink, alert) in a durable outbox and retries until a sink has it. `docs/alerts.md` is its manual.

mod alertmanager;
mod backoff;
mod clock;
mod dispatcher;
mod gate;
mod journal;
mod lock;
mod notification;
mod outbox;
mod post;
mod sink;
mod verdict;
mod webhook;
mod worker;

pub use dispatcher::{Dispatcher, DispatcherOptions, SinkStats};
pub use notification::{Notification, Status};
pub use outbox::{OutboxLimits, Pending, Standing};
pub use sink::{AlertmanagerSink, Sink, SinkError, WebhookSink};
