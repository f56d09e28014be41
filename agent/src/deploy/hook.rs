//! Whoever hears signed posts loads the adapters: a script, an operator, another engine's own interface.

use std::path::Path;

use http::StatusCode;
use plimsoll_alerts::{Signer, signed_headers};
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;

use super::api::{Answer, Api};
use super::{DeployError, Served};
use crate::clock;
use crate::tap::Upstream;

/// A webhook.
#[derive(Debug)]
pub(super) struct Hook {
    api: Api,
    url: Url,
    signer: Option<Signer>,
    /// Folder of the model that the adapters are of.
    base: String,
}

/// What it may answer.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(default)]
    served: Option<bool>,
}

impl Hook {
    pub(super) fn new(api: Api, url: Url, signer: Option<Signer>, base: &Path) -> Self {
        Self { api, url, signer, base: base.display().to_string() }
    }

    pub(super) async fn load(&self, name: &str, adapter: &Path, live: Option<&str>) -> Result<Served, DeployError> {
        let answer = self.post("load", name, Some(adapter), live).await?.good()?;
        Ok(read(answer, name)?.0)
    }

    pub(super) async fn unload(&self, name: &str) -> Result<(), DeployError> {
        let answer = self.post("unload", name, None, None).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(()) } else { answer.good().map(|_| ()) }
    }

    pub(super) async fn served(&self, name: &str) -> Result<Option<Served>, DeployError> {
        let answer = self.post("status", name, None, None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let (served, there) = read(answer.good()?, name)?;
        Ok(there.then_some(served))
    }

    async fn post(
        &self,
        action: &str,
        name: &str,
        adapter: Option<&Path>,
        live: Option<&str>,
    ) -> Result<Answer, DeployError> {
        let body = json!({"action": action, "name": name, "adapter": adapter, "model": self.base, "live": live});
        let body = body.to_string();
        let id = format!("msg_{}", uuid::Uuid::now_v7().simple());
        let headers = signed_headers(self.signer.as_ref(), &id, clock::wall(), body.as_bytes());
        self.api.post_with(&self.url, body, headers).await
    }
}

/// How the version is asked for, and whether it is there; by its name where nothing else is said.
fn read(answer: Answer, name: &str) -> Result<(Served, bool), DeployError> {
    if answer.is_empty() {
        return Ok((Served { model: Some(name.to_owned()), upstream: None }, true));
    }
    let said: Said = answer.json()?;
    if let Some(upstream) = &said.upstream {
        upstream.parse::<Upstream>().map_err(|why| DeployError::Adapter(format!("the webhook's upstream: {why}")))?;
    }
    let named = said.model.or_else(|| said.upstream.is_none().then(|| name.to_owned()));
    Ok((Served { model: named, upstream: said.upstream }, said.served.unwrap_or(true)))
}
