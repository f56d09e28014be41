//! CSV (RFC 4180): a head with names, cells that may be quoted and then hold commas, quotes and ends of lines.

use std::collections::HashSet;
use std::io::BufRead;

use anyhow::{anyhow, bail};

use super::{Cell, Each, MOST_COLUMNS, Table, read_line};
use crate::cli::csv_cells::{cells, is_open};

/// A CSV file, read record by record.
pub(super) struct Csv {
    text: Box<dyn BufRead + Send>,
    file: String,
    names: Vec<String>,
    /// Line of the record that was read last, and of the end of it.
    line: usize,
    until: usize,
    record: Vec<u8>,
    unquoted: String,
}

impl Csv {
    pub(super) fn open(text: Box<dyn BufRead + Send>, file: String) -> anyhow::Result<Self> {
        let mut csv =
            Self { text, file, names: Vec::new(), line: 0, until: 0, record: Vec::new(), unquoted: String::new() };
        if !csv.read_record()? {
            bail!("{} is empty; a first line with the names of the columns is wanted", csv.file);
        }
        let mut names = Vec::new();
        let head = std::str::from_utf8(&csv.record)
            .map_err(|_| anyhow!("{}:1: not UTF-8 text; save the file as UTF-8", csv.file))?;
        let head = head.trim_start_matches('\u{feff}');
        let counted = cells(head, &mut csv.unquoted, &mut |_, cell| {
            names.push(cell.trim().to_owned());
            Ok(())
        });
        counted.map_err(|why| anyhow!("{}:1: {why}", csv.file))?;
        if names.len() > MOST_COLUMNS {
            bail!("{}:1: {} columns; at most {MOST_COLUMNS} are compared", csv.file, names.len());
        }
        let mut seen = HashSet::new();
        for (at, name) in names.iter().enumerate() {
            if name.is_empty() {
                bail!("{}:1: column {} has no name", csv.file, at + 1);
            }
            if !seen.insert(name) {
                bail!("{}:1: two columns are called {name:?}", csv.file);
            }
        }
        csv.names = names;
        Ok(csv)
    }

    /// One record, over several lines where a quote is open; `false` at the end.
    fn read_record(&mut self) -> anyhow::Result<bool> {
        loop {
            self.record.clear();
            self.line = self.until + 1;
            let (file, line) = (&self.file, self.line);
            if !read_line(&mut self.text, &mut self.record, || format!("{file}:{line}"))? {
                return Ok(false);
            }
            self.until = self.line;
            let mut open = memchr::memchr(b'"', &self.record).is_some() && is_open(&self.record);
            while open {
                let from = self.record.len();
                self.record.push(b'\n');
                if !read_line(&mut self.text, &mut self.record, || format!("{file}:{line}"))? {
                    bail!("{file}:{line}: a quote is not closed");
                }
                self.until += 1;
                open = memchr::memchr(b'"', &self.record[from..]).is_none() || is_open(&self.record);
            }
            if !self.record.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}

impl Table for Csv {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn next(&mut self, each: &mut Each<'_>) -> anyhow::Result<bool> {
        if !self.read_record()? {
            return Ok(false);
        }
        let place = || format!("{}:{}", self.file, self.line);
        let record = std::str::from_utf8(&self.record)
            .map_err(|_| anyhow!("{}: not UTF-8 text; save the file as UTF-8", place()))?;
        let wanted = self.names.len();
        let found = cells(record, &mut self.unquoted, &mut |column, cell| {
            let value = if cell.is_empty() { Cell::Missing } else { Cell::Text(cell) };
            if column < wanted { each(column, value) } else { Ok(()) }
        });
        let found = found.map_err(|why| anyhow!("{}: {why}", place()))?;
        if found != wanted {
            let word = if found == 1 { "cell" } else { "cells" };
            bail!("{}: {found} {word} where the first line has {wanted}", place());
        }
        Ok(true)
    }

    fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}
