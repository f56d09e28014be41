//! How long scoring takes, for tests/bench/shadow/score.py.
//!
//! `score_bench FOLDER [int8]` opens a model and prints the milliseconds; for each line `BATCH TOKENS` of its input it scores
//! so many texts of so many tokens and prints the seconds. The texts are letters, a token each in the bench's vocabulary.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use plimsoll_shadow_model::{Options, Place, Precision, Scorer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("the folder of a model")?;
    let precision = arguments.get(1).map_or(Ok(Precision::F32), |name| name.parse())?;
    let begin = Instant::now();
    let scorer = Scorer::open(Path::new(folder), &Options { place: Place::Cpu, precision, ..Default::default() })?;
    println!("{}", begin.elapsed().as_millis());
    for line in std::io::stdin().lock().lines() {
        let numbers: Vec<usize> = line?.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [batch, tokens] = numbers[..] else { return Err("a line of two numbers".into()) };
        let text = |seed: usize| -> String {
            let letter = |at: usize| char::from(b'a' + ((at * at * 7 + at + 31 * seed) % 26) as u8);
            (0..tokens).map(letter).collect()
        };
        let pairs: Vec<_> = (0..batch).map(|seed| scorer.tokenize(&text(seed), "")).collect::<Result<_, _>>()?;
        let begin = Instant::now();
        let scores = scorer.score(&pairs)?;
        let seconds = begin.elapsed().as_secs_f64();
        let read: usize = scores.iter().map(|score| score.tokens).sum();
        println!("{seconds} {read}");
    }
    Ok(())
}
