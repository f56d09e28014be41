//! The request path's side of observing: copies bytes of one exchange into a small batch, never waits, never fails.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use plimsoll_rules::{Assignment, Endpoint, Source};

use super::trail::Trail;
use crate::pairs::Pairing;

use super::{Batch, Ending, Format, How, Message, QUEUE_BYTES, Sink};

/// A batch goes to the observer when it has grown to this many bytes.
const BATCH: usize = 8 << 10;
/// A single document is copied up to here; of the rest only the end is kept.
const DOCUMENT: usize = 256 << 10;
/// How much of the end is kept.
const TAIL: usize = 4 << 10;

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
    status: u16,
    request_id: Option<Vec<u8>>,
    variant: Arc<str>,
    assignment: Option<Box<Assignment>>,
    source: Source,
    pairing: Option<Pairing>,
    /// Control answered in the place of a treatment that could not be reached.
    failed_over: bool,
    ended: bool,
}

impl Recorder {
    /// Begins when the request's head has arrived.
    pub(in crate::tap) fn new(
        sink: Arc<Sink>,
        endpoint: Endpoint,
        request_id: Option<Vec<u8>>,
        variant: Arc<str>,
    ) -> Self {
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
            status: 499,
            request_id,
            variant,
            assignment: None,
            source: Source::Tap,
            pairing: None,
            failed_over: false,
            ended: false,
        }
    }

    /// It is of an experiment: recorded under the variant's name, and with its unit's place.
    pub(in crate::tap) fn takes_part(&mut self, variant: Option<Arc<str>>, assignment: Option<Assignment>) {
        if let Some(variant) = variant {
            self.variant = variant;
        }
        self.assignment = assignment.map(Box::new);
    }

    /// What it shares with its copy, or with the request that it is a copy of.
    pub(in crate::tap) fn pairs(&mut self, pairing: Option<Pairing>) {
        self.pairing = pairing;
    }

    /// It is a copy that an experiment sent to its treatment.
    pub(in crate::tap) fn mirrors(&mut self, assignment: Assignment) {
        (self.assignment, self.source) = (Some(Box::new(assignment)), Source::Mirror);
    }

    /// The treatment could not be reached and control answers: good for the client, a failure of the treatment.
    pub(in crate::tap) fn fails_over(&mut self) {
        self.failed_over = true;
    }

    /// The request's body, as far as it was kept: its beginning, and its end when it was long.
    pub(in crate::tap) fn request(&mut self, body: Vec<u8>, tail: Vec<u8>) {
        (self.batch.request, self.batch.request_tail) = (body, tail);
    }

    /// The answer's head has arrived.
    pub(in crate::tap) fn head(&mut self, status: u16, format: Format, request_id: Option<Vec<u8>>) {
        self.status = status;
        self.request_id = request_id.or(self.request_id.take());
        self.format = format;
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
        match self.batch.marks.last_mut() {
            Some((to, then)) if *then == at => *to = upto,
            _ => self.batch.marks.push((upto, at)),
        }
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
            how: if self.failed_over { How::Unreachable } else { how },
            endpoint: self.endpoint,
            started_at: self.started_at,
            started: self.started,
            at: Instant::now(),
            status: self.status,
            request_id: self.request_id.take(),
            variant: self.variant.clone(),
            assignment: self.assignment.take(),
            source: self.source,
        };
        self.flush(Some(ending));
    }

    /// We answer in the upstream's place.
    pub(in crate::tap) fn end_with(&mut self, how: How, status: u16) {
        self.status = status;
        self.end(how);
    }

    fn flush(&mut self, end: Option<Ending>) {
        let batch = std::mem::take(&mut self.batch);
        let size = batch.size();
        if end.is_none() && self.trail.is_none() {
            self.trail = Some(Arc::default());
        }
        let message = Message { trail: self.trail.clone(), batch, end, pairing: self.pairing };
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
