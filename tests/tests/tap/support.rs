//! A tap in this process, so that tests see its exchanges and figures and can give it short time-outs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_agent::shutdown::Shutdown;
use plimsoll_agent::tap::{Outlets, TapOptions, serve};
use plimsoll_exporters::Registry;
use plimsoll_rules::Exchange;
use plimsoll_rules::mask::{MaskOptions, Masker};
use plimsoll_tests::{Message, Upstream, Wire};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// Longer than anything here takes.
pub const SOON: Duration = Duration::from_secs(10);

pub struct Tap {
    pub address: SocketAddr,
    pub registry: Registry,
    pub exchanges: mpsc::Receiver<Exchange>,
    pub options: watch::Sender<Arc<TapOptions>>,
    pub shutdown: Shutdown,
}

impl Tap {
    pub async fn start(upstream: &str) -> Self {
        Self::start_with(upstream, |_| ()).await
    }

    pub async fn start_with(upstream: &str, change: impl FnOnce(&mut TapOptions)) -> Self {
        let mut options = TapOptions::new(upstream.parse().unwrap());
        change(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (options, receiver) = watch::channel(Arc::new(options));
        let registry = Registry::new(1000);
        let (sender, exchanges) = mpsc::channel(4096);
        let masker = Arc::new(Masker::new(b"salt of the tests", &MaskOptions::default()).unwrap());
        let outlets = Outlets { records: sender, feeds: plimsoll_agent::feed::Feeds::default(), pairs: None, masker };
        let shutdown = Shutdown::default();
        shutdown.spawn("tap", serve(listener, receiver, registry.clone(), outlets, shutdown.clone()));
        Self { address, registry, exchanges, options, shutdown }
    }

    /// The next exchange observed.
    pub async fn exchange(&mut self) -> Exchange {
        timeout(SOON, self.exchanges.recv()).await.expect("an exchange is observed").unwrap()
    }

    /// Current value of a series, summed over all that have `parts` in their text.
    pub fn figure(&self, name: &str, parts: &[&str]) -> f64 {
        let samples = self.registry.samples();
        let chosen = samples.iter().filter(|(labels, _)| {
            let text = labels.to_string();
            labels.name() == name && parts.iter().all(|part| text.contains(part))
        });
        chosen.map(|(_, value)| value).sum()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

/// A POST with a JSON body of known length.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: model.example\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A complete answer of known length.
pub fn answer(kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// The head of a streamed answer.
pub const SSE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

/// An upstream that gives every request the same bytes.
pub async fn canned(answer: Vec<u8>) -> Upstream {
    let answer = Arc::new(answer);
    Upstream::start(move |mut wire, _| {
        let answer = answer.clone();
        async move {
            while wire.request().await.is_some() {
                if wire.send(&*answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
    .unwrap()
}

/// Sends `request` and reads the answer.
pub async fn ask(address: SocketAddr, method: &str, request: &[u8]) -> Option<Message> {
    let mut wire = Wire::connect(address).await.unwrap();
    // A server may answer and close before it has read everything.
    let _ = wire.send(request).await;
    timeout(SOON, wire.response(method)).await.expect("an answer in time")
}
