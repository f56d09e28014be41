//! What a comparison found, ready to be shown: every column with its verdict, its sizes and its picture.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_rules::mask::Masker;
use plimsoll_rules::two_sample::column::{Comparison, counts, numbers, put_together, texts};
use plimsoll_rules::two_sample::verdict::{Floors, Verdict, judge};
use plimsoll_rules::two_sample::{Bins, Sorted, novelty};

use super::collect::{Collected, Pair};
use super::column::Values;
use super::histogram::Histogram;
use super::kind::Kind;
use super::odd::OddCells;

/// Quantiles that are shown.
pub(super) const QUANTILES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];
/// Categories shown by name.
const CATEGORIES: usize = 12;
/// Terms and groups of a text column.
const TERMS: usize = 8;
/// Examples of a group.
const EXAMPLES: usize = 3;
/// Characters of an example.
const EXAMPLE_LETTERS: usize = 220;

/// A whole report.
pub(super) struct Report {
    pub(super) columns: Vec<ColumnReport>,
    /// Names of the files.
    pub(super) files: [String; 2],
    pub(super) rows: [u64; 2],
    pub(super) skipped: Vec<(String, String)>,
    pub(super) floors: Floors,
}

impl Report {
    /// Rows below which "no drift" is not said: tests on so few find only the largest changes.
    pub(super) const FEW: u64 = 20;

    /// Whether a file has so few rows that only a drift that was found says something.
    pub(super) fn is_small(&self) -> bool {
        self.rows.iter().any(|rows| *rows < Self::FEW)
    }

    /// What is to be said of cells that were counted as missing.
    pub(super) fn odd(&self) -> impl Iterator<Item = String> {
        self.columns.iter().flat_map(|column| column.odd.iter().filter_map(|odd| odd.said(&column.name)))
    }

    pub(super) fn drift(&self) -> bool {
        self.columns.iter().any(|column| column.verdict.drift)
    }
}

/// One column.
pub(super) struct ColumnReport {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Values that are there, in the reference and in the current file.
    pub(super) count: [u64; 2],
    pub(super) missing: [u64; 2],
    /// Cells that are no numbers in a column of numbers; missing too.
    pub(super) odd: [OddCells; 2],
    pub(super) found: Comparison,
    pub(super) verdict: Verdict,
    pub(super) view: View,
}

/// What is drawn and told beside the numbers.
pub(super) enum View {
    /// There were no values on one side.
    Empty,
    /// Numbers.
    Numbers(NumbersView),
    /// Categories with their counts, most moved first; the last may be the rest.
    Categories(Vec<(String, [u64; 2])>),
    /// Terms with their shares, and groups with examples; all masked.
    Texts {
        /// Term, share in the reference, share now.
        terms: Vec<(String, f64, f64)>,
        /// New subjects.
        groups: Vec<GroupView>,
    },
}

/// A column of numbers.
pub(super) struct NumbersView {
    pub(super) histogram: Histogram,
    /// Of [`QUANTILES`], reference and current.
    pub(super) quantiles: Vec<[f64; 2]>,
    pub(super) means: [f64; 2],
    /// PSI's bins: from, to, counts.
    pub(super) bins: Vec<(f64, f64, [u64; 2])>,
}

/// Texts of a kind that the reference lacks.
pub(super) struct GroupView {
    pub(super) terms: Vec<String>,
    pub(super) share: f64,
    /// Share of the reference texts with the first term.
    pub(super) before: f64,
    pub(super) examples: Vec<String>,
}

/// Compares every pair, on two threads, and judges them together.
pub(super) fn compare(collected: Collected, files: [String; 2], floors: Floors, masker: &Masker) -> Report {
    let rows = collected.rows;
    let work: Vec<Mutex<Option<Pair>>> = collected.pairs.into_iter().map(|pair| Mutex::new(Some(pair))).collect();
    let done: Vec<Mutex<Option<ColumnReport>>> = work.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let run = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (Some(pair), Some(slot)) = (work.get(at), done.get(at)) else { return };
            let taken = pair.lock().ok().and_then(|mut pair| pair.take());
            let found = taken.map(|pair| column(pair, rows, masker));
            if let Ok(mut slot) = slot.lock() {
                *slot = found;
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(run);
        run();
    });
    let mut columns: Vec<ColumnReport> = done.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect();
    let found: Vec<Comparison> = columns.iter().map(|column| column.found.clone()).collect();
    for (column, verdict) in columns.iter_mut().zip(judge(&found, &floors)) {
        column.verdict = verdict;
    }
    Report { columns, files, rows, skipped: collected.skipped, floors }
}

fn column(pair: Pair, rows: [u64; 2], masker: &Masker) -> ColumnReport {
    let count = [pair.reference.count, pair.current.count];
    let missing = [rows[0] - count[0].min(rows[0]), rows[1] - count[1].min(rows[1])];
    let odd = [pair.reference.odd, pair.current.odd].map(|odd| odd.masked(|found| masker.mask_to_kinds(found)));
    let name = pair.reference.name;
    let (mut found, view) = match (pair.reference.values, pair.current.values) {
        (Values::Numbers(a), Values::Numbers(b)) => of_numbers(a, b),
        (Values::Counts(a), Values::Counts(b)) => of_counts(&a, &b, masker),
        (Values::Texts(a), Values::Texts(b)) => of_texts(&a, &b, masker),
        _ => (Comparison::default(), View::Empty),
    };
    found.with_missing(missing, count);
    let verdict = Verdict { drift: false, p_adjusted: None, beyond: Vec::new() };
    ColumnReport { name, kind: pair.kind, count, missing, odd, found, verdict, view }
}

fn of_numbers(reference: Vec<f64>, current: Vec<f64>) -> (Comparison, View) {
    let (Ok(a), Ok(b)) = (Sorted::new(reference), Sorted::new(current)) else {
        return (Comparison::default(), View::Empty);
    };
    let bins = Bins::by_quantiles(&a, plimsoll_rules::two_sample::column::BINS);
    let (low, high) = (a.values()[0].min(b.values()[0]), a.values()[a.len() - 1].max(b.values()[b.len() - 1]));
    let edges: Vec<f64> =
        std::iter::once(low).chain(bins.cuts().iter().map(|cut| cut.at())).chain(std::iter::once(high)).collect();
    let shares = bins.count(&a).into_iter().zip(bins.count(&b));
    let bins = edges.windows(2).zip(shares).map(|(edge, (a, b))| (edge[0], edge[1], [a, b]));
    let view = NumbersView {
        histogram: Histogram::of(&a, &b),
        quantiles: QUANTILES.iter().map(|share| [a.quantile(*share), b.quantile(*share)]).collect(),
        means: [a.mean(), b.mean()],
        bins: bins.filter(|(_, _, counts)| *counts != [0, 0]).collect(),
    };
    (numbers(&a, &b), View::Numbers(view))
}

fn of_counts(
    reference: &HashMap<Box<str>, u64>,
    current: &HashMap<Box<str>, u64>,
    masker: &Masker,
) -> (Comparison, View) {
    if reference.is_empty() || current.is_empty() {
        return (Comparison::default(), View::Empty);
    }
    let names: BTreeSet<&str> = reference.keys().chain(current.keys()).map(AsRef::as_ref).collect();
    let of = |counts: &HashMap<Box<str>, u64>| -> Vec<u64> {
        names.iter().map(|name| counts.get(*name).copied().unwrap_or(0)).collect()
    };
    let (a, b) = (of(reference), of(current));
    let rare = put_together(&a, &b);
    let tested = |counts: &[u64]| -> Vec<u64> {
        let kept = counts.iter().zip(&rare).filter(|(_, rare)| !**rare).map(|(count, _)| *count);
        let others: u64 = counts.iter().zip(&rare).filter(|(_, rare)| **rare).map(|(count, _)| *count).sum();
        kept.chain(rare.contains(&true).then_some(others)).collect()
    };
    let found = counts(&tested(&a), &tested(&b));
    let (n, m) = (a.iter().sum::<u64>() as f64, b.iter().sum::<u64>() as f64);
    let mut shown: Vec<(String, [u64; 2])> =
        names.iter().zip(a.iter().zip(&b)).map(|(name, (a, b))| ((*name).to_owned(), [*a, *b])).collect();
    let moved = |counts: &[u64; 2]| (counts[0] as f64 / n - counts[1] as f64 / m).abs();
    shown.sort_by(|x, y| moved(&y.1).total_cmp(&moved(&x.1)).then_with(|| x.0.cmp(&y.0)));
    let rest = shown.split_off(shown.len().min(CATEGORIES));
    for (name, _) in &mut shown {
        *name = masker.mask_to_kinds(name);
    }
    if !rest.is_empty() {
        let sum = rest.iter().fold([0, 0], |sum, (_, counts)| [sum[0] + counts[0], sum[1] + counts[1]]);
        shown.push((format!("{} others", rest.len()), sum));
    }
    (found, View::Categories(shown))
}

fn of_texts(reference: &[String], current: &[String], masker: &Masker) -> (Comparison, View) {
    if reference.is_empty() || current.is_empty() {
        return (Comparison::default(), View::Empty);
    }
    // masked before anything else looks at them, so that nothing private can be a term or an example
    let masked = |texts: &[String]| -> Vec<String> { texts.iter().map(|text| masker.mask_to_kinds(text)).collect() };
    let (a, b) = (masked(reference), masked(current));
    let a: Vec<&str> = a.iter().map(String::as_str).collect();
    let b: Vec<&str> = b.iter().map(String::as_str).collect();
    let (found, margins) = texts(&a, &b, 1);
    let new = novelty(&a, &b, &margins, TERMS);
    let example = |at: &usize| {
        let text = b[*at].split_whitespace().collect::<Vec<_>>().join(" ");
        match text.char_indices().nth(EXAMPLE_LETTERS) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    };
    let groups = new.groups.iter().map(|group| GroupView {
        terms: group.terms.iter().map(|term| term.term.clone()).collect(),
        share: group.share,
        before: group.terms.first().map_or(0.0, |term| term.reference),
        examples: group.members.iter().take(EXAMPLES).map(example).collect(),
    });
    let terms = new.terms.iter().map(|term| (term.term.clone(), term.reference, term.current)).collect();
    (found, View::Texts { terms, groups: groups.collect() })
}
