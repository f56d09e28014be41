//! Receivers of alerts in the test's own process: they take Alertmanager's API, its webhook, and ours, remember every state
//! they heard and when, and behave as told: well, now and then, or not at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// How a receiver behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Takes everything.
    Well,
    /// Takes everything for this long, then fails for as long: 503, 429 and broken connections in turn.
    Flapping(Duration),
    /// Accepts connections and never answers.
    Dead,
    /// Refuses this many requests with 400, then takes everything.
    Refusing(u64),
}

/// What was said about one turn of one alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct State {
    /// Its `alertname`.
    pub alert: String,
    /// `startsAt`, as written.
    pub starts_at: String,
    /// Whether it was said to fire.
    pub firing: bool,
}

/// One state as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// What.
    pub state: State,
    /// The message's `webhook-id`; empty where there is none.
    pub id: String,
    /// When.
    pub at: Instant,
}

/// A running receiver; it ends with its runtime.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Where it listens, on loopback.
    pub port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    bodies: Arc<Mutex<Vec<Value>>>,
    failed: Arc<Mutex<u64>>,
}

impl Hook {
    /// Starts one.
    ///
    /// # Errors
    /// No port is free.
    #[expect(clippy::disallowed_methods, reason = "it lives as long as the test")]
    pub async fn start(mood: Mood) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a free port")?;
        let hook = Self {
            port: listener.local_addr()?.port(),
            heard: Arc::default(),
            bodies: Arc::default(),
            failed: Arc::default(),
        };
        let (shared, born) = (hook.clone(), Instant::now());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let answer = service_fn(move |request| answer(shared.clone(), mood, born, request));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Ok(hook)
    }

    /// Its address with `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Everything it took, in order.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().map(|heard| heard.clone()).unwrap_or_default()
    }

    /// The bodies it took, in order.
    pub fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().map(|bodies| bodies.clone()).unwrap_or_default()
    }

    /// The last state it took of each alert.
    pub fn last(&self) -> BTreeMap<String, State> {
        self.heard().into_iter().map(|heard| (heard.state.alert.clone(), heard.state)).collect()
    }

    fn count_failure(&self) -> u64 {
        self.failed.lock().map_or(0, |mut failed| {
            *failed += 1;
            *failed
        })
    }

    /// Requests it failed.
    pub fn failed(&self) -> u64 {
        self.failed.lock().map_or(0, |failed| *failed)
    }
}

async fn answer(
    hook: Hook,
    mood: Mood,
    born: Instant,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let at = Instant::now();
    let id = request.headers().get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or("").to_owned();
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    match mood {
        Mood::Well => {}
        Mood::Flapping(span) if (born.elapsed().as_millis() / span.as_millis().max(1)).is_multiple_of(2) => {}
        Mood::Flapping(_) => return fail(&hook),
        Mood::Dead => std::future::pending::<()>().await,
        Mood::Refusing(most) if hook.failed() < most => {
            hook.count_failure();
            return Response::builder().status(400).body("no".into()).map_err(std::io::Error::other);
        }
        Mood::Refusing(_) => {}
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let states = states(&body);
    if let Ok(mut bodies) = hook.bodies.lock() {
        bodies.push(body);
    }
    if let Ok(mut heard) = hook.heard.lock() {
        heard.extend(states.into_iter().map(|state| Heard { state, id: id.clone(), at }));
    }
    Ok(Response::new(Full::default()))
}

fn fail(hook: &Hook) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let turn = hook.count_failure();
    let answer = |status: u16, header: Option<&str>, body: &'static str| {
        let mut answer = Response::builder().status(status);
        if let Some(wait) = header {
            answer = answer.header("retry-after", wait);
        }
        answer.body(Full::from(body)).map_err(std::io::Error::other)
    };
    match turn % 4 {
        0 => answer(503, None, "down"),
        1 => answer(429, Some("1"), "slow down"),
        2 => answer(429, None, r#"{"retry_after": 0.5}"#),
        _ => Err(std::io::Error::other("the connection breaks")),
    }
}

/// The states in a body of any of the three forms.
fn states(body: &Value) -> Vec<State> {
    let list = body.as_array().or_else(|| body["alerts"].as_array()).or_else(|| body["data"]["alerts"].as_array());
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let state = |alert: &Value| State {
        alert: text(&alert["labels"]["alertname"]),
        starts_at: text(&alert["startsAt"]),
        firing: alert["status"].as_str().map_or_else(|| lies_ahead(&alert["endsAt"]), |status| status == "firing"),
    };
    list.map(|alerts| alerts.iter().map(state).collect()).unwrap_or_default()
}

/// Alertmanager's API has no status: an alert fires as long as its end lies ahead. Both times are UTC in one format, so
/// that they compare as text; a firing one's end lies minutes ahead, so a second more or less does not matter.
fn lies_ahead(ends_at: &Value) -> bool {
    let now = plimsoll_rules::Timestamp::default()
        + std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    ends_at.as_str().is_some_and(|ends_at| *ends_at > *now.rfc3339())
}
