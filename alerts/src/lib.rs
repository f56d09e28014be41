//! Tells: an alert's transitions become delivered notifications.
//!
//! Called by `agent`, which hands over the alerts that the rules decided on. This crate never decides; it keeps the
//! latest state per (sink, alert) in a durable outbox and retries until a sink has it.

mod dispatcher;
mod notification;

pub use dispatcher::{Dispatcher, SinkStats};
pub use notification::{Notification, Status};
