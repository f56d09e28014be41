//! Whether `plimsoll finetune` would take what `finetune.trainer.options` says: asked when a configuration is read, weeks before
//! a run of the loop begins.

use clap::{ArgMatches, Args as _, Command};
use plimsoll_shadow_model::train::{Method, Recipe};

use super::finetune;

/// What the loop gives before and after them.
const BEFORE: [&str; 13] = [
    "--child",
    "--model",
    "model",
    "--data",
    "train.jsonl",
    "--out",
    "adapter",
    "--eval",
    "holdout.jsonl",
    "--replay",
    "replay.jsonl",
    "--from",
    "parent",
];
const AFTER: [&str; 3] = ["--resume", "--format", "json"];

/// Reads them as that verb would, and checks the recipe that they make.
///
/// # Errors
/// What is wrong with them, in one line.
pub(crate) fn check(options: &[String]) -> Result<(), String> {
    let words = BEFORE.into_iter().chain(options.iter().map(String::as_str)).chain(AFTER);
    let verb = Command::new("finetune").no_binary_name(true).disable_help_flag(true);
    let matches = finetune::Args::augment_args(verb).try_get_matches_from(words).map_err(|why| {
        let told = why.to_string();
        let line = told.lines().next().unwrap_or_default();
        line.trim_start_matches("error: ").to_owned()
    })?;
    recipe(&matches).check().map_err(|why| why.to_string())
}

fn recipe(of: &ArgMatches) -> Recipe {
    let number = |name: &str| of.get_one::<f64>(name).copied().unwrap_or_default();
    let count = |name: &str| of.get_one::<usize>(name).copied().unwrap_or_default();
    Recipe {
        method: Method::Lora {
            rank: count("rank"),
            alpha: number("alpha"),
            targets: of.get_many("targets").into_iter().flatten().cloned().collect(),
            dropout: number("dropout"),
            rslora: of.get_flag("rslora"),
            dora: of.get_flag("dora"),
        },
        learning_rate: number("lr"),
        warmup: number("warmup"),
        clip: number("clip"),
        weight_decay: number("weight_decay"),
        epochs: count("epochs"),
        max_steps: of.get_one("max_steps").copied(),
        batch_tokens: count("batch_tokens"),
        accumulate: count("accumulate"),
        ..Recipe::default()
    }
}
