//! The upstream over HTTP/2 without TLS: one connection for all requests to it.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;

use super::options::{TapOptions, Upstream};
use super::pool::{ConnectError, dial};
use super::serve::{CONNECTION_WINDOW, STREAM_WINDOW, Tasks};
use super::upload::Upload;

/// The connections, once there are any; one for each upstream in use.
#[derive(Debug, Default)]
pub(super) struct Http2(Mutex<Vec<(Arc<Upstream>, SendRequest<Upload>)>>);

impl Http2 {
    fn current(&self, upstream: &Arc<Upstream>) -> Option<SendRequest<Upload>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, sender) = held.iter().find(|(to, sender)| Arc::ptr_eq(to, upstream) && sender.is_ready())?;
        Some(sender.clone())
    }

    /// Sends `request`; once more, on a new connection, when the old one took none of it.
    pub(super) async fn send(
        &self,
        mut request: Request<Upload>,
        options: &TapOptions,
        tasks: &TaskTracker,
    ) -> Result<Response<Incoming>, ConnectError> {
        if let Some(mut sender) = self.current(&options.upstream) {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(failed.into_error().into()),
                },
            }
        }
        let mut sender = self.connect(options, tasks).await?;
        Ok(sender.send_request(request).await?)
    }

    /// Two requests may connect at once; the later connection is kept and the other serves its request and ends.
    async fn connect(&self, options: &TapOptions, tasks: &TaskTracker) -> Result<SendRequest<Upload>, ConnectError> {
        let stream = dial(&options.upstream, options.connect_timeout).await?;
        let (sender, conn) = Builder::new(Tasks(tasks.clone()))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(stream))
            .await?;
        tasks.spawn(async move {
            if let Err(error) = conn.await {
                tracing::debug!(%error, "HTTP/2 connection to the upstream ended");
            }
        });
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An upstream that nobody else knows of any more is one of before a reload.
        held.retain(|(to, _)| !Arc::ptr_eq(to, &options.upstream) && Arc::strong_count(to) > 1);
        held.push((options.upstream.clone(), sender.clone()));
        drop(held);
        Ok(sender)
    }

    /// Lets go of the connections; each ends with its last request.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Vec::new();
    }
}
