//! `plimsoll shadow`: the worker, or what a model's folder needs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use plimsoll_shadow_model::serve::BatchLimits;
use reqwest::Url;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::model_args::ModelArgs;
use super::{Format, block_on, complain, print};
use crate::config::{ByteSize, LogFormat, LogLevel, Secret};
use crate::shadow::worker::{self, Listen, WorkerOptions};
use crate::shutdown::Shutdown;
use crate::telemetry;

/// Shown below `--help`.
pub(super) const HELP: &str = "Examples:
  plimsoll shadow --listen 127.0.0.1:9466 --model all-MiniLM-L6-v2
  plimsoll shadow --listen unix:/run/plimsoll/shadow.sock --model bge-small-en --scorer Qwen2.5-0.5B
  plimsoll shadow --check Qwen2.5-0.5B

`plimsoll run` with shadow.model starts one by itself; one for many pods is started by hand and named in shadow.url. It
answers POST /v1/embeddings (OpenAI's form), /v1/score, /v1/judge and /v1/reward, GET /healthz and /metrics. See
docs/shadow.md";

/// What a process takes beside its models, in bytes.
const PROCESS: u64 = 64 << 20;
/// Address space that is written to beyond what is resident: stacks, arenas.
const ROOM: u64 = 512 << 20;

/// Arguments of `shadow`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where to listen: unix:/PATH or HOST:PORT.
    #[arg(long, value_name = "PLACE", required_unless_present = "check")]
    listen: Option<Listen>,
    /// Folder of the embedding model; hashed n-grams without one.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Folder of the language model that scores and judges, or its .gguf file.
    #[arg(long, value_name = "DIR")]
    scorer: Option<PathBuf>,
    /// Folder of the reward model.
    #[arg(long, value_name = "DIR")]
    reward: Option<PathBuf>,
    /// Say whether a folder's model, or a .gguf file, is supported and what it needs, and end.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["listen", "model", "scorer", "reward"])]
    check: Option<PathBuf>,
    #[command(flatten)]
    models: ModelArgs,
    /// Memory that may be taken, weights included, such as 2GiB: on the device and by the process.
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = ByteSize::parse)]
    memory: ByteSize,
    /// Metrics of the served engine: while requests wait there, nothing is computed.
    #[arg(long, value_name = "URL")]
    engine: Option<Url>,
    /// NVML's library, where it is not where the loader looks.
    #[arg(long, value_name = "FILE")]
    nvml: Option<String>,
    /// File with the token that callers must send; needed where others than this machine can reach it.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Texts in one batch at most.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    batch: usize,
    /// Tokens in one batch at most.
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = at_least_one)]
    batch_tokens: usize,
    /// Milliseconds that a text waits for company at most.
    #[arg(long, value_name = "MS", default_value_t = 5)]
    patience: u64,
    /// Texts that may wait; more are refused.
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = at_least_one)]
    queue: usize,
    /// Memory for answers to texts that come again.
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = ByteSize::parse)]
    cache: ByteSize,
    /// How log lines look.
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogLines,
    /// How `--check` prints its answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Started by an agent: ends with it, yields to everybody, is the first to go when memory is short.
    #[arg(long, hide = true)]
    child: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogLines {
    Text,
    Json,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("{text:?} is no whole number above 0"))
}

/// Serves until SIGTERM or SIGINT; exit code 1 when it cannot.
pub fn main(args: &Args) -> ExitCode {
    if let Some(folder) = &args.check {
        return check(folder, args);
    }
    let format = match args.log_format {
        LogLines::Text => LogFormat::Text,
        LogLines::Json => LogFormat::Json,
    };
    telemetry::start(format, LogLevel::Info);
    if args.child {
        super::child::yield_to_others();
    }
    match options(args) {
        Ok(options) => block_on(serve(options)),
        Err(why) => {
            complain(&format!("plimsoll: {why:#}"));
            ExitCode::FAILURE
        }
    }
}

fn check(folder: &std::path::Path, args: &Args) -> ExitCode {
    match worker::check(folder) {
        Ok(found) => match args.format {
            Format::Json => print(&format!("{found:#}\n")),
            Format::Table => print(&worker::words(&found)),
        },
        Err(why) => {
            complain(&format!("plimsoll: not supported: {why:#}"));
            ExitCode::FAILURE
        }
    }
}

/// On the CPU, memory beyond the bound is refused by the kernel; what a GPU's driver maps is not ours to count.
fn bound_memory(memory: u64) {
    let most = Some(memory.saturating_add(ROOM));
    let _ = setrlimit(Resource::Data, Rlimit { current: most, maximum: most });
}

fn options(args: &Args) -> anyhow::Result<WorkerOptions> {
    let listen = args.listen.clone().context("--listen is missing")?;
    let token = args.token_file.as_ref().map(|path| {
        let text = std::fs::read_to_string(path).with_context(|| format!("--token-file: {}", path.display()))?;
        anyhow::ensure!(!text.trim().is_empty(), "--token-file: {} is empty", path.display());
        Ok(Secret(text.trim().to_owned()))
    });
    let token = token.transpose()?;
    if token.is_none() && !listen.is_local() {
        anyhow::bail!(
            "--listen: others can reach {listen}: say with --token-file what they must send, or listen on 127.0.0.1"
        );
    }
    let options = args.models.options(Some(args.memory.0.saturating_sub(PROCESS).saturating_sub(args.cache.0)));
    if !options.device()?.is_cuda() {
        bound_memory(args.memory.0);
    }
    Ok(WorkerOptions {
        listen,
        token,
        model: args.model.clone(),
        scorer: args.scorer.clone(),
        reward: args.reward.clone(),
        options,
        batches: BatchLimits {
            tokens: args.batch_tokens.max(1),
            texts: args.batch.max(1),
            patience: Duration::from_millis(args.patience),
        },
        queue: args.queue,
        cache: usize::try_from(args.cache.0).unwrap_or(usize::MAX),
        engine: args.engine.clone(),
        nvml: args.nvml.clone(),
    })
}

async fn serve(options: WorkerOptions) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::default();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let ending = shutdown.clone();
    shutdown.spawn("signals", async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = ending.begun() => {}
        }
        ending.begin();
    });
    worker::run(options, &shutdown).await?;
    Ok(ExitCode::SUCCESS)
}
