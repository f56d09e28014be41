//! What goes wrong, on either side: the other side learns of it as it would without us, soon, and nothing is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use plimsoll_rules::ExchangeOutcome;
use plimsoll_tests::{End, Upstream, Wire, eventually, free_port};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::http1::noise;
use crate::support::{SOON, SSE, Tap, answer, ask, canned, post};

const EVENT: &str = "data: {\"id\":\"c-1\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
/// A client that goes away is noticed within this.
const PROMPTLY: Duration = Duration::from_millis(500);

/// An upstream that reads a request, sends `first`, then tells how long it took until its connection was closed.
async fn waits_for_the_end(first: String) -> (Upstream, mpsc::Receiver<Option<Duration>>) {
    let (sender, ended) = mpsc::channel(8);
    let upstream = Upstream::start(move |mut wire, _| {
        let (sender, first) = (sender.clone(), first.clone());
        async move {
            if wire.request().await.is_none() {
                return;
            }
            wire.send(&first).await.unwrap();
            let begun = Instant::now();
            sender.send(None).await.unwrap();
            let closed = wire.is_closed_within(SOON).await;
            sender.send(closed.then(|| begun.elapsed())).await.unwrap();
        }
    })
    .await
    .unwrap();
    (upstream, ended)
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let chunk = format!("{:x}\r\n{EVENT}\r\n", EVENT.len());
    for (why, first) in [("before the head", String::new()), ("in the middle", format!("{SSE}{chunk}"))] {
        let (upstream, mut ended) = waits_for_the_end(first.clone()).await;
        let mut tap = Tap::start(&upstream.url()).await;
        let mut client = Wire::connect(tap.address).await.unwrap();
        client.send(post("/v1/chat/completions", r#"{"stream":true,"model":"m"}"#)).await.unwrap();
        assert_eq!(timeout(SOON, ended.recv()).await.unwrap(), Some(None), "{why}");
        if !first.is_empty() {
            client.some().await.unwrap();
        }
        drop(client);
        let took = timeout(SOON, ended.recv()).await.unwrap().unwrap().expect("the upstream's connection is closed");
        assert!(took < PROMPTLY, "{why}: the upstream learnt of it after {took:?}");
        let exchange = tap.exchange().await;
        assert_eq!(exchange.outcome, ExchangeOutcome::ClientAbort, "{why}");
        assert_eq!(exchange.status, if first.is_empty() { 499 } else { 200 }, "{why}");
    }
}

#[tokio::test]
async fn an_upstream_that_never_ends_is_left_when_the_client_leaves() {
    let (sender, mut ended) = mpsc::channel(1);
    let upstream = Upstream::start(move |mut wire, _| {
        let sender = sender.clone();
        async move {
            wire.request().await.unwrap();
            wire.send(SSE).await.unwrap();
            while wire.send_chunk(EVENT).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            sender.send(()).await.unwrap();
        }
    })
    .await
    .unwrap();
    let mut tap = Tap::start(&upstream.url()).await;
    let mut client = Wire::connect(tap.address).await.unwrap();
    client.send(post("/v1/chat/completions", r#"{"stream":true}"#)).await.unwrap();
    for _ in 0..50 {
        assert!(!client.some().await.unwrap().is_empty());
    }
    drop(client);
    timeout(PROMPTLY, ended.recv()).await.expect("the upstream's writes fail soon").unwrap();
    let exchange = tap.exchange().await;
    assert_eq!((exchange.outcome, exchange.model.as_str()), (ExchangeOutcome::ClientAbort, "m"));
    assert!(exchange.output_tokens.value().unwrap() >= 10, "{exchange:?}");
}

#[tokio::test]
async fn what_the_upstream_breaks_off_is_broken_for_the_client_too() {
    let event = format!("{:x}\r\n{EVENT}\r\n", EVENT.len());
    let cases = [
        ("chunked, closed", format!("{SSE}{event}{event}"), false, ExchangeOutcome::BrokenStream),
        ("chunked, reset", format!("{SSE}{event}"), true, ExchangeOutcome::BrokenStream),
        ("inside a chunk", format!("{SSE}{event}ff\r\ndata: {{"), false, ExchangeOutcome::BrokenStream),
        (
            "too short",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"id\"".into(),
            false,
            ExchangeOutcome::BrokenStream,
        ),
        ("a chunk that is none", format!("{SSE}{event}zz\r\n"), false, ExchangeOutcome::BrokenStream),
    ];
    for (why, bytes, reset, outcome) in cases {
        let sent = bytes.clone();
        let upstream = Upstream::start(move |mut wire, _| {
            let sent = sent.clone();
            async move {
                wire.request().await.unwrap();
                wire.send(sent).await.unwrap();
                if reset {
                    // What was sent has to arrive first: a reset overtakes it.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    wire.reset();
                }
            }
        })
        .await
        .unwrap();
        let mut tap = Tap::start(&upstream.url()).await;
        let request = post("/v1/chat/completions", r#"{"stream":true}"#);
        let direct = ask(upstream.address(), "POST", &request).await.unwrap();
        let tapped = ask(tap.address, "POST", &request).await.unwrap();
        assert_eq!((direct.end, tapped.end), (End::Broken, End::Broken), "{why}");
        // Bytes of a chunk that is never completed may stay behind; what the upstream completed arrives.
        let whole = direct.body.len() - direct.body.len() % EVENT.len();
        assert_eq!(tapped.body[..whole], direct.body[..whole], "{why}");
        assert_eq!(tap.exchange().await.outcome, outcome, "{why}");
    }
}

#[tokio::test]
async fn a_stream_without_its_terminator_is_counted_as_broken() {
    for (why, last, outcome) in [("without", "", ExchangeOutcome::BrokenStream), ("with", DONE, ExchangeOutcome::Ok)] {
        let body = format!("{EVENT}{last}");
        let upstream = canned(format!("{SSE}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes()).await;
        let mut tap = Tap::start(&upstream.url()).await;
        let response = ask(tap.address, "POST", &post("/v1/chat/completions", "{}")).await.unwrap();
        assert_eq!(response.end, End::Complete, "the bytes are passed as they are");
        assert_eq!(tap.exchange().await.outcome, outcome, "{why}");
    }
}

#[tokio::test]
async fn a_slow_client_loses_nothing_when_the_upstream_breaks() {
    const SIZE: usize = 3 << 20;
    let upstream = Upstream::start(|mut wire, _| async move {
        wire.request().await.unwrap();
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", SIZE + 1)).await.unwrap();
        wire.send(noise(SIZE)).await.unwrap();
    })
    .await
    .unwrap();
    let tap = Tap::start(&upstream.url()).await;
    let mut client = Wire::connect(tap.address).await.unwrap();
    client.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let response = timeout(SOON, client.response("GET")).await.unwrap().unwrap();
    assert_eq!((response.body.len(), response.end), (SIZE, End::Broken));
    assert!(response.body == noise(SIZE));
}

#[tokio::test]
async fn a_slow_client_holds_the_upstream_back() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 64;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let upstream = Upstream::start(move |mut wire, _| {
        let counter = counter.clone();
        async move {
            wire.request().await.unwrap();
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PIECES * PIECE)).await.unwrap();
            let piece = noise(PIECE);
            for _ in 0..PIECES {
                wire.send(&piece).await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await
    .unwrap();
    let tap = Tap::start(&upstream.url()).await;
    let mut client = Wire::connect(tap.address).await.unwrap();
    client.send(post("/v1/embeddings", "{}")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let held = sent.load(Ordering::SeqCst);
    assert!(held < 24, "the client has read nothing, but {held} MiB of 64 have left the upstream");
    let response = timeout(SOON, client.response("POST")).await.unwrap().unwrap();
    assert_eq!((response.body.len(), response.end), (PIECES * PIECE, End::Complete));
}

#[tokio::test]
async fn failures_before_an_answer_say_where_they_come_from() {
    let refused = format!("http://127.0.0.1:{}", free_port().unwrap());
    let closes = Upstream::start(|mut wire, _| async move {
        wire.request().await;
    })
    .await
    .unwrap();
    let silent = Upstream::start(|mut wire, _| async move {
        wire.request().await;
        wire.is_closed_within(SOON).await;
    })
    .await
    .unwrap();
    let garbage = canned(b"\x16\x03\x01 this is not HTTP\r\n\r\n".to_vec()).await;
    let endless = Upstream::start(|mut wire, _| async move {
        wire.request().await;
        wire.send("HTTP/1.1 200 OK\r\n").await.unwrap();
        while wire.send(format!("X-A: {}\r\n", "a".repeat(1000))).await.is_ok() {}
    })
    .await
    .unwrap();
    let resets = Upstream::start(|mut wire, _| async move {
        wire.request().await;
        wire.reset();
    })
    .await
    .unwrap();
    let cases = [
        ("refused", refused, 502, "upstream_unreachable", ExchangeOutcome::Unreachable),
        ("no answer in time", silent.url(), 504, "upstream_timeout", ExchangeOutcome::Timeout),
        ("garbage", garbage.url(), 502, "upstream_broken", ExchangeOutcome::Unreachable),
        ("a head without end", endless.url(), 502, "upstream_broken", ExchangeOutcome::Unreachable),
        ("closed", closes.url(), 502, "upstream_broken", ExchangeOutcome::Unreachable),
        ("reset", resets.url(), 502, "upstream_broken", ExchangeOutcome::Unreachable),
    ];
    for (why, url, status, kind, outcome) in cases {
        let mut tap = Tap::start_with(&url, |options| options.response_timeout = Duration::from_millis(300)).await;
        let request = post("/v1/chat/completions", r#"{"model":"nobody-has-served-this"}"#);
        let response = ask(tap.address, "POST", &request).await.expect(why);
        assert_eq!(response.status(), status, "{why}");
        let error: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(error["error"]["type"], kind, "{why}");
        assert_eq!(error["error"]["code"], status, "{why}");
        assert!(error["error"]["message"].as_str().unwrap().starts_with("plimsoll tap: "), "{why}: {error}");
        let exchange = tap.exchange().await;
        assert_eq!((exchange.outcome, exchange.status), (outcome, status), "{why}");
        assert_eq!(exchange.model, "", "{why}: a name that has never been served is no label");
    }
}

#[tokio::test]
async fn a_silent_stream_is_given_up() {
    let (upstream, mut ended) = waits_for_the_end(format!("{SSE}{:x}\r\n{EVENT}\r\n", EVENT.len())).await;
    let mut tap = Tap::start_with(&upstream.url(), |options| options.idle_timeout = Duration::from_millis(300)).await;
    let response = ask(tap.address, "POST", &post("/v1/chat/completions", "{}")).await.unwrap();
    assert_eq!((response.body.as_slice(), response.end), (EVENT.as_bytes(), End::Broken));
    assert_eq!(tap.exchange().await.outcome, ExchangeOutcome::Timeout);
    ended.recv().await;
    assert!(timeout(SOON, ended.recv()).await.unwrap().unwrap().is_some(), "the upstream is let go");
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_goes_no_further() {
    let upstream = canned(answer("text/plain", "hi")).await;
    let tap = Tap::start(&upstream.url()).await;
    for (why, bytes, status) in [
        ("TLS", &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], Some(400)),
        ("no version", b"GET /\r\n\r\n", Some(400)),
        ("two lengths", b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", Some(400)),
        ("CONNECT", b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", Some(405)),
    ] {
        let response = ask(tap.address, "GET", bytes).await;
        assert_eq!(response.map(|response| response.status()), status, "{why}");
    }
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    head.extend(format!("X-A: {}\r\n", "a".repeat(1000)).repeat(2000).into_bytes());
    let response = ask(tap.address, "GET", &head).await;
    assert!(response.is_none_or(|response| response.status() == 431), "2 MB of headers");
    assert_eq!(upstream.connections(), 0);
    let response = ask(tap.address, "GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(response.body, b"hi", "and the next client is served");
}

/// An upstream whose first connection answers once, then does `stale` with the next request; later ones answer.
async fn stale_after_one(reads_second: bool) -> (Upstream, mpsc::Receiver<Vec<u8>>) {
    let (sender, bodies) = mpsc::channel(8);
    let upstream = Upstream::start(move |mut wire, number| {
        let sender = sender.clone();
        async move {
            wire.request().await.unwrap();
            wire.send(answer("application/json", "{}")).await.unwrap();
            if number == 0 && reads_second {
                // The race: a request arrives, and the connection closes without an answer.
                sender.send(wire.request().await.unwrap().body).await.unwrap();
            }
        }
    })
    .await
    .unwrap();
    (upstream, bodies)
}

#[tokio::test]
async fn a_stale_connection_costs_the_client_nothing() {
    for (why, reads_second) in [("closed while idle", false), ("closed as the request arrived", true)] {
        let (upstream, mut bodies) = stale_after_one(reads_second).await;
        let tap = Tap::start(&upstream.url()).await;
        for number in 0..2 {
            let body = format!(r#"{{"number":{number}}}"#);
            let response = ask(tap.address, "POST", &post("/v1/chat/completions", &body)).await.unwrap();
            assert_eq!(response.status(), 200, "{why}");
        }
        assert_eq!(upstream.connections(), 2, "{why}");
        if reads_second {
            assert_eq!(bodies.recv().await.unwrap(), br#"{"number":1}"#);
        }
    }
}

#[tokio::test]
async fn what_must_not_happen_twice_is_not_sent_twice() {
    let (upstream, _bodies) = stale_after_one(true).await;
    let tap = Tap::start(&upstream.url()).await;
    assert_eq!(ask(tap.address, "POST", &post("/v1/files", "{}")).await.unwrap().status(), 200);
    assert_eq!(ask(tap.address, "POST", &post("/v1/files", "{}")).await.unwrap().status(), 502);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn an_upstream_that_always_breaks_is_asked_twice_at_most() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    let upstream = Upstream::start(move |mut wire, number| {
        let counter = counter.clone();
        async move {
            wire.request().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            if number == 0 {
                wire.send(answer("application/json", "{}")).await.unwrap();
                wire.request().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await
    .unwrap();
    let tap = Tap::start(&upstream.url()).await;
    assert_eq!(ask(tap.address, "POST", &post("/v1/chat/completions", "{}")).await.unwrap().status(), 200);
    assert_eq!(ask(tap.address, "POST", &post("/v1/chat/completions", "{}")).await.unwrap().status(), 502);
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_idle_connection_is_given_up_before_uvicorn_does() {
    let upstream = canned(answer("text/plain", "hi")).await;
    let tap = Tap::start(&upstream.url()).await;
    for (pause, connections) in [(0, 1), (100, 1), (4500, 2)] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        ask(tap.address, "GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert_eq!(upstream.connections(), connections, "after {pause} ms");
    }
}

#[tokio::test]
async fn at_the_end_streams_finish_and_nobody_new_is_served() {
    let (go, going) = mpsc::channel::<()>(1);
    let going = Arc::new(tokio::sync::Mutex::new(going));
    let upstream = Upstream::start(move |mut wire, _| {
        let going = going.clone();
        async move {
            wire.request().await.unwrap();
            wire.send(SSE).await.unwrap();
            wire.send_chunk(EVENT).await.unwrap();
            going.lock().await.recv().await.unwrap();
            wire.send_chunk(DONE).await.unwrap();
            wire.send("0\r\n\r\n").await.unwrap();
        }
    })
    .await
    .unwrap();
    let mut tap = Tap::start(&upstream.url()).await;
    let mut idle = Wire::connect(tap.address).await.unwrap();
    let mut client = Wire::connect(tap.address).await.unwrap();
    client.send(post("/v1/chat/completions", "{}")).await.unwrap();
    let begun = client.some().await.unwrap();
    assert!(!begun.is_empty());
    tap.shutdown.begin();
    assert!(idle.is_closed_within(SOON).await, "an idle connection is closed");
    // the listener goes at the same moment, on another thread
    eventually("nobody is accepted", SOON, async || match Wire::connect(tap.address).await {
        Ok(_) => Err("a connection was made"),
        Err(_) => Ok(()),
    })
    .await;
    go.send(()).await.unwrap();
    let mut rest = Vec::new();
    while let Ok(bytes) = timeout(SOON, client.some()).await.expect("the stream ends") {
        if bytes.is_empty() {
            break;
        }
        rest.extend(bytes);
    }
    assert!(rest.ends_with(b"data: [DONE]\n\n\r\n0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
    let left = tap.shutdown.finish(SOON).await;
    assert!(left.is_empty(), "still running: {left:?}");
    assert_eq!(tap.exchange().await.outcome, ExchangeOutcome::Ok, "the last exchange is observed too");
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_counted() {
    let upstream = canned(answer("text/plain", "hi")).await;
    let tap = Tap::start_with(&upstream.url(), |options| options.max_connections = 2).await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::connect(tap.address).await.unwrap();
        wire.send(request).await.unwrap();
        assert_eq!(wire.response("GET").await.unwrap().status(), 200);
        kept.push(wire);
    }
    let mut third = Wire::connect(tap.address).await.unwrap();
    assert!(third.is_closed_within(SOON).await);
    assert_eq!(tap.figure("plimsoll_dropped_total", &["tap_connections"]), 1.0);
    drop(kept);
    let served = async {
        while ask(tap.address, "GET", request).await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, served).await.expect("there is room again");
}

#[tokio::test]
async fn a_new_upstream_holds_from_the_next_request_on() {
    let (one, two) = (canned(answer("text/plain", "one")).await, canned(answer("text/plain", "two")).await);
    let tap = Tap::start(&one.url()).await;
    let mut client = Wire::connect(tap.address).await.unwrap();
    for (upstream, body) in [(&one, "one"), (&two, "two")] {
        tap.options.send_modify(|options| {
            Arc::make_mut(options).upstream = Arc::new(upstream.url().parse().unwrap());
        });
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert_eq!(client.response("GET").await.unwrap().body, body.as_bytes());
    }
}
