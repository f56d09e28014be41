//! The request on its way: head and body to the upstream, then an eye on the client, whose going away ends the exchange.

use std::convert::Infallible;
use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::conduit::fill;
use super::framing::{BadChunk, Body};

/// Everything that was sent is kept up to here, so that it can be sent once more.
const KEPT: usize = 64 << 10;
/// So much of the beginning and of the end of a body is copied for the observer.
const HEAD: usize = 64 << 10;
const TAIL: usize = 4 << 10;
/// A client may be so far ahead with its next requests.
const AHEAD: usize = 64 << 10;

/// Copies of a request's body for the observer.
#[derive(Debug, Default)]
pub(super) struct Copy {
    pub(super) wanted: bool,
    pub(super) head: Vec<u8>,
    pub(super) tail: Vec<u8>,
}

impl Copy {
    pub(super) fn push(&mut self, piece: &[u8]) {
        if !self.wanted {
            return;
        }
        let room = (HEAD - self.head.len()).min(piece.len());
        self.head.extend_from_slice(&piece[..room]);
        let rest = &piece[room..];
        if !rest.is_empty() {
            self.tail.extend_from_slice(&rest[rest.len().saturating_sub(TAIL)..]);
            if self.tail.len() > 2 * TAIL {
                let from = self.tail.len() - TAIL;
                self.tail.drain(..from);
            }
        }
    }
}

/// What goes to the upstream.
#[derive(Debug)]
pub(super) struct Sending {
    /// Head and body as sent so far, or to be sent first.
    pub(super) bytes: Vec<u8>,
    /// Nothing that was sent is missing in `bytes`.
    pub(super) whole: bool,
    /// Not a byte has been taken by the socket.
    pub(super) untouched: bool,
    /// The upstream takes no more.
    pub(super) failed: bool,
    /// All of it has been taken.
    pub(super) complete: bool,
}

impl Sending {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, whole: true, untouched: true, failed: false, complete: false }
    }

    /// For another connection, from the beginning.
    pub(super) fn again(&mut self) {
        (self.untouched, self.failed, self.complete) = (true, false, false);
    }

    async fn first(&mut self, writer: &mut WriteHalf<'_>) {
        let mut sent = 0;
        while sent < self.bytes.len() {
            match writer.write(&self.bytes[sent..]).await {
                Ok(n) if n > 0 => sent += n,
                _ => {
                    self.failed = true;
                    break;
                }
            }
            self.untouched = false;
        }
    }

    async fn more(&mut self, writer: &mut WriteHalf<'_>, piece: &[u8]) {
        self.whole = self.whole && self.bytes.len() + piece.len() <= KEPT;
        if self.whole {
            self.bytes.extend_from_slice(piece);
        }
        // A failure is the answer's to explain: the upstream may have answered before it stopped reading.
        self.failed = self.failed || writer.write_all(piece).await.is_err();
    }
}

/// Why an upload ends the exchange.
#[derive(Debug)]
pub(super) enum Gone {
    /// The client went away.
    Client,
    /// What the client sent cannot be followed.
    Bad(BadChunk),
}

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self::Client
    }
}

/// Sends what is in `sending`, then the rest of `body` as it comes; then watches the client, and keeps what it sends
/// ahead in `input`. Only ends when there is nobody left to answer.
pub(super) async fn upload(
    client: &mut ReadHalf<'_>,
    input: &mut BytesMut,
    body: &mut Body,
    upstream: &mut WriteHalf<'_>,
    sending: &mut Sending,
    copy: &mut Copy,
) -> Result<Infallible, Gone> {
    sending.first(upstream).await;
    while !body.is_over() {
        if input.is_empty() && fill(client, input).await? == 0 {
            return Err(Gone::Client);
        }
        let used = body.advance(input, &mut |piece| copy.push(piece)).map_err(Gone::Bad)?;
        sending.more(upstream, &input[..used]).await;
        input.advance(used);
    }
    sending.complete = !sending.failed;
    loop {
        if input.len() >= AHEAD {
            std::future::pending::<()>().await;
        }
        if fill(client, input).await? == 0 {
            return Err(Gone::Client);
        }
    }
}
