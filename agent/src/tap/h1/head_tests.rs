//! Heads as they are written on, and those that are refused.

use proptest::prelude::*;

use plimsoll_rules::Endpoint;

use super::fields::LINES;
use super::framing::{Body, Chunks};
use super::head::*;

fn ask(text: &str) -> Result<Option<(Request, String)>, BadHead> {
    let mut out = Vec::new();
    let read = request(text.as_bytes(), "/base", "engine:8000", &mut out)?;
    Ok(read.map(|(request, length)| {
        assert_eq!(length, text.find("\n\r\n").map_or(text.len(), |at| at + 3), "{text:?}");
        (request, String::from_utf8(out).unwrap())
    }))
}

#[test]
fn requests_as_they_go_on() {
    let cases = [
        (
            "as it came",
            "GET /a?b HTTP/1.1\r\nhost: x\r\nX-Odd:  v \r\n\r\n",
            "GET /base/a?b HTTP/1.1\r\nhost: x\r\nX-Odd:  v \r\n\r\n",
        ),
        (
            "one connection's fields",
            "GET / HTTP/1.1\r\nConnection: close, x-a\r\nX-A: 1\r\nKeep-Alive: 5\r\nA: b\r\nProxy-Connection: c\r\n\r\n",
            "GET /base/ HTTP/1.1\r\nA: b\r\n\r\n",
        ),
        (
            "what frames cannot be listed away",
            "POST / HTTP/1.1\r\nConnection: Content-Length, Host\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
            "POST /base/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
        ),
        ("TE", "GET / HTTP/1.1\r\nTE: gzip\r\n\r\n", "GET /base/ HTTP/1.1\r\n\r\n"),
        ("TE for trailers", "GET / HTTP/1.1\r\nTE: trailers\r\n\r\n", "GET /base/ HTTP/1.1\r\nTE: trailers\r\n\r\n"),
        (
            "upgrade",
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: keep-alive, upgrade\r\n\r\n",
            "GET /base/ HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        ),
        (
            "upgrade to what needs none",
            "GET / HTTP/1.1\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nConnection: upgrade, http2-settings\r\n\r\n",
            "GET /base/ HTTP/1.1\r\n\r\n",
        ),
        ("absolute", "GET HTTP://h:1/p HTTP/1.1\r\nHost: other\r\n\r\n", "GET /base/p HTTP/1.1\r\nHost: h:1\r\n\r\n"),
        ("absolute without path", "GET http://h HTTP/1.1\r\n\r\n", "GET /base/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("asterisk", "OPTIONS * HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n"),
        ("1.0 without a host", "GET /a HTTP/1.0\r\n\r\n", "GET /base/a HTTP/1.1\r\nHost: engine:8000\r\n\r\n"),
        (
            "both framings",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /base/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "a length twice",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "POST /base/ HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
        ),
        ("bare LF in between", "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", "GET /base/ HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n"),
    ];
    for (why, text, expected) in cases {
        assert_eq!(ask(text).unwrap().unwrap().1, expected, "{why}");
        assert_eq!(ask(&text[..text.len() - 1]).unwrap(), None, "{why}, cut off");
    }
}

#[test]
fn what_requests_say() {
    let read = |text: &str| ask(text).unwrap().unwrap().0;
    let plain = read("POST /v1/chat/completions?a HTTP/1.1\r\nX-Request-Id: r\r\n\r\n");
    assert_eq!((plain.endpoint, plain.request_id), (Some(Endpoint::Chat), Some(b"r".to_vec())));
    assert!(plain.keep_alive && plain.repeatable && plain.body.is_over());
    for (text, keep_alive, repeatable) in [
        ("GET / HTTP/1.1\r\n\r\n", true, true),
        ("POST /v1/files HTTP/1.1\r\n\r\n", true, false),
        ("POST /v1/responses HTTP/1.1\r\n\r\n", true, false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, true),
        ("GET / HTTP/1.1\r\nConnection: keep-alive, Close\r\n\r\n", false, true),
        ("POST /v1/completions HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false, true),
    ] {
        let request = read(text);
        assert_eq!((request.keep_alive, request.repeatable), (keep_alive, repeatable), "{text:?}");
    }
}

#[test]
fn what_two_hops_could_understand_differently_is_refused() {
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(LONGEST));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(LINES + 1));
    for (text, expected) in [
        ("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", BadHead::Length),
        ("POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n", BadHead::Length),
        ("POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n", BadHead::Length),
        ("POST / HTTP/1.1\r\nContent-Length: \r\n\r\n", BadHead::Length),
        ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", BadHead::Length),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", BadHead::Encoding),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", BadHead::Encoding),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", BadHead::Encoding),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", BadHead::Encoding),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", BadHead::Encoding),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BadHead::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", BadHead::Host),
        ("GET ftp://a/ HTTP/1.1\r\n\r\n", BadHead::Target),
        ("GET a HTTP/1.1\r\n\r\n", BadHead::Target),
        ("GET / HTTP/1.1\r\nA : b\r\n\r\n", BadHead::Syntax(httparse::Error::HeaderName)),
        ("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", BadHead::Syntax(httparse::Error::HeaderName)),
        ("GET / HTTP/1.1\r\nA: \0\r\n\r\n", BadHead::Syntax(httparse::Error::HeaderValue)),
        ("GET / HTTP/2.0\r\n\r\n", BadHead::Syntax(httparse::Error::Version)),
        (&long, BadHead::TooLong),
        (&many, BadHead::TooLong),
    ] {
        assert_eq!(ask(text).unwrap_err(), expected, "{text:.60?}");
    }
}

#[test]
fn answers_as_they_go_on() {
    let to = Onward::default();
    let chunked = Body::Chunked(Chunks::default());
    let cases = [
        (
            "as it came",
            to,
            "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 2\r\n\r\n",
            Body::Length(2),
        ),
        (
            "an odd reason",
            to,
            "HTTP/1.1 299 caf\u{e9} x\r\n\r\n",
            "HTTP/1.1 299 caf\u{e9} x\r\nConnection: close\r\n\r\n",
            Body::UntilClose,
        ),
        ("no reason", to, "HTTP/1.1 204\r\n\r\n", "HTTP/1.1 204 \r\n\r\n", Body::Over),
        (
            "one connection's fields",
            to,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: a\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            Body::Over,
        ),
        (
            "HEAD",
            Onward { head: true, ..to },
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            Body::Over,
        ),
        (
            "304 may name a length",
            to,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            Body::Over,
        ),
        (
            "chunks",
            to,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            chunked.clone(),
        ),
        (
            "no chunks for 1.0",
            Onward { http10: true, close: true, ..to },
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
            chunked.clone(),
        ),
        (
            "both framings",
            to,
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            chunked,
        ),
        (
            "1.0",
            to,
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
            Body::Length(1),
        ),
        (
            "early hints",
            to,
            "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
            Body::Over,
        ),
        (
            "switched",
            Onward { upgrade: true, ..to },
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: w\r\nConnection: upgrade\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: w\r\nConnection: Upgrade\r\n\r\n",
            Body::Over,
        ),
    ];
    for (why, onward, text, expected, body) in cases {
        let mut out = Vec::new();
        let (read, length) = answer(text.as_bytes(), onward, &mut out).unwrap().unwrap();
        assert_eq!(
            (String::from_utf8(out).unwrap().as_str(), length, read.body),
            (expected, text.len(), body),
            "{why}"
        );
    }
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "\x16\x03\x01 x\r\n\r\n",
        "HTTP/1.1 x\r\n\r\n",
    ] {
        assert!(answer(text.as_bytes(), to, &mut Vec::new()).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), start in "(GET / HTTP/1.1|HTTP/1.1 200 OK)?(\r\n)?") {
        let text = [start.as_bytes(), &bytes].concat();
        let _ = request(&text, "", "a", &mut Vec::new());
        let _ = answer(&text, Onward::default(), &mut Vec::new());
    }
}
