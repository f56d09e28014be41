//! Idle connections to the upstream, and new ones.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::link::Link;
use super::options::Upstream;

/// uvicorn, which serves vLLM and SGLang, closes a connection that was idle for 5 s. Ours are gone before.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections kept.
const KEPT: usize = 1024;

/// A connection that can serve one request after another.
pub(super) trait Reusable {
    /// Where it goes.
    fn upstream(&self) -> &Arc<Upstream>;
    /// When it was last used.
    fn used(&self) -> Instant;
    /// It is used now.
    fn touch(&mut self);
    /// Whether it can take a request, as far as one can know.
    fn is_alive(&mut self) -> bool;
}

/// Idle connections, the last used one on top; those to an upstream that is no longer used go when they are old.
#[derive(Debug)]
pub(super) struct Pool<C>(Mutex<Vec<C>>);

impl<C> Default for Pool<C> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

impl<C: Reusable> Pool<C> {
    fn lock(&self) -> MutexGuard<'_, Vec<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An idle connection to `upstream` that seems alive.
    pub(super) fn take(&self, upstream: &Arc<Upstream>) -> Option<C> {
        loop {
            let mut link = {
                let mut links = self.lock();
                let last = links.iter().rposition(|link| Arc::ptr_eq(link.upstream(), upstream))?;
                links.remove(last)
            };
            if link.used().elapsed() < IDLE && link.is_alive() {
                return Some(link);
            }
        }
    }

    /// Takes a connection back, if it can serve another request.
    pub(super) fn put(&self, mut link: C) {
        if !link.is_alive() {
            return;
        }
        link.touch();
        let mut links = self.lock();
        if links.len() < KEPT {
            links.push(link);
        }
    }

    /// Closes what has been idle for too long. To be called about every second.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let old = {
            let mut links = self.lock();
            let keep = links.iter().position(|link| now - link.used() < IDLE).unwrap_or(links.len());
            links.drain(..keep).collect::<Vec<_>>()
        };
        drop(old);
    }

    /// Closes everything.
    pub(super) fn clear(&self) {
        let links = std::mem::take(&mut *self.lock());
        drop(links);
    }
}

/// A new TCP connection to `upstream`.
pub(super) async fn dial(upstream: &Upstream, limit: Duration) -> Result<TcpStream, ConnectError> {
    let stream =
        timeout(limit, TcpStream::connect(upstream.address())).await.map_err(|_| ConnectError::Timeout(limit))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A new HTTP/1.1 connection to `upstream`.
pub(super) async fn connect(upstream: &Arc<Upstream>, limit: Duration) -> Result<Box<Link>, ConnectError> {
    let stream = dial(upstream, limit).await?;
    Ok(Box::new(Link::new(stream, upstream.clone()).await?))
}
