//! The request's body on its way to the upstream: forwarded as it comes, copied (within bounds) as it passes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// So much of the beginning is kept: all of most requests, so that they can be sent once more.
const KEPT: usize = 64 << 10;
/// So much of the end of a longer one is kept, for the observer.
const TAIL: usize = 4 << 10;

/// What is known of a request's body after the fact.
#[derive(Debug, Default)]
struct Copy {
    /// Its beginning.
    head: Vec<u8>,
    /// Its end, when it is longer than `head`.
    tail: Vec<u8>,
    /// Copying is on.
    wanted: bool,
    /// It came to its proper end.
    complete: bool,
    /// It had trailers, which are not copied.
    trailers: bool,
    /// The client broke off.
    broken: bool,
}

/// Shared between an [`Upload`] and whoever waits for the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<Copy>>);

impl Log {
    /// A log that keeps a copy when `wanted`.
    pub(super) fn new(wanted: bool) -> Self {
        Self(Arc::new(Mutex::new(Copy { wanted, ..Copy::default() })))
    }

    fn lock(&self) -> MutexGuard<'_, Copy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the whole body has been handed to the upstream connection.
    pub(super) fn is_complete(&self) -> bool {
        self.lock().complete
    }

    /// Whether the client broke off in the middle.
    pub(super) fn is_broken(&self) -> bool {
        self.lock().broken
    }

    /// The whole body, if all of it was kept.
    pub(super) fn replay(&self) -> Option<Bytes> {
        let copy = self.lock();
        let whole = copy.wanted && copy.complete && copy.tail.is_empty() && !copy.trailers;
        whole.then(|| Bytes::copy_from_slice(&copy.head))
    }

    /// Takes what was kept: beginning and end.
    pub(super) fn take(&self) -> (Vec<u8>, Vec<u8>) {
        let mut copy = self.lock();
        copy.wanted = false;
        (std::mem::take(&mut copy.head), std::mem::take(&mut copy.tail))
    }

    fn data(&self, piece: &[u8], last: bool) {
        let mut copy = self.lock();
        copy.complete |= last;
        if !copy.wanted {
            return;
        }
        let room = (KEPT - copy.head.len()).min(piece.len());
        copy.head.extend_from_slice(&piece[..room]);
        let rest = &piece[room..];
        if !rest.is_empty() {
            copy.tail.extend_from_slice(&rest[rest.len().saturating_sub(TAIL)..]);
            if copy.tail.len() > 2 * TAIL {
                let from = copy.tail.len() - TAIL;
                copy.tail.drain(..from);
            }
        }
    }
}

/// Holds a body back until the upstream has said `100 Continue` (or has answered otherwise).
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<GateState>);

#[derive(Debug, Default)]
struct GateState {
    open: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Gate {
    /// Lets the body go.
    pub(super) fn open(&self) {
        self.0.open.store(true, Ordering::Release);
        if let Some(waker) = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    /// Whether the body may go.
    pub(super) fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Acquire)
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_open() {
            *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        }
        if self.is_open() { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[derive(Debug)]
enum Content {
    /// From the client, as it comes, after what has been read of it before.
    Live(VecDeque<Frame<Bytes>>, Incoming),
    /// A second time, from our copy.
    Kept(Option<Bytes>),
}

/// A request body for the upstream connection.
#[derive(Debug)]
pub(super) struct Upload {
    content: Content,
    log: Log,
    gate: Option<Gate>,
}

impl Upload {
    /// The body of a request that has just arrived.
    pub(super) fn new(body: Incoming, log: Log, gate: Option<Gate>) -> Self {
        Self { gate, ..Self::resumed(VecDeque::new(), body, log) }
    }

    /// A body of which `read` has been read already.
    pub(super) fn resumed(read: VecDeque<Frame<Bytes>>, body: Incoming, log: Log) -> Self {
        if read.is_empty() && body.is_end_stream() {
            log.lock().complete = true;
        }
        Self { content: Content::Live(read, body), log, gate: None }
    }

    /// A body that is here whole.
    pub(super) fn whole(body: Bytes, log: Log) -> Self {
        log.data(&body, true);
        Self::again(body, log)
    }

    /// The same body once more.
    pub(super) fn again(body: Bytes, log: Log) -> Self {
        let kept = if body.is_empty() { None } else { Some(body) };
        Self { content: Content::Kept(kept), log, gate: None }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        if let Some(gate) = &this.gate {
            std::task::ready!(gate.poll(cx));
        }
        let (read, body) = match &mut this.content {
            Content::Kept(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Live(read, body) => (read, body),
        };
        let frame = match read.pop_front() {
            Some(frame) => Some(Ok(frame)),
            None => std::task::ready!(Pin::new(&mut *body).poll_frame(cx)),
        };
        match &frame {
            None => this.log.lock().complete = true,
            Some(Err(_)) => this.log.lock().broken = true,
            Some(Ok(frame)) => match frame.data_ref() {
                Some(piece) => this.log.data(piece, read.is_empty() && body.is_end_stream()),
                None => {
                    let mut copy = this.log.lock();
                    (copy.complete, copy.trailers) = (true, true);
                }
            },
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Live(read, body) => read.is_empty() && body.is_end_stream(),
            Content::Kept(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Live(read, body) => {
                let read: usize = read.iter().filter_map(Frame::data_ref).map(Bytes::len).sum();
                let rest = body.size_hint();
                rest.exact().map_or(rest, |rest| SizeHint::with_exact(rest + read as u64))
            }
            Content::Kept(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}
