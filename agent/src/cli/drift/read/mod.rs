//! Tables from files: CSV, JSONL (both also compressed with gzip) and Parquet, one row after the other.

mod csv;
mod jsonl;
mod parquet;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;

/// Longest line, or quoted cell over several lines, that is read.
const LONGEST: usize = 16 << 20;
/// Most columns.
const MOST_COLUMNS: usize = 4_096;

/// One value of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli) enum Cell<'a> {
    /// An empty cell, a null, or a key that the row lacks.
    Missing,
    /// A number of a typed format.
    Number(f64),
    /// Text; in CSV everything is.
    Text(&'a str),
}

/// Takes a column's number and its value.
pub(in crate::cli) type Each<'f> = dyn FnMut(usize, Cell<'_>) -> anyhow::Result<()> + 'f;

/// A file that is read row by row.
pub(in crate::cli) trait Table: Send {
    /// The columns; more may appear while a JSONL file is read.
    fn names(&self) -> &[String];

    /// Columns that hold times, by their type.
    fn times(&self) -> &[usize] {
        &[]
    }

    /// Columns that cannot be compared, with the reason.
    fn unusable(&self) -> &[(String, String)] {
        &[]
    }

    /// Gives each cell of the next row to `each`, columns that are not given are missing; `false` at the end.
    fn next(&mut self, each: &mut Each<'_>) -> anyhow::Result<bool>;

    /// Where the last row stands: `FILE:LINE`, or `FILE: row N` where a format has no lines.
    fn place(&self) -> String;
}

/// Opens a table; its format is that of its name, or else of its first bytes.
pub(in crate::cli) fn open(path: &Path) -> anyhow::Result<Box<dyn Table>> {
    let file = path.display().to_string();
    let opened = File::open(path).with_context(|| format!("{file} cannot be read"))?;
    let mut head = BufReader::with_capacity(1 << 16, opened);
    let first = head.fill_buf().with_context(|| format!("{file} cannot be read"))?;
    if first.is_empty() {
        bail!("{file} is empty; a first line with the names of the columns, or a line of JSON, is wanted");
    }
    if first.starts_with(b"PAR1") {
        return Ok(Box::new(parquet::Parquet::open(path, file)?));
    }
    let packed = first.starts_with(&[0x1f, 0x8b]);
    let mut text: Box<dyn BufRead + Send> =
        if packed { Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(head))) } else { Box::new(head) };
    let name = file.to_ascii_lowercase();
    let name = name.trim_end_matches(".gz");
    let first = text.fill_buf().with_context(|| format!("{file} cannot be unpacked"))?;
    let first = first.iter().find(|byte| !byte.is_ascii_whitespace()).copied();
    let lines = [".jsonl", ".ndjson", ".json"].iter().any(|end| name.ends_with(end));
    if lines || (first == Some(b'{') && !name.ends_with(".csv")) {
        if first == Some(b'[') {
            bail!("{file}:1: one JSON array; write one object a line (JSONL)");
        }
        return Ok(Box::new(jsonl::Jsonl::open(text, file)));
    }
    if name.ends_with(".parquet") {
        bail!("{file} is no Parquet file: it does not begin with PAR1");
    }
    Ok(Box::new(csv::Csv::open(text, file)?))
}

/// Reads one line into `line`, without its end; `false` at the end of the file.
fn read_line(text: &mut impl BufRead, line: &mut Vec<u8>, place: impl Fn() -> String) -> anyhow::Result<bool> {
    let before = line.len();
    let most = (LONGEST - before.min(LONGEST)) as u64 + 1;
    let read =
        text.by_ref().take(most).read_until(b'\n', line).with_context(|| format!("{} cannot be read", place()))?;
    if read == 0 {
        return Ok(false);
    }
    if line.len() > LONGEST {
        bail!("{}: longer than {} MiB", place(), LONGEST >> 20);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// All rows as text, or what is wrong, with `FILE` for the file's name.
    fn rows(name: &str, bytes: &[u8]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        File::create(&path).unwrap().write_all(bytes).unwrap();
        let read = || -> anyhow::Result<Vec<String>> {
            let (mut table, mut all) = (open(&path)?, Vec::new());
            loop {
                let mut row = Vec::new();
                let more = table.next(&mut |column, cell| {
                    row.push((column, format!("{cell:?}")));
                    Ok(())
                })?;
                if !more {
                    return Ok(all);
                }
                let names = table.names();
                let cells: Vec<String> =
                    row.iter().map(|(column, cell)| format!("{}={cell}", names[*column])).collect();
                all.push(format!("{} {}", table.place().rsplit(':').next().unwrap(), cells.join(" ")));
            }
        };
        read().map_err(|why| format!("{why:#}").replace(&path.display().to_string(), "FILE"))
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut pack = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        pack.write_all(bytes).unwrap();
        pack.finish().unwrap()
    }

    #[test]
    fn every_text_format_is_read() {
        let csv = "\u{feff}a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n\r\n,2\n";
        let expected =
            vec!["2 a=Text(\"1\") b=Text(\"x, \\\"y\\\"\\nz\")".to_owned(), "5 a=Missing b=Text(\"2\")".into()];
        assert_eq!(rows("t.csv", csv.as_bytes()), Ok(expected.clone()));
        assert_eq!(rows("t.csv.gz", &packed(csv.as_bytes())), Ok(expected));
        let jsonl = "{\"a\": 1, \"b\": \"x\"}\n\n{\"b\": null, \"c\": true, \"a\": -2.5e3}\n";
        let expected = vec![
            "1 a=Number(1.0) b=Text(\"x\")".to_owned(),
            "3 b=Missing c=Text(\"true\") a=Number(-2500.0)".to_owned(),
        ];
        assert_eq!(rows("t.jsonl", jsonl.as_bytes()), Ok(expected.clone()));
        assert_eq!(rows("unnamed", &packed(jsonl.as_bytes())), Ok(expected));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (name, text, expected) in [
            ("t.csv", "", "FILE is empty"),
            ("t.csv", "a,b\n1,2\n1\n", "FILE:3: 1 cell where the first line has 2"),
            ("t.csv", "a,b\n1,\"2\n", "FILE:2: a quote is not closed"),
            ("t.csv", "a,b\n1,\"x\"y\n", "FILE:2: \"y\" stands behind a closing quote"),
            ("t.csv", "a,a\n1,2\n", "FILE:1: two columns are called \"a\""),
            ("t.csv", "a,\n1,2\n", "FILE:1: column 2 has no name"),
            ("t.jsonl", "{\"a\": 1}\n{\"a\": }\n", "FILE:2: column 7: "),
            ("t.jsonl", "{\"a\": 1}\n5\n", "FILE:2: 5 where an object is wanted"),
            ("t.jsonl", "{\"a\": {\"b\": 1}}\n", "FILE:1: key \"a\" holds an object; one value is wanted"),
            ("t.json", "[1]", "FILE:1: one JSON array; write one object a line"),
            ("t.parquet", "nothing", "FILE is no Parquet file"),
            ("t.parquet", "PAR1nothing", "FILE: "),
        ] {
            let said = rows(name, text.as_bytes()).unwrap_err();
            assert!(said.starts_with(expected), "{text:?}: {said}");
        }
        let said = rows("t.csv", b"a,b\n1,\xff\n").unwrap_err();
        assert!(said.starts_with("FILE:2: not UTF-8 text"), "{said}");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80), name in "t[.](csv|jsonl)") {
            let _ = rows(&name, &bytes);
        }

        #[test]
        fn no_text_breaks_it(text in "(\\PC|[,\"\n]){0,80}") {
            let _ = rows("t.csv", text.as_bytes());
        }
    }
}
