//! `plimsoll score`: how surprising prompts and answers are to a language model.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use plimsoll_shadow_model::{Nll, Options, Score, Scorer};
use serde::Deserialize;
use serde_json::{Value, json};

use super::jsonl::{self, Line, Lines};

/// Shown below `--help`.
pub(super) const HELP: &str = "Example:
  echo '{\"prompt\": \"2 + 2 =\", \"response\": \" 4\"}' | plimsoll score --model Qwen2.5-0.5B

Each line of the input is an object with the keys prompt and response (either may be missing). Each line of the answer has
prompt_nll and response_nll, negative log-likelihoods in nats over all their tokens (the answer's given the prompt), the
same per token, and the numbers of tokens. What does not exist is left out: the first token is predicted by nothing. The
model is the Hugging Face folder of a Llama, Qwen2 or Qwen3. See docs/shadow.md";

/// Arguments of `score`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    lines: Lines,
    /// Folder of the model.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Folder of a LoRA adapter in PEFT's format, such as `plimsoll finetune` writes; merged into the weights.
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Also write the negative log-likelihood of each token.
    #[arg(long)]
    per_token: bool,
}

#[derive(Deserialize)]
struct Exchange {
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    response: String,
}

/// Scores every line; exit code 1 when the model cannot be loaded or a line cannot be read.
pub fn main(args: &Args) -> ExitCode {
    jsonl::end(run(args), "pairs scored")
}

fn run(args: &Args) -> anyhow::Result<u64> {
    let options = Options { adapter: args.adapter.clone(), ..args.lines.options() };
    let scorer = Scorer::open(&args.model, &options)?;
    let expected = r#"an object with prompt and response, such as {"prompt": "2 + 2 =", "response": " 4"}"#;
    args.lines.run(expected, |lines: &[Line<Exchange>]| {
        let pair = |line: &Line<Exchange>| {
            scorer.tokenize(&line.value.prompt, &line.value.response).with_context(|| line.place.clone())
        };
        let pairs = lines.iter().map(pair).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(scorer.score(&pairs)?.iter().map(|score| shown(score, args.per_token)).collect())
    })
}

fn shown(score: &Score, per_token: bool) -> Value {
    let mut all = json!({"tokens": score.tokens});
    if score.truncated {
        all["truncated"] = json!(true);
    }
    let mut say = |name: &str, nll: Option<&Nll>| {
        let Some(nll) = nll else { return };
        all[format!("{name}_nll")] = json!(nll.total);
        all[format!("{name}_nll_per_token")] = json!(nll.mean());
        all[format!("{name}_tokens")] = json!(nll.tokens);
        if per_token {
            all[format!("{name}_token_nlls")] = json!(nll.per_token);
        }
    };
    say("prompt", score.prompt.as_ref());
    say("response", score.response.as_ref());
    all
}
