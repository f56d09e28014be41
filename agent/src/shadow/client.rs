//! Asks a worker: ours, or any server of embeddings with OpenAI's interface.

use std::time::Duration;

use plimsoll_rules::verdict::SwapLogits;
use plimsoll_shadow_model::Score;
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::worker::HASHED;
use crate::collect::engine::reason;
use crate::config::{Secret, WorkerUrl};

/// The largest answer that is read, in bytes.
const MOST_ANSWER: usize = 64 << 20;

/// Why a worker gave no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// It makes way for the served model, or has too much to do: no fault.
    #[error("the worker is busy")]
    Busy,
    /// It cannot be reached, broke off, or took too long.
    #[error("{0}")]
    Transport(String),
    /// It refuses.
    #[error("the worker answered {0}: {1}")]
    Status(u16, String),
    /// It answered something else than was asked.
    #[error("the worker's answer: {0}")]
    Answer(String),
}

/// A worker.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
    /// The model that is asked for.
    model: String,
}

/// What a worker of ours says it has; another server says nothing of this.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Ability {
    /// `plimsoll`, of a worker of ours.
    #[serde(default)]
    worker: String,
    /// Its embedding model.
    #[serde(default)]
    embedder: Value,
    /// Its language model.
    #[serde(default)]
    scorer: Option<Value>,
    /// Whether that can judge.
    #[serde(default)]
    judge: bool,
}

impl Ability {
    /// Whether it is a worker of ours.
    pub fn is_ours(&self) -> bool {
        self.worker == "plimsoll"
    }

    /// Whether its vectors say more than the agent's own.
    pub fn embeds(&self) -> bool {
        !self.is_ours() || self.embedder["model"] != HASHED
    }

    /// Whether it tells how surprising texts are.
    pub fn scores(&self) -> bool {
        self.is_ours() && self.scorer.is_some()
    }

    /// Whether it compares answers.
    pub fn judges(&self) -> bool {
        self.is_ours() && self.judge
    }
}

impl Client {
    /// Of the worker at `url`; every request ends within `timeout`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(url: &WorkerUrl, token: Option<Secret>, model: Option<&str>, timeout: Duration) -> anyhow::Result<Self> {
        // a proxy of the environment is not meant for the pod's own worker, and masked text follows no redirect
        let builder =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(timeout);
        let (builder, base) = match url {
            WorkerUrl::Http(url) => (builder, url.clone()),
            WorkerUrl::Unix(path) => (builder.unix_socket(path.as_path()), Url::parse("http://worker/")?),
        };
        Ok(Self { http: builder.build()?, base, token, model: model.unwrap_or("plimsoll").to_owned() })
    }

    /// What the worker is able to do.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn ability(&self) -> Result<Ability, ClientError> {
        let sent = self.http.get(self.url("healthz")).send().await.map_err(|error| transport(&error))?;
        match sent.status() {
            status if status.is_success() => Ok(sent.json().await.unwrap_or_default()),
            status if status.is_server_error() => Err(ClientError::Status(status.as_u16(), "not healthy".to_owned())),
            _ => Ok(Ability::default()), // another server, which calls its health by another name
        }
    }

    /// A vector for each text.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ClientError> {
        #[derive(Deserialize)]
        struct Item {
            index: usize,
            embedding: Vec<f32>,
        }
        let question = json!({"input": texts, "model": self.model});
        let mut items: Vec<Item> = self.data("v1/embeddings", &question).await?;
        items.sort_by_key(|item| item.index);
        let whole = items.len() == texts.len() && items.iter().enumerate().all(|(at, item)| item.index == at);
        let finite =
            items.iter().all(|item| !item.embedding.is_empty() && item.embedding.iter().all(|x| x.is_finite()));
        if !whole || !finite {
            let found = items.len();
            return Err(ClientError::Answer(format!("{found} vectors for {} texts, or not all finite", texts.len())));
        }
        Ok(items.into_iter().map(|item| item.embedding).collect())
    }

    /// How surprising each pair of prompt and answer is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn score(&self, pairs: &[(&str, &str)]) -> Result<Vec<Score>, ClientError> {
        let items: Vec<Value> =
            pairs.iter().map(|(prompt, response)| json!({"prompt": prompt, "response": response})).collect();
        let scores: Vec<Score> = self.data("v1/score", &json!({"items": items})).await?;
        if scores.len() != pairs.len() {
            return Err(ClientError::Answer(format!("{} scores for {} pairs", scores.len(), pairs.len())));
        }
        Ok(scores)
    }

    /// What the judge says of two answers to a question.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn judge(&self, question: &str, a: &str, b: &str) -> Result<SwapLogits, ClientError> {
        /// `ln p` of a, b and tie, with a first and with b first.
        #[derive(Deserialize)]
        struct Said {
            logits: [[f64; 3]; 2],
        }
        let asked = self.http.post(self.url("v1/judge")).json(&json!({"question": question, "a": a, "b": b}));
        let said: Said =
            serde_json::from_slice(&self.send(asked).await?).map_err(|why| ClientError::Answer(why.to_string()))?;
        let [a_first, [a, b, tie]] = said.logits;
        Ok(SwapLogits { a_first, b_first: [b, a, tie] })
    }

    async fn data<T: for<'de> Deserialize<'de>>(&self, path: &str, question: &Value) -> Result<Vec<T>, ClientError> {
        #[derive(Deserialize)]
        struct Data<T> {
            data: Vec<T>,
        }
        let body = self.send(self.http.post(self.url(path)).json(question)).await?;
        let read: Result<Data<T>, _> = serde_json::from_slice(&body);
        read.map(|read| read.data).map_err(|why| ClientError::Answer(why.to_string()))
    }

    async fn send(&self, mut request: RequestBuilder) -> Result<Vec<u8>, ClientError> {
        if let Some(Secret(token)) = &self.token {
            request = request.bearer_auth(token);
        }
        let mut response = request.send().await.map_err(|error| transport(&error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
            if body.len() + chunk.len() > MOST_ANSWER {
                return Err(ClientError::Answer(format!("more than {MOST_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        match status {
            status if status.is_success() => Ok(body),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Err(ClientError::Busy),
            status => Err(ClientError::Status(status.as_u16(), message(&body))),
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').trim_end_matches("/v1").to_owned();
        url.set_path(&format!("{base}/{path}"));
        url
    }
}

/// The message of an error in OpenAI's form. Another server's may quote what was sent, so it is not repeated.
fn message(body: &[u8]) -> String {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    error["error"]["code"].as_str().map_or_else(|| "no reason given".to_owned(), |code| code.chars().take(64).collect())
}

fn transport(error: &reqwest::Error) -> ClientError {
    ClientError::Transport(reason(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_may_end_in_v1() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for (base, expected) in [
            ("http://h:1", "http://h:1/v1/embeddings"),
            ("http://h:1/", "http://h:1/v1/embeddings"),
            ("http://h:1/v1", "http://h:1/v1/embeddings"),
            ("http://h:1/tei/v1/", "http://h:1/tei/v1/embeddings"),
        ] {
            let client = Client::new(&base.parse().unwrap(), None, None, Duration::from_secs(1)).unwrap();
            assert_eq!(client.url("v1/embeddings").as_str(), expected);
        }
    }

    #[test]
    fn a_worker_without_a_model_has_no_vectors_of_its_own() {
        for (health, expected) in [
            (r#"{"worker": "plimsoll", "embedder": {"model": "hashed-ngrams"}}"#, false),
            (r#"{"worker": "plimsoll", "embedder": {"model": "all-MiniLM-L6-v2"}}"#, true),
            ("{}", true),
        ] {
            assert_eq!(serde_json::from_str::<Ability>(health).unwrap().embeds(), expected);
        }
    }

    #[test]
    fn only_a_worker_of_ours_scores() {
        for (health, expected) in [
            (r#"{"worker": "plimsoll", "scorer": {"model": "m"}}"#, true),
            (r#"{"worker": "plimsoll", "scorer": null}"#, false),
            (r#"{"scorer": {}}"#, false),
            ("{}", false),
        ] {
            assert_eq!(serde_json::from_str::<Ability>(health).unwrap().scores(), expected);
        }
    }
}
