//! The answer's body on its way to the client: each piece goes on as it comes, then the recorder gets its copy.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep};

use super::inject::Hide;
use super::link::Link;
use super::observe::{How, Recorder};
use super::pool::Pool;
use super::watch::Watch;

/// Why an answer breaks off; the client's connection is then closed without a proper end, as the upstream's was.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// By the upstream.
    #[error("the upstream broke off: {0}")]
    Upstream(#[from] hyper::Error),
    /// By us, for the upstream was silent for too long.
    #[error("no byte from the upstream for {0:?}")]
    Silent(Duration),
}

/// What a client's connection tells about itself.
#[derive(Debug, Default)]
pub(super) struct ClientSide {
    /// The last write did not go through: bytes wait for the client.
    pub(super) blocked: AtomicBool,
}

/// What a body gives when it is polled.
type Item = Option<Result<Frame<Bytes>, Broken>>;

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Download {
    content: Content,
    recorder: Option<Recorder>,
    hide: Option<Box<Hide>>,
    /// The end, when it waits for what was held back.
    next: Option<Item>,
}

#[derive(Debug)]
enum Content {
    /// From the upstream.
    Upstream(Stream),
    /// Our own words.
    Own(Option<Bytes>),
}

impl Download {
    /// An answer from the upstream. `recorder` has seen its head.
    pub(super) fn new(mut stream: Stream, mut recorder: Option<Recorder>, hide: Option<Box<Hide>>) -> Self {
        if stream.body.is_end_stream() {
            stream.release();
            if let Some(recorder) = &mut recorder {
                recorder.end(How::Complete);
            }
        }
        Self { content: Content::Upstream(stream), recorder, hide, next: None }
    }

    /// An answer of our own.
    pub(super) fn own(text: Bytes) -> Self {
        Self { content: Content::Own(Some(text)), recorder: None, hide: None, next: None }
    }

    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        let stream = match &mut self.content {
            Content::Own(text) => return Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Content::Upstream(stream) => stream,
        };
        let item = std::task::ready!(stream.poll(cx));
        let Some(recorder) = &mut self.recorder else { return Poll::Ready(item) };
        match &item {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref() {
                    recorder.answer(piece, stream.last_byte.into_std());
                }
                if stream.is_over() {
                    recorder.end(How::Complete);
                }
            }
            None => recorder.end(How::Complete),
            Some(Err(Broken::Upstream(_))) => recorder.end(How::Broken),
            Some(Err(Broken::Silent(_))) => recorder.end(How::Timeout),
        }
        Poll::Ready(item)
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(item) = self.next.take() {
            return Poll::Ready(item);
        }
        loop {
            let item = std::task::ready!(self.poll_content(cx));
            let Some(hide) = &mut self.hide else { return Poll::Ready(item) };
            let (piece, end) = match item.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(piece))) => (hide.pass(piece), None),
                Some(Ok(Err(trailers))) => (hide.rest(), Some(Some(Ok(trailers)))),
                Some(Err(broken)) => (hide.rest(), Some(Some(Err(broken)))),
                None => (hide.rest(), Some(None)),
            };
            match end {
                end if !piece.is_empty() => {
                    self.next = end;
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(end) => return Poll::Ready(end),
                None => {}
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Upstream(stream) => {
                stream.is_over() && self.next.is_none() && self.hide.as_ref().is_none_or(|hide| hide.is_empty())
            }
            Content::Own(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Upstream(_) if self.hide.is_some() => SizeHint::default(),
            Content::Upstream(stream) => stream.body.size_hint(),
            Content::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}

/// Who moves the upstream's connection.
#[derive(Debug)]
pub(super) enum Driver {
    /// We do, whenever we are asked for more.
    Link(Box<Link>),
    /// A task of its own, stopped with us when it serves this answer only.
    Task(Option<AbortGuard>, Watch),
    /// Nobody: the answer is over.
    None,
}

/// Stops a task when it is dropped.
#[derive(Debug)]
pub(super) struct AbortGuard(Option<AbortHandle>);

impl AbortGuard {
    /// Guards the task of `handle`.
    pub(super) fn new(handle: AbortHandle) -> Self {
        Self(Some(handle))
    }

    /// Lets the task run on.
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortGuard {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}

/// An answer that breaks off waits here until what came before has reached the client.
#[derive(Debug)]
struct Failing {
    error: Option<Broken>,
    asked: bool,
    /// Over HTTP/2 another task writes, so all we can do is leave it a moment.
    pause: Option<Pin<Box<Sleep>>>,
}

/// How long an HTTP/2 stream is kept open so that its last frames go out before its reset.
const PAUSE: Duration = Duration::from_millis(20);

/// An answer's body as it comes from the upstream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) body: Incoming,
    pub(super) driver: Driver,
    pub(super) pool: Arc<Pool<Box<Link>>>,
    pub(super) client: Arc<ClientSide>,
    /// The client speaks HTTP/2.
    pub(super) http2: bool,
    pub(super) idle_timeout: Duration,
    failing: Option<Failing>,
    last_byte: Instant,
}

impl Stream {
    /// An answer whose head has just arrived.
    pub(super) fn new(body: Incoming, driver: Driver, context: &super::forward::Exchange) -> Self {
        Self {
            body,
            driver,
            pool: context.tap.pool.clone(),
            client: context.client.clone(),
            http2: context.http2,
            idle_timeout: context.options.idle_timeout,
            failing: None,
            last_byte: Instant::now(),
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.driver, Driver::None)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.failing.is_some() {
            return self.poll_failing(cx).map(|error| error.map(Err));
        }
        let mut item = Pin::new(&mut self.body).poll_frame(cx);
        if item.is_pending()
            && let Driver::Link(link) = &mut self.driver
        {
            link.drive(cx);
            item = Pin::new(&mut self.body).poll_frame(cx);
        }
        match item {
            Poll::Ready(Some(Ok(frame))) => {
                self.last_byte = Instant::now();
                if self.body.is_end_stream() {
                    self.release();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.release();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => self.fail(error.into(), cx),
            Poll::Pending => {
                std::task::ready!(self.poll_silence(cx));
                self.fail(Broken::Silent(self.idle_timeout), cx)
            }
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.driver {
            Driver::Link(link) => link.poll_silence(cx, self.last_byte, self.idle_timeout),
            Driver::Task(_, watch) => watch.poll(cx, self.last_byte, self.idle_timeout),
            Driver::None => Poll::Pending,
        }
    }

    /// The body came to its end: the connection may serve another request.
    fn release(&mut self) {
        match std::mem::replace(&mut self.driver, Driver::None) {
            Driver::Link(link) => self.pool.put(link),
            // What is left of the request still goes its way.
            Driver::Task(Some(guard), _) => guard.release(),
            Driver::Task(None, _) | Driver::None => {}
        }
    }

    fn fail(&mut self, error: Broken, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        // Dropping the connection stops the upstream's work at once.
        self.driver = Driver::Task(None, Watch::new());
        let pause = self.http2.then(|| Box::pin(sleep(PAUSE)));
        self.failing = Some(Failing { error: Some(error), asked: false, pause });
        self.poll_failing(cx).map(|error| error.map(Err))
    }

    /// hyper closes a connection at once when a body fails, with bytes of it still unsent. The client would then see less
    /// than without us, so the failure is told only after hyper has been able to write all it had.
    fn poll_failing(&mut self, cx: &mut Context<'_>) -> Poll<Option<Broken>> {
        let Some(failing) = &mut self.failing else { return Poll::Ready(None) };
        if let Some(pause) = &mut failing.pause {
            std::task::ready!(pause.as_mut().poll(cx));
        } else if !std::mem::replace(&mut failing.asked, true) {
            // hyper flushes after this `Pending`; be asked again after that.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        } else if self.client.blocked.load(Ordering::Relaxed) {
            // Bytes wait for a slow client. Its socket wakes the task when it takes more.
            return Poll::Pending;
        }
        Poll::Ready(failing.error.take())
    }
}
