//! HTTP/1.1: what the upstream gets and what the client gets are the same with and without the tap.

use std::sync::Arc;

use plimsoll_tests::{End, Message, Upstream, Wire};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{SOON, SSE, Tap, ask, post};

/// What one request looked like to the upstream and its answer to the client.
#[derive(Debug, PartialEq)]
struct Seen {
    request: Message,
    response: Message,
}

/// Asks the same twice, once directly and once through a tap.
async fn both(method: &str, request: &[u8], answer: &[u8]) -> (Seen, Seen) {
    let (sender, mut requests) = mpsc::channel(8);
    let answer = Arc::new(answer.to_vec());
    let upstream = Upstream::start(move |mut wire, _| {
        let (sender, answer) = (sender.clone(), answer.clone());
        async move {
            let Some(request) = wire.request().await else { return };
            sender.send(request).await.unwrap();
            let _ = wire.send(&*answer).await;
        }
    })
    .await
    .unwrap();
    let tap = Tap::start(&upstream.url()).await;
    let mut seen = Vec::new();
    for address in [upstream.address(), tap.address] {
        let response = ask(address, method, request).await.expect("a response");
        let request = timeout(SOON, requests.recv()).await.expect("the request arrives").unwrap();
        seen.push(Seen { request, response });
    }
    let tapped = seen.pop().unwrap();
    (seen.pop().unwrap(), tapped)
}

/// The two are the same but for what concerns a single connection.
fn check(why: &str, (direct, tapped): &(Seen, Seen)) {
    for (what, a, b) in
        [("request", &direct.request, &tapped.request), ("response", &direct.response, &tapped.response)]
    {
        assert_eq!(a.start, b.start, "{why}: first line of the {what}");
        assert_eq!(a.end_to_end(), b.end_to_end(), "{why}: headers of the {what}");
        assert!(a.body == b.body, "{why}: body of the {what}: {} against {} bytes", a.body.len(), b.body.len());
        assert_eq!(a.trailers, b.trailers, "{why}: trailers of the {what}");
        assert_eq!(a.end, b.end, "{why}: end of the {what}");
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

#[tokio::test]
async fn heads_and_bodies_pass_as_they_are() {
    let get = "GET /v1/models?x=%20a+b HTTP/1.1\r\nhOsT: Model.Example:81\r\nX-UPPER: 1\r\nx-lower: 2\r\n";
    let post = "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n";
    let cases: &[(&str, &str, String, String)] = &[
        (
            "case of names, repeated names",
            "GET",
            format!("{get}x-Dup: a\r\nX-dup: b\r\n\r\n"),
            format!("{OK}DATE: x\r\nSet-Cookie: a\r\nset-cookie: b\r\nserver: s\r\nContent-LENGTH: 2\r\n\r\nhi"),
        ),
        ("no Date, Server or Via is added", "GET", format!("{get}\r\n"), format!("{OK}Content-Length: 2\r\n\r\nhi")),
        (
            "a reason phrase of its own",
            "GET",
            format!("{get}\r\n"),
            "HTTP/1.1 200 Fine Thanks\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        ("a status nobody knows", "GET", format!("{get}\r\n"), "HTTP/1.1 499 Odd\r\nContent-Length: 1\r\n\r\nx".into()),
        (
            "bytes above 127 in a value",
            "GET",
            format!("{get}X-Name: caf\u{e9}\r\n\r\n"),
            format!("{OK}X-Name: caf\u{e9}\r\nContent-Length: 0\r\n\r\n"),
        ),
        (
            "body with a length",
            "POST",
            format!("{post}Content-Length: 4\r\n\r\n\0\r\nz"),
            format!("{OK}Content-Length: 3\r\n\r\n\r\n\0"),
        ),
        (
            "body in chunks",
            "POST",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"),
            format!("{OK}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
        ),
        (
            "an empty body in chunks",
            "POST",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            format!("{OK}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "no body at all",
            "POST",
            format!("{post}Content-Length: 0\r\n\r\n"),
            format!("{OK}Content-Length: 0\r\n\r\n"),
        ),
        (
            "trailers",
            "POST",
            format!(
                "{post}TE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\n\r\n"
            ),
            format!("{OK}Trailer: x-check\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-check: 2\r\n\r\n"),
        ),
        (
            "HEAD with a length",
            "HEAD",
            get.replacen("GET", "HEAD", 1) + "\r\n",
            format!("{OK}Content-Length: 12345\r\n\r\n"),
        ),
        ("HEAD without", "HEAD", get.replacen("GET", "HEAD", 1) + "\r\n", format!("{OK}X-A: b\r\n\r\n")),
        (
            "204",
            "DELETE",
            get.replacen("GET", "DELETE", 1) + "\r\n",
            "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n".into(),
        ),
        (
            "304",
            "GET",
            format!("{get}If-None-Match: \"a\"\r\n\r\n"),
            "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".into(),
        ),
        (
            "an error keeps its words",
            "POST",
            format!("{post}Content-Length: 2\r\n\r\n{{}}"),
            "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}".into(),
        ),
        (
            "asterisk",
            "OPTIONS",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            format!("{OK}Content-Length: 0\r\n\r\n"),
        ),
        (
            "credentials",
            "GET",
            format!("{get}Authorization: Bearer sk-1\r\nCookie: a=b; c\r\n\r\n"),
            format!("{OK}Content-Length: 0\r\n\r\n"),
        ),
    ];
    for (why, method, request, answer) in cases {
        let request: Vec<u8> = request.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let answer: Vec<u8> = answer.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let seen = both(method, &request, &answer).await;
        assert_eq!(seen.0.response.end, End::Complete, "{why}");
        check(why, &seen);
    }
}

/// Bytes that look like nothing in particular, the same ones each time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

const TEN_MB: usize = 10 << 20;

#[tokio::test]
async fn ten_megabytes_pass_both_ways() {
    let body = noise(TEN_MB);
    let mut request =
        format!("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {TEN_MB}\r\n\r\n").into_bytes();
    request.extend_from_slice(&body);
    let mut answer = format!("{OK}Content-Type: application/json\r\nContent-Length: {TEN_MB}\r\n\r\n").into_bytes();
    answer.extend_from_slice(&body);
    check("with a length", &both("POST", &request, &answer).await);

    let mut chunks = Vec::new();
    for piece in body.chunks(70_001) {
        chunks.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
        chunks.extend_from_slice(piece);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    let mut request = b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    request.extend_from_slice(&chunks);
    let mut answer = format!("{OK}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    answer.extend_from_slice(&chunks);
    let seen = both("POST", &request, &answer).await;
    check("in chunks", &seen);
    assert!(seen.1.request.body == body && seen.1.response.body == body);
}

#[tokio::test]
async fn an_answer_without_length_ends_with_the_connection() {
    let seen = both("GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nall of it").await;
    check("until close", &seen);
    assert_eq!((seen.1.response.body.as_slice(), seen.1.response.end), (&b"all of it"[..], End::Complete));
    assert_eq!(seen.1.response.header("connection"), Some("close"));
}

#[tokio::test]
async fn an_http10_client_gets_an_answer_it_can_read() {
    let answer = format!("{OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let (_, tapped) = both("GET", b"GET / HTTP/1.0\r\n\r\n", answer.as_bytes()).await;
    assert_eq!(tapped.response.body, b"abc");
    assert_eq!(tapped.response.header("transfer-encoding"), None);
}

#[tokio::test]
async fn fields_of_one_connection_stay_on_it() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\nProxy-Connection: x\r\nX-End: 2\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nConnection: X-Theirs, keep-alive\r\nX-Theirs: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\nX-End: 3\r\n\r\n";
    let (_, tapped) = both("GET", request.as_bytes(), answer.as_bytes()).await;
    assert_eq!(tapped.request.headers, ["Host: a", "X-End: 2"]);
    assert_eq!(tapped.response.end_to_end(), ["Content-Length: 0", "X-End: 3"]);
}

#[tokio::test]
async fn a_target_in_absolute_form_reaches_its_path() {
    let request = "GET http://real.example:81/a?b HTTP/1.1\r\nHost: other\r\n\r\n";
    let (_, tapped) = both("GET", request.as_bytes(), b"HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(
        (tapped.request.start.as_str(), tapped.request.header("host")),
        ("GET /a?b HTTP/1.1", Some("real.example:81"))
    );
}

#[tokio::test]
async fn the_upstreams_base_path_comes_first() {
    let upstream = Upstream::start(|mut wire, _| async move {
        let request = wire.request().await.unwrap();
        let start = request.start;
        wire.send(format!("{OK}Content-Length: {}\r\n\r\n{start}", start.len())).await.unwrap();
    })
    .await
    .unwrap();
    let tap = Tap::start(&format!("{}/engine/", upstream.url())).await;
    let response = ask(tap.address, "GET", b"GET /v1/models?a=b HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(response.body, b"GET /engine/v1/models?a=b HTTP/1.1");
}

#[tokio::test]
async fn each_piece_of_a_stream_is_passed_on_at_once() {
    // The upstream sends the next piece only after the client has got the one before: a buffer would deadlock.
    let (go, going) = mpsc::channel::<()>(1);
    let going = Arc::new(tokio::sync::Mutex::new(going));
    let upstream = Upstream::start(move |mut wire, _| {
        let going = going.clone();
        async move {
            wire.request().await.unwrap();
            wire.send(SSE).await.unwrap();
            // Cut anywhere: inside a line, inside a multi-byte character, invalid UTF-8.
            for piece in [&b"da"[..], b"ta: \xe2", b"\x82", b"\xac\xff\xfe\n", b"\n"] {
                going.lock().await.recv().await.unwrap();
                wire.send_chunk(piece).await.unwrap();
            }
            wire.send("0\r\n\r\n").await.unwrap();
        }
    })
    .await
    .unwrap();
    let tap = Tap::start(&upstream.url()).await;
    let mut client = Wire::connect(tap.address).await.unwrap();
    client.send(post("/v1/chat/completions", r#"{"stream":true}"#)).await.unwrap();
    let mut got = client.some().await.unwrap();
    assert!(got.ends_with(b"\r\n\r\n"), "the head comes before any piece of the body");
    got.clear();
    for expected in
        [&b"2\r\nda\r\n"[..], b"5\r\nta: \xe2\r\n", b"1\r\n\x82\r\n", b"4\r\n\xac\xff\xfe\n\r\n", b"1\r\n\n\r\n"]
    {
        go.send(()).await.unwrap();
        while got.len() < expected.len() {
            got.extend(timeout(SOON, client.some()).await.expect("the piece arrives").unwrap());
        }
        let rest = got.split_off(expected.len());
        assert_eq!(got, expected);
        got = rest;
    }
}

#[tokio::test]
async fn expect_continue_is_the_upstreams_to_answer() {
    let upstream = Upstream::start(|mut wire, number| async move {
        let head = wire.request_head().await.unwrap();
        assert_eq!(head.header("expect"), Some("100-continue"));
        if number == 0 {
            wire.send("HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
            assert_eq!(wire.some().await.unwrap(), b"hello");
            wire.send(format!("{OK}Content-Length: 0\r\n\r\n")).await.unwrap();
        } else {
            let refusal = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            wire.send(refusal).await.unwrap();
            assert!(wire.is_closed_within(SOON).await, "no body follows a refusal");
        }
    })
    .await
    .unwrap();
    let tap = Tap::start(&upstream.url()).await;
    let head = "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut client = Wire::connect(tap.address).await.unwrap();
    client.send(head).await.unwrap();
    assert_eq!(timeout(SOON, client.response("POST")).await.unwrap().unwrap().status(), 100);
    client.send("hello").await.unwrap();
    assert_eq!(timeout(SOON, client.response("POST")).await.unwrap().unwrap().status(), 200);

    let refused = ask(tap.address, "POST", head.as_bytes()).await.unwrap();
    assert_eq!(refused.status(), 413);
}

#[tokio::test]
async fn an_upgrade_becomes_a_tunnel() {
    let upstream = Upstream::start(|mut wire, _| async move {
        let request = wire.request_head().await.unwrap();
        assert_eq!((request.header("upgrade"), request.header("connection")), (Some("websocket"), Some("Upgrade")));
        let accept = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhello";
        wire.send(accept).await.unwrap();
        while let Ok(bytes) = wire.some().await {
            if bytes.is_empty() {
                return;
            }
            wire.send(bytes.to_ascii_uppercase()).await.unwrap();
        }
    })
    .await
    .unwrap();
    let tap = Tap::start(&upstream.url()).await;
    let mut client = Wire::connect(tap.address).await.unwrap();
    let wish = "GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
    client.send(wish).await.unwrap();
    let head = timeout(SOON, client.response("GET")).await.unwrap().unwrap();
    assert_eq!((head.status(), head.header("sec-websocket-accept")), (101, Some("x")));
    let mut got = Vec::new();
    while got.len() < 5 {
        got.extend(timeout(SOON, client.some()).await.unwrap().unwrap());
    }
    assert_eq!(got, b"hello", "bytes that follow the 101 directly are not lost");
    client.send(b"\x81frame").await.unwrap();
    assert_eq!(timeout(SOON, client.some()).await.unwrap().unwrap(), b"\x81FRAME");
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_survives_pipelining() {
    let upstream = Upstream::start(|mut wire, _| async move {
        while let Some(request) = wire.request().await {
            let path = request.start;
            wire.send(format!("{OK}Content-Length: {}\r\n\r\n{path}", path.len())).await.unwrap();
        }
    })
    .await
    .unwrap();
    let tap = Tap::start(&upstream.url()).await;
    let mut client = Wire::connect(tap.address).await.unwrap();
    let all: String = (0..20).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(all).await.unwrap();
    for i in 0..20 {
        let response = timeout(SOON, client.response("GET")).await.unwrap().unwrap();
        assert_eq!(response.body, format!("GET /{i} HTTP/1.1").into_bytes());
    }
    assert_eq!(upstream.connections(), 1, "one connection to the upstream served them all");
}

#[tokio::test]
async fn both_directions_move_alone() {
    // The upstream answers 8 MB before it reads the request's 8 MB; the client sends everything before it reads. With
    // sockets that hold less, this only ends when neither direction waits for the other.
    const SIZE: usize = 8 << 20;
    let upstream = Upstream::start(|mut wire, _| async move {
        wire.request_head().await.unwrap();
        wire.send(format!("{OK}Content-Length: {SIZE}\r\n\r\n")).await.unwrap();
        let mut got = 0;
        while got < SIZE {
            got += wire.some().await.unwrap().len();
        }
        wire.send(noise(SIZE)).await.unwrap();
    })
    .await
    .unwrap();
    let tap = Tap::start(&upstream.url()).await;
    let mut client = Wire::connect(tap.address).await.unwrap();
    client.send(format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")).await.unwrap();
    timeout(SOON, client.send(noise(SIZE))).await.expect("the upload ends while the answer has begun").unwrap();
    let response = timeout(SOON, client.response("POST")).await.unwrap().unwrap();
    assert_eq!((response.body.len(), response.end), (SIZE, End::Complete));
}
