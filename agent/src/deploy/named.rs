//! Engines that serve many adapters at once, each under a name: vLLM and SGLang. What they list is what counts, whatever
//! they answered to a load: it may have been there already.

use std::path::Path;

use reqwest::Url;
use serde::Deserialize;
use serde_json::json;

use super::api::{Answer, Api, below};
use super::{DeployError, Served};

/// How an engine is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Vllm,
    Sglang,
}

impl Dialect {
    /// Paths that load and unload.
    fn paths(self) -> [&'static str; 2] {
        match self {
            Self::Vllm => ["v1/load_lora_adapter", "v1/unload_lora_adapter"],
            Self::Sglang => ["load_lora_adapter", "unload_lora_adapter"],
        }
    }

    /// What is missing where it does not know the path.
    fn hint(self) -> &'static str {
        match self {
            Self::Vllm => {
                "; vLLM needs --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and the adapter's folder at the same path"
            }
            Self::Sglang => "; SGLang needs --enable-lora, and the adapter's folder at the same path",
        }
    }
}

/// An engine at an address.
#[derive(Debug)]
pub(super) struct Named {
    api: Api,
    base: Url,
    dialect: Dialect,
}

/// A line of `GET /v1/models`.
#[derive(Deserialize)]
struct Card {
    id: String,
    /// The model that an adapter is of.
    #[serde(default)]
    parent: Option<String>,
}

#[derive(Deserialize)]
struct Cards {
    data: Vec<Card>,
}

impl Named {
    pub(super) fn new(api: Api, base: Url, dialect: Dialect) -> Self {
        Self { api, base, dialect }
    }

    pub(super) async fn load(&self, name: &str, adapter: &Path) -> Result<Served, DeployError> {
        if let Some(served) = self.served(name).await? {
            return Ok(served);
        }
        let [load, _] = self.dialect.paths();
        let body = json!({"lora_name": name, "lora_path": adapter});
        let answer = self.api.post(&below(&self.base, load), &body).await?;
        match self.served(name).await? {
            Some(served) => Ok(served),
            None if answer.status.is_success() => Err(answer.wrong("GET /v1/models does not list it afterwards")),
            None => Err(self.refused(answer)),
        }
    }

    pub(super) async fn unload(&self, name: &str) -> Result<(), DeployError> {
        if self.served(name).await?.is_none() {
            return Ok(());
        }
        let [_, unload] = self.dialect.paths();
        let answer = self.api.post(&below(&self.base, unload), &json!({"lora_name": name})).await?;
        match self.served(name).await? {
            None => Ok(()),
            Some(_) if answer.status.is_success() => Err(answer.wrong("GET /v1/models still lists it afterwards")),
            Some(_) => Err(self.refused(answer)),
        }
    }

    async fn cards(&self) -> Result<Vec<Card>, DeployError> {
        let answer = self.api.get(&below(&self.base, "v1/models")).await?.good()?;
        Ok(answer.json::<Cards>()?.data)
    }

    pub(super) async fn listed(&self) -> Result<Vec<String>, DeployError> {
        Ok(self.cards().await?.into_iter().map(|card| card.id).collect())
    }

    /// A model that is no adapter has no parent: a name that an adapter must not have.
    pub(super) async fn served(&self, name: &str) -> Result<Option<Served>, DeployError> {
        let Some(card) = self.cards().await?.into_iter().find(|card| card.id == name) else { return Ok(None) };
        let Some(parent) = card.parent else {
            return Err(DeployError::Adapter(format!(
                "{name} is the name of a model of the engine itself; take another"
            )));
        };
        let model = match self.dialect {
            Dialect::Vllm => name.to_owned(),
            // `base:adapter`, divided at the first colon
            Dialect::Sglang if parent.contains(':') => {
                let right = "start it with --served-model-name that has no colon";
                return Err(DeployError::Adapter(format!("SGLang serves its model as {parent}: {right}")));
            }
            Dialect::Sglang => format!("{parent}:{name}"),
        };
        Ok(Some(Served { model: Some(model), upstream: None }))
    }

    fn refused(&self, answer: Answer) -> DeployError {
        let hint = if answer.status == http::StatusCode::NOT_FOUND { self.dialect.hint() } else { "" };
        answer.refused(hint)
    }
}
