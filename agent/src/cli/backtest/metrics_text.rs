//! OpenMetrics text (or text format 0.0.4) whose samples carry timestamps, as `promtool tsdb dump-openmetrics` writes it.
//!
//! Such text is ordered by series, so it is sorted by time in memory, compressed.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use plimsoll_exporters::parse;
use plimsoll_rules::{Append, Labels};

use super::replay::{Replay, Tape};
use super::ticks::from_number;

/// Reads the whole file into `replay`.
pub(super) fn feed(path: &Path, replay: &mut Replay) -> anyhow::Result<()> {
    read(path)?.play(replay, 0.0, 1.0);
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Tape> {
    let file = path.display().to_string();
    let opened = File::open(path).with_context(|| format!("{file} cannot be read"))?;
    let mut tape = Tape::new();
    for (number, line) in BufReader::new(opened).lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        let line = line.with_context(|| format!("{place}: not UTF-8 text"))?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let sample = parse::sample(line).ok_or_else(|| {
            anyhow!("{place}: {:?} is no sample; write one like up{{job=\"a\"}} 1 1785837600", cut(line))
        })?;
        let at = sample.time.and_then(from_number).ok_or_else(|| {
            anyhow!(
                "{place}: this sample of {} has no timestamp; without times nothing can be played back",
                sample.name
            )
        })?;
        let pairs = sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = Labels::metric(&sample.name, pairs);
        match tape.push(&labels, at, sample.value) {
            Append::Stored => {}
            Append::OutOfOrder => {
                bail!(
                    "{place}: {labels} has a later sample, or one of this time, further up; order each series by time"
                )
            }
            Append::TooManySeries => bail!("{place}: more than a million series"),
        }
    }
    Ok(tape)
}

fn cut(line: &str) -> String {
    line.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn samples_need_their_time() {
        for (text, expected) in [
            ("# TYPE a gauge\na 1 10\na 2 20.5\nb{c=\"d\"} 3 1785837600000\n# EOF\n", Ok(())),
            ("a 1 10 # {trace_id=\"x\"} 1\n", Ok(())),
            ("a 1\n", Err("FILE:1: this sample of a has no timestamp")),
            ("a 1 # {trace_id=\"x\"} 1\n", Err("FILE:1: this sample of a has no timestamp")),
            ("a 1 10\n\na 2 10\n", Err("FILE:3: a{} has a later sample, or one of this time")),
            ("a 1 10\n%\n", Err("FILE:2: \"%\" is no sample; write one like")),
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let said = read(file.path()).map(|_| ()).map_err(|why| format!("{why:#}"));
            match expected {
                Ok(()) => said.unwrap(),
                Err(start) => {
                    let said = said.unwrap_err().replace(&file.path().display().to_string(), "FILE");
                    assert!(said.starts_with(start), "{said}");
                }
            }
        }
    }
}
