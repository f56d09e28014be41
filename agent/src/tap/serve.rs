//! Accepts clients, serves each connection in a task, stops in order.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::Builder;
use plimsoll_exporters::{Metric, Registry};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client_io::ClientIo;
use super::download::ClientSide;
use super::forward::{Tap, forward};
use super::h1::{self, ForHyper};
use super::observe;
use super::options::TapOptions;
use super::outlets::Outlets;
use crate::shutdown::Shutdown;

/// HTTP/2 flow control: what one stream may send before it is read. Bounds what a slow reader makes us hold.
pub(super) const STREAM_WINDOW: u32 = 1 << 20;
/// The same for all streams of a connection. h2 also derives from it how many small DATA frames may be under way before it
/// suspects an attack and closes the connection; its default would close at a hundred short prompts sent at once.
pub(super) const CONNECTION_WINDOW: u32 = 16 << 20;

/// Starts hyper's tasks among ours, so that the end of the tap waits for them.
#[derive(Clone, Debug)]
pub(super) struct Tasks(pub(super) TaskTracker);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

/// Proxies what comes in at `listener` until `shutdown` begins, then ends when the last stream has. Each observed exchange
/// goes to `registry` and to `outlets`. A change of `options` holds from the next request on.
///
/// The traffic has a thread of its own: what the rest of the agent computes cannot hold it up, and no two threads hand
/// a connection to and fro. One is enough: it passes more than any engine answers.
pub async fn serve(
    listener: TcpListener,
    options: watch::Receiver<Arc<TapOptions>>,
    registry: Registry,
    outlets: Outlets,
    shutdown: Shutdown,
) {
    let (sink, inbox) = observe::queue();
    let watching = observe::run(inbox, Arc::downgrade(&sink), registry.clone(), options.clone(), outlets);
    shutdown.spawn("tap observer", watching);
    let tap = Arc::new(Tap {
        pool: Arc::default(),
        conduits: super::pool::Pool::default(),
        http2: super::h2c::Http2::default(),
        sink,
        options,
        tasks: TaskTracker::new(),
        mirrors: Arc::new(Semaphore::new(super::mirror::MOST)),
        stop: shutdown.token(),
    });
    let (ended, end) = oneshot::channel();
    let own = std::thread::Builder::new().name("plimsoll-tap".to_owned()).spawn(move || {
        let served = listener.into_std().and_then(|listener| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(proxy(listener, &tap, &registry, &shutdown.token()))
        });
        let _ = ended.send(served);
    });
    match own {
        Err(error) => tracing::error!(%error, "tap: cannot start its thread"),
        Ok(_) => match end.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "tap: cannot serve"),
            Err(_) => tracing::error!("tap: its thread broke off"),
        },
    }
}

async fn proxy(
    listener: std::net::TcpListener,
    tap: &Arc<Tap>,
    registry: &Registry,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    accept(&listener, tap, registry, stop).await;
    drop(listener);
    tap.pool.clear();
    tap.conduits.clear();
    tap.http2.clear();
    tap.tasks.close();
    tap.tasks.wait().await;
    Ok(())
}

async fn accept(listener: &TcpListener, tap: &Arc<Tap>, registry: &Registry, stop: &CancellationToken) {
    let mut sweep = interval(Duration::from_secs(1));
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            _ = sweep.tick() => {
                tap.pool.sweep();
                tap.conduits.sweep();
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: the connection stays in the kernel's queue meanwhile.
                    tracing::warn!(%error, "tap: cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let open = tap.sink.connections.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(tap.clone());
        if usize::try_from(open).unwrap_or(0) >= tap.options.borrow().max_connections {
            registry.add(Metric::Dropped, &["tap_connections"], 1.0);
            continue;
        }
        tap.tasks.spawn(connection(stream, counted, stop.clone()));
    }
}

/// A client connection, as long as it is counted.
struct Counted(Arc<Tap>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.sink.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(stream: TcpStream, counted: Counted, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "tap: no TCP_NODELAY");
    }
    let tap = &counted.0;
    let Some(ForHyper { stream, input }) = h1::serve(tap, stream, &stop).await else { return };
    let side = Arc::new(ClientSide::default());
    let io = TokioIo::new(ClientIo { stream, input, side: side.clone() });
    let service = service_fn(|request| {
        let exchange = forward(tap.clone(), side.clone(), request);
        async move { Ok::<_, Infallible>(exchange.await) }
    });
    let mut server = Builder::new(Tasks(tap.tasks.clone()));
    server.http1().preserve_header_case(true).auto_date_header(false);
    server
        .http2()
        .auto_date_header(false)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(1024);
    let mut serving = std::pin::pin!(server.serve_connection_with_upgrades(io, service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "tap: a client's connection broke off");
    }
}
