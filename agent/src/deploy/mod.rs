//! Adapters into engines: loaded, unloaded and asked for, one file a kind of engine. Decides nothing, keeps nothing: what an
//! engine serves is read from the engine each time.
//!
//! Every call is idempotent, and one at a time is meant: the caller owns the order. docs/versions.md is the manual.

mod api;
mod error;
mod hook;
mod named;
mod slots;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::DeployError;

use crate::config::{DeployEngine, DeploySettings};
use api::Api;
use hook::Hook;
use named::{Dialect, Named};
use slots::Slots;

/// What a request needs to be answered by a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// What its `model` must name; as asked when absent.
    pub model: Option<String>,
    /// Where it must go, as `http://HOST:PORT`; where all go when absent.
    pub upstream: Option<String>,
}

/// Loads adapters where the configuration says.
#[derive(Clone, Debug)]
pub struct Deployer(Arc<Target>);

#[derive(Debug)]
enum Target {
    Named(Named),
    Slots(Slots),
    Hook(Hook),
}

impl Deployer {
    /// Into the engine of `settings`; `base` is the folder of the model that the adapters are of.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(settings: &DeploySettings, base: &Path) -> Result<Self, DeployError> {
        let outside = matches!(settings.engine, DeployEngine::Webhook(..));
        let api = Api::new(settings.token.clone(), settings.timeout, outside)?;
        Ok(Self(Arc::new(match &settings.engine {
            DeployEngine::Vllm(url) => Target::Named(Named::new(api, url.clone(), Dialect::Vllm)),
            DeployEngine::Sglang(url) => Target::Named(Named::new(api, url.clone(), Dialect::Sglang)),
            DeployEngine::LlamaCpp(slots) => Target::Slots(Slots::new(api, slots.clone(), settings, base)),
            DeployEngine::Webhook(url, signer) => Target::Hook(Hook::new(api, url.clone(), signer.clone(), base)),
        })))
    }

    /// Has the engine serve the adapter in the folder `adapter` as `name`, and tells how it is asked for. `live` is the
    /// version that serves now: what holds it is left alone.
    ///
    /// # Errors
    /// [`DeployError`].
    pub async fn load(&self, name: &str, adapter: &Path, live: Option<&str>) -> Result<Served, DeployError> {
        let adapter = absolute(adapter)?;
        match &*self.0 {
            Target::Named(engine) => engine.load(name, &adapter).await,
            Target::Slots(slots) => slots.load(name, &adapter, live).await,
            Target::Hook(hook) => hook.load(name, &adapter, live).await,
        }
    }

    /// Has the engine serve `name` no longer; one that it does not have is fine.
    ///
    /// # Errors
    /// [`DeployError`].
    pub async fn unload(&self, name: &str) -> Result<(), DeployError> {
        match &*self.0 {
            Target::Named(engine) => engine.unload(name).await,
            Target::Slots(slots) => slots.unload(name).await,
            Target::Hook(hook) => hook.unload(name).await,
        }
    }

    /// All that the engine serves, by name, where it can be asked for all at once.
    ///
    /// # Errors
    /// [`DeployError`].
    pub async fn listed(&self) -> Result<Vec<String>, DeployError> {
        match &*self.0 {
            Target::Named(engine) => engine.listed().await,
            Target::Slots(_) | Target::Hook(_) => Ok(Vec::new()),
        }
    }

    /// How `name` is asked for, if the engine serves it now: one that was started again may have lost it.
    ///
    /// # Errors
    /// [`DeployError`].
    pub async fn served(&self, name: &str) -> Result<Option<Served>, DeployError> {
        match &*self.0 {
            Target::Named(engine) => engine.served(name).await,
            Target::Slots(slots) => slots.served(name).await,
            Target::Hook(hook) => hook.served(name).await,
        }
    }
}

/// The engine has another working directory.
fn absolute(adapter: &Path) -> Result<PathBuf, DeployError> {
    adapter.canonicalize().map_err(|why| DeployError::Adapter(format!("{}: {why}", adapter.display())))
}
