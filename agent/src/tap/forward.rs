//! One request on its way through: head made fit for the next hop, sent (once more, if the connection turned out to be
//! stale), answered, or answered in the upstream's place.

mod variant;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, request, response};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use plimsoll_rules::Endpoint;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
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
use variant::Fallback;

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
    /// Room for copies that experiments send.
    pub(super) mirrors: Arc<Semaphore>,
    /// The tap is ending.
    pub(super) stop: CancellationToken,
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
    /// What is sent to others if the variant that is to serve is not there.
    fallback: Option<Box<Fallback>>,
}

/// A request's body, as far as it was read before it was passed on.
struct Read {
    frames: VecDeque<Frame<Bytes>>,
    text: Vec<u8>,
    /// That is all of it.
    ended: bool,
}

/// An answer and what moves its body.
pub(super) struct Answer {
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
        fallback: None,
        tap,
        client,
        options,
    };
    let splitter = exchange.options.splitter.clone().filter(|_| endpoint.is_some());
    let upload = match splitter {
        Some(splitter) => exchange.split(&splitter, &mut parts, body, inject, recorder.as_mut()).await,
        None if inject => exchange.inject(&mut parts.headers, body).await,
        None => Ok(exchange.upload(body)),
    };
    let outcome = match upload {
        Ok(upload) => exchange.run(parts, upload, upgrade.is_some()).await,
        Err(failure) => Err(failure),
    };
    let outcome = exchange.fall_back(outcome, upgrade.is_some(), recorder.as_mut()).await;
    if let Some(recorder) = &mut recorder {
        exchange.tell_request(recorder);
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
    Some(Gate::default())
}

/// Asking a model again does no harm; for anything else the method has to say so (RFC 9110, 9.2.2).
fn repeatable(method: &Method, endpoint: Option<Endpoint>) -> bool {
    method.is_idempotent() || matches!(endpoint, Some(to) if to != Endpoint::Responses)
}

impl Exchange {
    fn upload(&self, body: Incoming) -> Upload {
        Upload::new(body, self.log.clone(), self.gate.clone())
    }

    /// A body that is here whole.
    pub(super) fn whole(&self, body: Bytes) -> Upload {
        Upload::whole(body, self.log.clone())
    }

    /// A request of our own, which no client waits for.
    pub(super) fn of_copy(tap: Arc<Tap>, options: Arc<TapOptions>, http2: bool) -> Self {
        Self {
            tap,
            client: Arc::default(),
            options,
            http2,
            log: Log::new(true),
            gate: None,
            repeatable: true,
            injected: false,
            fallback: None,
        }
    }

    /// Tells what the request said.
    pub(super) fn tell_request(&self, recorder: &mut Recorder) {
        let (head, tail) = self.log.take();
        recorder.request(head, tail);
    }

    /// Reads the request, and has the usage asked for in it if the client did not.
    async fn inject(&mut self, headers: &mut HeaderMap, mut body: Incoming) -> Result<Upload, Failure> {
        let read = read(&mut body).await?;
        if read.ended
            && let Some(asked) = self.dressed(None, &read.text, true)
        {
            inject::set_length(headers, asked.len());
            return Ok(self.whole(asked));
        }
        Ok(Upload::resumed(read.frames, body, self.log.clone()))
    }

    /// A body with another model and the wish for usage in it, where that is wanted; `None` when it stays as it is.
    fn dressed(&mut self, renamed: Option<Bytes>, text: &[u8], inject: bool) -> Option<Bytes> {
        let asked = if inject { inject::ask_for_usage(renamed.as_deref().unwrap_or(text)) } else { None };
        self.injected |= asked.is_some();
        asked.or(renamed)
    }

    pub(super) async fn run(
        &self,
        mut parts: request::Parts,
        upload: Upload,
        upgrade: bool,
    ) -> Result<Answer, Failure> {
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

    pub(super) fn answer(
        &self,
        answer: Answer,
        mut recorder: Option<Recorder>,
        upgrade: Option<OnUpgrade>,
    ) -> Response<Download> {
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

/// Reads a body up to its end, or to what is kept of one at most.
async fn read(body: &mut Incoming) -> Result<Read, Failure> {
    let mut read = Read { frames: VecDeque::new(), text: Vec::new(), ended: false };
    loop {
        match body.frame().await {
            None => {
                read.ended = true;
                return Ok(read);
            }
            Some(Err(_)) => return Err(Failure::Client),
            Some(Ok(frame)) => {
                let piece = frame.data_ref();
                read.text.extend_from_slice(piece.map_or(&[], |piece| piece));
                let plain = piece.is_some();
                read.frames.push_back(frame);
                if !plain || read.text.len() > inject::LONGEST {
                    return Ok(read);
                }
            }
        }
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
fn head_of<B>(request: &Request<B>) -> Request<()> {
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
