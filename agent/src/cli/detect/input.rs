//! Rows of a CSV file, plain or gzip: a time and a cell that should be a number.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Read};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use flate2::read::MultiGzDecoder;
use plimsoll_rules::Timestamp;

use crate::cli::backtest::{TIME_HEADS, split, time as moment};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Heads of the columns, where they are not the usual ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) time: Option<String>,
    pub(super) value: Option<String>,
}

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) at: Timestamp,
    /// The cells as they were written.
    pub(super) time: String,
    pub(super) value: String,
    /// `None` where the cell is no finite number.
    pub(super) number: Option<f64>,
}

/// A file that is being read.
pub(super) struct Input {
    file: String,
    lines: Lines<Box<dyn BufRead>>,
    line: usize,
    cells: usize,
    time: usize,
    value: usize,
    /// A first row that is data already.
    first: Option<String>,
}

impl Input {
    /// Opens `path`, or standard input for `-`, and reads the head.
    ///
    /// # Errors
    /// The file cannot be read, is empty, or its head lacks one of the columns.
    pub(super) fn open(path: &Path, columns: &Columns) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Self::new("standard input".into(), std::io::stdin(), columns);
        }
        let file = path.display().to_string();
        let opened = File::open(path).with_context(|| format!("{file} cannot be read"))?;
        Self::new(file, opened, columns)
    }

    pub(super) fn new(file: String, source: impl Read + 'static, columns: &Columns) -> anyhow::Result<Self> {
        let mut lines = plain(source).with_context(|| format!("{file} cannot be read"))?.lines();
        let head = match lines.next() {
            Some(line) => line.with_context(|| format!("{file}:1: not UTF-8 text"))?,
            None => bail!("{file} is empty"),
        };
        let head = head.trim_start_matches('\u{feff}').to_owned();
        let cells = split(&head).map_err(|why| anyhow!("{file}:1: {why}"))?;
        let mut input = Self { file, lines, line: 1, cells: cells.len(), time: 0, value: 1, first: None };
        if columns.time.is_none() && columns.value.is_none() && cells.len() == 2 && moment(&cells[0]).is_some() {
            (input.first, input.line) = (Some(head), 0);
            return Ok(input);
        }
        input.time = input.find(&cells, columns.time.as_deref(), &TIME_HEADS, "--time-column")?;
        input.value = input.find(&cells, columns.value.as_deref(), &["value"], "--value-column")?;
        Ok(input)
    }

    /// The column that is headed `wanted`, else one of the `usual`.
    fn find(&self, cells: &[String], wanted: Option<&str>, usual: &[&str], flag: &str) -> anyhow::Result<usize> {
        let is = |cell: &String, name: &str| cell.trim().eq_ignore_ascii_case(name);
        let names = wanted.as_ref().map_or(usual, std::slice::from_ref);
        let found = cells.iter().position(|cell| names.iter().any(|name| is(cell, name)));
        found.ok_or_else(|| {
            let (file, looked, heads) = (&self.file, names.join(", "), cells.join(", "));
            anyhow!("{file}:1: no column {looked} among {heads}; name it with {flag}")
        })
    }

    /// The next row; `None` at the end. Empty lines are skipped.
    ///
    /// # Errors
    /// A line is not UTF-8, has another number of cells than the head, or its time cannot be read.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Row>> {
        let text = loop {
            let next = match self.first.take() {
                Some(first) => Some(Ok(first)),
                None => self.lines.next(),
            };
            let Some(text) = next else { return Ok(None) };
            self.line += 1;
            let text = text.with_context(|| format!("{}: not UTF-8 text", self.place(self.line)))?;
            if !text.trim().is_empty() {
                break text;
            }
        };
        let place = self.place(self.line);
        let mut cells = split(text.trim_end_matches('\r')).map_err(|why| anyhow!("{place}: {why}"))?;
        if cells.len() != self.cells {
            bail!("{place}: {} cells where the first line has {}", cells.len(), self.cells);
        }
        let at = moment(&cells[self.time]).ok_or_else(|| {
            let right = "write seconds or milliseconds since 1970, 2026-08-04T10:00:00Z, or 2026-08-04 10:00:00";
            anyhow!("{place}: column {}: {:?} is no time; {right}", self.time + 1, cells[self.time])
        })?;
        let number = cells[self.value].trim().parse().ok().filter(|number: &f64| number.is_finite());
        let value = cells[self.value].clone();
        Ok(Some(Row { line: self.line, at, time: std::mem::take(&mut cells[self.time]), value, number }))
    }

    /// `FILE:LINE`.
    pub(super) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.file)
    }
}

/// What gzip packed is unpacked, however the file is named.
fn plain(source: impl Read + 'static) -> std::io::Result<Box<dyn BufRead>> {
    let mut source = BufReader::new(source);
    if source.fill_buf()?.starts_with(&GZIP) {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(source))));
    }
    Ok(Box::new(source))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use super::*;

    fn rows(bytes: Vec<u8>, columns: &Columns) -> Result<Vec<(i64, Option<f64>)>, String> {
        let all = || -> anyhow::Result<Vec<(i64, Option<f64>)>> {
            let mut input = Input::new("FILE".into(), Cursor::new(bytes), columns)?;
            let mut seen = Vec::new();
            while let Some(row) = input.next()? {
                seen.push((row.at.millis(), row.number));
            }
            Ok(seen)
        };
        all().map_err(|why| format!("{why:#}"))
    }

    fn named(time: &str, value: &str) -> Columns {
        Columns { time: Some(time.into()), value: Some(value.into()) }
    }

    #[test]
    fn every_layout_is_read() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(b"timestamp,value\n1,2\n").unwrap();
        for (why, bytes, columns, expected) in [
            ("usual heads", b"timestamp,value\n1,2\n".to_vec(), Columns::default(), vec![(1000, Some(2.0))]),
            ("gzip", packed.finish().unwrap(), Columns::default(), vec![(1000, Some(2.0))]),
            ("no head", b"1,2\r\n2,inf\r\n".to_vec(), Columns::default(), vec![(1000, Some(2.0)), (2000, None)]),
            ("other heads", b"x,p99,when\n,3,5\n".to_vec(), named("When", "p99"), vec![(5000, Some(3.0))]),
            ("quotes", b"\"TimeStamp\",\"Value\"\n\"1\",\"0\"\n".to_vec(), Columns::default(), vec![(1000, Some(0.0))]),
        ] {
            assert_eq!(rows(bytes, &columns), Ok(expected), "{why}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, columns, expected) in [
            ("", Columns::default(), "FILE is empty"),
            (
                "a,b\n",
                Columns::default(),
                "FILE:1: no column timestamp, time, ts, date, datetime among a, b; name it with",
            ),
            ("time,b\n", Columns::default(), "FILE:1: no column value among time, b; name it with --value-column"),
            ("a,b\n", named("a", "c"), "FILE:1: no column c among a, b; name it with --value-column"),
            ("time,value\n1,2\n1,2,3\n", Columns::default(), "FILE:3: 3 cells where the first line has 2"),
            ("time,value\nsoon,2\n", Columns::default(), "FILE:2: column 1: \"soon\" is no time; write seconds"),
            ("time,value\n1,\"2\n", Columns::default(), "FILE:2: a quote is not closed"),
        ] {
            let said = rows(text.into(), &columns).unwrap_err();
            assert!(said.starts_with(expected), "{text:?}: {said}");
        }
    }
}
