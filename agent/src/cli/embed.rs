//! `plimsoll embed`: a vector for each text.

use std::path::PathBuf;
use std::process::ExitCode;

use plimsoll_shadow_model::Embedder;
use serde::Deserialize;
use serde_json::{Value, json};

use super::jsonl::{self, Line, Lines};

/// Shown below `--help`.
pub(super) const HELP: &str = "Examples:
  echo '{\"text\": \"Where is my card?\"}' | plimsoll embed --model all-MiniLM-L6-v2
  plimsoll embed texts.jsonl --model bge-small-en --precision int8 -o vectors.jsonl

Each line of the input is an object with the key text, each line of the answer an object with the key embedding, in the
same order. The model is a Hugging Face folder; its own files say how texts are cut, pooled and normalised. Without a
model, vectors are hashed character n-grams. See docs/shadow.md";

/// Arguments of `embed`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    lines: Lines,
    /// Folder of the model; hashed n-grams without one.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Let each text begin with the prompt of this name in the folder's config_sentence_transformers.json.
    #[arg(long, value_name = "NAME", requires = "model")]
    prompt: Option<String>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

/// Embeds every line; exit code 1 when the model cannot be loaded or a line cannot be read.
pub fn main(args: &Args) -> ExitCode {
    jsonl::end(run(args), "texts embedded")
}

fn run(args: &Args) -> anyhow::Result<u64> {
    let expected = r#"an object with the key text, such as {"text": "hello"}"#;
    let options = args.lines.options();
    let embedder =
        args.model.as_ref().map_or_else(|| Ok(Embedder::hashed()), |folder| Embedder::open(folder, &options))?;
    let embedder = match &args.prompt {
        Some(name) => embedder.with_prompt(name)?,
        None => embedder,
    };
    args.lines.run(expected, |lines: &[Line<Text>]| {
        let texts: Vec<&str> = lines.iter().map(|line| line.value.text.as_str()).collect();
        let vectors = embedder.embed(&texts)?;
        Ok(vectors.into_iter().map(|vector| json!({"embedding": vector})).collect::<Vec<Value>>())
    })
}
