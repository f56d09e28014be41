//! `plimsoll drift watch`: a file as a stream. The first rows are the baseline; each alarm of the rest is one JSON object.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::bail;
use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::reference_margin;
use plimsoll_rules::mask::Masker;
use serde_json::{Value, json};

use super::collect::Opened;
use super::column::finite;
use super::kind::{Kept, Kind, infer};
use super::signal::Signal;
use super::{complain, masker, named_kind};

pub(super) const HELP: &str = "Example:
  plimsoll drift watch requests.jsonl --reference-rows 2000 --arl 10000

Prints {row, signal, evidence, direction, effect, explanation} for each alarm, and a summary at the end. Rows count from 1.";

/// Fewest and most rows of the baseline.
const REFERENCE: std::ops::RangeInclusive<usize> = 64..=100_000;

/// Arguments of `drift watch`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What is replayed, in the order of its rows: CSV, JSONL (both also with gzip) or Parquet.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Rows at the start that say what is usual.
    #[arg(long, value_name = "N", value_parser = reference_rows)]
    reference_rows: usize,
    /// Mean number of rows between two false alarms, over all columns together.
    #[arg(long, value_name = "ROWS", value_parser = run_length)]
    arl: f64,
    /// What columns are, where that is not what the first rows say: NAME=numeric, categorical, text or skip.
    #[arg(long, value_name = "NAME=KIND", value_delimiter = ',', value_parser = named_kind)]
    columns: Vec<(String, Kind)>,
}

fn reference_rows(text: &str) -> Result<usize, String> {
    let found = text.parse().ok().filter(|rows| REFERENCE.contains(rows));
    found.ok_or_else(|| {
        format!("{text:?}: a number of rows from {} to {} is wanted", REFERENCE.start(), REFERENCE.end())
    })
}

fn run_length(text: &str) -> Result<f64, String> {
    let found = text.parse().ok().filter(|rows: &f64| (100.0..=1e9).contains(rows));
    found.ok_or_else(|| format!("{text:?}: a number of rows from 100 to 1e9 is wanted"))
}

/// A watched column: its place in the file, its detector and the run length that its detector was set to.
struct Watched {
    column: usize,
    signal: Signal,
    arl: f64,
}

/// Replays the file; `true` when there was an alarm.
pub(super) fn run(args: &Args) -> anyhow::Result<bool> {
    let masker = masker()?;
    let mut opened = Opened::new(&args.file, args.reference_rows)?;
    let file = args.file.display();
    if opened.head.len() < args.reference_rows {
        let rows = opened.head.len();
        bail!("{file} has {rows} rows; --reference-rows {} leaves none to watch", args.reference_rows);
    }
    let (plan, mut skipped) = plan(&opened, &args.columns.iter().cloned().collect())?;
    let mut watched = learn(&opened, &plan, args.arl, &masker, &mut skipped);
    if watched.is_empty() {
        let why: Vec<String> = skipped.iter().map(|(name, why)| format!("{name} ({why})")).collect();
        bail!("{file}: there is no column to watch: {}", why.join(", "));
    }
    opened.head = Vec::new();
    let (rows, alarms) = replay(&mut opened, &mut watched, args, &masker)?;
    if rows == args.reference_rows as u64 {
        bail!("{file} has {rows} rows; --reference-rows {} leaves none to watch", args.reference_rows);
    }
    let signals: Vec<Value> = watched
        .iter()
        .map(|one| {
            let Signal { name, kind, seen, alarms, odd, .. } = &one.signal;
            let mut said =
                json!({"signal": name, "kind": kind.word(), "observations": seen, "arl": one.arl, "alarms": alarms});
            if let Some(odd) = odd.value() {
                said["not_numbers"] = odd;
            }
            said
        })
        .collect();
    let skipped: Vec<Value> = skipped.iter().map(|(name, why)| json!({"name": name, "reason": why})).collect();
    say(&json!({"summary": {
        "rows": rows, "reference_rows": args.reference_rows, "arl": args.arl, "alarms": alarms,
        "signals": signals, "skipped": skipped,
    }}))?;
    Ok(alarms > 0)
}

type Skipped = Vec<(String, String)>;

/// Which columns are watched as what, and which are not.
fn plan(opened: &Opened, told: &BTreeMap<String, Kind>) -> anyhow::Result<(Vec<(usize, Kind)>, Skipped)> {
    let names = opened.table.names();
    if let Some(name) = told.keys().find(|name| opened.position(name).is_none()) {
        bail!("--columns {name}: there is no such column; there are {}", names.join(", "));
    }
    let mut skipped: Skipped = opened.table.unusable().to_vec();
    let mut plan = Vec::new();
    for (column, name) in names.iter().enumerate() {
        let (kind, why) = match told.get(name) {
            Some(kind) => (*kind, Some("--columns says so")),
            None if opened.table.times().contains(&column) => (Kind::Skip, Some("times always differ")),
            None => infer(name, opened.cells(column)),
        };
        match kind {
            Kind::Skip => skipped.push((name.clone(), why.unwrap_or_default().to_owned())),
            kind => plan.push((column, kind)),
        }
    }
    Ok((plan, skipped))
}

/// A detector a column. Each may give a false alarm in `arl` times as many rows as there are columns: their rates add up to
/// one in `arl`, so no other alarm may be counted beside theirs. A column with gaps gets observations, not rows.
fn learn(opened: &Opened, plan: &[(usize, Kind)], arl: f64, masker: &Masker, skipped: &mut Skipped) -> Vec<Watched> {
    let mut watched = Vec::new();
    let rows = opened.head.len() as f64;
    let share = |columns: usize, present: f64| {
        let margin = reference_margin(columns, (present * rows) as u64);
        (arl * columns as f64 * present * margin).clamp(100.0, 1e9)
    };
    for (column, kind) in plan {
        let name = &opened.table.names()[*column];
        let cells: Vec<(&Kept, &str)> = opened.placed(*column).filter(|(cell, _)| **cell != Kept::Missing).collect();
        let there = |(cell, _): &&(&Kept, &str)| *kind != Kind::Numeric || matches!(finite(cell.cell()), Ok(Some(_)));
        let present = cells.iter().filter(there).count() as f64 / rows;
        match Signal::learn(name, *kind, &cells, share(plan.len(), present), masker) {
            Ok(signal) => {
                if let Some(said) = signal.odd.said(name) {
                    complain(&format!("plimsoll: {said}"));
                }
                watched.push((*column, signal, present));
            }
            Err(why) => skipped.push((name.clone(), why.to_string())),
        }
    }
    let columns = watched.len();
    let set = |(column, mut signal, present): (usize, Signal, f64)| {
        let arl = share(columns, present);
        // what could not be learned leaves its share to the others
        signal.set_arl(arl);
        Watched { column, signal, arl }
    };
    watched.into_iter().map(set).collect()
}

/// Rows of the file and alarms.
fn replay(opened: &mut Opened, watched: &mut [Watched], args: &Args, masker: &Masker) -> anyhow::Result<(u64, u64)> {
    let columns = watched.iter().map(|one| one.column).max().unwrap_or(0) + 1;
    let mut target: Vec<Option<usize>> = vec![None; columns];
    watched.iter().enumerate().for_each(|(at, one)| target[one.column] = Some(at));
    let (mut row, mut alarms) = (args.reference_rows as u64, 0);
    loop {
        // one row is one second of the detectors' clock
        let now = Timestamp::from_millis((row as i64 + 1) * 1000);
        let (mut odd, mut raised) = (false, Vec::new());
        let more = opened.table.next(&mut |column, cell| {
            let Some(Some(at)) = target.get(column) else { return Ok(()) };
            let signal = &mut watched[*at].signal;
            let before = signal.odd.count;
            if signal.observe(now, cell, masker) {
                raised.push(*at);
            }
            odd |= signal.odd.count > before;
            Ok(())
        })?;
        if odd {
            let place = opened.table.place();
            for one in &mut *watched {
                let said = one.signal.check(&place)?;
                said.into_iter().for_each(|said| complain(&format!("plimsoll: {said}")));
            }
        }
        if !more {
            return Ok((row, alarms));
        }
        row += 1;
        for at in raised {
            alarms += 1;
            watched[at].signal.alarms += 1;
            say(&watched[at].signal.alarm(row, masker))?;
        }
    }
}

/// One object a line; a reader that has gone away ends the verb.
fn say(object: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{object}")?;
    out.flush()?;
    Ok(())
}
