//! After `101 Switching Protocols`: bytes both ways, unread.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional};

use super::link::Link;

/// Joins the client's connection with the upstream's until both have ended.
pub(super) async fn tunnel(client: OnUpgrade, link: Box<Link>) {
    let (client, upstream) = match (client.await, link.into_tunnel().await) {
        (Ok(client), Ok(upstream)) => (client, upstream),
        (client, upstream) => {
            tracing::debug!(client = ?client.err(), upstream = ?upstream.err(), "no tunnel after 101");
            return;
        }
    };
    let mut client = TokioIo::new(client);
    let (mut upstream, early) = upstream;
    if client.write_all(&early).await.is_ok() {
        // An error here is one side's going away; the other is closed with it.
        let _ = copy_bidirectional(&mut client, &mut upstream).await;
    }
}
