//! The answer on its way: head, then each piece of the body as it comes.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::Instant;

use super::conduit::poll_fill;
use super::framing::{BadChunk, Body};
use super::head::{self, BadHead, Onward};
use crate::tap::observe::{Format, Recorder};
use crate::tap::watch::Watch;

/// How far an answer came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    /// Not a byte.
    #[default]
    None,
    /// Some of the head.
    Begun,
    /// The client has the head.
    Answered,
    /// The client has the head, and only the connection's end says where the body ends.
    UntilClose,
}

/// An answer that has come to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    /// The upstream's connection can serve another request, once this one has been sent whole.
    pub(super) reusable: bool,
    /// The client's connection ends with it.
    pub(super) close: bool,
    /// The connection is now a tunnel.
    pub(super) switched: bool,
}

/// Why an answer has not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the client went away")]
    Client,
    #[error("the connection ended")]
    Ended,
    #[error("{0}")]
    Io(std::io::Error),
    #[error("{0}")]
    Head(#[from] BadHead),
    #[error("{0}")]
    Chunk(#[from] BadChunk),
    #[error("it switched protocols without being asked")]
    Switched,
    #[error("silent for {0:?}")]
    Silent(Duration),
}

/// One answer.
pub(super) struct Download<'a, 's> {
    pub(super) upstream: &'a mut ReadHalf<'s>,
    pub(super) buffer: &'a mut BytesMut,
    pub(super) watch: &'a mut Watch,
    pub(super) client: &'a mut WriteHalf<'s>,
    pub(super) onward: Onward,
    pub(super) response_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) recorder: &'a mut Option<Recorder>,
    pub(super) progress: &'a mut Progress,
}

impl Download<'_, '_> {
    /// Passes the answer on to its end.
    pub(super) async fn run(mut self) -> Result<Done, Fault> {
        let mut out = Vec::with_capacity(1024);
        let answer = self.head(&mut out).await?;
        if let Some(recorder) = self.recorder {
            let format = Format::of(answer.content_type.as_deref(), answer.encoded);
            recorder.head(answer.status, format, answer.request_id);
        }
        let switched = answer.status == 101;
        let until_close = answer.body == Body::UntilClose;
        let chunked = matches!(answer.body, Body::Chunked(_));
        let bare = chunked && self.onward.http10;
        let mut body = answer.body;
        // What came along with the head goes out along with it.
        let (used, bad) = self.take(&mut body, bare.then_some(&mut out));
        if !bare {
            out.extend_from_slice(&self.buffer[..used]);
        }
        self.buffer.advance(used);
        *self.progress = if until_close || bare { Progress::UntilClose } else { Progress::Answered };
        self.write(&out).await?;
        bad.map_or(Ok(()), Err)?;
        while !body.is_over() {
            self.buffer.clear();
            if self.read(self.idle_timeout).await? == 0 {
                if until_close {
                    break;
                }
                return Err(Fault::Ended);
            }
            out.clear();
            let (used, bad) = self.take(&mut body, bare.then_some(&mut out));
            let bytes = if bare { &out } else { &self.buffer[..used] };
            self.client.write_all(bytes).await.map_err(|_| Fault::Client)?;
            bad.map_or(Ok(()), Err)?;
            self.buffer.advance(used);
        }
        let reusable = answer.keep_alive && !until_close && !switched && self.buffer.is_empty();
        Ok(Done { reusable, close: self.onward.close || until_close || bare, switched })
    }

    /// Waits for the head of the answer proper, and writes it to `out`; those before it (1xx) go to the client at once.
    async fn head(&mut self, out: &mut Vec<u8>) -> Result<head::Answer, Fault> {
        loop {
            if !self.buffer.is_empty()
                && let Some((answer, length)) = head::answer(self.buffer, self.onward, out)?
            {
                self.buffer.advance(length);
                match answer.status {
                    101 if self.onward.upgrade => return Ok(answer),
                    101 => return Err(Fault::Switched),
                    100..200 if self.onward.http10 => {}
                    100..200 => self.write(out).await?,
                    _ => return Ok(answer),
                }
                out.clear();
                continue;
            }
            if self.read(self.response_timeout).await? == 0 {
                return Err(Fault::Ended);
            }
            *self.progress = Progress::Begun.max(*self.progress);
        }
    }

    /// Follows the body through the buffer, and writes its content to `bare`; gives how many bytes belong to it. Where the
    /// framing breaks, all of them do: the client shall see what we saw.
    fn take(&mut self, body: &mut Body, mut bare: Option<&mut Vec<u8>>) -> (usize, Option<BadChunk>) {
        let now = Instant::now().into_std();
        let recorder = &mut *self.recorder;
        let used = body.advance(self.buffer, &mut |piece| {
            if let Some(bare) = &mut bare {
                bare.extend_from_slice(piece);
            }
            if let Some(recorder) = recorder {
                recorder.answer(piece, now);
            }
        });
        match used {
            Ok(used) => (used, None),
            Err(bad) => (self.buffer.len(), Some(bad)),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.client.write_all(bytes).await.map_err(|_| Fault::Client)
    }

    async fn read(&mut self, limit: Duration) -> Result<usize, Fault> {
        let since = Instant::now();
        std::future::poll_fn(|cx| {
            if let std::task::Poll::Ready(read) = poll_fill(self.upstream, self.buffer, cx) {
                return std::task::Poll::Ready(read.map_err(Fault::Io));
            }
            self.watch.poll(cx, since, limit).map(|()| Err(Fault::Silent(limit)))
        })
        .await
    }
}
