//! What a proxy must change in the head of a message, and nothing else: hop-by-hop fields (RFC 9110, 7.6.1), the form of
//! the request target, and `Host` for a client that named it in another way.

use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Request, Version, request};
use plimsoll_rules::Endpoint;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Which observed interface a request calls, if any.
pub(super) fn endpoint(method: &str, path: &str) -> Option<Endpoint> {
    if method != "POST" {
        return None;
    }
    match path {
        "/v1/chat/completions" => Some(Endpoint::Chat),
        "/v1/completions" => Some(Endpoint::Completions),
        "/v1/embeddings" => Some(Endpoint::Embeddings),
        "/v1/responses" => Some(Endpoint::Responses),
        "/api/chat" => Some(Endpoint::OllamaChat),
        "/api/generate" => Some(Endpoint::OllamaGenerate),
        _ => None,
    }
}

/// Whether the client asks for another protocol on this connection. HTTP/2 is not one of them: a client that speaks it
/// does so at once (prior knowledge), and a tunnel could not be observed.
pub(super) fn wants_upgrade<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.version() == Version::HTTP_11
        && lists(headers, &CONNECTION, "upgrade")
        && headers.get(UPGRADE).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"h2c"))
}

/// Whether a comma-separated field has `token`.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| tokens(value).any(|t| t.eq_ignore_ascii_case(token)))
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or("").split(',').map(str::trim).filter(|token| !token.is_empty())
}

/// Removes what concerns one connection only. `Trailer` stays (trailers pass), `TE` stays if it says `trailers`, and
/// `Transfer-Encoding` stays because the framing does.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap, upgrade: bool) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> =
            headers.get_all(CONNECTION).iter().flat_map(tokens).filter_map(|token| token.parse().ok()).collect();
        for name in named {
            // These are dealt with below, or belong to the message.
            if ![TE, UPGRADE, TRAILER, TRANSFER_ENCODING, CONNECTION].contains(&name) {
                headers.remove(name);
            }
        }
        headers.remove(CONNECTION);
    }
    headers.remove(KEEP_ALIVE);
    headers.remove(PROXY_CONNECTION);
    headers.remove(HTTP2_SETTINGS);
    if headers.contains_key(TE) && lists(headers, &TE, "trailers") {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    } else {
        headers.remove(TE);
    }
    if upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    } else {
        headers.remove(UPGRADE);
    }
}

/// Makes the head fit for an HTTP/1.1 upstream whose paths begin with `base`. `None` when there is no such request.
pub(super) fn to_http1(parts: &mut request::Parts, base: &str) -> Option<()> {
    let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned());
    if let Some(authority) = authority {
        // RFC 9112, 3.2.2: in absolute form the target wins over `Host`; over HTTP/2 it usually is the only one.
        if parts.version != Version::HTTP_2 || !parts.headers.contains_key(HOST) {
            parts.headers.insert(HOST, HeaderValue::from_str(&authority).ok()?);
        }
        parts.uri = parts.uri.path_and_query().cloned().map(Uri::from)?;
    }
    if !base.is_empty() {
        let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        parts.uri = format!("{base}{path}").parse().ok()?;
    }
    parts.version = Version::HTTP_11;
    Some(())
}

/// Makes a head that [`to_http1`] has prepared fit for an HTTP/2 upstream.
pub(super) fn to_http2(parts: &mut request::Parts) -> Option<()> {
    let host = parts.headers.remove(HOST)?;
    let path = parts.uri.path_and_query()?.clone();
    parts.uri = Uri::builder().scheme("http").authority(host.as_bytes()).path_and_query(path).build().ok()?;
    parts.headers.remove(TRANSFER_ENCODING);
    parts.version = Version::HTTP_2;
    Some(())
}
