//! `plimsoll shadow --check`: whether a folder's model is supported, and what it needs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use plimsoll_shadow_model::{Embedder, Folder, Options, Place, Reward, Scorer, Weights};
use serde_json::{Value, json};

/// Memory that a model takes beside its weights while it reads a batch, roughly, in bytes.
const WORK: u64 = 256 << 20;

/// What a folder holds: kind of model, size, memory; `loads` says whether it was loaded on the CPU to prove it, which is
/// left out where memory is short.
///
/// # Errors
/// The model is not supported, or its files do not belong together; which file and why.
pub fn check(path: &Path) -> anyhow::Result<Value> {
    let folder = Folder::open(path)?;
    let family = folder.family()?;
    let weights = Weights::open(&folder)?;
    let task = task(&folder);
    let f32_bytes = 4 * weights.parameters();
    let mut found = json!({
        "supported": true,
        "model_type": folder.config().text("model_type")?,
        "task": task,
        "decoder": family.is_decoder(),
        "parameters": weights.parameters(),
        "weights_bytes": weights.bytes(),
        "memory_bytes": {
            "f32": f32_bytes + WORK,
            "bf16": f32_bytes / 2 + WORK,
            "int8": f32_bytes / 4 + WORK,
        },
        "max_tokens": folder.config().optional_count("max_position_embeddings")?,
        "dimensions": folder.config().count("hidden_size")?,
    });
    if f32_bytes + WORK > available() {
        found["loads"] = json!(format!("not tried: {} bytes of memory are free here", available()));
        return Ok(found);
    }
    let window = load(path, task).with_context(|| format!("{}: as a model that {task}s", path.display()))?;
    found["max_tokens"] = json!(window);
    found["loads"] = json!(true);
    Ok(found)
}

/// What a model is for, by its architecture and by the files of sentence-transformers.
fn task(folder: &Folder) -> &'static str {
    let architectures = folder.config().get("architectures").and_then(Value::as_array);
    let is = |end: &str| {
        architectures.is_some_and(|all| all.iter().any(|name| name.as_str().is_some_and(|name| name.ends_with(end))))
    };
    match folder.family() {
        _ if is("ForSequenceClassification") => "reward",
        Ok(family) if family.is_decoder() && !folder.path().join("modules.json").exists() => "score",
        _ => "embed",
    }
}

/// Loads it, and gives how many tokens it reads.
fn load(path: &Path, task: &str) -> anyhow::Result<usize> {
    let options = Options { place: Place::Cpu, ..Options::default() };
    Ok(match task {
        "reward" => Reward::open(path, &options)?.window(),
        "score" => Scorer::open(path, &options)?.window(),
        _ => Embedder::open(path, &options)?.max_tokens(),
    })
}

fn available() -> u64 {
    let Ok(mut system) = sysinfo::System::new() else { return 0 };
    system.refresh_memory();
    system.available_memory()
}

/// The same for people.
pub fn words(found: &Value) -> String {
    let mut out = String::new();
    let size = |bytes: &Value| format!("{:.2} GiB", bytes.as_f64().unwrap_or(0.0) / (1 << 30) as f64);
    let mut say = |what: &str, value: String| {
        let _ = writeln!(out, "{what:<16} {value}");
    };
    say("supported", "yes".to_owned());
    for (what, key) in [("model type", "model_type"), ("task", "task")] {
        say(what, found[key].as_str().unwrap_or("").to_owned());
    }
    for (what, key) in [("parameters", "parameters"), ("dimensions", "dimensions"), ("max tokens", "max_tokens")] {
        say(what, found[key].to_string());
    }
    say("weights", size(&found["weights_bytes"]));
    for precision in ["f32", "bf16", "int8"] {
        say(&format!("memory, {precision}"), size(&found["memory_bytes"][precision]));
    }
    let loads = &found["loads"];
    say("loaded", loads.as_str().map_or_else(|| "yes, on the CPU".to_owned(), ToOwned::to_owned));
    out
}
