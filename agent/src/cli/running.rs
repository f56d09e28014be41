//! Where a running agent is, and how its API is asked.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::Format;

/// Arguments of every verb that talks to a running agent.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Running {
    /// The agent's API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9465")]
    api: String,
    /// File that holds a token: a viewer's to read, an admin's to change something.
    #[arg(long, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Running {
    /// Asks `path` of the API; `build` adds what else belongs into the request.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        build: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.api.trim_end_matches('/'));
        let client = Client::builder().timeout(Duration::from_secs(30)).build()?;
        let mut request = build(client.request(method, &url));
        if let Some(file) = &self.token_file {
            let token = std::fs::read_to_string(file).with_context(|| format!("token file {}", file.display()))?;
            request = request.bearer_auth(token.trim());
        }
        let response = request.send().await.with_context(|| format!("no agent answers at {url}"))?;
        let (status, body) = (response.status(), response.text().await?);
        anyhow::ensure!(status.is_success(), "{url} answered {status}: {}", body.trim());
        serde_json::from_str(&body).with_context(|| format!("{url} did not answer with JSON; is it a plimsoll agent?"))
    }

    /// Reads `path`.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, |request| request).await
    }
}
