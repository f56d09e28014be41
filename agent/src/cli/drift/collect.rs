//! Both files side by side: which columns they share, of what kind, and their values.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{anyhow, bail};

use super::column::Column;
use super::kind::{HEAD, Kept, Kind, infer};
use super::read::{self, Table};

/// A column that both files have.
pub(super) struct Pair {
    pub(super) kind: Kind,
    pub(super) reference: Column,
    pub(super) current: Column,
}

/// What was read.
pub(super) struct Collected {
    pub(super) pairs: Vec<Pair>,
    /// Rows of the reference and of the current file.
    pub(super) rows: [u64; 2],
    /// Columns that are not compared, and why.
    pub(super) skipped: Vec<(String, String)>,
}

/// The first rows of a file, and the file at the row after them.
pub(super) struct Opened {
    pub(super) table: Box<dyn Table>,
    /// Row by row, each as long as its last cell; with the row's place.
    pub(super) head: Vec<(Vec<Kept>, String)>,
}

impl Opened {
    pub(super) fn new(path: &Path, rows: usize) -> anyhow::Result<Self> {
        let mut table = read::open(path)?;
        let mut head = Vec::new();
        while head.len() < rows {
            let mut row = Vec::new();
            let more = table.next(&mut |column, cell| {
                if row.len() <= column {
                    row.resize(column + 1, Kept::Missing);
                }
                row[column] = Kept::of(cell);
                Ok(())
            })?;
            if !more {
                break;
            }
            head.push((row, table.place()));
        }
        if head.is_empty() {
            bail!("{}: there is no row", path.display());
        }
        Ok(Self { table, head })
    }

    pub(super) fn cells(&self, column: usize) -> impl Iterator<Item = &Kept> + Clone {
        self.head.iter().map(move |(row, _)| row.get(column).unwrap_or(&Kept::Missing))
    }

    /// With the place of each row.
    pub(super) fn placed(&self, column: usize) -> impl Iterator<Item = (&Kept, &str)> + Clone {
        self.cells(column).zip(self.head.iter().map(|(_, place)| place.as_str()))
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.table.names().iter().position(|other| other == name)
    }
}

/// Reads both files; `told` are the kinds of `--columns`.
pub(super) fn collect(paths: [&Path; 2], told: &BTreeMap<String, Kind>) -> anyhow::Result<Collected> {
    let (reference, current) = (Opened::new(paths[0], HEAD)?, Opened::new(paths[1], HEAD)?);
    if let Some(name) = told.keys().find(|name| reference.position(name).or(current.position(name)).is_none()) {
        bail!("--columns {name}: neither file has such a column; they have {}", reference.table.names().join(", "));
    }
    let mut skipped: Vec<(String, String)> = reference.table.unusable().to_vec();
    let known = |(name, _): &&(String, String)| {
        reference.position(name).is_none() && !reference.table.unusable().iter().any(|(other, _)| other == name)
    };
    skipped.extend(current.table.unusable().iter().filter(known).cloned());
    let mut plan = Vec::new();
    for (at, name) in reference.table.names().iter().enumerate() {
        let Some(other) = current.position(name) else {
            skipped.push((name.clone(), format!("{} does not have it", paths[1].display())));
            continue;
        };
        let typed_time = reference.table.times().contains(&at) || current.table.times().contains(&other);
        let (kind, why) = match told.get(name) {
            Some(kind) => (*kind, Some("--columns says so")),
            None if typed_time => (Kind::Skip, Some("times always differ")),
            None => infer(name, reference.cells(at).chain(current.cells(other))),
        };
        match kind {
            Kind::Skip => skipped.push((name.clone(), why.unwrap_or_default().to_owned())),
            _ => plan.push((name.clone(), kind)),
        }
    }
    for name in current.table.names().iter().filter(|name| reference.position(name).is_none()) {
        skipped.push((name.clone(), format!("{} does not have it", paths[0].display())));
    }
    if plan.is_empty() {
        let why: Vec<String> = skipped.iter().map(|(name, why)| format!("{name} ({why})")).collect();
        let other = |name: &String| (name.contains(';') || name.contains('\t')) && !name.contains(',');
        let both = [&reference, &current];
        let tip = if both.iter().any(|opened| opened.table.names().len() == 1 && opened.table.names().iter().any(other))
        {
            "; cells are separated by commas, and a first line here has other signs"
        } else {
            ""
        };
        bail!("there is no column to compare: {}{tip}", why.join(", "));
    }
    let read = |opened, side| read_all(opened, &plan, side);
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| read(current, 1));
        (read(reference, 0), other.join().unwrap_or_else(|_| Err(anyhow!("reading ended early"))))
    });
    let ((references, rows), (currents, more)) = (first?, second?);
    let kinds = plan.iter().map(|(_, kind)| *kind);
    let pairs = kinds.zip(references.into_iter().zip(currents));
    let pairs = pairs.map(|(kind, (reference, current))| Pair { kind, reference, current }).collect();
    Ok(Collected { pairs, rows: [rows, more], skipped })
}

/// The planned columns of one file, and its rows.
fn read_all(mut opened: Opened, plan: &[(String, Kind)], side: u64) -> anyhow::Result<(Vec<Column>, u64)> {
    let seed = |at: usize| 2 * at as u64 + side;
    let mut columns: Vec<Column> =
        plan.iter().enumerate().map(|(at, (name, kind))| Column::new(name.clone(), *kind, seed(at))).collect();
    // which planned column each column of the file is
    let mut target: Vec<Option<usize>> = Vec::new();
    for name in opened.table.names() {
        target.push(plan.iter().position(|(planned, _)| planned == name));
    }
    let mut rows = 0;
    for (row, place) in &opened.head {
        rows += 1;
        for (cell, at) in row.iter().zip(&target) {
            if let Some(at) = at {
                columns[*at].push(cell.cell()).map_err(|why| anyhow!("{place}: {why}"))?;
                columns[*at].odd.stands_at(place);
            }
        }
    }
    opened.head = Vec::new();
    loop {
        let (mut failed, mut odd) = (None, false);
        let more = opened.table.next(&mut |column, cell| {
            let Some(Some(at)) = target.get(column) else { return Ok(()) };
            let column = &mut columns[*at];
            let before = column.odd.count;
            if let Err(why) = column.push(cell) {
                failed.get_or_insert(why);
            }
            odd |= column.odd.count > before;
            Ok(())
        })?;
        if let Some(why) = failed {
            return Err(anyhow!("{}: {why}", opened.table.place()));
        }
        if odd {
            let place = opened.table.place();
            columns.iter_mut().for_each(|column| _ = column.odd.stands_at(&place));
        }
        if !more {
            columns.iter().try_for_each(|column| column.odd.check(&column.name, column.count))?;
            return Ok((columns, rows));
        }
        rows += 1;
    }
}
