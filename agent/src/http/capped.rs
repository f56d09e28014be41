//! A listener that holds so many connections and no more, and none that says nothing: the open port must not take the
//! descriptors that the tap needs.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections held at once; further ones wait in the kernel's queue.
const MOST: usize = 256;
/// A connection that sends nothing for this long is closed.
const SILENCE: Duration = Duration::from_secs(60);

/// The listener.
#[derive(Debug)]
pub struct Capped {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Capped {
    /// Accepts from `listener`.
    pub fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(MOST)) }
    }
}

impl Listener for Capped {
    type Io = Held;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Held, SocketAddr) {
        loop {
            // the semaphore is never closed; without a place there is nothing to hold back
            let place = self.places.clone().acquire_owned().await.ok();
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    return (Held { stream, patience: Box::pin(sleep(SILENCE)), _place: place }, from);
                }
                Err(error) => {
                    // a client that is gone already, or no descriptor left: neither is cured by asking at once
                    tracing::debug!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection and its place.
#[derive(Debug)]
pub struct Held {
    stream: TcpStream,
    patience: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(read) => {
                self.patience.as_mut().reset(Instant::now() + SILENCE);
                Poll::Ready(read)
            }
            Poll::Pending => self.patience.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    async fn pair(capped: &mut Capped) -> (TcpStream, Held) {
        let client = TcpStream::connect(capped.local_addr().unwrap()).await.unwrap();
        (client, capped.accept().await.0)
    }

    #[tokio::test]
    async fn a_connection_over_the_cap_waits_for_a_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut capped = Capped { listener, places: Arc::new(Semaphore::new(2)) };
        let first = pair(&mut capped).await;
        let _second = pair(&mut capped).await;
        let _third = TcpStream::connect(capped.local_addr().unwrap()).await.unwrap();
        let at_once = Duration::from_millis(100);
        assert!(timeout(at_once, capped.accept()).await.is_err(), "two are all");
        drop(first);
        assert!(timeout(Duration::from_secs(10), capped.accept()).await.is_ok(), "a place has become free");
    }

    #[tokio::test]
    async fn silence_ends_a_connection_and_every_byte_begins_it_anew() {
        let mut capped = Capped::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (mut client, mut held) = pair(&mut capped).await;
        tokio::time::pause();
        for _ in 0..3 {
            client.write_all(b"x").await.unwrap();
            assert_eq!(held.read_u8().await.unwrap(), b'x');
            tokio::time::advance(SILENCE / 2).await;
        }
        let since = Instant::now();
        let ended = held.read_u8().await.unwrap_err();
        assert_eq!((ended.kind(), since.elapsed().as_secs()), (io::ErrorKind::TimedOut, SILENCE.as_secs() / 2));
    }
}
