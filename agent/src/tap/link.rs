//! One HTTP/1.1 connection to the upstream, driven by the very task that needs its answer.
//!
//! hyper hands out a connection as a future to spawn. We do not spawn it: whoever waits for the answer polls it. That
//! saves two wake-ups a chunk, lets a slow client hold back the upstream without any buffer, and closes the connection
//! the moment the client goes away, because both live in one task. An idle connection is polled by nobody; whether it
//! is still alive is asked when it is taken from the pool.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::options::Upstream;
use super::pool::Reusable;
use super::upload::Upload;
use super::watch::Watch;

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct SendError {
    /// What hyper says.
    pub(super) error: hyper::Error,
    /// The request, when not a byte of it was written.
    pub(super) unsent: Option<Box<Request<Upload>>>,
}

/// What [`Link::send`] comes to.
#[derive(Debug)]
pub(super) enum Sent {
    /// The answer's head.
    Answer(Response<Incoming>),
    /// No answer.
    Failed(SendError),
    /// No answer in time.
    Timeout,
}

/// A connection to the upstream.
#[derive(Debug)]
pub(super) struct Link {
    sender: SendRequest<Upload>,
    conn: Connection<TokioIo<TcpStream>, Upload>,
    /// The connection's future has ended.
    over: bool,
    watch: Watch,
    /// When it was last given a request, or given back.
    used: Instant,
    upstream: Arc<Upstream>,
}

impl Link {
    /// Speaks HTTP/1.1 on a fresh connection.
    pub(super) async fn new(stream: TcpStream, upstream: Arc<Upstream>) -> hyper::Result<Self> {
        let (sender, conn) = Builder::new()
            .preserve_header_case(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self { sender, conn, over: false, watch: Watch::new(), used: Instant::now(), upstream })
    }

    /// Reads and writes what can be read and written; gives whether the connection is over.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.over && Pin::new(&mut self.conn).poll(cx).is_ready() {
            self.over = true;
        }
        self.over
    }

    /// Ready when `limit` has passed since `last`.
    pub(super) fn poll_silence(&mut self, cx: &mut Context<'_>, last: Instant, limit: Duration) -> Poll<()> {
        self.watch.poll(cx, last, limit)
    }

    /// Sends `request` and waits for the head of the answer.
    pub(super) async fn send(&mut self, request: Request<Upload>, limit: Duration) -> Sent {
        self.used = Instant::now();
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            if !self.over && Pin::new(&mut self.conn).poll(cx).is_ready() {
                self.over = true;
            }
            match answer.as_mut().poll(cx) {
                Poll::Ready(Ok(response)) => Poll::Ready(Sent::Answer(response)),
                Poll::Ready(Err(mut failed)) => {
                    let unsent = failed.take_message().map(Box::new);
                    Poll::Ready(Sent::Failed(SendError { error: failed.into_error(), unsent }))
                }
                Poll::Pending => self.watch.poll(cx, self.used, limit).map(|()| Sent::Timeout),
            }
        })
        .await
    }

    /// After `101`: the bare connection, and what has been read of the new protocol.
    pub(super) async fn into_tunnel(mut self) -> hyper::Result<(TcpStream, Bytes)> {
        if !self.over {
            std::future::poll_fn(|cx| self.conn.poll_without_shutdown(cx)).await?;
        }
        let parts = self.conn.into_parts();
        Ok((parts.io.into_inner(), parts.read_buf))
    }

    /// Goes on by itself, for the rare answer that begins before the request has ended: both directions must then be
    /// able to move alone.
    pub(super) async fn into_task(self) {
        if !self.over {
            let _ = self.conn.await;
        }
    }
}

impl Reusable for Box<Link> {
    fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    fn used(&self) -> Instant {
        self.used
    }

    fn touch(&mut self) {
        self.used = Instant::now();
    }

    fn is_alive(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.over && self.sender.is_ready()
    }
}
