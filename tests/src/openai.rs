//! The real OpenAI client of `tests/openai/client.py`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::servers::python;

/// Lets the client ask an engine `direct`ly and through the `tap`, plain and streaming; gives what the tap's side cost.
///
/// # Errors
/// The two sides did not answer alike; the message shows both.
pub fn openai_client(direct: &str, tap: &str, model: &str) -> anyhow::Result<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("openai/client.py");
    let python = python().context("no Python environment")?;
    let output = Command::new(python).arg(script).args([direct, tap, model]).output()?;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "the client sees a difference:\n{said}\n{complained}");
    println!("openai client through the tap: {}", said.trim());
    Ok(serde_json::from_str(&said)?)
}
