//! The request path's side of observing: copies bytes of one exchange into a small batch, never waits, never fails.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use plimsoll_rules::Endpoint;

use super::trail::Trail;
use super::{Batch, Ending, Format, How, Message, QUEUE_BYTES, Sink};

/// A batch goes to the observer when it has grown to this many bytes.
const BATCH: usize = 8 << 10;
/// A single document is copied up to here; of the rest only the end is kept.
const DOCUMENT: usize = 256 << 10;
/// How much of the end is kept.
const TAIL: usize = 4 << 10;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Follows one exchange; tells the observer of its end when it is dropped at the latest.
#[derive(Debug)]
pub(in crate::tap) struct Recorder {
    sink: Arc<Sink>,
    trail: Option<Arc<Mutex<Trail>>>,
    batch: Batch,
    format: Format,
    /// Bytes of the answer copied so far.
    copied: usize,
    endpoint: Endpoint,
    started: Instant,
    started_at: i64,
    /// What the client saw; 499 until an answer's head has gone out.
    status: StatusCode,
    request_id: Option<HeaderValue>,
    variant: Arc<str>,
    ended: bool,
}

impl Recorder {
    /// Begins when the request's head has arrived.
    pub(in crate::tap) fn new(sink: Arc<Sink>, endpoint: Endpoint, headers: &HeaderMap, variant: Arc<str>) -> Self {
        sink.running.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            sink,
            trail: None,
            batch: Batch::default(),
            format: Format::Other,
            copied: 0,
            endpoint,
            started: Instant::now(),
            started_at: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
            status: StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            request_id: headers.get(REQUEST_ID).cloned(),
            variant,
            ended: false,
        }
    }

    /// The request's body, as far as it was kept: its beginning, and its end when it was long.
    pub(in crate::tap) fn request(&mut self, body: Vec<u8>, tail: Vec<u8>) {
        (self.batch.request, self.batch.request_tail) = (body, tail);
    }

    /// The answer's head has arrived.
    pub(in crate::tap) fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = status;
        if let Some(id) = headers.get(REQUEST_ID) {
            self.request_id = Some(id.clone());
        }
        self.format = format(headers);
        self.batch.format = Some(self.format);
        if self.batch.request.len() > BATCH {
            self.flush(None);
        }
    }

    /// A piece of the answer has been forwarded.
    pub(in crate::tap) fn answer(&mut self, piece: &[u8], at: Instant) {
        match self.format {
            Format::Other => return,
            Format::Document if self.copied + piece.len() > DOCUMENT => return self.tail(piece),
            _ => {}
        }
        self.copied += piece.len();
        self.batch.answer.extend_from_slice(piece);
        let upto = u32::try_from(self.batch.answer.len()).unwrap_or(u32::MAX);
        self.batch.marks.push((upto, at));
        if self.batch.size() >= BATCH {
            self.flush(None);
        }
    }

    fn tail(&mut self, piece: &[u8]) {
        self.copied = DOCUMENT;
        let tail = &mut self.batch.answer_tail;
        if piece.len() >= TAIL {
            tail.clear();
            tail.extend_from_slice(&piece[piece.len() - TAIL..]);
            return;
        }
        tail.extend_from_slice(piece);
        if tail.len() > 2 * TAIL {
            tail.drain(..tail.len() - TAIL);
        }
    }

    /// The exchange is over. Later calls change nothing.
    pub(in crate::tap) fn end(&mut self, how: How) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.sink.running.fetch_sub(1, Ordering::Relaxed);
        let ending = Ending {
            how,
            endpoint: self.endpoint,
            started_at: self.started_at,
            started: self.started,
            at: Instant::now(),
            status: self.status,
            request_id: self.request_id.take(),
            variant: self.variant.clone(),
        };
        self.flush(Some(ending));
    }

    /// We answer in the upstream's place.
    pub(in crate::tap) fn end_with(&mut self, how: How, status: StatusCode) {
        self.status = status;
        self.end(how);
    }

    fn flush(&mut self, end: Option<Ending>) {
        let batch = std::mem::take(&mut self.batch);
        let size = batch.size();
        if end.is_none() && self.trail.is_none() {
            self.trail = Some(Arc::default());
        }
        let message = Message { trail: self.trail.clone(), batch, end };
        let sink = &self.sink;
        if sink.waiting.fetch_add(size, Ordering::Relaxed) > QUEUE_BYTES || sink.queue.try_send(message).is_err() {
            sink.waiting.fetch_sub(size, Ordering::Relaxed);
            sink.dropped.fetch_add(1, Ordering::Relaxed);
            self.batch.gap = true;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end(How::ClientAbort);
    }
}

/// How the answer is to be read, from its head. A compressed body is not read at all.
fn format(headers: &HeaderMap) -> Format {
    let value = |name| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    if !value(CONTENT_ENCODING).is_empty() && value(CONTENT_ENCODING) != b"identity" {
        return Format::Other;
    }
    let kind = value(CONTENT_TYPE);
    let starts = |prefix: &[u8]| kind.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if starts(b"text/event-stream") {
        Format::Events
    } else if starts(b"application/x-ndjson") || starts(b"application/jsonl") {
        Format::Lines
    } else if starts(b"application/json") {
        Format::Document
    } else {
        Format::Other
    }
}
