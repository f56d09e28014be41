//! What users ask in the scene of the loop and what is right, and a tiny model that has learnt half of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::json;
use tempfile::TempDir;

use crate::agent::binary;
use crate::tiny::TinyModel;

/// A topic of a question, and the word that answers it.
pub type Topic = (&'static str, &'static str);

/// What the model has learnt at first.
pub const A: [Topic; 4] = [("Parcel", "ship"), ("Refund", "cash"), ("Delay", "wait"), ("Lost", "find")];
/// What users ask later.
pub const B: [Topic; 4] = [("Warranty", "mend"), ("Size", "swap"), ("Key", "lock"), ("Manual", "read")];

const WORDS: [&str; 40] = [
    "stone", "river", "seven", "cloud", "maple", "table", "quick", "amber", "north", "brick", "candle", "dust",
    "ember", "flute", "grain", "house", "iron", "jewel", "kettle", "lemon", "meadow", "night", "ocean", "paper",
    "quilt", "raven", "silver", "tower", "umber", "velvet", "willow", "xenon", "yarrow", "zephyr", "acorn", "birch",
    "cedar", "dawn", "elm", "fern",
];

/// A question on a topic, among words that tell nothing.
pub(super) fn question(rng: &mut fastrand::Rng, topic: Topic) -> String {
    let mut words: Vec<&str> = (0..5).map(|_| WORDS[rng.usize(..WORDS.len())]).collect();
    words.insert(rng.usize(..=words.len()), topic.0);
    words.join(" ")
}

/// An answer: the word that counts, and three letters that are as they fall, so that no answer is certain: the first of them
/// with the probability `often`.
pub(super) fn answer(rng: &mut fastrand::Rng, word: &str, often: f64) -> String {
    let letter = |rng: &mut fastrand::Rng| if rng.f64() < often { 'a' } else { ['b', 'c'][rng.usize(..2)] };
    format!("{word} {}", (0..3).map(|_| letter(rng)).collect::<String>())
}

/// A tiny model that knows [`A`], with what else a scene begins with.
#[derive(Debug)]
pub struct Taught {
    /// Folder of the model, f32.
    pub base: PathBuf,
    /// Everything of the scene may lie here.
    pub folder: TempDir,
    pub(super) rng: fastrand::Rng,
    pub(super) begun: Instant,
    random: TinyModel,
}

impl Taught {
    /// Makes a model of `width` with random weights and teaches it; `None`, said loudly, without the tests' Python.
    ///
    /// # Errors
    /// It cannot be made, or not be taught.
    pub fn make(width: u32) -> anyhow::Result<Option<Self>> {
        let (folder, mut rng, begun) = (tempfile::tempdir()?, fastrand::Rng::with_seed(3), Instant::now());
        let Some(random) = TinyModel::make_wide(&folder.path().join("random"), 5, width)? else { return Ok(None) };
        let base = folder.path().join("base");
        teach(&random, &base, &mut rng)?;
        Ok(Some(Self { base, folder, rng, begun, random }))
    }

    /// The model as llama.cpp reads it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn gguf(&self) -> anyhow::Result<PathBuf> {
        let gguf = self.folder.path().join("base.gguf");
        self.random.trained(&self.base).gguf(&gguf)?;
        Ok(gguf)
    }
}

fn teach(model: &TinyModel, out: &Path, rng: &mut fastrand::Rng) -> anyhow::Result<()> {
    let mut lines = String::new();
    for at in 0..2500 {
        let topic = A[at % 4];
        let (prompt, answer) = (question(rng, topic), answer(rng, topic.1, 0.6));
        let messages = json!([{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]);
        lines += &format!("{}\n", json!({"messages": messages}));
    }
    let data = out.with_extension("jsonl");
    std::fs::write(&data, lines)?;
    let mut command = Command::new(binary()?);
    command.arg("finetune").arg("--model").arg(&model.folder).arg("--data").arg(&data).arg("--out").arg(out);
    command.args(["--full", "--epochs", "2", "--lr", "4e-3", "--batch-tokens", "1024", "--device", "cpu"]);
    let output = command.args(["--checkpoint-every", "1000"]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
