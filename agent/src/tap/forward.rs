//! One request on its way through: head made fit for the next hop, sent (once more, if the connection turned out to be
//! stale), answered, or answered in the upstream's place.

use std::collections::VecDeque;
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, request, response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use plimsoll_rules::Endpoint;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::download::{AbortGuard, ClientSide, Download, Driver, Stream};
use super::failure::Failure;
use super::h1::Conduit;
use super::h2c::Http2;
use super::headers::{endpoint, strip_hop_by_hop, to_http1, to_http2, wants_upgrade};
use super::inject::{self, Hide};
use super::link::{Link, Sent};
use super::observe::{Format, Recorder, Sink};
use super::options::{TapOptions, UpstreamProtocol};
use super::pool::{ConnectError, Pool, connect};
use super::tunnel::tunnel;
use super::upload::{Gate, Log, Upload};
use super::watch::Watch;

/// What all connections of one tap share.
#[derive(Debug)]
pub(super) struct Tap {
    pub(super) pool: Arc<Pool<Box<Link>>>,
    /// For exchanges that hyper has no part in.
    pub(super) conduits: Pool<Conduit>,
    pub(super) http2: Http2,
    pub(super) sink: Arc<Sink>,
    pub(super) options: watch::Receiver<Arc<TapOptions>>,
    /// Everything that runs beside the accept loop; waited for at the end.
    pub(super) tasks: TaskTracker,
}

/// What the parts of one exchange need to know of it.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) tap: Arc<Tap>,
    pub(super) client: Arc<ClientSide>,
    pub(super) options: Arc<TapOptions>,
    /// The client speaks HTTP/2.
    pub(super) http2: bool,
    log: Log,
    gate: Option<Gate>,
    /// Sending the request twice does no harm, should the first connection prove stale.
    repeatable: bool,
    /// The usage of the answer was asked for by us, not by the client.
    injected: bool,
}

/// An answer and what moves its body.
struct Answer {
    response: Response<Incoming>,
    driver: Driver,
}

/// Forwards one request.
pub(super) async fn forward(
    tap: Arc<Tap>,
    client: Arc<ClientSide>,
    mut request: Request<Incoming>,
) -> Response<Download> {
    let options = tap.options.borrow().clone();
    let upgrade = wants_upgrade_of(&mut request);
    let (mut parts, body) = request.into_parts();
    let endpoint = endpoint(parts.method.as_str(), parts.uri.path());
    let mut recorder =
        endpoint.map(|to| Recorder::new(tap.sink.clone(), to, request_id(&parts.headers), options.variant.clone()));
    let inject = options.inject_usage && inject::applies(endpoint, &parts.headers);
    let mut exchange = Exchange {
        http2: parts.version == Version::HTTP_2,
        log: Log::new(endpoint.is_some()),
        gate: gate(&mut parts),
        repeatable: repeatable(&parts.method, endpoint),
        injected: false,
        tap,
        client,
        options,
    };
    let upload = if inject { exchange.inject(&mut parts.headers, body).await } else { Ok(exchange.upload(body)) };
    let outcome = match upload {
        Ok(upload) => exchange.run(parts, upload, upgrade.is_some()).await,
        Err(failure) => Err(failure),
    };
    if let Some(recorder) = &mut recorder {
        let (head, tail) = exchange.log.take();
        recorder.request(head, tail);
    }
    match outcome {
        Err(failure) => {
            tracing::debug!(upstream = %exchange.options.upstream, "{failure}");
            if let Some(recorder) = &mut recorder {
                recorder.end_with(failure.how(), failure.status().as_u16());
            }
            failure.response(&exchange.options.upstream)
        }
        Ok(answer) => exchange.answer(answer, recorder, upgrade),
    }
}

/// The client's wish for another protocol, as hyper hands it over.
fn wants_upgrade_of(request: &mut Request<Incoming>) -> Option<OnUpgrade> {
    request.extensions().get::<OnUpgrade>()?;
    let on = hyper::upgrade::on(&mut *request);
    wants_upgrade(request).then_some(on)
}

/// `Expect: 100-continue` passes, and the body waits for the upstream's word.
fn gate(parts: &mut request::Parts) -> Option<Gate> {
    let expects = parts.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if !expects || parts.version != Version::HTTP_11 {
        return None;
    }
    let gate = Gate::default();
    Some(gate)
}

/// Asking a model again does no harm; for anything else the method has to say so (RFC 9110, 9.2.2).
fn repeatable(method: &Method, endpoint: Option<Endpoint>) -> bool {
    method.is_idempotent() || matches!(endpoint, Some(to) if to != Endpoint::Responses)
}

impl Exchange {
    fn upload(&self, body: Incoming) -> Upload {
        Upload::new(body, self.log.clone(), self.gate.clone())
    }

    /// Reads the request, and has the usage asked for in it if the client did not.
    async fn inject(&mut self, headers: &mut HeaderMap, mut body: Incoming) -> Result<Upload, Failure> {
        let (mut read, mut text) = (VecDeque::new(), Vec::new());
        let ended = loop {
            match body.frame().await {
                None => break true,
                Some(Err(_)) => return Err(Failure::Client),
                Some(Ok(frame)) => {
                    let piece = frame.data_ref();
                    text.extend_from_slice(piece.map_or(&[], |piece| piece));
                    let plain = piece.is_some();
                    read.push_back(frame);
                    if !plain || text.len() > inject::LONGEST {
                        break false;
                    }
                }
            }
        };
        if ended && let Some(asked) = inject::ask_for_usage(&text) {
            inject::set_length(headers, asked.len());
            self.injected = true;
            return Ok(Upload::whole(asked, self.log.clone()));
        }
        Ok(Upload::resumed(read, body, self.log.clone()))
    }

    async fn run(&self, mut parts: request::Parts, upload: Upload, upgrade: bool) -> Result<Answer, Failure> {
        if parts.method == Method::CONNECT {
            return Err(Failure::Method);
        }
        strip_hop_by_hop(&mut parts.headers, upgrade);
        to_http1(&mut parts, self.options.upstream.base()).ok_or(Failure::Target)?;
        if self.http2 {
            parts.headers.remove(http::header::TRANSFER_ENCODING);
        }
        let http2 = match self.options.protocol {
            UpstreamProtocol::Http1 => false,
            UpstreamProtocol::H2c => !upgrade,
            UpstreamProtocol::SameAsClient => self.http2,
        };
        let mut request = Request::from_parts(parts, upload);
        if let Some(gate) = self.gate.clone() {
            hyper::ext::on_informational(&mut request, move |head| {
                if head.status() == StatusCode::CONTINUE {
                    gate.open();
                }
            });
        }
        if http2 { self.send_http2(request).await } else { self.send_http1(request).await }
    }

    async fn send_http2(&self, request: Request<Upload>) -> Result<Answer, Failure> {
        let (mut parts, upload) = request.into_parts();
        to_http2(&mut parts).ok_or(Failure::Target)?;
        let request = Request::from_parts(parts, upload);
        let sending = self.tap.http2.send(request, &self.options, &self.tap.tasks);
        let response = match tokio::time::timeout(self.options.response_timeout, sending).await {
            Err(_) => return Err(Failure::Timeout(self.options.response_timeout)),
            Ok(Err(ConnectError::Http(error))) => return Err(self.failed(&error)),
            Ok(Err(error)) => return Err(Failure::Connect(error)),
            Ok(Ok(response)) => response,
        };
        Ok(Answer { response, driver: Driver::Task(None, Watch::new()) })
    }

    async fn send_http1(&self, mut request: Request<Upload>) -> Result<Answer, Failure> {
        let upstream = &self.options.upstream;
        let mut fresh = false;
        loop {
            let pooled = if fresh { None } else { self.tap.pool.take(upstream) };
            let reused = pooled.is_some();
            let mut link = match pooled {
                Some(link) => link,
                None => connect(upstream, self.options.connect_timeout).await.map_err(Failure::Connect)?,
            };
            let again = (reused && self.repeatable).then(|| head_of(&request));
            match link.send(request, self.options.response_timeout).await {
                Sent::Answer(response) => return Ok(Answer { response, driver: Driver::Link(link) }),
                Sent::Timeout => return Err(Failure::Timeout(self.options.response_timeout)),
                Sent::Failed(failed) => {
                    let next = match failed.unsent {
                        Some(unsent) if reused => Some(*unsent),
                        None if failed.error.is_incomplete_message() || is_reset(&failed.error) => self.replay(again),
                        _ => None,
                    };
                    let Some(next) = next else { return Err(self.failed(&failed.error)) };
                    (request, fresh) = (next, true);
                }
            }
        }
    }

    /// The request once more, for a fresh connection, if all of it is still here.
    fn replay(&self, head: Option<Request<()>>) -> Option<Request<Upload>> {
        let head = head?;
        let body = self.log.replay()?;
        Some(head.map(|()| Upload::again(body, self.log.clone())))
    }

    fn failed(&self, error: &hyper::Error) -> Failure {
        if self.log.is_broken() { Failure::Client } else { Failure::Broken(error.to_string()) }
    }

    fn answer(&self, answer: Answer, mut recorder: Option<Recorder>, upgrade: Option<OnUpgrade>) -> Response<Download> {
        let Answer { response, driver } = answer;
        let (mut parts, body) = response.into_parts();
        if let Some(recorder) = &mut recorder {
            recorder.head(parts.status.as_u16(), format_of(&parts.headers), request_id(&parts.headers));
        }
        let switching = parts.status == StatusCode::SWITCHING_PROTOCOLS;
        strip_answer(&mut parts.headers, switching, self.http2);
        parts.version = if self.http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        let driver = match driver {
            Driver::Link(link) if switching => {
                let Some(client) = upgrade else {
                    return Failure::Switched.response(&self.options.upstream);
                };
                self.tap.tasks.spawn(tunnel(client, link));
                Driver::Task(None, Watch::new())
            }
            Driver::Link(link) => self.driver(link),
            driver => driver,
        };
        let hide = self.hide(&mut parts);
        Response::from_parts(parts, Download::new(Stream::new(body, driver, self), recorder, hide))
    }

    /// Takes our usage event out again, if there can be one.
    fn hide(&self, parts: &mut response::Parts) -> Option<Box<Hide>> {
        if !self.injected || !parts.status.is_success() || format_of(&parts.headers) != Format::Events {
            return None;
        }
        parts.headers.remove(http::header::CONTENT_LENGTH);
        Some(Box::default())
    }

    /// An answer that begins before the request has ended needs both directions to move alone.
    fn driver(&self, link: Box<Link>) -> Driver {
        let held_back = self.gate.as_ref().is_some_and(|gate| !gate.is_open());
        if held_back || self.log.is_complete() {
            return Driver::Link(link);
        }
        let task = self.tap.tasks.spawn(link.into_task());
        Driver::Task(Some(AbortGuard::new(task.abort_handle())), Watch::new())
    }
}

fn request_id(headers: &HeaderMap) -> Option<Vec<u8>> {
    headers.get("x-request-id").map(|value| value.as_bytes().to_vec())
}

/// How an answer is to be read, from its head.
fn format_of(headers: &HeaderMap) -> Format {
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|value| value != "identity");
    Format::of(headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes), encoded)
}

fn strip_answer(headers: &mut HeaderMap, switching: bool, http2: bool) {
    strip_hop_by_hop(headers, switching);
    if http2 {
        headers.remove(http::header::TRANSFER_ENCODING);
    }
}

/// A copy of everything but the body.
fn head_of(request: &Request<Upload>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    *head.extensions_mut() = request.extensions().clone();
    head
}

/// Whether the connection was reset while we wrote or waited.
fn is_reset(error: &hyper::Error) -> bool {
    use std::error::Error;
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset);
        }
        source = cause.source();
    }
    false
}
