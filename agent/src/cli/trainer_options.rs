//! Whether `plimsoll finetune` would take what `finetune.trainer.options` says: asked when a configuration is read, weeks before
//! a run of the loop begins.

use clap::{Args as _, Command, FromArgMatches as _};

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
    let args = finetune::Args::from_arg_matches(&matches).map_err(|why| why.to_string())?;
    args.recipe().check().map_err(|why| why.to_string())
}
