//! `plimsoll detect`: the anomaly score of one series in a CSV file, row by row, never looking ahead.

mod input;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use plimsoll_rules::anomaly::{AnomalyOptions, AnomalyScorer};

use super::complain;
use input::{Columns, Input, Row};

/// Shown below `--help`.
pub(super) const HELP: &str = "Examples:
  plimsoll detect cpu.csv -o scored.csv
  zcat latency.csv.gz | plimsoll detect - --time-column ts --value-column p99 | awk -F, '$4 == 1'

The answer has the columns timestamp, value, anomaly_score and label: one row for each row, a score from 0 to 1, and label
1 where the score is at the threshold or above. A cell that is no number keeps its row, with score 0. The first hundred
rows are learned before anything is judged. See docs/detect.md";

/// Arguments of `detect`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// CSV file, plain or gzip; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write; `-` is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Head of the column of times, if it is not timestamp, time, ts, date or datetime. Times are seconds or milliseconds
    /// since 1970, 2026-08-04T10:00:00Z or 2026-08-04 10:00:00 (UTC).
    #[arg(long, value_name = "NAME")]
    time_column: Option<String>,
    /// Head of the column to judge, if it is not value.
    #[arg(long, value_name = "NAME")]
    value_column: Option<String>,
    /// Score from which a row is labelled 1.
    #[arg(long, value_name = "0..1", default_value_t = AnomalyOptions::THRESHOLD, value_parser = share)]
    threshold: f64,
}

fn share(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    parsed.ok_or_else(|| format!("{text:?} is no threshold; write a number from 0 to 1, such as 0.9"))
}

/// Scores the file; exit code 1 when it cannot be read as a series.
pub fn main(args: &Args) -> ExitCode {
    let outcome = refuse_overwriting(args).and_then(|()| {
        let columns = Columns { time: args.time_column.clone(), value: args.value_column.clone() };
        let input = Input::open(&args.file, &columns)?;
        let name = args.output.display();
        if args.output == Path::new("-") {
            return score(input, args.threshold, &mut BufWriter::new(std::io::stdout().lock()));
        }
        let file = File::create(&args.output).with_context(|| format!("{name} cannot be written"))?;
        score(input, args.threshold, &mut BufWriter::new(file)).with_context(|| format!("{name} is not complete"))
    });
    match outcome {
        Ok(summary) => {
            complain(&summary);
            ExitCode::SUCCESS
        }
        Err(why) if went_away(&why) => ExitCode::FAILURE,
        Err(why) => {
            complain(&format!("plimsoll: {why:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A reader that has gone away (`| head`) is no error to speak of.
fn went_away(why: &anyhow::Error) -> bool {
    let pipe = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    why.downcast_ref().is_some_and(pipe)
}

fn refuse_overwriting(args: &Args) -> anyhow::Result<()> {
    if let (Ok(from), Ok(to)) = (args.file.canonicalize(), args.output.canonicalize())
        && from == to
    {
        bail!("{} is the file to read; write the answer to another", args.output.display());
    }
    Ok(())
}

/// Writes one row for each row of `input`; the answer is a line for people.
fn score(mut input: Input, threshold: f64, out: &mut impl Write) -> anyhow::Result<String> {
    let mut scorer = AnomalyScorer::new(AnomalyOptions { threshold });
    let (mut rows, mut alarms) = (0_u64, 0_u64);
    let mut missing: Option<(u64, usize)> = None;
    let (mut last, mut backwards) = (None, None::<(u64, usize)>);
    writeln!(out, "timestamp,value,anomaly_score,label")?;
    while let Some(Row { line, at, time, value, number }) = input.next()? {
        rows += 1;
        if number.is_none() {
            let (count, first) = missing.unwrap_or((0, line));
            missing = Some((count + 1, first));
        }
        if last.is_some_and(|last| last > at) {
            let (count, first) = backwards.unwrap_or((0, line));
            backwards = Some((count + 1, first));
        }
        last = Some(at);
        let score = scorer.score(at, number.unwrap_or(f64::NAN));
        alarms += u64::from(score.alarm);
        writeln!(out, "{},{},{},{}", quoted(&time), quoted(&value), score.anomaly, u8::from(score.alarm))?;
    }
    out.flush()?;
    let mut said = format!("{rows} rows, {alarms} alarms at {threshold} or above");
    if let Some((count, first)) = missing {
        let place = input.place(first);
        said += &format!("; {count} rows have no number as their value, the first is {place}");
    }
    if let Some((count, first)) = backwards {
        let place = input.place(first);
        said += &format!(
            "; times are not sorted: {count} rows are older than the row before them, the first is {place}; sort the file by time"
        );
    }
    Ok(said)
}

/// A cell as CSV writes it.
fn quoted(cell: &str) -> std::borrow::Cow<'_, str> {
    if cell.contains([',', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")).into() } else { cell.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(text: &str, columns: &Columns) -> Result<(String, String), String> {
        let mut out = Vec::new();
        let input = Input::new("FILE".into(), std::io::Cursor::new(text.to_owned()), columns);
        let said = input.and_then(|input| score(input, 0.95, &mut out)).map_err(|why| format!("{why:#}"))?;
        Ok((String::from_utf8(out).unwrap(), said))
    }

    #[test]
    fn every_row_keeps_its_place() {
        let text =
            "timestamp,value\n2026-01-01 00:00:00,1\n\n1767225660,\n1767225720000,NaN\n2026-01-01T00:03:00Z,\"a,b\"\n";
        let (out, said) = scored(text, &Columns::default()).unwrap();
        let expected = "timestamp,value,anomaly_score,label\n2026-01-01 00:00:00,1,0,0\n1767225660,,0,0\n\
            1767225720000,NaN,0,0\n2026-01-01T00:03:00Z,\"a,b\",0,0\n";
        assert_eq!(out, expected);
        let why = "4 rows, 0 alarms at 0.95 or above; 3 rows have no number as their value, the first is FILE:4";
        assert_eq!(said, why);
    }

    #[test]
    fn times_that_go_back_are_said() {
        let (_, said) = scored("ts,value\n10,1\n20,1\n15,1\n16,1\n12,1\n", &Columns::default()).unwrap();
        let why = "times are not sorted: 2 rows are older than the row before them, the first is FILE:4; sort the file by time";
        assert!(said.ends_with(why), "{said}");
    }

    #[test]
    fn a_spike_is_labelled() {
        let row = |n: u32| format!("{},{}\n", n * 60, if n == 1500 { 90 } else { n % 5 });
        let text: String = std::iter::once("ts,value\n".to_owned()).chain((0..1600).map(row)).collect();
        let (out, said) = scored(&text, &Columns::default()).unwrap();
        let alarms: Vec<&str> = out.lines().skip(1).filter(|row| row.ends_with(",1")).collect();
        assert!(alarms.len() == 1 && alarms[0].starts_with("90000,90,0.9"), "{alarms:?}");
        assert_eq!(said, "1600 rows, 1 alarms at 0.95 or above");
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in "(\\PC|[,\"\n]){0,80}") {
            let _ = scored(&text, &Columns::default());
        }
    }
}
