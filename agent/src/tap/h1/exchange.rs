//! One request and its answer between two sockets: both directions move at once, whichever fails first decides.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::conduit::Conduit;
use super::download::{Done, Download, Fault, Progress};
use super::head::{Onward, Request};
use super::upload::{Copy, Gone, Sending, upload};
use crate::tap::failure::Failure;
use crate::tap::forward::Tap;
use crate::tap::observe::{How, Recorder};
use crate::tap::options::TapOptions;
use crate::tap::pool::dial;

/// What becomes of the client's connection.
#[derive(Debug)]
pub(super) enum After {
    /// It can serve another request.
    KeepAlive,
    /// It is closed.
    Close,
    /// It is closed when the client has read what we sent; it may still be sending.
    Linger,
    /// It is reset: an orderly end would pass for the end of the answer.
    Reset,
    /// It is joined with the upstream's.
    Tunnel(Box<Conduit>),
}

/// How one attempt ended.
enum Outcome {
    Done(Done),
    Fault(Fault),
    Gone(Gone),
}

/// One exchange in the making.
pub(super) struct Exchange<'a> {
    pub(super) tap: &'a Tap,
    pub(super) options: &'a Arc<TapOptions>,
    pub(super) request: Request,
    /// Nothing more is to be served on the client's connection.
    pub(super) closing: bool,
    pub(super) recorder: Option<Recorder>,
}

impl Exchange<'_> {
    /// Passes on the request, whose head has been written to `out`, and its answer.
    pub(super) async fn run(mut self, client: &mut TcpStream, input: &mut BytesMut, out: Vec<u8>) -> After {
        let mut copy = Copy { wanted: self.recorder.is_some(), ..Copy::default() };
        let mut sending = Sending::new(out);
        match self.request.body.advance(input, &mut |piece| copy.push(piece)) {
            Ok(used) => {
                sending.bytes.extend_from_slice(&input[..used]);
                input.advance(used);
            }
            Err(bad) => return self.refuse(client, &bad.into()).await,
        }
        if self.request.connect {
            return self.refuse(client, &Failure::Method).await;
        }
        let mut fresh = false;
        loop {
            let (mut conduit, reused) = match self.conduit(fresh).await {
                Ok(found) => found,
                Err(failure) => return self.refuse(client, &failure).await,
            };
            let mut progress = Progress::None;
            let outcome = self.attempt(client, input, &mut conduit, &mut sending, &mut copy, &mut progress).await;
            match outcome {
                Outcome::Fault(Fault::Ended | Fault::Io(_)) if reused && self.may_repeat(progress, &sending) => {
                    fresh = true;
                    sending.again();
                }
                outcome => return self.conclude(outcome, client, conduit, &sending, progress).await,
            }
        }
    }

    async fn conduit(&self, fresh: bool) -> Result<(Conduit, bool), Failure> {
        let upstream = &self.options.upstream;
        if let Some(conduit) = (!fresh).then(|| self.tap.conduits.take(upstream)).flatten() {
            return Ok((conduit, true));
        }
        let stream = dial(upstream, self.options.connect_timeout).await.map_err(Failure::Connect)?;
        Ok((Conduit::new(stream, upstream.clone()), false))
    }

    /// A pooled connection may have been closed as we took it. Then the request is sent once more, on a new one, if the
    /// old one took nothing of it or sending it twice does no harm.
    fn may_repeat(&self, progress: Progress, sending: &Sending) -> bool {
        progress == Progress::None && sending.whole && (sending.untouched || self.request.repeatable)
    }

    async fn attempt(
        &mut self,
        client: &mut TcpStream,
        input: &mut BytesMut,
        conduit: &mut Conduit,
        sending: &mut Sending,
        copy: &mut Copy,
        progress: &mut Progress,
    ) -> Outcome {
        let onward = Onward {
            head: self.request.head,
            http10: self.request.http10,
            close: self.closing,
            upgrade: self.request.upgrade,
        };
        let (mut from_client, mut to_client) = client.split();
        let (mut from_upstream, mut to_upstream) = conduit.stream.split();
        let up = upload(&mut from_client, input, &mut self.request.body, &mut to_upstream, sending, copy);
        let down = Download {
            upstream: &mut from_upstream,
            buffer: &mut conduit.buffer,
            watch: &mut conduit.watch,
            client: &mut to_client,
            onward,
            response_timeout: self.options.response_timeout,
            idle_timeout: self.options.idle_timeout,
            recorder: &mut self.recorder,
            progress,
        };
        let outcome = tokio::select! {
            biased;
            down = down.run() => down.map_or_else(Outcome::Fault, Outcome::Done),
            up = up => match up {
                Err(gone) => Outcome::Gone(gone),
                Ok(never) => unreachable(never),
            },
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.request(std::mem::take(&mut copy.head), std::mem::take(&mut copy.tail));
        }
        outcome
    }

    async fn conclude(
        mut self,
        outcome: Outcome,
        client: &mut TcpStream,
        conduit: Conduit,
        sending: &Sending,
        progress: Progress,
    ) -> After {
        match outcome {
            Outcome::Done(done) => {
                self.end(How::Complete);
                self.done(done, conduit, sending)
            }
            Outcome::Gone(Gone::Bad(bad)) if progress < Progress::Answered => self.refuse(client, &bad.into()).await,
            Outcome::Gone(_) | Outcome::Fault(Fault::Client) => {
                self.end(How::ClientAbort);
                After::Close
            }
            Outcome::Fault(fault) if progress < Progress::Answered => {
                // The upstream's connection goes first: a client that sees the error may expect it gone.
                drop(conduit);
                let failure = match fault {
                    Fault::Silent(limit) => Failure::Timeout(limit),
                    Fault::Switched => Failure::Switched,
                    fault => Failure::Broken(fault.to_string()),
                };
                self.refuse(client, &failure).await
            }
            Outcome::Fault(fault) => {
                tracing::debug!(upstream = %self.options.upstream, %fault, "tap: an answer broke off");
                self.end(if matches!(fault, Fault::Silent(_)) { How::Timeout } else { How::Broken });
                if progress == Progress::UntilClose { After::Reset } else { After::Close }
            }
        }
    }

    fn done(&self, done: Done, conduit: Conduit, sending: &Sending) -> After {
        if done.switched {
            return After::Tunnel(Box::new(conduit));
        }
        if done.reusable && sending.complete {
            self.tap.conduits.put(conduit);
        }
        match self.request.body.is_over() {
            true if done.close => After::Close,
            true => After::KeepAlive,
            false => After::Linger,
        }
    }

    fn end(&mut self, how: How) {
        if let Some(recorder) = &mut self.recorder {
            recorder.end(how);
        }
    }

    /// Answers in the upstream's place.
    async fn refuse(mut self, client: &mut TcpStream, failure: &Failure) -> After {
        tracing::debug!(upstream = %self.options.upstream, "tap: {failure}");
        if let Some(recorder) = &mut self.recorder {
            recorder.end_with(failure.how(), failure.status().as_u16());
        }
        let whole = self.request.body.is_over();
        let text = failure.wire(&self.options.upstream, self.closing || !whole);
        match client.write_all(text.as_bytes()).await {
            Err(_) => After::Close,
            Ok(()) if !whole => After::Linger,
            Ok(()) if self.closing => After::Close,
            Ok(()) => After::KeepAlive,
        }
    }
}

fn unreachable(never: Infallible) -> Outcome {
    match never {}
}

impl Conduit {
    /// Joins it with the client's connection until both have ended.
    pub(super) async fn tunnel(mut self, client: &mut TcpStream, input: &mut BytesMut) {
        let early = async {
            client.write_all(&self.buffer).await?;
            self.stream.write_all(input).await
        };
        if early.await.is_ok() {
            // An error here is one side's going away; the other is closed with it.
            let _ = tokio::io::copy_bidirectional(client, &mut self.stream).await;
        }
    }
}
