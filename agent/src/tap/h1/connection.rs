//! A client's connection: one exchange after another, as long as it speaks HTTP/1 and nothing else is asked of us.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::conduit::{fill, poll_fill};
use super::exchange::{After, Exchange};
use super::head::{self, BadHead, Request};
use crate::tap::failure::Failure;
use crate::tap::forward::Tap;
use crate::tap::observe::Recorder;
use crate::tap::options::{TapOptions, UpstreamProtocol};

/// How an HTTP/2 connection begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A head that has begun is complete within this.
const HEAD: Duration = Duration::from_secs(60);
/// A client that is still sending while we are done is listened to for this long at most.
const LINGER: Duration = Duration::from_secs(2);
/// Room kept for a connection that waits for its next request.
const IDLE: usize = 16 << 10;

/// A connection that is for hyper: it speaks HTTP/2, or something has to be done to its messages.
#[derive(Debug)]
pub(in crate::tap) struct ForHyper {
    pub(in crate::tap) stream: TcpStream,
    /// What has been read of it.
    pub(in crate::tap) input: BytesMut,
}

/// What a client wants next.
enum Next {
    Request(Request),
    Bad(BadHead),
    ForHyper,
    Nothing,
}

/// Serves a connection until it ends, or until it turns out to be for hyper.
pub(in crate::tap) async fn serve(tap: &Tap, mut stream: TcpStream, stop: &CancellationToken) -> Option<ForHyper> {
    let mut input = BytesMut::new();
    let mut stopping = std::pin::pin!(stop.cancelled());
    loop {
        let mut out = Vec::with_capacity(1024);
        if input.is_empty() && !hears(&mut stream, &mut input, stopping.as_mut()).await {
            return None;
        }
        let options = tap.options.borrow().clone();
        match next(&options, &mut stream, &mut input, &mut out).await {
            Next::Nothing => return None,
            Next::ForHyper => return Some(ForHyper { stream, input }),
            Next::Bad(bad) => {
                let text = Failure::from(bad).wire(&options.upstream, true);
                if stream.write_all(text.as_bytes()).await.is_ok() {
                    linger(stream).await;
                }
                return None;
            }
            Next::Request(request) => {
                let exchange = begin(tap, &options, request, stop.is_cancelled());
                match exchange.run(&mut stream, &mut input, out).await {
                    After::KeepAlive if input.is_empty() && input.capacity() > IDLE => input = BytesMut::new(),
                    After::KeepAlive => {}
                    After::Close => return None,
                    After::Linger => {
                        linger(stream).await;
                        return None;
                    }
                    After::Reset => {
                        // Without it the end would be orderly, and a broken answer would pass for a whole one.
                        let _ = stream.set_zero_linger();
                        return None;
                    }
                    After::Tunnel(conduit) => {
                        conduit.tunnel(&mut stream, &mut input).await;
                        return None;
                    }
                }
            }
        }
    }
}

/// Waits for the client to say something; `false` when it has ended, or we shall.
async fn hears(
    stream: &mut TcpStream,
    input: &mut BytesMut,
    mut stopping: Pin<&mut WaitForCancellationFuture<'_>>,
) -> bool {
    std::future::poll_fn(|cx| match poll_fill(stream, input, cx) {
        Poll::Ready(read) => Poll::Ready(matches!(read, Ok(read) if read > 0)),
        Poll::Pending => stopping.as_mut().poll(cx).map(|()| false),
    })
    .await
}

/// Reads the head of the next request, of which something is in `input` already.
async fn next(options: &TapOptions, stream: &mut TcpStream, input: &mut BytesMut, out: &mut Vec<u8>) -> Next {
    let elsewhere = options.protocol == UpstreamProtocol::H2c || options.inject_usage || options.splitter.is_some();
    loop {
        let known = input.len().min(PREFACE.len());
        if input[..known] == PREFACE[..known] {
            if known == PREFACE.len() {
                return Next::ForHyper;
            }
        } else if elsewhere {
            return Next::ForHyper;
        } else {
            let upstream = &options.upstream;
            match head::request(input, upstream.base(), upstream.authority(), out) {
                Ok(Some((request, length))) => {
                    input.advance(length);
                    return Next::Request(request);
                }
                Ok(None) => {}
                Err(bad) => return Next::Bad(bad),
            }
        }
        if !matches!(timeout(HEAD, fill(stream, input)).await, Ok(Ok(read)) if read > 0) {
            return Next::Nothing;
        }
    }
}

fn begin<'a>(tap: &'a Tap, options: &'a Arc<TapOptions>, mut request: Request, stopping: bool) -> Exchange<'a> {
    let recorder = request
        .endpoint
        .map(|to| Recorder::new(tap.sink.clone(), to, request.request_id.take(), options.variant.clone()));
    Exchange { tap, options, closing: stopping || !request.keep_alive, request, recorder }
}

/// Ends a connection whose client may still be sending: closed at once, the kernel would answer with a reset, which can
/// overtake what we sent last.
async fn linger(mut stream: TcpStream) {
    let drain = async {
        stream.shutdown().await?;
        let mut scratch = BytesMut::new();
        while fill(&mut stream, &mut scratch).await? > 0 {
            scratch.clear();
        }
        Ok::<_, std::io::Error>(())
    };
    let _ = timeout(LINGER, drain).await;
}
