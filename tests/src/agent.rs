//! The real binary with a configuration of the test's own, on free ports, with its data in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, free_port};
use crate::wait::{eventually, get_text};

/// What a test wants of its agent.
#[derive(Debug)]
pub struct AgentBuilder {
    config: Value,
    rules: Vec<(String, String)>,
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// The process.
    pub process: Process,
    /// Ports on loopback.
    pub tap: u16,
    /// The open port.
    pub metrics: u16,
    /// The API.
    pub api: u16,
    /// Its configuration, rules, data and log.
    pub folder: TempDir,
}

impl Agent {
    /// An agent in front of `upstream`, with short intervals and no built-in rules.
    pub fn before(upstream: &str) -> AgentBuilder {
        AgentBuilder {
            config: json!({
                "sources": {
                    "system": {"interval": "1s"},
                    "gpu": {"enabled": false},
                    "engine": {"interval": "1s", "timeout": "1s"},
                    "tap": {"upstream": upstream},
                },
                "rules": {"builtin": false, "evaluation_interval": "1s"},
            }),
            rules: Vec::new(),
        }
    }

    /// URL of a path on the tap.
    pub fn tap_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.tap)
    }

    /// URL of a path on the API.
    pub fn api_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.api)
    }

    /// The text of /metrics.
    ///
    /// # Errors
    /// No answer.
    pub async fn scrape(&self) -> anyhow::Result<String> {
        get_text(&format!("http://127.0.0.1:{}/metrics", self.metrics)).await
    }

    /// Starts it again, after it has ended, and does not wait until it is ready.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn relaunch(&mut self) -> anyhow::Result<()> {
        self.process = launch(self.folder.path())?;
        Ok(())
    }

    /// Starts it again on the same ports and data, after it has ended.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.process = launch(self.folder.path())?;
        ready(self.metrics, &mut self.process).await
    }
}

impl AgentBuilder {
    /// Sets a dotted key of the configuration.
    #[must_use]
    pub fn set(mut self, key: &str, value: Value) -> Self {
        let mut node = &mut self.config;
        for part in key.split('.') {
            node = &mut node[part];
        }
        *node = value;
        self
    }

    /// Adds a rule file.
    #[must_use]
    pub fn rules(mut self, name: &str, text: &str) -> Self {
        self.rules.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Starts the agent and waits until it is ready.
    ///
    /// # Errors
    /// It does not become ready; the log is in the message.
    pub async fn start(mut self) -> anyhow::Result<Agent> {
        let folder = tempfile::tempdir()?;
        let (tap, metrics, api) = (free_port()?, free_port()?, free_port()?);
        for (key, port) in [("sources.tap.listen", tap), ("listen.metrics", metrics), ("listen.api", api)] {
            self = self.set(key, json!(format!("127.0.0.1:{port}")));
        }
        let data = folder.path().join("data");
        let files: Vec<&str> = self.rules.iter().map(|(name, _)| name.as_str()).collect();
        let (files, rules) = (json!(files), self.rules.clone());
        self = self.set("rules.files", files).set("limits.data", json!(data));
        for (name, text) in &rules {
            std::fs::write(folder.path().join(name), text)?;
        }
        std::fs::write(folder.path().join("plimsoll.yaml"), format!("{:#}", self.config))?; // JSON is YAML
        let mut process = launch(folder.path())?;
        ready(metrics, &mut process).await?;
        Ok(Agent { process, tap, metrics, api, folder })
    }
}

fn launch(folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(binary()?);
    command.arg("run").arg("--config").arg(folder.join("plimsoll.yaml"));
    Ok(Process::start(&mut command, &folder.join("agent.log"))?)
}

async fn ready(metrics: u16, process: &mut Process) -> anyhow::Result<()> {
    eventually("the agent is ready", Duration::from_secs(30), async || {
        if let Some(status) = process.wait(Duration::ZERO) {
            return Ok(Err(anyhow::anyhow!("the agent ended with {status}:\n{}", process.log())));
        }
        get_text(&format!("http://127.0.0.1:{metrics}/readyz")).await.map(|_| Ok(()))
    })
    .await
}

/// The binary under test: `PLIMSOLL_BIN`, else the one cargo built beside this test.
///
/// # Errors
/// There is none; the message says how to build it.
#[expect(clippy::disallowed_methods, reason = "tests find the binary through the environment")]
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Ok(path) = std::env::var("PLIMSOLL_BIN") {
        return Ok(PathBuf::from(path));
    }
    let here = std::env::current_exe()?;
    let built = here.ancestors().nth(2).context("a target folder")?.join("plimsoll");
    anyhow::ensure!(built.exists(), "{} is not there; run `cargo build -p plimsoll-agent` first", built.display());
    Ok(built)
}
