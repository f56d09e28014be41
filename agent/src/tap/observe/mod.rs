//! Watches traffic from the side: the request path copies bytes into small batches and offers them to one observer task,
//! which reads them. A full queue drops the batch and counts it; whatever goes wrong in reading cannot reach the traffic.
//!
//! ```text
//! Recorder (one per exchange, on the request path)  --try_send-->  observer task  -->  registry, records
//! ```

mod json;
mod lines;
mod node;
mod recorder;
mod repeat;
mod task;
#[cfg(test)]
mod tests;
mod text;
mod trail;

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use plimsoll_rules::{Assignment, Endpoint, Source};
use tokio::sync::mpsc;

use crate::pairs::Pairing;

pub(super) use recorder::Recorder;
pub(super) use task::run;

/// Whether `event`, a server-sent event with its blank line, tells the usage and nothing else.
pub(super) fn is_only_usage(event: &[u8]) -> bool {
    let (mut events, mut documents, mut usage) = (lines::Events::default(), 0, false);
    events.push(event, &mut |event| {
        documents += 1;
        usage = matches!(event, lines::Event::Document(facts) if facts.no_choices && facts.input_tokens.is_some());
    });
    documents == 1 && usage
}

/// How an answer's body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Not at all.
    Other,
    /// One JSON document.
    Document,
    /// Server-sent events.
    Events,
    /// One JSON document a line.
    Lines,
}

impl Format {
    /// From the value of `Content-Type`. A compressed body is not read at all.
    pub(super) fn of(content_type: Option<&[u8]>, encoded: bool) -> Self {
        let kind = content_type.unwrap_or(b"");
        let starts = |prefix: &[u8]| kind.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if encoded {
            Self::Other
        } else if starts(b"text/event-stream") {
            Self::Events
        } else if starts(b"application/x-ndjson") || starts(b"application/jsonl") {
            Self::Lines
        } else if starts(b"application/json") {
            Self::Document
        } else {
            Self::Other
        }
    }
}

/// How an exchange came to its end, as the request path saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The answer's body ended as its framing says.
    Complete,
    /// The client went away.
    ClientAbort,
    /// The upstream broke off in the middle of the answer.
    Broken,
    /// No answer, because there was no connection or it broke before the head.
    Unreachable,
    /// No byte from the upstream for too long.
    Timeout,
}

/// The end of an exchange.
#[derive(Debug)]
struct Ending {
    how: How,
    endpoint: Endpoint,
    /// Milliseconds since the Unix epoch.
    started_at: i64,
    started: Instant,
    at: Instant,
    status: u16,
    request_id: Option<Vec<u8>>,
    variant: Arc<str>,
    assignment: Option<Box<Assignment>>,
    source: Source,
}

/// Copies of what passed since the last batch.
#[derive(Debug, Default)]
struct Batch {
    /// The request's body, or its beginning when it is long.
    request: Vec<u8>,
    /// The end of a long request body.
    request_tail: Vec<u8>,
    /// Set in the first batch that has part of the answer.
    format: Option<Format>,
    answer: Vec<u8>,
    /// Up to which byte of `answer` had arrived when.
    marks: Vec<(u32, Instant)>,
    /// The end of a long document of which the middle was not copied.
    answer_tail: Vec<u8>,
    /// A batch before this one was dropped.
    gap: bool,
}

impl Batch {
    /// Bytes it holds, roughly.
    fn size(&self) -> usize {
        self.request.len()
            + self.request_tail.len()
            + self.answer.len()
            + self.answer_tail.len()
            + self.marks.len() * size_of::<(u32, Instant)>()
    }
}

/// What the request path hands to the observer.
#[derive(Debug)]
struct Message {
    /// Shared by the batches of one exchange; absent when this batch is all there is.
    trail: Option<Arc<Mutex<trail::Trail>>>,
    batch: Batch,
    end: Option<Ending>,
    /// Its other half is a copy, or it is one.
    pairing: Option<Pairing>,
}

/// The request path's end of the queue, with what it counts. One per tap.
#[derive(Debug)]
pub(super) struct Sink {
    queue: mpsc::Sender<Message>,
    /// Bytes waiting in the queue.
    waiting: AtomicUsize,
    dropped: AtomicU64,
    /// Observed requests being worked on.
    pub(super) running: AtomicI64,
    /// Client connections open.
    pub(super) connections: AtomicI64,
}

/// Messages that may wait for the observer.
const QUEUE: usize = 4096;
/// Bytes that may wait for the observer.
const QUEUE_BYTES: usize = 16 << 20;

/// A new queue; the other end goes to [`run`].
pub(super) fn queue() -> (Arc<Sink>, Inbox) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let sink = Arc::new(Sink {
        queue: sender,
        waiting: AtomicUsize::new(0),
        dropped: AtomicU64::new(0),
        running: AtomicI64::new(0),
        connections: AtomicI64::new(0),
    });
    (sink, Inbox(receiver))
}

/// The observer's end of the queue.
#[derive(Debug)]
pub(super) struct Inbox(mpsc::Receiver<Message>);
