//! Trainers that are not ours: a program, somebody who hears a post, a Kubernetes Job. All get the same dataset, and leave an
//! adapter in PEFT's format where they are told to.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use plimsoll_alerts::{Signer, signed_headers};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::process::Command;

use super::run::Run;
use super::work::{Places, finish};
use crate::clock;
use crate::config::Finetune;

/// How often it is looked whether an adapter is there.
const LOOK: Duration = Duration::from_secs(1);
/// What says that a training elsewhere is done: its own words as JSON.
pub(super) const DONE: &str = "trained.json";
/// How long a post may take.
const POST: Duration = Duration::from_secs(30);

/// What a trainer is told, as names and values.
fn variables(settings: &Finetune, places: &Places, run: &Run, from: Option<&Path>) -> [(&'static str, String); 5] {
    let shown = |path: &Path| path.display().to_string();
    [
        ("PLIMSOLL_RUN", run.id.to_string()),
        ("PLIMSOLL_MODEL", shown(&settings.model)),
        ("PLIMSOLL_DATASET", shown(&places.dataset(run.id))),
        ("PLIMSOLL_FROM", from.map(shown).unwrap_or_default()),
        ("PLIMSOLL_OUT", shown(&places.adapter(run.id))),
    ]
}

/// A program of the user's, until it ends.
pub(super) async fn command(
    settings: &Finetune,
    places: &Places,
    run: &Run,
    from: Option<&Path>,
    words: &[String],
) -> anyhow::Result<Value> {
    let Some((program, arguments)) = words.split_first() else { bail!("finetune.trainer.command is empty") };
    let mut command = Command::new(program);
    command.args(arguments).envs(variables(settings, places, run, from));
    std::fs::create_dir_all(places.adapter(run.id))?;
    let (success, _, said) = finish(command).await?;
    if !success {
        bail!("{program}: {said}");
    }
    Ok(json!({"trainer": program}))
}

/// What somebody else is to train.
pub(super) fn job(settings: &Finetune, places: &Places, run: &Run, from: Option<&Path>) -> Value {
    json!({
        "action": "train", "run": run.id, "model": settings.model, "dataset": places.dataset(run.id), "from": from,
        "out": places.adapter(run.id), "dataset_sha256": run.dataset.as_ref().map(|dataset| &dataset["sha256"]),
    })
}

/// Tells somebody what to train.
pub(super) async fn post(url: &Url, signer: Option<&Signer>, job: &Value) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(POST).redirect(reqwest::redirect::Policy::none()).build()?;
    let body = job.to_string();
    let id = format!("finetune-{}", job["run"]);
    let mut request = client.post(url.clone()).header("content-type", "application/json");
    for (name, value) in signed_headers(signer, &id, clock::wall(), body.as_bytes()) {
        request = request.header(name, value);
    }
    let answer = request.body(body).send().await.with_context(|| format!("POST {url}"))?;
    if !answer.status().is_success() {
        bail!("POST {url} answered {}", answer.status());
    }
    Ok(())
}

/// Writes a Job's manifest and, where there is one, gives it to a command.
pub(super) async fn submit(
    template: &Path,
    words: &[String],
    settings: &Finetune,
    places: &Places,
    run: &Run,
    from: Option<&Path>,
) -> anyhow::Result<()> {
    let mut text = std::fs::read_to_string(template).with_context(|| format!("{}", template.display()))?;
    for (name, value) in variables(settings, places, run, from) {
        text = text.replace(&format!("$({name})"), &value);
    }
    let manifest = places.run(run.id).join("job.yaml");
    std::fs::write(&manifest, text).with_context(|| format!("{}", manifest.display()))?;
    std::fs::create_dir_all(places.adapter(run.id))?;
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).arg(&manifest);
    let (success, _, said) = finish(command).await?;
    if !success {
        bail!("{program}: {said}");
    }
    Ok(())
}

/// Until it is said that the adapter is whole: by a file in its folder, or over the API, which writes it.
pub(super) async fn wait(places: &Places, run: u32) -> anyhow::Result<Value> {
    let done = places.adapter(run).join(DONE);
    loop {
        if let Ok(text) = std::fs::read_to_string(&done) {
            return serde_json::from_str(&text).with_context(|| format!("{}", done.display()));
        }
        tokio::time::sleep(LOOK).await;
    }
}
