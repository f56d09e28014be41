//! An upstream that does what a script says, faults included, on bare sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use crate::wire::Wire;

/// A listening server; gone when dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

impl Upstream {
    /// Plays `script` on each connection; its number (from 0) comes with it.
    ///
    /// # Errors
    /// The loopback has no free port.
    #[expect(clippy::disallowed_methods, reason = "a test server has no shutdown to wait for")]
    pub async fn start<F, S>(script: F) -> std::io::Result<Self>
    where
        F: Fn(Wire, usize) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let accepting = tokio::spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                running.spawn(script(stream.into(), count.fetch_add(1, Ordering::SeqCst)));
            }
        });
        Ok(Self { address, connections, accepting: accepting.abort_handle() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
