//! One request to an engine and its answer, both bounded.

use std::time::Duration;

use http::StatusCode;
use reqwest::{RequestBuilder, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::DeployError;
use crate::collect::engine::reason;
use crate::config::Secret;

/// The largest answer that is read, in bytes.
const MOST_ANSWER: usize = 1 << 20;
/// How much of an answer an error shows, in bytes.
const SHOWN: usize = 300;

/// Asks an engine. Follows no redirect: a token goes nowhere else.
#[derive(Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    token: Option<Secret>,
}

impl Api {
    /// Every request ends within `timeout`; a proxy of the environment is only used where the other side is `outside`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn new(token: Option<Secret>, timeout: Duration, outside: bool) -> Result<Self, DeployError> {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(timeout);
        let builder = if outside { builder } else { builder.no_proxy() };
        let http = builder.build();
        let http = http.map_err(|why| DeployError::Unreachable { asked: "TLS".to_owned(), why: reason(&why) })?;
        Ok(Self { http, token })
    }

    /// # Errors
    /// [`DeployError::Unreachable`], or the answer is too large.
    pub(super) async fn get(&self, url: &Url) -> Result<Answer, DeployError> {
        self.send(self.http.get(url.clone()), Asked { what: format!("GET {url}"), sent: String::new() }).await
    }

    /// # Errors
    /// As [`Api::get`].
    pub(super) async fn post(&self, url: &Url, body: &Value) -> Result<Answer, DeployError> {
        let asked = Asked { what: format!("POST {url}"), sent: body.to_string() };
        self.send(self.http.post(url.clone()).json(body), asked).await
    }

    /// Posts JSON with headers of its own.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub(super) async fn post_with(
        &self,
        url: &Url,
        body: String,
        headers: Vec<(&'static str, String)>,
    ) -> Result<Answer, DeployError> {
        let request = self.http.post(url.clone()).header("content-type", "application/json").body(body.clone());
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        self.send(request, Asked { what: format!("POST {url}"), sent: body }).await
    }

    async fn send(&self, mut request: RequestBuilder, asked: Asked) -> Result<Answer, DeployError> {
        if let Some(Secret(token)) = &self.token {
            request = request.bearer_auth(token);
        }
        let broken =
            |error: reqwest::Error| DeployError::Unreachable { asked: asked.what.clone(), why: reason(&error) };
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_ANSWER {
                let why = format!("more than {MOST_ANSWER} bytes");
                return Err(DeployError::Answer { asked: asked.what, why, body: shown(&body) });
            }
        }
        Ok(Answer { asked, status, body })
    }
}

/// What was asked.
#[derive(Debug)]
struct Asked {
    what: String,
    sent: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    asked: Asked,
    pub(super) status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    /// Itself where the status is good.
    ///
    /// # Errors
    /// [`DeployError::Refused`].
    pub(super) fn good(self) -> Result<Self, DeployError> {
        if self.status.is_success() { Ok(self) } else { Err(self.refused("")) }
    }

    /// The error for an answer with a bad status; `hint` says what may be missing.
    pub(super) fn refused(self, hint: &'static str) -> DeployError {
        let (status, body) = (self.status.as_u16(), shown(&self.body));
        DeployError::Refused { asked: self.asked.what, sent: self.asked.sent, status, body, hint }
    }

    /// The error for an answer that is not what was asked for.
    pub(super) fn wrong(self, why: impl Into<String>) -> DeployError {
        DeployError::Answer { asked: self.asked.what, why: why.into(), body: shown(&self.body) }
    }

    /// Whether there is anything in it.
    pub(super) fn is_empty(&self) -> bool {
        self.body.trim_ascii().is_empty()
    }

    /// What it says.
    ///
    /// # Errors
    /// [`DeployError::Answer`] where it is other JSON, or none.
    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T, DeployError> {
        serde_json::from_slice(&self.body).map_err(|why| self.wrong(why.to_string()))
    }
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    if text.trim().is_empty() { "nothing".to_owned() } else { text.trim().to_owned() }
}

/// A path below a base, which may end in `/v1`.
pub(super) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let start = url.path().trim_end_matches('/').trim_end_matches("/v1").to_owned();
    url.set_path(&format!("{start}/{path}"));
    url
}
