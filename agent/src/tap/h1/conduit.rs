//! One connection to the upstream that carries HTTP/1.1 unparsed.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::tap::options::Upstream;
use crate::tap::pool::Reusable;
use crate::tap::watch::Watch;

/// Smallest and largest read. The buffer grows while reads fill it: events are small, documents are not.
const SMALL: usize = 8 << 10;
const LARGE: usize = 64 << 10;

/// A connection, what has been read from it and not been used yet, and the timer that watches it.
#[derive(Debug)]
pub(in crate::tap) struct Conduit {
    pub(super) stream: TcpStream,
    pub(super) buffer: BytesMut,
    pub(super) watch: Watch,
    used: Instant,
    upstream: Arc<Upstream>,
}

impl Conduit {
    pub(super) fn new(stream: TcpStream, upstream: Arc<Upstream>) -> Self {
        Self { stream, buffer: BytesMut::new(), watch: Watch::new(), used: Instant::now(), upstream }
    }
}

impl Reusable for Conduit {
    fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    fn used(&self) -> Instant {
        self.used
    }

    fn touch(&mut self) {
        self.used = Instant::now();
        if self.buffer.capacity() > LARGE {
            self.buffer = BytesMut::new();
        }
    }

    fn is_alive(&mut self) -> bool {
        // Bytes that nobody asked for are as bad as an end.
        let waiting = self.stream.try_read(&mut [0]);
        matches!(waiting, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Reads what there is into `buffer`; 0 at the end of the stream.
pub(super) fn poll_fill(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let full = buffer.len() == buffer.capacity();
    buffer.reserve(if full { (2 * buffer.len()).clamp(SMALL, LARGE) } else { SMALL });
    std::pin::pin!(reader.read_buf(buffer)).poll(cx)
}

/// As [`poll_fill`], for whoever has nothing else to wait for.
pub(super) async fn fill(reader: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<usize> {
    std::future::poll_fn(|cx| poll_fill(reader, buffer, cx)).await
}
