//! `plimsoll shadow --check`: whether a model is supported, and what it needs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use plimsoll_shadow_model::{Embedder, Needs, Options, Place, Purpose, Reward, Scorer};
use serde_json::{Value, json};

/// What a process takes that only waits, where the system does not tell, in bytes.
const PROCESS: u64 = 24 << 20;
/// Threads and buffers of a worker that answers, which this process does not start, in bytes (seen: 5 to 8 MiB).
const ANSWERING: u64 = 8 << 20;

/// What a folder or a GGUF file holds: kind of model, size, memory of a worker with it; `loads` says whether it was loaded
/// on the CPU to prove it, which is left out where memory is short.
///
/// # Errors
/// The model is not supported, or its files do not belong together; which file and why.
pub fn check(path: &Path) -> anyhow::Result<Value> {
    let needs = Needs::of(path)?;
    // this process has read the tokenizer, and no weights yet: the rest is what it will take beside them
    let process = most_resident().unwrap_or(PROCESS) + ANSWERING;
    let memory = needs.memory.iter().map(|(way, bytes)| ((*way).to_owned(), json!(bytes + process)));
    let task = name(needs.purpose);
    let mut found = json!({
        "supported": true,
        "model_type": needs.model_type,
        "task": task,
        "decoder": needs.is_decoder,
        "parameters": needs.parameters,
        "weights_bytes": needs.stored,
        "memory_bytes": memory.collect::<serde_json::Map<_, _>>(),
        "max_tokens": needs.max_tokens,
        "dimensions": needs.dimensions,
    });
    let (_, first) = needs.memory.first().context("no way to compute it")?;
    if first + process > available() {
        found["loads"] = json!(format!("not tried: {} bytes of memory are free here", available()));
        return Ok(found);
    }
    let window = load(path, needs.purpose).with_context(|| format!("{}: as a model that {task}s", path.display()))?;
    found["max_tokens"] = json!(window);
    found["loads"] = json!(true);
    Ok(found)
}

fn name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Embed => "embed",
        Purpose::Score => "score",
        Purpose::Reward => "reward",
    }
}

/// Loads it, and gives how many tokens it reads.
fn load(path: &Path, purpose: Purpose) -> anyhow::Result<usize> {
    let options = Options { place: Place::Cpu, ..Options::default() };
    Ok(match purpose {
        Purpose::Reward => Reward::open(path, &options)?.window(),
        Purpose::Score => Scorer::open(path, &options)?.window(),
        Purpose::Embed => Embedder::open(path, &options)?.max_tokens(),
    })
}

/// The most memory that this process has held so far, in bytes.
fn most_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
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
    for (way, bytes) in found["memory_bytes"].as_object().into_iter().flatten() {
        say(&format!("memory, {way}"), size(bytes));
    }
    let loads = &found["loads"];
    say("loaded", loads.as_str().map_or_else(|| "yes, on the CPU".to_owned(), ToOwned::to_owned));
    out
}
