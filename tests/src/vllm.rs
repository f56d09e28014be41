//! A real vLLM on CPU, from a virtual environment of 7 GB. Runs only where `make test-vllm` says that it is wanted.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::binary;
use crate::process::{Process, free_port};
use crate::wait::{eventually, get_json, get_text};

/// What it serves a model as.
const NAME: &str = "tiny";

/// A running vLLM that takes adapters while it runs.
#[derive(Debug)]
pub struct Vllm {
    process: Process,
    port: u16,
    model: PathBuf,
    more: Vec<String>,
    folder: TempDir,
}

impl Drop for Vllm {
    /// In order, or its engine process outlives it.
    fn drop(&mut self) {
        self.process.signal(libc::SIGTERM);
        let _ = self.process.wait(Duration::from_secs(30));
    }
}

impl Vllm {
    /// Whether the environment says that one is wanted; says so loudly when not.
    #[expect(clippy::disallowed_methods, reason = "make test-vllm says through the environment that it is wanted")]
    pub fn is_wanted() -> bool {
        let wanted = std::env::var("PLIMSOLL_VLLM").is_ok();
        if !wanted {
            println!("SKIPPED: a real vLLM is 7 GB; run make test-vllm");
        }
        wanted
    }

    /// Serves the folder `model` as `tiny` on a free port, in bf16, with `more` arguments.
    ///
    /// # Errors
    /// It cannot be started.
    ///
    /// # Panics
    /// It is not ready in five minutes.
    pub async fn start(model: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let more: Vec<String> = more.iter().map(ToString::to_string).collect();
        let process = launch(model, port, &more, folder.path())?;
        let vllm = Self { process, port, model: model.to_owned(), more, folder };
        vllm.ready().await;
        Ok(vllm)
    }

    /// Kills it with all its processes at once.
    ///
    /// # Errors
    /// There is no `kill`.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        Command::new("kill").arg("-9").args(family(self.process.id())).status()?;
        self.process.kill();
        Ok(())
    }

    /// Starts it again on the same port, after it was killed: it has lost its adapters.
    ///
    /// # Errors
    /// It cannot be started.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.process = launch(&self.model, self.port, &self.more, self.folder.path())?;
        self.ready().await;
        Ok(())
    }

    async fn ready(&self) {
        let health = self.url("/health");
        eventually("vLLM is ready", Duration::from_secs(300), async || get_text(&health).await).await;
    }

    /// URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Folder of its model.
    pub fn model(&self) -> &Path {
        &self.model
    }

    /// The names in `GET /v1/models`, its own first.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn models(&self) -> anyhow::Result<Vec<String>> {
        let listed = get_json(&self.url("/v1/models")).await?;
        let cards = listed["data"].as_array().into_iter().flatten();
        Ok(cards.map(|card| card["id"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// What vLLM itself thinks of `response` after `prompt` with `model`, nats a token; each byte of the response is a token.
    ///
    /// # Errors
    /// It does not answer, or not with log-probabilities.
    pub async fn nlls(&self, model: &str, prompt: &str, response: &str) -> anyhow::Result<Vec<f64>> {
        let text = [prompt, response].concat();
        let body = json!({"model": model, "prompt": text, "max_tokens": 1, "prompt_logprobs": 0});
        let client = reqwest::Client::new();
        let answer = client.post(self.url("/v1/completions")).json(&body).send().await?.text().await?;
        let all: Value = serde_json::from_str(&answer)?;
        let all = all["choices"][0]["prompt_logprobs"].as_array().filter(|all| all.len() > response.len());
        let all = all.ok_or_else(|| anyhow::anyhow!("{answer}"))?;
        let own = |token: &Value| {
            token.as_object().and_then(|token| token.values().next()?["logprob"].as_f64()).map_or(f64::NAN, |log| -log)
        };
        Ok(all[all.len() - response.len()..].iter().map(own).collect())
    }
}

/// What `plimsoll score` thinks of `response` after `prompt`, with an adapter where there is one; as [`Vllm::nlls`].
///
/// # Errors
/// It cannot be run, or the model or the adapter cannot be read.
pub fn our_nlls(model: &Path, adapter: Option<&Path>, prompt: &str, response: &str) -> anyhow::Result<Vec<f64>> {
    let mut pair = tempfile::NamedTempFile::new()?;
    pair.write_all(json!({"prompt": prompt, "response": response}).to_string().as_bytes())?;
    let mut command = Command::new(binary()?);
    command.args(["score", "--per-token", "--device", "cpu", "--model"]).arg(model);
    if let Some(adapter) = adapter {
        command.arg("--adapter").arg(adapter);
    }
    let output = command.arg(pair.path()).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let score: Value = serde_json::from_slice(&output.stdout)?;
    let numbers = score["response_token_nlls"].as_array().into_iter().flatten();
    Ok(numbers.map(|one| one.as_f64().unwrap_or(f64::NAN)).collect())
}

/// The largest difference of two lists of the same length, in nats.
///
/// # Panics
/// They are not of the same length, or a number is missing.
pub fn nats_apart(a: &[f64], b: &[f64]) -> f64 {
    assert!(a.len() == b.len() && a.iter().chain(b).all(|one| one.is_finite()), "{a:?} {b:?}");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// A process and all that came of it.
fn family(id: u32) -> Vec<String> {
    let (mut all, mut at) = (vec![id.to_string()], 0);
    while let Some(id) = all.get(at) {
        let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        let children = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        let children: Vec<String> =
            children.flat_map(|ids| ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
        all.extend(children);
        at += 1;
    }
    all
}

#[expect(clippy::disallowed_methods, reason = "make test-vllm says through the environment where it is")]
fn launch(model: &Path, port: u16, more: &[String], folder: &Path) -> anyhow::Result<Process> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let venv = std::env::var("PLIMSOLL_VLLM_VENV").map_or_else(|_| root.join("target/vllm"), Into::into);
    let mut command = Command::new(venv.join("bin/vllm"));
    command
        .env("VLLM_CPU_KVCACHE_SPACE", "1")
        .env("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        .env("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True")
        .arg("serve")
        .arg(model)
        .args(["--served-model-name", NAME, "--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--max-model-len", "1024", "--enforce-eager", "--dtype", "bfloat16"])
        .args(["--enable-lora", "--max-lora-rank", "16"])
        .args(more);
    Ok(Process::start(&mut command, &folder.join("vllm.log"))?)
}
