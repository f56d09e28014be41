//! HTTP/2 without TLS: the same bodies, headers and trailers with and without the tap, to an upstream of either version.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use plimsoll_agent::tap::UpstreamProtocol;
use plimsoll_rules::{ExchangeOutcome, TokenCount};
use plimsoll_tests::Upstream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};

use crate::http1::noise;
use crate::support::{SOON, SSE, Tap, answer, canned};

/// A body from given frames; `None` breaks it off, after a pause (a reset overtakes what was sent just before).
#[derive(Debug)]
struct Frames(std::vec::IntoIter<Option<Frame<Bytes>>>, Pin<Box<Sleep>>);

impl Frames {
    fn new(frames: Vec<Option<Frame<Bytes>>>) -> Self {
        Self(frames.into_iter(), Box::pin(sleep(Duration::from_millis(100))))
    }

    fn of(body: impl Into<Bytes>) -> Self {
        Self::new(vec![Some(Frame::data(body.into()))])
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let [None, ..] = self.0.as_slice() {
            std::task::ready!(self.1.as_mut().poll(cx));
        }
        Poll::Ready(self.0.next().map(|frame| frame.ok_or_else(|| std::io::Error::other("broken off"))))
    }
}

/// What arrived: head, body, trailers; `None` for a body that broke off.
#[derive(Debug, PartialEq)]
struct Arrived {
    head: (Option<Method>, String, Option<StatusCode>),
    headers: Vec<(String, HeaderValue)>,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    whole: bool,
}

async fn arrived(
    head: (Option<Method>, String, Option<StatusCode>),
    headers: &HeaderMap,
    mut body: Incoming,
) -> Arrived {
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    headers.sort();
    let mut arrived = Arrived { head, headers, body: Vec::new(), trailers: None, whole: true };
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => arrived.body.extend_from_slice(&data),
            Ok(Err(frame)) => arrived.trailers = frame.into_trailers().ok(),
            Err(_) => {
                arrived.whole = false;
                break;
            }
        }
    }
    arrived
}

/// An HTTP/2 upstream that notes each request and answers what `reply` makes.
async fn http2_upstream(
    reply: impl Fn() -> Response<Frames> + Clone + Send + Sync + 'static,
) -> (SocketAddr, mpsc::Receiver<Arrived>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::channel(2048);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (sender, reply) = (sender.clone(), reply.clone());
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let (sender, reply) = (sender.clone(), reply.clone());
                async move {
                    let (parts, body) = request.into_parts();
                    let head = (Some(parts.method), parts.uri.to_string(), None);
                    let arrived = arrived(head, &parts.headers, body).await;
                    let _ = sender.send(arrived).await;
                    Ok::<_, Infallible>(reply())
                }
            });
            let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            server.auto_date_header(false); // two answers may lie on two sides of a second
            connections.spawn(async move {
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, requests, tasks)
}

/// A client connection that speaks HTTP/2 at once.
async fn client(address: SocketAddr, tasks: &mut JoinSet<()>) -> SendRequest<Frames> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tasks.spawn(async move {
        let _ = connection.await;
    });
    sender
}

async fn ask(sender: &mut SendRequest<Frames>, request: Request<Frames>) -> Arrived {
    let response = timeout(SOON, sender.send_request(request)).await.expect("an answer in time").unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let (parts, body) = response.into_parts();
    timeout(SOON, arrived((None, String::new(), Some(parts.status)), &parts.headers, body)).await.unwrap()
}

fn post(path: &str, frames: Frames) -> Request<Frames> {
    Request::post(format!("http://model.example:81{path}"))
        .header("x-name", "caf\u{e9}")
        .header("authorization", "Bearer sk")
        .header("te", "trailers")
        .body(frames)
        .unwrap()
}

fn trailers(name: &'static str) -> Frame<Bytes> {
    Frame::trailers(HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static("1"))]))
}

#[tokio::test]
async fn http2_both_sides_passes_as_it_is() {
    type Make = fn() -> Vec<Option<Frame<Bytes>>>;
    let cases: [(&str, Make, Make); 4] = [
        ("small", || vec![Some(Frame::data("{}".into()))], || vec![Some(Frame::data("\u{20ac}".into()))]),
        (
            "10 MB both ways",
            || vec![Some(Frame::data(noise(10 << 20).into()))],
            || noise(10 << 20).chunks(70_001).map(|piece| Some(Frame::data(Bytes::copy_from_slice(piece)))).collect(),
        ),
        (
            "trailers",
            || vec![Some(Frame::data("a".into())), Some(trailers("x-up"))],
            || vec![Some(Frame::data("b".into())), Some(trailers("x-down"))],
        ),
        ("reset in the middle", Vec::new, || vec![Some(Frame::data("data: {".into())), None]),
    ];
    for (why, up, down) in cases {
        let reply = move || Response::builder().status(201).header("x-a", "b").body(Frames::new(down())).unwrap();
        let (address, mut requests, mut tasks) = http2_upstream(reply).await;
        let tap = Tap::start_with(&format!("http://{address}"), |o| o.protocol = UpstreamProtocol::SameAsClient).await;
        let mut seen = Vec::new();
        for address in [address, tap.address] {
            let mut sender = client(address, &mut tasks).await;
            let response = ask(&mut sender, post("/v1/chat/completions?a=b", Frames::new(up()))).await;
            seen.push((requests.recv().await.unwrap(), response));
        }
        let (direct, tapped) = (&seen[0], &seen[1]);
        assert_eq!(direct.0.head, tapped.0.head, "{why}");
        assert_eq!(direct.0.headers, tapped.0.headers, "{why}: request");
        assert_eq!(direct.1.headers, tapped.1.headers, "{why}: response");
        assert_eq!(direct.0.trailers, tapped.0.trailers, "{why}: request");
        assert_eq!(direct.1.trailers, tapped.1.trailers, "{why}: response");
        assert!(direct.0.body == tapped.0.body && direct.1.body == tapped.1.body, "{why}: bodies");
        assert_eq!(
            (direct.1.whole, tapped.1.whole),
            (why != "reset in the middle", why != "reset in the middle"),
            "{why}"
        );
        assert_eq!(direct.1.head, tapped.1.head, "{why}");
    }
}

#[tokio::test]
async fn an_http2_client_reaches_an_http1_engine() {
    let (sender, mut requests) = mpsc::channel(8);
    let upstream = Upstream::start(move |mut wire, _| {
        let sender = sender.clone();
        async move {
            while let Some(request) = wire.request().await {
                sender.send(request).await.unwrap();
                wire.send(SSE).await.unwrap();
                for piece in [
                    &b"data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"\xe2"[..],
                    b"\x82\xac\xff\"}}]}\n\nda",
                    b"ta: [DONE]\n\n",
                ] {
                    wire.send_chunk(piece).await.unwrap();
                }
                wire.send("0\r\n\r\n").await.unwrap();
            }
        }
    })
    .await
    .unwrap();
    let mut tap = Tap::start(&upstream.url()).await;
    let mut tasks = JoinSet::new();
    let mut sender = client(tap.address, &mut tasks).await;
    let response = ask(&mut sender, post("/v1/chat/completions", Frames::of("{\"stream\":true}"))).await;
    assert_eq!(response.body, b"data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"\xe2\x82\xac\xff\"}}]}\n\ndata: [DONE]\n\n");
    assert!(response.whole);
    assert!(response.headers.iter().all(|(name, _)| name != "transfer-encoding"), "not allowed in HTTP/2");
    let request = requests.recv().await.unwrap();
    assert_eq!(request.start, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(request.header("host"), Some("model.example:81"));
    assert_eq!(request.body, b"{\"stream\":true}");
    let exchange = tap.exchange().await;
    assert_eq!((exchange.outcome, exchange.output_tokens), (ExchangeOutcome::Ok, TokenCount::Estimated(1)));
}

#[tokio::test]
async fn what_breaks_upstream_resets_the_stream_and_no_other() {
    let upstream = Upstream::start(|mut wire, _| async move {
        while let Some(request) = wire.request().await {
            if request.start.contains("/good") {
                wire.send(answer("text/plain", "good")).await.unwrap();
                continue;
            }
            wire.send(SSE).await.unwrap();
            wire.send_chunk("data: {}\n\n").await.unwrap();
            return wire.reset();
        }
    })
    .await
    .unwrap();
    let tap = Tap::start(&upstream.url()).await;
    let mut tasks = JoinSet::new();
    let mut sender = client(tap.address, &mut tasks).await;
    let broken = ask(&mut sender, post("/v1/chat/completions", Frames::of("{}"))).await;
    assert!(!broken.whole, "{broken:?}");
    let good = ask(&mut sender, post("/good", Frames::of("{}"))).await;
    assert_eq!((good.body.as_slice(), good.whole), (&b"good"[..], true));
}

#[tokio::test]
async fn a_stream_that_its_client_resets_is_let_go_upstream() {
    let (sender, mut ended) = mpsc::channel(1);
    let upstream = Upstream::start(move |mut wire, _| {
        let sender = sender.clone();
        async move {
            wire.request().await.unwrap();
            wire.send(SSE).await.unwrap();
            wire.send_chunk("data: {}\n\n").await.unwrap();
            sender.send(wire.is_closed_within(SOON).await).await.unwrap();
        }
    })
    .await
    .unwrap();
    let mut tap = Tap::start(&upstream.url()).await;
    let mut tasks = JoinSet::new();
    let mut sender = client(tap.address, &mut tasks).await;
    let response = sender.send_request(post("/v1/chat/completions", Frames::of("{}"))).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let closed = timeout(Duration::from_millis(500), ended.recv()).await.expect("within half a second").unwrap();
    assert!(closed);
    assert_eq!(tap.exchange().await.outcome, ExchangeOutcome::ClientAbort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_on_one_connection() {
    let upstream =
        canned(answer("application/json", "{\"id\":\"c\",\"model\":\"m\",\"usage\":{\"prompt_tokens\":3}}")).await;
    let mut tap = Tap::start(&upstream.url()).await;
    let mut tasks = JoinSet::new();
    let sender = client(tap.address, &mut tasks).await;
    let mut asking = JoinSet::new();
    for _ in 0..1000 {
        let mut sender = sender.clone();
        asking.spawn(async move { ask(&mut sender, post("/v1/chat/completions", Frames::of("{}"))).await.whole });
    }
    while let Some(whole) = asking.join_next().await {
        assert!(whole.unwrap());
    }
    for _ in 0..1000 {
        assert_eq!(tap.exchange().await.input_tokens, TokenCount::Reported(3));
    }
}
