//! What the ranks of distributed training jobs report: do they still hold the same parameters, and does one keep the others waiting.
//!
//! After every step all ranks of a data-parallel job hold the same numbers, so their checksums are equal. Where they are not, the
//! job goes on and trains nonsense: that is said with the first step at which it was so, until the job begins again before it.
//! Bounded: the last [`STEPS`] steps of a run, [`MOST_RANKS`] ranks over all runs, [`MOST_RUNS`] runs, the least recently heard go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Steps of a run that are compared.
pub const STEPS: usize = 64;
/// Ranks over all runs.
pub const MOST_RANKS: usize = 1024;
/// Runs.
pub const MOST_RUNS: usize = 16;
/// A run that was not heard of for so long is forgotten.
pub const SILENT: Duration = Duration::from_secs(24 * 3600);
/// Longest name of a run and longest checksum, in bytes.
const LONGEST: usize = 128;
/// Step times of a rank that its usual one is made of, and the fewest.
const TIMES: usize = 16;
const FEWEST_TIMES: usize = 3;

/// What one rank says after one step.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankReport {
    /// Which rank, from 0.
    pub rank: u32,
    /// How many there are.
    pub world_size: u32,
    /// Which step, as the job counts.
    pub step: u64,
    /// A checksum of the parameters after it: any text that is equal when they are.
    pub checksum: String,
    /// Seconds that the rank itself computed, without waiting for others.
    pub step_seconds: f64,
    /// Its loss.
    #[serde(default)]
    pub loss: Option<f64>,
}

/// Why a report is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RankError {
    /// The run has no usable name.
    #[error("the run's name has {0} bytes; 1 to 128 letters, digits and -_. are right")]
    Name(usize),
    /// No job of that size.
    #[error("world_size: {0} found; 1 to 1024 is right")]
    WorldSize(u32),
    /// No such rank.
    #[error("rank: {rank} found; 0 to {most} is right where world_size is {}", most + 1)]
    Rank {
        /// Found.
        rank: u32,
        /// The last one.
        most: u32,
    },
    /// Not a text that can be compared.
    #[error("checksum: {0} bytes found; 1 to 128 are right")]
    Checksum(usize),
    /// Not a number of that kind.
    #[error("{0}: a finite number is right, of seconds none below 0")]
    Number(&'static str),
    /// The ranks do not agree on how many they are.
    #[error("world_size: {found} found; this run has {known} ranks: a job of another size is another run")]
    OtherSize {
        /// Found.
        found: u32,
        /// What the run's first report said.
        known: u32,
    },
}

/// The first step after which the ranks did not hold the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// The step.
    pub step: u64,
    /// Ranks whose checksum is not that of most; where no checksum is most ranks', of those that differ from the lowest's.
    pub ranks: Vec<u32>,
}

/// The slowest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Straggler {
    /// Which.
    pub rank: u32,
    /// Its usual step time as a ratio of the median rank's (the lower one of two): 1 where nobody is slow.
    pub ratio: f64,
}

/// The newest of one rank.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rank {
    /// Its last step; `None` after the job went back.
    step: Option<u64>,
    seconds: VecDeque<f64>,
    loss: Option<f64>,
}

impl Rank {
    /// Seconds of its last step.
    pub fn step_seconds(&self) -> Option<f64> {
        self.seconds.back().copied()
    }

    /// Its last loss.
    pub fn loss(&self) -> Option<f64> {
        self.loss
    }
}

/// One job.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    world_size: u32,
    heard: Timestamp,
    ranks: BTreeMap<u32, Rank>,
    /// Hashes of the checksums by step and rank.
    steps: BTreeMap<u64, BTreeMap<u32, u64>>,
    divergence: Option<Divergence>,
}

impl Run {
    /// How many ranks it has.
    pub fn world_size(&self) -> u32 {
        self.world_size
    }

    /// When it was last heard of.
    pub fn heard(&self) -> Timestamp {
        self.heard
    }

    /// The ranks that have reported.
    pub fn ranks(&self) -> impl Iterator<Item = (u32, &Rank)> {
        self.ranks.iter().map(|(number, rank)| (*number, rank))
    }

    /// The last step that any rank has reported.
    pub fn last_step(&self) -> Option<u64> {
        self.steps.keys().next_back().copied()
    }

    /// Where the ranks first parted, if they did.
    pub fn divergence(&self) -> Option<&Divergence> {
        self.divergence.as_ref()
    }

    /// The slowest rank, once two or more have a usual time.
    pub fn straggler(&self) -> Option<Straggler> {
        let timed = self.ranks.iter().filter(|(_, rank)| rank.seconds.len() >= FEWEST_TIMES);
        let usual: Vec<(u32, f64)> =
            timed.filter_map(|(number, rank)| Some((*number, lower_median(rank.seconds.iter().copied())?))).collect();
        let median = lower_median(usual.iter().map(|(_, seconds)| *seconds)).filter(|median| *median > 0.0)?;
        let (rank, slowest) = usual.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1))?;
        (usual.len() >= 2).then_some(Straggler { rank, ratio: slowest / median })
    }

    fn take(&mut self, report: &RankReport) {
        let mut hasher = DefaultHasher::new();
        report.checksum.hash(&mut hasher);
        let (hash, step) = (hasher.finish(), report.step);
        if self.steps.get(&step).and_then(|all| all.get(&report.rank)) == Some(&hash) {
            return; // told twice
        }
        if self.ranks.get(&report.rank).is_some_and(|rank| rank.step >= Some(step)) {
            self.go_back(step);
        }
        let rank = self.ranks.entry(report.rank).or_default();
        (rank.step, rank.loss) = (Some(step), report.loss);
        rank.seconds.push_back(report.step_seconds);
        if rank.seconds.len() > TIMES {
            rank.seconds.pop_front();
        }
        self.steps.entry(step).or_default().insert(report.rank, hash);
        self.compare(step);
        while self.steps.len() > STEPS {
            self.steps.pop_first();
        }
    }

    /// The job goes on from an earlier state: what came after it is another course.
    fn go_back(&mut self, step: u64) {
        self.steps.split_off(&step);
        for rank in self.ranks.values_mut().filter(|rank| rank.step >= Some(step)) {
            rank.step = None;
        }
        self.divergence.take_if(|divergence| divergence.step >= step);
    }

    fn compare(&mut self, step: u64) {
        let Some(all) = self.steps.get(&step) else { return };
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        all.values().for_each(|hash| *counts.entry(*hash).or_default() += 1);
        let first = self.divergence.as_ref().is_none_or(|known| step <= known.step);
        if counts.len() < 2 || !first {
            return;
        }
        let most = counts.values().copied().max().unwrap_or(0);
        // of equals the one of the lowest rank
        let right = all.values().find(|hash| counts.get(hash) == Some(&most));
        let ranks = all.iter().filter(|(_, hash)| Some(*hash) != right).map(|(rank, _)| *rank).collect();
        self.divergence = Some(Divergence { step, ranks });
    }
}

/// The median; of an even number the lower one of the middle two. `None` of nothing.
fn lower_median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len().checked_sub(1)? / 2).copied()
}

/// Every job that reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs(BTreeMap<String, Run>);

impl Runs {
    /// Takes reports of a run, all or none; gives how many other runs had to go.
    ///
    /// # Errors
    /// The first report that is no good, with its place in the list.
    pub fn take(&mut self, run: &str, reports: &[RankReport], now: Timestamp) -> Result<usize, (usize, RankError)> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if run.is_empty() || run.len() > LONGEST || !run.chars().all(plain) {
            return Err((0, RankError::Name(run.len())));
        }
        let known = self.0.get(run).map(|run| run.world_size).or(reports.first().map(|report| report.world_size));
        for (at, report) in reports.iter().enumerate() {
            check(report, known).map_err(|why| (at, why))?;
        }
        let Some(world_size) = known else { return Ok(0) };
        let gone = if self.0.contains_key(run) { 0 } else { self.make_room(world_size) };
        let one = self.0.entry(run.to_owned()).or_insert_with(|| Run {
            world_size,
            heard: now,
            ranks: BTreeMap::new(),
            steps: BTreeMap::new(),
            divergence: None,
        });
        one.heard = one.heard.max(now);
        reports.iter().for_each(|report| one.take(report));
        Ok(gone)
    }

    fn make_room(&mut self, world_size: u32) -> usize {
        let fits = |runs: &BTreeMap<String, Run>| {
            let ranks: u64 = runs.values().map(|run| u64::from(run.world_size)).sum();
            runs.len() < MOST_RUNS && ranks + u64::from(world_size) <= MOST_RANKS as u64
        };
        let before = self.0.len();
        while !fits(&self.0)
            && let Some(oldest) = self.0.iter().min_by_key(|(_, run)| run.heard).map(|(name, _)| name.clone())
        {
            self.0.remove(&oldest);
        }
        before - self.0.len()
    }

    /// Forgets runs that were not heard of for [`SILENT`].
    pub fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, run| now.since(run.heard) < SILENT);
    }

    /// One run.
    pub fn get(&self, run: &str) -> Option<&Run> {
        self.0.get(run)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Run)> {
        self.0.iter().map(|(name, run)| (name.as_str(), run))
    }

    /// The names of all.
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

fn check(report: &RankReport, known: Option<u32>) -> Result<(), RankError> {
    let RankReport { rank, world_size, checksum, step_seconds, loss, .. } = report;
    if !(1..=MOST_RANKS as u32).contains(world_size) {
        return Err(RankError::WorldSize(*world_size));
    }
    match known {
        Some(known) if known != *world_size => return Err(RankError::OtherSize { found: *world_size, known }),
        _ if rank >= world_size => return Err(RankError::Rank { rank: *rank, most: world_size - 1 }),
        _ => {}
    }
    if checksum.is_empty() || checksum.len() > LONGEST {
        return Err(RankError::Checksum(checksum.len()));
    }
    if !(*step_seconds >= 0.0 && step_seconds.is_finite()) {
        return Err(RankError::Number("step_seconds"));
    }
    if loss.is_some_and(|loss| !loss.is_finite()) {
        return Err(RankError::Number("loss"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
