//! Heads of HTTP/1.1: read with `httparse`, checked for what makes two hops disagree on where a message ends (request
//! smuggling), and written on with every line as it came but those that concern one connection only.

use std::mem::MaybeUninit;

use plimsoll_rules::Endpoint;

use super::fields::{Kind, LINES, Lines, value_of, write_lines};
use super::framing::{Body, Chunks};

/// Longest head.
const LONGEST: usize = 64 << 10;

/// Why a head is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::tap) enum BadHead {
    #[error("not HTTP/1: {0}")]
    Syntax(#[from] httparse::Error),
    #[error("the head is longer than {} KiB or has more than {LINES} lines", LONGEST >> 10)]
    TooLong,
    #[error("Content-Length is no number, or there are two that differ")]
    Length,
    #[error("Transfer-Encoding that does not end in chunked")]
    Encoding,
    #[error("the target is neither a path nor a URL")]
    Target,
}

/// What must be known of a request to pass it on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) endpoint: Option<Endpoint>,
    pub(super) head: bool,
    pub(super) connect: bool,
    /// Sending it twice does no harm: its method says so (RFC 9110, 9.2.2), or it asks a model.
    pub(super) repeatable: bool,
    /// The client can take another answer on this connection.
    pub(super) keep_alive: bool,
    /// The client speaks HTTP/1.0.
    pub(super) http10: bool,
    /// The client asks for another protocol.
    pub(super) upgrade: bool,
    pub(super) body: Body,
    pub(super) request_id: Option<Vec<u8>>,
}

/// What must be known of an answer to pass it on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The upstream can take another request on this connection.
    pub(super) keep_alive: bool,
    pub(super) body: Body,
    pub(super) content_type: Option<Vec<u8>>,
    /// The body is compressed.
    pub(super) encoded: bool,
    pub(super) request_id: Option<Vec<u8>>,
}

/// How an answer is written on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Onward {
    /// It answers HEAD.
    pub(super) head: bool,
    /// To a client of HTTP/1.0: no chunks.
    pub(super) http10: bool,
    /// Our connection to the client ends after it.
    pub(super) close: bool,
    /// The client asked for another protocol.
    pub(super) upgrade: bool,
}

/// Reads a request's head at the start of `bytes` and writes it to `out`, fit for an upstream at `authority` whose paths
/// begin with `base`. Gives its length in `bytes`, or `None` when it is not there whole.
///
/// # Errors
/// It is not HTTP/1, or two hops could understand it differently.
pub(super) fn request(
    bytes: &[u8],
    base: &str,
    authority: &str,
    out: &mut Vec<u8>,
) -> Result<Option<(Request, usize)>, BadHead> {
    let mut room = [const { MaybeUninit::uninit() }; LINES];
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(bytes, &mut room) {
        Ok(httparse::Status::Complete(length)) if length <= LONGEST => length,
        Ok(httparse::Status::Partial) if bytes.len() <= LONGEST => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooLong),
        Err(error) => return Err(error.into()),
    };
    let (method, target) = (parsed.method.unwrap_or(""), parsed.path.unwrap_or(""));
    let http10 = parsed.version == Some(0);
    let mut kinds = [Kind::Keep; LINES];
    let lines = Lines::read(parsed.headers, &mut kinds)?;
    if lines.encoding && (!lines.chunked || http10) {
        return Err(BadHead::Encoding);
    }
    let body = match lines.length {
        _ if lines.encoding => Body::Chunked(Chunks::default()),
        None | Some(0) => Body::Over,
        Some(length) => Body::Length(length),
    };
    let connect = method == "CONNECT";
    let (path, host) = if connect { (target, None) } else { path_of(target)? };
    let endpoint = crate::tap::headers::endpoint(method, path.split('?').next().unwrap_or(""));
    let upgrade = lines.upgrade && lines.upgrade_to && !http10;
    let request = Request {
        endpoint,
        head: method == "HEAD",
        connect,
        repeatable: matches!(method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
            || matches!(endpoint, Some(to) if to != Endpoint::Responses),
        // Where both framings are given, the connection is not trusted with a next request (RFC 9112, 6.1).
        keep_alive: !(lines.close || http10 || (lines.encoding && lines.length.is_some())),
        http10,
        upgrade,
        body,
        request_id: value_of(parsed.headers, &kinds, Kind::RequestId),
    };
    for part in [method, " ", if path == "*" { "" } else { base }, path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(host) = host.or((!lines.host && http10).then_some(authority)) {
        for part in ["Host: ", host, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    write_lines(&bytes[..length], parsed.headers, out, |i| match kinds[i] {
        Kind::Drop | Kind::Connection => false,
        Kind::Upgrade => upgrade,
        Kind::Te => lines.trailers,
        Kind::Length => !lines.encoding,
        Kind::Host => host.is_none(),
        _ => true,
    });
    out.extend_from_slice(if upgrade { b"Connection: Upgrade\r\n\r\n" } else { b"\r\n" });
    Ok(Some((request, length)))
}

/// The path of a target, and the authority of one in absolute form, which wins over `Host` (RFC 9112, 3.2.2).
fn path_of(target: &str) -> Result<(&str, Option<&str>), BadHead> {
    if target.starts_with('/') || target == "*" {
        return Ok((target, None));
    }
    let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let rest = scheme.and_then(|_| target.get(7..)).ok_or(BadHead::Target)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() || path.starts_with('?') {
        return Err(BadHead::Target);
    }
    Ok((if path.is_empty() { "/" } else { path }, Some(authority)))
}

/// Reads an answer's head at the start of `bytes` and writes it to `out`. Gives its length in `bytes`, or `None` when it
/// is not there whole.
///
/// # Errors
/// As [`request`].
pub(super) fn answer(bytes: &[u8], onward: Onward, out: &mut Vec<u8>) -> Result<Option<(Answer, usize)>, BadHead> {
    let mut room = [const { MaybeUninit::uninit() }; LINES];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut room) {
        Ok(httparse::Status::Complete(length)) if length <= LONGEST => length,
        Ok(httparse::Status::Partial) if bytes.len() <= LONGEST => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooLong),
        Err(error) => return Err(error.into()),
    };
    let status = parsed.code.unwrap_or(0);
    let http10 = parsed.version == Some(0);
    let mut kinds = [Kind::Keep; LINES];
    let lines = Lines::read(parsed.headers, &mut kinds)?;
    let bodiless = onward.head || status < 200 || status == 204 || status == 304;
    let body = match lines.length {
        _ if bodiless => Body::Over,
        _ if lines.chunked && !http10 => Body::Chunked(Chunks::default()),
        _ if lines.encoding => Body::UntilClose,
        None => Body::UntilClose,
        Some(0) => Body::Over,
        Some(length) => Body::Length(length),
    };
    let close = onward.close || body == Body::UntilClose;
    let switching = status == 101 && onward.upgrade;
    status_line(&bytes[..length], out);
    let dechunked = onward.http10 && !bodiless;
    write_lines(&bytes[..length], parsed.headers, out, |i| match kinds[i] {
        Kind::Drop | Kind::Connection | Kind::Te => false,
        Kind::Upgrade => switching,
        Kind::Length => !lines.encoding,
        Kind::Encoding => !dechunked,
        _ => true,
    });
    if switching {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    } else if (close || dechunked && lines.encoding) && status >= 200 {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    let answer = Answer {
        status,
        keep_alive: if http10 { lines.keep_alive } else { !lines.close } && !(lines.encoding && lines.length.is_some()),
        body,
        content_type: value_of(parsed.headers, &kinds, Kind::ContentType),
        encoded: value_of(parsed.headers, &kinds, Kind::ContentEncoding).is_some_and(|value| value != b"identity"),
        request_id: value_of(parsed.headers, &kinds, Kind::RequestId),
    };
    Ok(Some((answer, length)))
}

/// The status line, in our version of HTTP: code and reason stay as they are.
fn status_line(head: &[u8], out: &mut Vec<u8>) {
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let head = &head[start..];
    let end = memchr::memchr(b'\n', head).unwrap_or(head.len());
    let line = head[..end].trim_ascii_end();
    out.extend_from_slice(b"HTTP/1.1");
    out.extend_from_slice(line.get(8..).unwrap_or(b""));
    // A status line without a reason still has the space before it.
    if line.len() == 12 {
        out.extend_from_slice(b" ");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            (
                "TE for trailers",
                "GET / HTTP/1.1\r\nTE: trailers\r\n\r\n",
                "GET /base/ HTTP/1.1\r\nTE: trailers\r\n\r\n",
            ),
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
            (
                "absolute",
                "GET HTTP://h:1/p HTTP/1.1\r\nHost: other\r\n\r\n",
                "GET /base/p HTTP/1.1\r\nHost: h:1\r\n\r\n",
            ),
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
            (
                "bare LF in between",
                "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
                "GET /base/ HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n",
            ),
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
}
