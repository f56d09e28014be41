//! `plimsoll judge`: which of two answers a language model finds better, asked both ways round.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use plimsoll_shadow_model::{Judge, Scorer};
use serde::Deserialize;
use serde_json::{Value, json};

use super::jsonl::{self, Line, Lines};

/// Shown below `--help`.
pub(super) const HELP: &str = "Example:
  echo '{\"question\": \"Capital of France?\", \"a\": \"Paris\", \"b\": \"Rome\"}' | plimsoll judge --model Qwen2.5-1.5B-Instruct

Each line of the input is an object with the keys question, a and b. Each line of the answer has the verdict (a, b or tie),
the probabilities that the model gives each, averaged over both orders, how far they differ between the orders
(position_gap), and whether the verdict flips with the order. See docs/shadow.md";

/// Arguments of `judge`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    lines: Lines,
    /// Folder of the model.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
}

#[derive(Deserialize)]
struct Contest {
    question: String,
    a: String,
    b: String,
}

/// Judges every line; exit code 1 when the model cannot be loaded or a line cannot be read.
pub fn main(args: &Args) -> ExitCode {
    jsonl::end(run(args), "pairs judged")
}

fn run(args: &Args) -> anyhow::Result<u64> {
    let scorer = Scorer::open(&args.model, &args.lines.options())?;
    let judge = Judge::new(Arc::new(scorer))?;
    let expected = r#"an object with question, a and b, such as {"question": "2 + 2?", "a": "4", "b": "5"}"#;
    args.lines.run(expected, |lines: &[Line<Contest>]| {
        let comparison = |line: &Line<Contest>| {
            let Contest { question, a, b } = &line.value;
            judge.tokenize(question, a, b).with_context(|| line.place.clone())
        };
        let comparisons = lines.iter().map(comparison).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(judge.judge(&comparisons)?.iter().map(|judgement| json!(judgement)).collect::<Vec<Value>>())
    })
}
