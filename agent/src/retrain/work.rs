//! What takes long in a run, each a task of its own: the dataset, the training, the gate, the engine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use plimsoll_rules::Timestamp;
use plimsoll_rules::retrain::{Check, FAILURES_BETTER, Gate, GateReport};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::outside;
use super::run::{Run, Stage, Version};
use crate::config::{Finetune, Trainer};
use crate::dataset::{Manifest, Order, Settings};
use crate::deploy::{DeployError, Deployer, Served};
use crate::records::Location;

/// Bytes of what a child said on standard error that are told.
const MOST_TOLD: usize = 2000;
/// Bytes of what it printed that are read.
const MOST_TOLD_OUT: usize = 1 << 20;
/// How often a load that may succeed later is tried, and the wait before the next time.
const LOADS: u32 = 5;
const LOAD_WAIT: Duration = Duration::from_secs(2);

/// What a piece of work gave.
#[derive(Debug)]
pub(super) enum Done {
    /// The dataset is written.
    Dataset(Box<Manifest>),
    /// The adapter is there.
    Trained(Value),
    /// The gate has spoken.
    Gated(Box<GateReport>),
    /// The engine has it.
    Loaded(Served),
}

/// Work under way; dropped, it ends, and its child with it.
#[derive(Debug)]
pub(super) struct Work {
    /// For which run, in which stage; or to load a version by hand.
    pub(super) what: What,
    task: JoinHandle<anyhow::Result<Done>>,
}

/// What work is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A stage of a run.
    Stage(Stage),
    /// A version that is to serve from now on, or again; `None` is the base model.
    Serve(Option<u32>),
    /// The version that serves and that the engine has lost.
    Heal(u32),
}

impl Drop for Work {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Work {
    #[expect(clippy::disallowed_methods, reason = "it ends with the task of the loop, which is tracked")]
    pub(super) fn start(what: What, work: impl Future<Output = anyhow::Result<Done>> + Send + 'static) -> Self {
        Self { what, task: tokio::spawn(work) }
    }

    /// Whether it loads what no run asks for.
    pub(super) fn is_by_hand(&self) -> bool {
        matches!(self.what, What::Serve(_) | What::Heal(_))
    }

    /// Whether it has ended.
    pub(super) fn is_done(&self) -> bool {
        self.task.is_finished()
    }

    /// What it gave.
    pub(super) async fn outcome(mut self) -> anyhow::Result<Done> {
        (&mut self.task).await.unwrap_or_else(|why| Err(anyhow::anyhow!("it ended early: {why}")))
    }
}

/// Where the files of a run are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// The folder of all runs.
    folder: PathBuf,
}

impl Places {
    pub(super) fn new(data: &Path) -> Self {
        Self { folder: data.join("finetunes") }
    }

    pub(super) fn run(&self, id: u32) -> PathBuf {
        self.folder.join(id.to_string())
    }

    pub(super) fn dataset(&self, id: u32) -> PathBuf {
        self.run(id).join("dataset")
    }

    pub(super) fn adapter(&self, id: u32) -> PathBuf {
        self.run(id).join("adapter")
    }

    /// Anchors that were drawn once and stay.
    pub(super) fn anchors(&self) -> PathBuf {
        self.folder.join("anchors.jsonl")
    }
}

/// What is learnt from, between two moments.
pub(super) fn dataset_settings(settings: &Finetune, runs: &[Run], (since, until): (Timestamp, Timestamp)) -> Settings {
    let one = &settings.dataset;
    let distrusted_ms = runs.iter().filter(|run| did_harm(run)).map(|run| (run.since_ms, run.until_ms)).collect();
    Settings { holdout_share: one.holdout, anchors: one.draw, distrusted_ms, ..Settings::between(since, until) }
}

/// Whether what a run learnt made something worse that was right before: for the gate, or before users.
fn did_harm(run: &Run) -> bool {
    let worse = |check: &Check| !check.passed && check.name != FAILURES_BETTER;
    let refused = run.gate.as_ref().is_some_and(|gate| gate.checks.iter().any(worse));
    refused || run.stage == Stage::RolledBack
}

/// The examples of a run; anchors are drawn with the first one and frozen.
pub(super) async fn curate(
    settings: Arc<Finetune>,
    location: Location,
    places: Places,
    (run, runs): (Run, Vec<Run>),
) -> anyhow::Result<Done> {
    let span = (Timestamp::from_millis(run.since_ms), Timestamp::from_millis(run.until_ms));
    let wanted = dataset_settings(&settings, &runs, span);
    let (out, drawn) = (places.dataset(run.id), places.anchors());
    std::fs::create_dir_all(places.run(run.id)).with_context(|| format!("{}", places.run(run.id).display()))?;
    let frozen = settings.dataset.anchors.clone().or_else(|| drawn.is_file().then(|| drawn.clone()));
    let order = Order { url: location.url(), settings: wanted, anchors: frozen.clone(), out: Some(out.clone()) };
    let manifest = dataset_child(&order).await?;
    let own = out.join("anchors.jsonl");
    if frozen.is_none() && std::fs::metadata(&own).is_ok_and(|file| file.len() > 0) {
        let aside = drawn.with_extension("part");
        std::fs::copy(&own, &aside)
            .and_then(|_| std::fs::rename(&aside, &drawn))
            .context("the anchors cannot be kept")?;
    }
    Ok(Done::Dataset(Box::new(manifest)))
}

/// What a child says of a dataset: its manifest, or counts.
pub(super) async fn dataset_child<T: serde::de::DeserializeOwned>(order: &Order) -> anyhow::Result<T> {
    let mut command = ourselves()?;
    command.args(["dataset", "child"]);
    let (success, out, said) = finish_with(command, &serde_json::to_string(order)?).await?;
    if !success {
        bail!("plimsoll dataset: {said}");
    }
    serde_json::from_str(&out).context("plimsoll dataset told something else than was asked")
}

/// The adapter of a run, whoever trains it.
pub(super) async fn train(
    settings: Arc<Finetune>,
    places: Places,
    run: Run,
    from: Option<PathBuf>,
) -> anyhow::Result<Done> {
    let out = places.adapter(run.id);
    let limit = settings.time;
    let training = async {
        match &settings.trainer {
            Trainer::Builtin(options) => builtin(&settings, &places, &run, from.as_deref(), options).await,
            Trainer::Command(command) => outside::command(&settings, &places, &run, from.as_deref(), command).await,
            Trainer::Webhook(url, signer) => {
                let job = outside::job(&settings, &places, &run, from.as_deref());
                outside::post(url, signer.as_ref(), &job).await?;
                outside::wait(&places, run.id).await
            }
            Trainer::Job(template, command) => {
                outside::submit(template, command, &settings, &places, &run, from.as_deref()).await?;
                outside::wait(&places, run.id).await
            }
        }
    };
    let told = tokio::time::timeout(limit, training)
        .await
        .map_err(|_| anyhow::anyhow!("it took longer than finetune.budget.time, {} s", limit.as_secs()))??;
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        if !out.join(name).is_file() {
            bail!("the trainer left no {name} in {}", out.display());
        }
    }
    Ok(Done::Trained(told))
}

async fn builtin(
    settings: &Finetune,
    places: &Places,
    run: &Run,
    from: Option<&Path>,
    options: &[String],
) -> anyhow::Result<Value> {
    let data = places.dataset(run.id);
    let mut command = ourselves()?;
    command.arg("finetune").arg("--child").arg("--model").arg(&settings.model);
    command.arg("--data").arg(data.join("train.jsonl")).arg("--out").arg(places.adapter(run.id));
    if has_lines(&data.join("holdout.jsonl")) {
        command.arg("--eval").arg(data.join("holdout.jsonl"));
    }
    if has_lines(&data.join("replay.jsonl")) {
        command.arg("--replay").arg(data.join("replay.jsonl"));
        command.arg("--replay-share").arg(settings.dataset.replay.to_string());
    }
    if let Some(from) = from {
        command.arg("--from").arg(from);
    }
    command.args(options).args(["--resume", "--format", "json"]);
    let (success, out, said) = finish(command).await?;
    if !success {
        bail!("plimsoll finetune: {said}");
    }
    serde_json::from_str(&out).context("plimsoll finetune told something else than JSON")
}

fn has_lines(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

fn ourselves() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("our own program")?))
}

/// Whether it succeeded, what it told, and the end of what it complained of. It ends where nobody waits for it any more, with
/// all that it has started.
pub(super) async fn finish(command: Command) -> anyhow::Result<(bool, String, String)> {
    finish_with(command, "").await
}

/// [`finish`], with something on its standard input.
async fn finish_with(mut command: Command, input: &str) -> anyhow::Result<(bool, String, String)> {
    command.process_group(0);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let program = command.as_std().get_program().display().to_string();
    let mut child = child.with_context(|| program.clone())?;
    let mut group = Group(child.id());
    let (out, errors) = (child.stdout.take(), child.stderr.take());
    let stdin = child.stdin.take();
    let tell = async {
        if let Some(mut stdin) = stdin {
            // who does not listen says why in another way
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let (out, said, status, ()) = tokio::join!(end(out, MOST_TOLD_OUT), end(errors, MOST_TOLD), child.wait(), tell);
    group.0 = None;
    let (status, said) = (status.context(program)?, said.trim().to_owned());
    let said = if said.is_empty() { format!("it ended ({status})") } else { said };
    Ok((status.success(), out, said))
}

/// A child and all that it has started; dropped before it has ended, they end.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(leader) = leader {
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

/// The last `most` bytes of what is written there: whoever talks much costs no memory.
async fn end(from: Option<impl AsyncRead + Unpin>, most: usize) -> String {
    let Some(mut from) = from else { return String::new() };
    let (mut kept, mut part) = (Vec::new(), vec![0; 8 << 10]);
    while let Ok(read @ 1..) = from.read(&mut part).await {
        kept.extend_from_slice(&part[..read]);
        let over = kept.len().saturating_sub(most);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// What the gate says of the adapter of a run.
pub(super) async fn gate(
    settings: Arc<Finetune>,
    places: Places,
    run: Run,
    current: Option<PathBuf>,
    attempt: u32,
) -> anyhow::Result<Done> {
    let data = places.dataset(run.id);
    for name in ["holdout.jsonl", "anchors.jsonl"] {
        if !has_lines(&data.join(name)) {
            bail!("{name} of the dataset is empty, so nothing can be compared");
        }
    }
    let mut command = ourselves()?;
    command.arg("gate").arg("--child").arg("--model").arg(&settings.model);
    command.arg("--candidate").arg(places.adapter(run.id));
    command.arg("--failures").arg(data.join("holdout.jsonl")).arg("--anchors").arg(data.join("anchors.jsonl"));
    if let Some(current) = current {
        command.arg("--current").arg(current);
    }
    if let Some(safety) = &settings.safety {
        command.arg("--safety").arg(safety);
    }
    let gate = &settings.gate;
    for (flag, value) in [
        ("--attempt", attempt.to_string()),
        ("--alpha", gate.alpha.to_string()),
        ("--pairs", gate.pairs.to_string()),
        ("--anchor-margin", gate.anchor_margin.to_string()),
        ("--anchor-loss", gate.anchor_loss.to_string()),
    ] {
        command.args([flag, &value]);
    }
    command.args(["--format", "json"]);
    let (_, out, said) = finish(command).await?;
    match serde_json::from_str(&out) {
        Ok(report) => Ok(Done::Gated(Box::new(report))),
        Err(_) => bail!("plimsoll gate: {said}"),
    }
}

/// The engine serves a version, after some tries.
pub(super) async fn load(deployer: Deployer, version: Version, live: Option<String>) -> anyhow::Result<Done> {
    let mut tries = 0;
    loop {
        tries += 1;
        match deployer.load(&version.name, &version.adapter, live.as_deref()).await {
            Ok(served) => return Ok(Done::Loaded(served)),
            Err(why) if tries >= LOADS || !why.is_transient() => return Err(refused(&version, &why)),
            Err(_) => tokio::time::sleep(LOAD_WAIT * tries).await,
        }
    }
}

fn refused(version: &Version, why: &DeployError) -> anyhow::Error {
    anyhow::anyhow!("{} cannot be loaded: {why}", version.name)
}

/// Why a gate could not decide on a dataset, whatever is trained of it.
pub(super) fn too_small(manifest: &Manifest, gate: &Gate) -> Option<String> {
    let examples = |name: &str| manifest.files.iter().find(|file| file.name == name).map_or(0, |file| file.examples);
    let (anchors, held) = (examples("anchors.jsonl"), examples("holdout.jsonl"));
    let (least, pairs) = (gate.anchors as u64, gate.pairs);
    (anchors < least || held < pairs).then(|| {
        format!(
            "nothing was trained, for the gate could not decide: {anchors} anchors of at least {least}, {held} examples held \
             out of at least {pairs}; anchors are drawn from good answers before the new examples, or named in \
             finetune.dataset.anchors"
        )
    })
}

/// What is kept of a manifest.
pub(super) fn told(manifest: &Manifest) -> Value {
    json!({"sha256": manifest.sha256, "counts": manifest.counts})
}
