//! llama.cpp: its server reads adapters when it starts, so each of some servers, the slots, holds one version.
//!
//! A version is written to a free slot's file and its server started again. What a server holds it says itself: the file
//! carries the version's name, which `GET /lora-adapters` shows as `task_name`.

use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use plimsoll_shadow_model::{adapter_name, write_gguf};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use super::api::{Api, below};
use super::{DeployError, Served};
use crate::config::{DeploySettings, DeploySlot};

/// How often a server that starts is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How much of what a restart command said is shown, in bytes.
const SHOWN: u64 = 300;

/// Servers of llama.cpp, all with the same model.
#[derive(Debug)]
pub(super) struct Slots {
    api: Api,
    slots: Vec<DeploySlot>,
    /// Folder of that model.
    base: PathBuf,
    command_timeout: Duration,
    ready_timeout: Duration,
}

/// An adapter that a server has read.
#[derive(Clone, Debug, Deserialize)]
struct Listed {
    id: u64,
    scale: f64,
    #[serde(default)]
    task_name: String,
}

impl Slots {
    pub(super) fn new(api: Api, slots: Vec<DeploySlot>, settings: &DeploySettings, base: &Path) -> Self {
        let (command_timeout, ready_timeout) = (settings.timeout, settings.ready_timeout);
        Self { api, slots, base: base.to_owned(), command_timeout, ready_timeout }
    }

    pub(super) async fn load(&self, name: &str, adapter: &Path, live: Option<&str>) -> Result<Served, DeployError> {
        // a server that should have it and does not answer is given it again
        let slot = match self.holder(name).await.ok().flatten() {
            Some((slot, _)) => slot,
            None => {
                let slot = self.free(name, live).await?;
                self.put(slot, name, adapter).await?;
                slot
            }
        };
        self.scale(slot, name, 1.0).await?;
        Ok(served(slot))
    }

    pub(super) async fn unload(&self, name: &str) -> Result<(), DeployError> {
        match self.holder(name).await? {
            Some((slot, listed)) if listed.scale != 0.0 => self.scale(slot, name, 0.0).await,
            _ => Ok(()),
        }
    }

    pub(super) async fn served(&self, name: &str) -> Result<Option<Served>, DeployError> {
        let holder = self.holder(name).await?;
        Ok(holder.filter(|(_, listed)| listed.scale > 0.0).map(|(slot, _)| served(slot)))
    }

    /// The slot whose server has read a version.
    ///
    /// # Errors
    /// The server that should have it, by its file, does not answer.
    async fn holder(&self, name: &str) -> Result<Option<(&DeploySlot, Listed)>, DeployError> {
        let mut silent = None;
        for slot in &self.slots {
            match self.listed(slot).await {
                Ok(all) => {
                    if let Some(listed) = all.into_iter().find(|listed| listed.task_name == name) {
                        return Ok(Some((slot, listed)));
                    }
                }
                Err(why) if why.is_transient() && file_name(slot).as_deref() == Some(name) => silent = Some(why),
                Err(_) => {}
            }
        }
        silent.map_or(Ok(None), Err)
    }

    /// A slot that does not hold `live`: one that should hold `name` already, else one that holds nothing, else the first.
    async fn free(&self, name: &str, live: Option<&str>) -> Result<&DeploySlot, DeployError> {
        let mut best: Option<(u8, &DeploySlot)> = None;
        for slot in &self.slots {
            let mut held: Vec<String> = file_name(slot).into_iter().collect();
            let listed = self.listed(slot).await.unwrap_or_default();
            held.extend(listed.into_iter().map(|listed| listed.task_name));
            if live.is_some_and(|live| held.iter().any(|held| held == live)) {
                continue;
            }
            let rank = match held.as_slice() {
                [] => 1,
                held if held.iter().any(|held| held == name) => 0,
                _ => 2,
            };
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, slot));
            }
        }
        let none = || DeployError::NoSlot { slots: self.slots.len(), live: live.unwrap_or_default().to_owned() };
        best.map(|(_, slot)| slot).ok_or_else(none)
    }

    /// Writes a version to a slot's file, has its server started again, and waits until it has read it.
    async fn put(&self, slot: &DeploySlot, name: &str, adapter: &Path) -> Result<(), DeployError> {
        let (folder, base) = (adapter.to_owned(), self.base.clone());
        let (named, out) = (name.to_owned(), slot.adapter.clone());
        let written = tokio::task::spawn_blocking(move || write_gguf(&folder, &base, &named, &out));
        written.await.map_err(|why| DeployError::Adapter(format!("writing the adapter: {why}")))??;
        let begin = Instant::now();
        let mut seen = self.restart(slot).await?;
        while begin.elapsed() < self.ready_timeout {
            match self.listed(slot).await {
                Ok(all) if all.iter().any(|listed| listed.task_name == name) => return Ok(()),
                Ok(_) => seen.last = "it still serves what it was started with".to_owned(),
                Err(why) => seen.last = why.to_string(),
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(DeployError::NotReady {
            upstream: text(slot),
            name: name.to_owned(),
            file: slot.adapter.clone(),
            waited: begin.elapsed(),
            seen: format!("{}; {}", seen.last, seen.restart),
        })
    }

    /// Runs the slot's command. One that fails is no error yet: what it is to end may have ended by itself.
    async fn restart(&self, slot: &DeploySlot) -> Result<Seen, DeployError> {
        let last = String::new();
        let [program, arguments @ ..] = slot.restart.as_slice() else {
            tracing::warn!(upstream = %slot.upstream, adapter = %slot.adapter.display(),
                "a new adapter was written; restart this llama.cpp server, for its slot has no restart command");
            return Ok(Seen { restart: "it has no restart command: restart it".to_owned(), last });
        };
        let wrong = |why: String| DeployError::Restart { upstream: text(slot), program: program.clone(), why };
        // into a file and not a pipe: what the command leaves running would hold a pipe open
        let mut said = tempfile::tempfile().map_err(|why| wrong(why.to_string()))?;
        let stderr = said.try_clone().map_err(|why| wrong(why.to_string()))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).kill_on_drop(true);
        let status = tokio::time::timeout(self.command_timeout, command.status()).await;
        let status = status.map_err(|_| wrong(format!("took longer than {:?}", self.command_timeout)))?;
        let status = status.map_err(|why| wrong(why.to_string()))?;
        let mut bytes = Vec::new();
        let read = said.rewind().and_then(|()| said.take(SHOWN).read_to_end(&mut bytes));
        let said = read.map_or_else(|why| why.to_string(), |_| String::from_utf8_lossy(&bytes).trim().to_owned());
        Ok(Seen { restart: format!("its restart command ended with {status}: {said}"), last })
    }

    /// Sets the scale of a version, and leaves other adapters of the server as they are.
    async fn scale(&self, slot: &DeploySlot, name: &str, scale: f64) -> Result<(), DeployError> {
        let all = self.listed(slot).await?;
        let wanted = |listed: &Listed| if listed.task_name == name { scale } else { listed.scale };
        let body: Vec<Value> = all.iter().map(|listed| json!({"id": listed.id, "scale": wanted(listed)})).collect();
        let answer = self.api.post(&adapters(slot), &Value::Array(body)).await?.good()?;
        let after = self.listed(slot).await?;
        let found = after.iter().find(|listed| listed.task_name == name).map(|listed| listed.scale);
        if found == Some(scale) {
            return Ok(());
        }
        Err(answer.wrong(format!("the scale of {name} is {found:?} afterwards, not {scale}")))
    }

    /// What a server that is ready has read.
    async fn listed(&self, slot: &DeploySlot) -> Result<Vec<Listed>, DeployError> {
        self.api.get(&below(&slot.upstream, "health")).await?.good()?;
        self.api.get(&adapters(slot)).await?.good()?.json()
    }
}

/// What came of a restart, for the error.
struct Seen {
    restart: String,
    last: String,
}

fn adapters(slot: &DeploySlot) -> reqwest::Url {
    below(&slot.upstream, "lora-adapters")
}

/// The version in a slot's file.
fn file_name(slot: &DeploySlot) -> Option<String> {
    adapter_name(&slot.adapter).ok().flatten()
}

fn text(slot: &DeploySlot) -> String {
    slot.upstream.as_str().trim_end_matches('/').to_owned()
}

fn served(slot: &DeploySlot) -> Served {
    Served { model: None, upstream: Some(text(slot)) }
}
