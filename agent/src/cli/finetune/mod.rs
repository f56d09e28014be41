//! `plimsoll finetune`: a model learns from examples.

pub(super) mod data;
mod folder;
mod html;
mod out;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use plimsoll_shadow_model::Options;
use plimsoll_shadow_model::train::{Method, Recipe, Recompute, Schedule};

use super::Format;
use super::model_args::ModelArgs;
use crate::config::ByteSize;

/// Shown below `--help`.
pub(super) const HELP: &str = "Examples:
  plimsoll finetune --model Qwen2.5-0.5B --data train.jsonl --eval holdout.jsonl --out adapter
  plimsoll finetune --model Qwen2.5-0.5B --data new.jsonl --replay old.jsonl --from adapter --stage task --out adapter-2
  plimsoll finetune --model Qwen2.5-0.5B --data train.jsonl --out adapter --resume

Each line of the data is an object: {\"messages\": [{\"role\": \"user\", \"content\": \"...\"}, {\"role\": \"assistant\", ...}]} or
{\"prompt\": \"...\", \"response\": \"...\"}. Only answers are learnt. The folder that is written holds the adapter in PEFT's
format, training.json, progress.jsonl (a line a step, as it goes), report.html, and checkpoints to go on from after a kill.
See docs/finetune.md";

/// Arguments of `finetune`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder of the model: a Llama, Qwen2 or Qwen3 as safetensors.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Examples, as JSON lines.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Examples that are not learnt: the loss on them is told before, at every checkpoint and after.
    #[arg(long, value_name = "FILE")]
    eval: Option<PathBuf>,
    /// Old examples, mixed in so that what was learnt before is not forgotten.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// The share of the examples that is replayed.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, requires = "replay")]
    replay_share: f64,
    /// Where to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Also write the adapter as a GGUF file, for `llama-server --lora FILE`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["full", "dora"])]
    gguf: Option<PathBuf>,
    /// Go on from an adapter of the same form, such as that of the stage before.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// What this training is, such as general, domain or task; written into training.json.
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    how: How,
    /// Go on from the newest checkpoint in --out that is whole; begin where there is none.
    #[arg(long)]
    resume: bool,
    /// Say what would be trained, in how many steps and how much memory, and train nothing.
    #[arg(long)]
    dry_run: bool,
    /// Steps between checkpoints.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: u64,
    /// Memory that the training may take, such as 4GiB: layers are kept for the backward pass as far as they fit.
    #[arg(long, value_name = "SIZE", value_parser = ByteSize::parse)]
    memory: Option<ByteSize>,
    #[command(flatten)]
    place: ModelArgs,
    /// A child of the agent: the lowest priority, and ends with it.
    #[arg(long, hide = true)]
    child: bool,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is trained.
#[derive(Clone, Debug, clap::Args)]
struct What {
    /// Rank of the adapter.
    #[arg(long, value_name = "N", default_value_t = 16)]
    rank: usize,
    /// Scale of the adapter: alpha / rank.
    #[arg(long, value_name = "ALPHA", default_value_t = 32.0)]
    alpha: f64,
    /// Matrices that it changes.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"
    )]
    targets: Vec<String>,
    /// The share of an adapter's input that is dropped.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    dropout: f64,
    /// Scale by alpha / √rank.
    #[arg(long)]
    rslora: bool,
    /// Learn sizes of rows apart from their direction.
    #[arg(long)]
    dora: bool,
    /// Train every number of the model, to compare with; the folder then holds a whole model.
    #[arg(long, conflicts_with_all = ["rslora", "dora", "from"])]
    full: bool,
}

/// How it is trained.
#[derive(Clone, Debug, clap::Args)]
struct How {
    /// Learning rate.
    #[arg(long, value_name = "RATE", default_value_t = 2e-4)]
    lr: f64,
    /// How the learning rate goes on after the warm-up.
    #[arg(long, value_enum, default_value_t)]
    schedule: ScheduleName,
    /// Steps over which the learning rate rises; below 1 a share of all steps.
    #[arg(long, value_name = "STEPS", default_value_t = 0.03)]
    warmup: f64,
    /// The most that the norm of the gradient may be; 0 is no bound.
    #[arg(long, value_name = "NORM", default_value_t = 1.0)]
    clip: f64,
    /// How strongly weights are pulled to zero.
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    weight_decay: f64,
    /// How often the data is gone through.
    #[arg(long, value_name = "N", default_value_t = 1)]
    epochs: usize,
    /// So many steps, whatever --epochs says.
    #[arg(long, value_name = "N")]
    max_steps: Option<usize>,
    /// The most tokens of one pass; longer examples are cut.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    batch_tokens: usize,
    /// Passes that make one step.
    #[arg(long, value_name = "N", default_value_t = 1)]
    accumulate: usize,
    /// Compute every layer again in the backward pass: the least memory, about a third more time.
    #[arg(long)]
    recompute: bool,
    /// What order, beginning and dropped numbers follow from.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// The names of schedules.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum ScheduleName {
    /// Half a cosine to zero.
    #[default]
    Cosine,
    /// A line to zero.
    Linear,
    /// As it is.
    Constant,
}

impl Args {
    fn options(&self) -> Options {
        self.place.options(self.memory.map(|ByteSize(bytes)| bytes))
    }

    /// How it is trained.
    pub(super) fn recipe(&self) -> Recipe {
        let (what, how) = (&self.what, &self.how);
        let lora = Method::Lora {
            rank: what.rank,
            alpha: what.alpha,
            targets: what.targets.clone(),
            dropout: what.dropout,
            rslora: what.rslora,
            dora: what.dora,
        };
        Recipe {
            method: if what.full { Method::Full } else { lora },
            learning_rate: how.lr,
            schedule: match how.schedule {
                ScheduleName::Cosine => Schedule::Cosine,
                ScheduleName::Linear => Schedule::Linear,
                ScheduleName::Constant => Schedule::Constant,
            },
            warmup: how.warmup,
            clip: how.clip,
            weight_decay: how.weight_decay,
            epochs: how.epochs,
            max_steps: how.max_steps,
            batch_tokens: how.batch_tokens,
            accumulate: how.accumulate,
            replay_share: self.replay_share,
            seed: how.seed,
            recompute: if how.recompute { Recompute::Always } else { Recompute::AsNeeded },
            ..Recipe::default()
        }
    }
}

/// Trains; exit code 1 when something cannot be read or the training fails.
pub fn main(args: &Args) -> ExitCode {
    if args.child {
        super::child::yield_to_others();
    }
    run::run(args).unwrap_or_else(|why| {
        super::complain(&format!("plimsoll: {why:#}"));
        ExitCode::FAILURE
    })
}
