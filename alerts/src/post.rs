//! One request to one sink, and what came of it.

use std::error::Error as _;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};

use crate::chat::{Message, Outgoing};
use crate::outbox::Batch;
use crate::verdict::{Answer, Failure, Verdict, judge};
use crate::{Notification, Sink, alertmanager, clock, sign, webhook};

/// How much of an answer's body is read.
const BODY_MOST: usize = 4096;
/// How long the body of an answer may take once its status is known.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// HTTP clients that follow no redirect: a receiver must not send our alerts, signatures or tokens to another address,
/// least of all one inside the cluster that only we can reach.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    plain: OnceLock<Client>,
    /// Made when the first https sink is used: reading the system's certificates takes time and memory.
    tls: OnceLock<Client>,
}

impl Clients {
    fn client_for(&self, url: &Url) -> Result<&Client, Failure> {
        let secure = url.scheme() == "https";
        let place = if secure { &self.tls } else { &self.plain };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let agent = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));
        let builder = Client::builder().redirect(Policy::none()).user_agent(agent).pool_max_idle_per_host(1);
        let builder = if secure { builder } else { builder.tls_certs_only([]) };
        // Fails where there are no certificates at all; they may be mounted later, so a failure is not remembered.
        let client = builder.build().map_err(|why| Failure::new("tls", sentence(&why)))?;
        Ok(place.get_or_init(|| client))
    }

    /// Posts `batch` to `sink`, at most for the sink's time limit.
    pub(crate) async fn post(&self, sink: &Sink, batch: &Batch) -> Verdict {
        let client = match self.client_for(&sink.target().url) {
            Ok(client) => client,
            Err(failure) => return Verdict::Retry { failure, after: None },
        };
        match exchange(request(client, sink, batch)).await {
            Ok(answer) => match judge(&answer, SystemTime::now()) {
                Verdict::Delivered => inside(sink, &answer).unwrap_or(Verdict::Delivered),
                verdict => verdict,
            },
            Err(error) => Verdict::Retry { failure: broken(error), after: None },
        }
    }
}

/// What a good status hides: some services report errors in the body of an HTTP 200.
fn inside(sink: &Sink, answer: &Answer) -> Option<Verdict> {
    match sink {
        Sink::Alertmanager(_) | Sink::Webhook(_) => None,
        Sink::Chat(chat) => chat.inside(answer),
    }
}

fn request(client: &Client, sink: &Sink, batch: &Batch) -> RequestBuilder {
    let (target, wall) = (sink.target(), clock::wall());
    let alerts: Vec<&Notification> = batch.items.iter().map(|item| &*item.notification).collect();
    let Outgoing { url, headers, body } = match sink {
        Sink::Alertmanager(_) => {
            let body = alertmanager::body(alerts.into_iter());
            Outgoing { url: target.url.clone(), headers: Vec::new(), body }
        }
        Sink::Webhook(hook) => {
            let body = webhook::body(&target.name, &alerts);
            let headers = sign::headers(hook.signer.as_ref(), &batch.id, wall, &body);
            Outgoing { url: target.url.clone(), headers, body }
        }
        Sink::Chat(chat) => {
            let context: Vec<&Notification> = batch.context.iter().map(|alert| &**alert).collect();
            let message = Message {
                id: &batch.id,
                receiver: &target.name,
                alerts: &alerts,
                context: &context,
                group: batch.group.as_deref(),
                external_url: "",
                at: wall,
            };
            chat.request(&message, wall)
        }
    };
    let request = client.post(url).timeout(target.timeout).headers(target.headers.clone());
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    request.header(CONTENT_TYPE, "application/json").body(body)
}

async fn exchange(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let mut response = request.send().await?;
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let (retry_after, date) = (header(RETRY_AFTER), header(DATE));
    let mut answer = Answer { status: response.status().as_u16(), retry_after, date, body: Vec::new() };
    // The status is the answer; a body that breaks off or never ends changes nothing about it.
    let _ = tokio::time::timeout(BODY_PATIENCE, read_body(&mut response, &mut answer.body)).await;
    Ok(answer)
}

async fn read_body(response: &mut Response, body: &mut Vec<u8>) {
    while body.len() < BODY_MOST
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk[..chunk.len().min(BODY_MOST - body.len())]);
    }
}

/// No answer came.
fn broken(error: reqwest::Error) -> Failure {
    let reason = if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else {
        "network"
    };
    Failure::new(reason, sentence(&error.without_url()))
}

/// An error with its causes; the outermost alone says little.
fn sentence(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
