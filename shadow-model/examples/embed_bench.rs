//! Embeds lines, or measures how fast: `cargo run --release -p plimsoll-shadow-model --example embed_bench -- MODE DIR ...`
//!
//! `vectors DIR [PRECISION]` reads `{"text"}` lines and writes vectors as little-endian f32 to stdout, for parity with
//! sentence-transformers. `speed DIR PRECISION SECONDS BATCH TOKENS` prints sentences per second. Threads: `RAYON_NUM_THREADS`. `tests/bench/shadow/embed.py` calls both.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use plimsoll_shadow_model::{Embedder, Options, Place, Tokens};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["vectors", folder] => vectors(&open(folder, "f32")?),
        ["vectors", folder, precision] => vectors(&open(folder, precision)?),
        ["speed", folder, precision, seconds, batch, tokens] => {
            speed(&open(folder, precision)?, seconds.parse()?, batch.parse()?, tokens.parse()?)
        }
        _ => Err("usage: embed_bench vectors DIR [PRECISION] | speed DIR PRECISION SECONDS BATCH TOKENS".into()),
    }
}

fn open(folder: &str, precision: &str) -> Outcome<Embedder> {
    let options = Options { place: Place::Cpu, precision: precision.parse()?, ..Options::default() };
    Ok(Embedder::open(Path::new(folder), &options)?)
}

fn vectors(embedder: &Embedder) -> Outcome {
    let mut lines = String::new();
    std::io::stdin().read_to_string(&mut lines)?;
    let mut texts = Vec::new();
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        texts.push(line["text"].as_str().ok_or("a line without a text")?.to_owned());
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let numbers = embedder.embed(&texts)?.into_iter().flatten().flat_map(f32::to_le_bytes).collect::<Vec<_>>();
    Ok(std::io::stdout().write_all(&numbers)?)
}

/// Sentences per second in the best of the runs, and per second of processor time over all, which what else the machine
/// does changes little.
fn speed(embedder: &Embedder, seconds: f64, batch: u32, tokens: u32) -> Outcome {
    let texts: Vec<Tokens> = (0..batch).map(|text| sentence(text, tokens)).collect();
    embedder.embed_tokens(&texts)?;
    let (begin, used, mut best, mut runs) = (Instant::now(), processor_seconds()?, Duration::MAX, 0);
    while begin.elapsed().as_secs_f64() < seconds || runs == 0 {
        let start = Instant::now();
        embedder.embed_tokens(&texts)?;
        best = best.min(start.elapsed());
        runs += 1;
    }
    let all = f64::from(batch * runs) / (processor_seconds()? - used);
    println!("{:.2} {all:.2}", f64::from(batch) / best.as_secs_f64());
    Ok(())
}

/// Of all threads, by Linux' own count.
fn processor_seconds() -> Outcome<f64> {
    let mut nanoseconds = 0.0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanoseconds += text.split(' ').next().unwrap_or("0").parse::<f64>()?;
    }
    Ok(nanoseconds / 1e9)
}

fn sentence(text: u32, tokens: u32) -> Tokens {
    let middle = (2..tokens).map(|place| 1000 + (text * 7919 + place * 104_729) % 29_000);
    [101].into_iter().chain(middle).chain([102]).collect()
}
