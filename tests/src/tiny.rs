//! A tiny chat model that llama.cpp, vLLM and we tokenize alike, and llama.cpp servers that take adapters of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Process, free_port};
use crate::servers::python;
use crate::wait::{eventually, get_text};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("llamacpp").join(name)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output()?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A two-layer Llama with one token a byte and ChatML: a Hugging Face folder of a megabyte or two, random weights, f32.
#[derive(Debug)]
pub struct TinyModel {
    /// The folder.
    pub folder: PathBuf,
    python: PathBuf,
}

impl TinyModel {
    /// Writes one of width 64 into `folder`; `None`, said loudly, without the tests' Python.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn make(folder: &Path, seed: u32) -> anyhow::Result<Option<Self>> {
        Self::make_wide(folder, seed, 64)
    }

    /// As [`Self::make`], of another width; vLLM needs 128.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn make_wide(folder: &Path, seed: u32, width: u32) -> anyhow::Result<Option<Self>> {
        let Some(python) = python() else { return Ok(None) };
        let sizes = [seed, width].map(|size| size.to_string());
        run(Command::new(&python).arg(script("tiny_chat.py")).arg("make").arg(folder).args(sizes))?;
        Ok(Some(Self { folder: folder.to_owned(), python }))
    }

    /// The same kind of model after a training of all of it (`plimsoll finetune --full`) has written `folder`.
    pub fn trained(&self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), python: self.python.clone() }
    }

    /// Writes it as llama.cpp reads it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn gguf(&self, out: &Path) -> anyhow::Result<()> {
        run(Command::new(&self.python).arg(script("tiny_chat.py")).arg("gguf").arg(&self.folder).arg(out))
    }
}

/// A llama.cpp server that is started again whenever it ends, with the adapter in its file where there is one.
#[derive(Debug)]
pub struct LlamaSlot {
    /// What starts it again; its log is that of the servers.
    pub process: Process,
    /// Its base URL.
    pub upstream: String,
    /// Its adapter's file.
    pub adapter: PathBuf,
    /// What makes it read that file: program and arguments.
    pub restart: Vec<String>,
    _folder: TempDir,
}

impl LlamaSlot {
    /// Serves the GGUF model at `model` on a free port, at first without an adapter.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start(model: &Path) -> anyhow::Result<Option<Self>> {
        let Some(python) = python() else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let (adapter, pid) = (folder.path().join("adapter.gguf"), folder.path().join("pid"));
        let mut command = Command::new(python);
        command.arg(script("slot.py")).arg(model).arg(port.to_string()).arg(&adapter).arg(&pid);
        let process = Process::start(&mut command, &folder.path().join("slot.log"))?;
        let upstream = format!("http://127.0.0.1:{port}");
        let health = format!("{upstream}/health");
        eventually("llama.cpp is ready", Duration::from_secs(120), async || get_text(&health).await).await;
        let kill = format!("kill $(cat {})", pid.display());
        let restart = ["sh", "-c", &kill].map(str::to_owned).to_vec();
        Ok(Some(Self { process, upstream, adapter, restart, _folder: folder }))
    }

    /// It as an entry of `slots` in the configuration, as JSON, which YAML takes.
    pub fn config(&self) -> serde_json::Value {
        serde_json::json!({"upstream": self.upstream, "adapter": self.adapter, "restart": self.restart})
    }
}
