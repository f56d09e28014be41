//! How long scoring takes, for tests/bench/shadow/score.py.
//!
//! `score_bench FOLDER [int8]` opens a model and prints the milliseconds; for each line `BATCH PROMPT RESPONSE` of its input
//! it scores so many pairs of so many tokens and prints the seconds and the tokens read. Pairs with a response have one
//! prompt. The texts are letters, a token each in the bench's vocabulary, after the one that begins every text.
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
        let [batch, prompt, response] = numbers[..] else { return Err("a line of three numbers".into()) };
        let pair = |seed: usize| {
            let prompt = letters(prompt - 1, if response > 0 { 0 } else { seed });
            scorer.tokenize(&prompt, &letters(response, seed))
        };
        let pairs: Vec<_> = (0..batch).map(pair).collect::<Result<_, _>>()?;
        let begin = Instant::now();
        let scores = scorer.score(&pairs)?;
        let seconds = begin.elapsed().as_secs_f64();
        let read: usize = scores.iter().map(|score| score.tokens).sum();
        println!("{seconds} {read}");
    }
    Ok(())
}

fn letters(count: usize, seed: usize) -> String {
    (0..count).map(|at| char::from(b'a' + ((at * at * 7 + at + 31 * seed) % 26) as u8)).collect()
}
