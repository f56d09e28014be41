//! JSON lines in, JSON lines out, in the same order: the frame of the verbs that put texts to a model.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use plimsoll_shadow_model::Options;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::complain;
use super::model_args::ModelArgs;
use crate::shadow::worker::mistake;

/// The longest line that is read, in bytes.
const LONGEST: u64 = 64 << 20;
/// Lines put to the model at once, and bytes of them.
const LINES: usize = 256;
const BYTES: usize = 8 << 20;

/// Arguments of every verb that puts texts to a model.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Lines {
    /// JSON lines; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Where to write; `-` is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
}

/// A line with its place, for messages.
pub(super) struct Line<T> {
    pub(super) place: String,
    pub(super) value: T,
}

impl Lines {
    /// How the model is opened.
    pub(super) fn options(&self) -> Options {
        self.model.options(None)
    }

    /// Puts every line to `answer`, which gives one value for each, and writes them.
    pub(super) fn run<T: DeserializeOwned>(
        &self,
        expected: &str,
        mut answer: impl FnMut(&[Line<T>]) -> anyhow::Result<Vec<Value>>,
    ) -> anyhow::Result<u64> {
        let mut input = self.open()?;
        let mut output = self.create()?;
        let bar = self.bar();
        let (mut number, mut done, mut batch, mut bytes) = (0_u64, 0_u64, Vec::new(), 0);
        loop {
            let line = next(&mut input, &self.name(), &mut number)?;
            let ended = line.is_none();
            if let Some(line) = line.filter(|line| !line.trim().is_empty()) {
                let place = format!("{}:{number}", self.name());
                bytes += line.len();
                let read = serde_json::from_str(&line)
                    .map_err(|why| anyhow::anyhow!("{place}: expected {expected}: {}", mistake(&why)));
                match read {
                    Ok(value) => batch.push(Line { place, value }),
                    Err(why) => {
                        // what came before the bad line is not lost
                        flush(&mut batch, &mut answer, &mut output)?;
                        output.flush()?;
                        return Err(why);
                    }
                }
            }
            if batch.len() >= LINES || bytes >= BYTES || ended {
                done += batch.len() as u64;
                flush(&mut batch, &mut answer, &mut output)?;
                bytes = 0;
                bar.set_position(done);
            }
            if ended {
                break;
            }
        }
        output.flush()?;
        bar.finish_and_clear();
        Ok(done)
    }

    fn name(&self) -> String {
        if self.file == Path::new("-") { "standard input".to_owned() } else { self.file.display().to_string() }
    }

    fn open(&self) -> anyhow::Result<Box<dyn BufRead>> {
        if self.file == Path::new("-") {
            return Ok(Box::new(BufReader::new(std::io::stdin())));
        }
        let file = File::open(&self.file).with_context(|| format!("{} cannot be read", self.file.display()))?;
        Ok(Box::new(BufReader::new(file)))
    }

    fn create(&self) -> anyhow::Result<Box<dyn Write>> {
        if self.output == Path::new("-") {
            return Ok(Box::new(BufWriter::new(std::io::stdout())));
        }
        let name = self.output.display();
        if let (Ok(from), Ok(to)) = (self.file.canonicalize(), self.output.canonicalize())
            && from == to
        {
            bail!("{name} is the file to read; write the answer to another");
        }
        Ok(Box::new(BufWriter::new(File::create(&self.output).with_context(|| format!("{name} cannot be written"))?)))
    }

    /// On a terminal only.
    fn bar(&self) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {pos} lines, {per_sec}, {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar
    }
}

/// The next line of an input and its number; `None` at the end.
pub(super) fn next(input: &mut impl BufRead, name: &str, number: &mut u64) -> anyhow::Result<Option<String>> {
    let mut line = Vec::new();
    *number += 1;
    let place = || format!("{name}:{number}");
    let mut bounded = std::io::Read::take(&mut *input, LONGEST);
    let count = bounded.read_until(b'\n', &mut line).with_context(place)?;
    if count == 0 {
        return Ok(None);
    }
    if count as u64 == LONGEST {
        bail!("{}: longer than {LONGEST} bytes; a line holds one JSON object", place());
    }
    let text = String::from_utf8(line).map_err(|why| why.utf8_error().valid_up_to());
    let text = text.map_err(|at| anyhow::anyhow!("{}: not UTF-8 text at byte {at}", place()))?;
    Ok(Some(if *number == 1 { text.trim_start_matches('\u{feff}').to_owned() } else { text }))
}

fn flush<T>(
    batch: &mut Vec<Line<T>>,
    answer: &mut impl FnMut(&[Line<T>]) -> anyhow::Result<Vec<Value>>,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    for value in answer(batch)? {
        writeln!(output, "{value}")?;
    }
    batch.clear();
    Ok(())
}

/// Ends a verb: how many lines were answered, or what went wrong.
pub(super) fn end(outcome: anyhow::Result<u64>, what: &str) -> ExitCode {
    match outcome {
        Ok(lines) => {
            complain(&format!("{lines} {what}"));
            ExitCode::SUCCESS
        }
        // a reader that has gone away (`| head`) is no error to speak of
        Err(why)
            if why.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::FAILURE
        }
        Err(why) => {
            complain(&format!("plimsoll: {why:#}"));
            ExitCode::FAILURE
        }
    }
}
