//! Heads of HTTP/1.1: read with `httparse`, checked for what makes two hops disagree on where a message ends (request
//! smuggling), and written on with every line as it came but those that concern one connection only.

use std::mem::MaybeUninit;

use plimsoll_rules::Endpoint;

use super::fields::{Kind, LINES, Lines, value_of, write_lines};
use super::framing::{Body, Chunks};

/// Longest head.
pub(super) const LONGEST: usize = 64 << 10;

/// Why a head is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::tap) enum BadHead {
    #[error("not HTTP/1: {0}")]
    Syntax(#[from] httparse::Error),
    #[error("the head is longer than {} KiB or has more than {LINES} lines", LONGEST >> 10)]
    TooLong,
    #[error("Content-Length is no number, or there are two that differ")]
    Length,
    #[error("Transfer-Encoding that does not end in chunked, or has it twice")]
    Encoding,
    #[error("two Host fields")]
    Host,
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
