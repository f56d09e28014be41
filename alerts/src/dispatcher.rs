//! Takes the current alerts, keeps them durably, sends them to every sink.

use crate::Notification;

/// Counters of one sink, read by the agent for `/metrics` and `status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SinkStats {
    /// Sink name as configured, or its URL's host and port.
    pub sink: String,
    /// Notifications accepted.
    pub sent: u64,
    /// Failed attempts by reason.
    pub failed: Vec<(String, u64)>,
    /// Waiting.
    pub pending: u64,
    /// Given up.
    pub dead: u64,
}

/// Cheap handle; clones share one outbox.
#[derive(Clone, Debug)]
pub struct Dispatcher {}

impl Dispatcher {
    /// Hands over the state of alerts that changed or are due to be repeated. Durable when it returns.
    pub async fn notify(&self, _batch: &[Notification]) {
        todo!()
    }

    /// Counters per sink.
    pub fn stats(&self) -> Vec<SinkStats> {
        todo!()
    }
}
