//! CSV to samples.
//!
//! With a column `value` every row is one sample: `timestamp`, `value`, the metric's name in `metric` (or `--metric`),
//! every other column a label. Without one, every other column is a series, its head the name: `cpu` or `cpu{core="0"}`.
//! A file of two columns needs no head. Rows in the order of time are streamed; others are sorted in memory: compressed
//! where each series is in the order of time, else as they are, up to ten million samples.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use plimsoll_exporters::parse;
use plimsoll_rules::{Append, Labels, METRIC_NAME, Timestamp};

use super::replay::{Replay, Tape};
use super::ticks::moment;
use crate::cli::csv_cells::{cells, is_open};

/// Samples of a file whose series are not in the order of time, at most: 32 bytes each while they are sorted.
const SORTED_MOST: usize = 10_000_000;

pub(in crate::cli) const TIME_HEADS: [&str; 5] = ["timestamp", "time", "ts", "date", "datetime"];

/// Reads the whole file into `replay`.
pub(super) fn feed(path: &Path, metric: Option<&str>, replay: &mut Replay) -> anyhow::Result<()> {
    let in_order = is_in_order(path, metric)?;
    if in_order {
        let mut rows = Rows::open(path, metric)?;
        let mut play = |labels: &Labels, at, value, done| {
            replay.push(labels, at, value, done);
            Append::Stored
        };
        while rows.next(&mut play)?.is_some() {}
        return Ok(());
    }
    by_series(path, metric)?.map_or_else(|| sorted(path, metric), Ok)?.play(replay, 0.0, 1.0);
    Ok(())
}

/// The whole file where each series is in the order of time; `None` where one is not.
fn by_series(path: &Path, metric: Option<&str>) -> anyhow::Result<Option<Tape>> {
    let (mut rows, mut tape, mut shuffled) = (Rows::open(path, metric)?, Tape::new(), false);
    let mut push = |labels: &Labels, at, value, _| match tape.push(labels, at, value) {
        Append::OutOfOrder => {
            shuffled = true;
            Append::Stored
        }
        pushed => pushed,
    };
    while rows.next(&mut push)?.is_some() {}
    Ok((!shuffled).then_some(tape))
}

/// The whole file, sorted by time.
fn sorted(path: &Path, metric: Option<&str>) -> anyhow::Result<Tape> {
    let mut rows = Rows::open(path, metric)?;
    let (mut numbers, mut series) = (HashMap::<Labels, usize>::new(), Vec::<Labels>::new());
    let mut samples: Vec<(Timestamp, usize, usize, f64)> = Vec::new();
    loop {
        let before = samples.len();
        let more = rows.next(&mut |labels, at, value, _| {
            let number = numbers.get(labels).copied().unwrap_or_else(|| {
                series.push(labels.clone());
                numbers.insert(labels.clone(), series.len() - 1);
                series.len() - 1
            });
            samples.push((at, 0, number, value));
            Append::Stored
        })?;
        samples[before..].iter_mut().for_each(|sample| sample.1 = rows.line);
        if samples.len() > SORTED_MOST {
            let file = &rows.file;
            bail!("{file}: more than {SORTED_MOST} samples of series out of order; sort the file by time first");
        }
        if more.is_none() {
            break;
        }
    }
    samples.sort_by_key(|(at, line, ..)| (*at, *line));
    let mut tape = Tape::new();
    for (at, line, number, value) in samples {
        if tape.push(&series[number], at, value) != Append::Stored {
            bail!("{}:{line}: {} has a sample of this time further up", rows.file, series[number]);
        }
    }
    Ok(tape)
}

/// Whether times never go back; every cell is checked on the way.
fn is_in_order(path: &Path, metric: Option<&str>) -> anyhow::Result<bool> {
    let (mut rows, mut last, mut in_order) = (Rows::open(path, metric)?, None, true);
    let mut see = |_: &Labels, at: Timestamp, _: f64, _: f64| {
        in_order &= last.is_none_or(|last| last <= at);
        last = Some(at);
        Append::Stored
    };
    while rows.next(&mut see)?.is_some() {}
    Ok(in_order)
}

/// What the columns mean.
enum Shape {
    /// Column of the value, of the name, and the labels' columns with their names.
    Long { value: usize, name: Option<usize>, labels: Vec<(usize, String)> },
    /// Each column that is a series.
    Wide(Vec<(usize, Labels)>),
}

struct Rows {
    file: String,
    lines: std::io::Lines<BufReader<File>>,
    bytes: u64,
    read: u64,
    line: usize,
    time: usize,
    shape: Shape,
    metric: Option<String>,
    columns: usize,
    /// A first row that is data already.
    first: Option<String>,
    known: HashMap<String, Labels>,
}

/// Takes labels, time, value and the share of the file that was read.
type Each<'f> = dyn FnMut(&Labels, Timestamp, f64, f64) -> Append + 'f;

impl Rows {
    fn open(path: &Path, metric: Option<&str>) -> anyhow::Result<Self> {
        let file = path.display().to_string();
        let opened = File::open(path).with_context(|| format!("{file} cannot be read"))?;
        let bytes = opened.metadata().map_or(0, |meta| meta.len()).max(1);
        let mut lines = BufReader::new(opened).lines();
        let head = match lines.next() {
            Some(line) => line.with_context(|| format!("{file}:1: not UTF-8 text"))?,
            None => bail!("{file} is empty"),
        };
        let head = head.trim_start_matches('\u{feff}').to_owned();
        let cells = split(&head).map_err(|why| anyhow!("{file}:1: {why}"))?;
        let mut rows = Self {
            file,
            lines,
            bytes,
            read: head.len() as u64 + 1,
            line: 1,
            time: 0,
            shape: Shape::Long { value: 1, name: None, labels: Vec::new() },
            metric: metric.map(str::to_owned),
            columns: cells.len(),
            first: None,
            known: HashMap::new(),
        };
        if cells.len() == 2 && moment(&cells[0]).is_some() {
            rows.first = Some(head);
            rows.line = 0;
        } else {
            rows.read_head(&cells)?;
        }
        if matches!(rows.shape, Shape::Long { name: None, .. }) && metric.is_none() {
            bail!("{}: its metric has no name; give --metric NAME, or a column \"metric\"", rows.file);
        }
        Ok(rows)
    }

    fn read_head(&mut self, cells: &[String]) -> anyhow::Result<()> {
        let is = |cell: &String, name: &str| cell.trim().eq_ignore_ascii_case(name);
        let find = |names: &[&str]| cells.iter().position(|cell| names.iter().any(|name| is(cell, name)));
        self.time = find(&TIME_HEADS).ok_or_else(|| {
            let found = cells.join(", ");
            anyhow!("{}:1: no column of times among {found}; name one \"timestamp\"", self.file)
        })?;
        let others = |taken: &[usize]| {
            let left = cells.iter().enumerate().filter(|(at, cell)| !taken.contains(at) && !cell.trim().is_empty());
            left.map(|(at, cell)| (at, cell.trim().to_owned())).collect::<Vec<_>>()
        };
        if let Some(value) = find(&["value"]) {
            let name = find(&["metric", METRIC_NAME]);
            let taken = [self.time, value, name.unwrap_or(value)];
            self.shape = Shape::Long { value, name, labels: others(&taken) };
            return Ok(());
        }
        let series = others(&[self.time]).into_iter().map(|(at, text)| {
            let line = parse::sample(&format!("{text} 0")).ok_or_else(|| {
                let right =
                    "write a series such as cpu_utilization_ratio or cpu{core=\"0\"}, or have a column \"value\"";
                anyhow!("{}:1: column {} is headed {text:?}, which is no series; {right}", self.file, at + 1)
            })?;
            let pairs = line.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            Ok((at, Labels::metric(&line.name, pairs)))
        });
        let series = series.collect::<anyhow::Result<Vec<_>>>()?;
        if series.is_empty() {
            bail!("{}:1: there is no column beside the times; add one \"value\", or one a series", self.file);
        }
        if self.metric.is_some() {
            bail!("{}: --metric names the column \"value\", but every column here is a series of its own", self.file);
        }
        self.shape = Shape::Wide(series);
        Ok(())
    }

    /// Gives the samples of the next row to `each`; `None` at the end, else the share that was read.
    fn next(&mut self, each: &mut Each<'_>) -> anyhow::Result<Option<f64>> {
        let text = match self.first.take() {
            Some(first) => first,
            None => match self.lines.next() {
                None => return Ok(None),
                Some(text) => {
                    let text = text.with_context(|| format!("{}:{}: not UTF-8 text", self.file, self.line + 1))?;
                    self.read += text.len() as u64 + 1;
                    text
                }
            },
        };
        self.line += 1;
        let done = (self.read as f64 / self.bytes as f64).min(1.0);
        if text.trim().is_empty() {
            return Ok(Some(done));
        }
        let place = format!("{}:{}", self.file, self.line);
        let cells = split(&text).map_err(|why| anyhow!("{place}: {why}"))?;
        if cells.len() != self.columns {
            bail!("{place}: {} cells where the first line has {}", cells.len(), self.columns);
        }
        let at = moment(&cells[self.time]).ok_or_else(|| {
            let right = "write seconds or milliseconds since 1970, 2026-08-04T10:00:00Z, or 2026-08-04 10:00:00";
            anyhow!("{place}: column {}: {:?} is no time; {right}", self.time + 1, cells[self.time])
        })?;
        let mut give = |labels: &Labels, value: f64| match each(labels, at, value, done) {
            Append::Stored => Ok(()),
            Append::OutOfOrder => Err(anyhow!("{place}: {labels} has a later sample, or one of this time, further up")),
            Append::TooManySeries => Err(anyhow!("{place}: more than a million series")),
        };
        match &self.shape {
            Shape::Wide(series) => {
                for (column, labels) in series {
                    if let Some(value) = number(&cells[*column], &place, *column)? {
                        give(labels, value)?;
                    }
                }
            }
            Shape::Long { value, name, labels } => {
                let Some(value) = number(&cells[*value], &place, *value)? else { return Ok(Some(done)) };
                let name = name.map_or(self.metric.as_deref().unwrap_or(""), |column| &cells[column]);
                if name.is_empty() {
                    bail!("{place}: the metric has no name");
                }
                let mut key = name.to_owned();
                for (column, _) in labels {
                    key.push('\n');
                    key.push_str(&cells[*column]);
                }
                let series = self.known.entry(key).or_insert_with(|| {
                    Labels::metric(name, labels.iter().map(|(column, label)| (label.as_str(), cells[*column].as_str())))
                });
                give(series, value)?;
            }
        }
        Ok(Some(done))
    }
}

/// An empty cell is no sample.
fn number(cell: &str, place: &str, column: usize) -> anyhow::Result<Option<f64>> {
    let cell = cell.trim();
    if cell.is_empty() {
        return Ok(None);
    }
    let parsed = cell.parse().map(Some);
    parsed.map_err(|_| {
        anyhow!("{place}: column {}: {cell:?} is no number; leave it empty where there is none", column + 1)
    })
}

/// Cells of one line; quoted ones may hold commas and doubled quotes.
///
/// # Errors
/// A quote that is not closed, or text behind one that is.
pub(in crate::cli) fn split(line: &str) -> anyhow::Result<Vec<String>> {
    let line = line.trim_end_matches('\r');
    let mut found = Vec::new();
    let mut keep = |_: usize, cell: &str| {
        found.push(cell.to_owned());
        Ok(())
    };
    if is_open(line.as_bytes()) {
        bail!("a quote is not closed");
    }
    cells(line, &mut String::new(), &mut keep)?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Every sample of a file of `text`, as text; or what is wrong with it, without the file's name.
    fn read(text: &str, metric: Option<&str>) -> Result<Vec<String>, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut seen = Vec::new();
        let all = || -> anyhow::Result<Vec<String>> {
            let mut rows = Rows::open(file.path(), metric)?;
            while rows
                .next(&mut |labels, at, value, _| {
                    seen.push(format!("{labels} {} {value}", at.millis()));
                    Append::Stored
                })?
                .is_some()
            {}
            Ok(seen)
        };
        all().map_err(|why| format!("{why:#}").replace(&file.path().display().to_string(), "FILE"))
    }

    #[test]
    fn every_layout_is_read() {
        for (why, text, metric, expected) in [
            ("no head", "1,2\n2,3\n", Some("x"), vec!["x{} 1000 2", "x{} 2000 3"]),
            ("time and value", "timestamp,value\n2014-04-10 07:15:00,0.5\n", Some("x"), vec!["x{} 1397114100000 0.5"]),
            ("labels", "value,Time,host\r\n1,5,a\r\n\r\n,6,a\r\n", Some("x"), vec!["x{host=\"a\"} 5000 1"]),
            ("names", "ts,metric,value\n1,x,NaN\n2,y,-Inf\n", None, vec!["x{} 1000 NaN", "y{} 2000 -inf"]),
            (
                "wide",
                "time,x,\"y{a=\"\"1\"\",b=\"\"2\"\"}\"\n1,2,3\n2,,4\n",
                None,
                vec!["x{} 1000 2", "y{a=\"1\", b=\"2\"} 1000 3", "y{a=\"1\", b=\"2\"} 2000 4"],
            ),
        ] {
            assert_eq!(read(text, metric), Ok(expected.into_iter().map(str::to_owned).collect()), "{why}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, metric, expected) in [
            ("", None, "FILE is empty"),
            ("a,b\n1,2\n", None, "FILE:1: no column of times among a, b; name one \"timestamp\""),
            ("time,value\n1,2\n", None, "FILE: its metric has no name; give --metric NAME, or a column \"metric\""),
            ("time,CPU %\n1,2\n", None, "FILE:1: column 2 is headed \"CPU %\", which is no series; write a series"),
            ("time,x\n1,2\n1,2,3\n", None, "FILE:3: 3 cells where the first line has 2"),
            ("time,x\nsoon,2\n", None, "FILE:2: column 1: \"soon\" is no time; write seconds"),
            ("time,x\n1,two\n", None, "FILE:2: column 2: \"two\" is no number; leave it empty"),
            ("time,x\n1,\"2\n", None, "FILE:2: a quote is not closed"),
            ("time,x\n1,\"2\"3\n", None, "FILE:2: \"3\" stands behind a closing quote"),
            ("time\n1\n", None, "FILE:1: there is no column beside the times"),
            ("time,x\n1,2\n", Some("y"), "FILE: --metric names the column"),
        ] {
            let said = read(text, metric).unwrap_err();
            assert!(said.starts_with(expected), "{text:?}: {said}");
        }
    }

    #[test]
    fn shuffled_rows_are_sorted_and_two_samples_of_one_time_refused() {
        let tape = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let by_series = by_series(file.path(), Some("x")).unwrap().is_some();
            let shown = |why: anyhow::Error| format!("{why:#}").replace(&file.path().display().to_string(), "FILE");
            let all = |tape: Tape| tape.samples().map(|(l, at, v)| format!("{l} {} {v}", at.millis())).collect();
            (by_series, sorted(file.path(), Some("x")).map(all).map_err(shown))
        };
        let good = |all: &[&str]| Ok::<Vec<String>, String>(all.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(tape("3,30\n1,10\n2,20\n"), (false, good(&["x{} 1000 10", "x{} 2000 20", "x{} 3000 30"])));
        let two = tape("time,value,host\n1,1,a\n2,2,a\n1,3,b\n");
        let expected = [r#"x{host="a"} 1000 1"#, r#"x{host="b"} 1000 3"#, r#"x{host="a"} 2000 2"#];
        assert_eq!(two, (true, good(&expected)));
        let twice = tape("time,value\n2,1\n1,2\n2,3\n");
        assert_eq!(twice, (false, Err("FILE:4: x{} has a sample of this time further up".to_owned())));
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in "(\\PC|[,\"\n]){0,80}") {
            let _ = read(&text, Some("x"));
        }
    }
}
