//! Notices that the upstream has been silent for too long.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Tells when the upstream has been silent for too long. Re-armed lazily: when the timer rings early it is set to the
/// true time, so that a piece of an answer, and most requests, cost no timer at all.
#[derive(Debug)]
pub(super) struct Watch(Pin<Box<Sleep>>);

impl Watch {
    /// Not armed yet.
    pub(super) fn new() -> Self {
        Self(Box::pin(sleep_until(Instant::now())))
    }

    /// Ready when `limit` has passed since `last`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, last: Instant, limit: Duration) -> Poll<()> {
        let due = last + limit;
        if self.0.deadline() > due {
            self.0.as_mut().reset(due);
        }
        while self.0.as_mut().poll(cx).is_ready() {
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(due);
        }
        Poll::Pending
    }
}
