//! The detector for categories: finish reason, language, route, refusal.
//!
//! A mixture of Shiryaev-Roberts e-detectors, one for each category whose share may rise (a fall of one is a rise of
//! others); see `share_bank`. Unlike ranks, shares depend on the reference, so the threshold is calibrated when the
//! reference is learned: a seeded simulation redraws the shares (Dirichlet) and the stream, as the reference is finite.

use serde::{Deserialize, Serialize};

use super::alarm::{Crossing, Latch};
use super::budget::ARL_RANGE;
use super::share_bank::{RISES, ShareBank};
use super::{Alarm, Change, DetectorConfig, DriftError, MIN_REFERENCE, ShareShift};
use crate::Timestamp;

mod calibration;

use calibration::Calibration;

/// Categories of their own; what is rarer, and what was never seen, counts as "other".
const OWN: usize = 31;

/// Observations behind the recent shares.
const RECENT: usize = 512;

/// Counts of categories: add up over pods and time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryCounts(std::collections::BTreeMap<String, u64>);

/// Names a pod keeps in one tick; further ones count as `""`, which no reference holds.
const NAMES: usize = 1024;

impl CategoryCounts {
    /// One more of `category`.
    pub fn add(&mut self, category: &str) {
        self.add_many(category, 1);
    }

    fn add_many(&mut self, category: &str, count: u64) {
        if let Some(known) = self.0.get_mut(category) {
            *known = known.saturating_add(count);
            return;
        }
        let name = if self.0.len() < NAMES { category } else { "" };
        *self.0.entry(name.to_owned()).or_default() += count;
    }

    /// Takes in what another pod counted.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(category, count)| self.add_many(category, *count));
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Category and count, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(category, count)| (&**category, *count))
    }
}

/// What is usual of a categorical signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoricalReference {
    /// Most frequent first.
    names: Vec<String>,
    /// Counts of `names`, then of the rest.
    counts: Vec<u64>,
}

impl CategoricalReference {
    /// Learns from counts.
    ///
    /// # Errors
    /// [`DriftError::TooFew`] below [`MIN_REFERENCE`] observations.
    pub fn learn(counts: &CategoryCounts) -> Result<Self, DriftError> {
        let have = counts.total() as usize;
        if have < MIN_REFERENCE {
            return Err(DriftError::TooFew { have, need: MIN_REFERENCE });
        }
        let mut sorted: Vec<(&str, u64)> = counts.iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let names: Vec<String> = sorted.iter().take(OWN).map(|(name, _)| (*name).to_owned()).collect();
        let mut counts: Vec<u64> = sorted.iter().take(OWN).map(|(_, count)| *count).collect();
        counts.push(sorted.iter().skip(OWN).map(|(_, count)| count).sum());
        Ok(Self { names, counts })
    }

    /// Observations learned from.
    pub fn observations(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The smoothed share of a category; of all categories that have none of their own for a name not among them.
    pub fn share(&self, category: &str) -> f64 {
        self.shares()[self.index(category)]
    }

    /// The categories with a share of their own, most frequent first.
    pub fn categories(&self) -> &[String] {
        &self.names
    }

    fn index(&self, category: &str) -> usize {
        self.names.iter().position(|name| name == category).unwrap_or(self.names.len())
    }

    /// `(n + ½) / (m + C/2)` for each category and the rest.
    fn shares(&self) -> Vec<f64> {
        let total = self.observations() as f64 + 0.5 * self.counts.len() as f64;
        self.counts.iter().map(|count| (*count as f64 + 0.5) / total).collect()
    }
}

/// Tells whether the shares of categories have left their reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoricalDetector {
    config: DetectorConfig,
    reference: CategoricalReference,
    bank: ShareBank,
    calibration: Calibration,
    level: f64,
    statistic: f64,
    earned: Vec<f64>,
    excess: Vec<f64>,
    since: Vec<Timestamp>,
    latch: Latch,
    recent: Vec<u8>,
    next: usize,
    observations: u64,
}

impl CategoricalDetector {
    /// Starts to watch against `reference`; calibrates for up to 0.2 s. The dead zone of `config`, as a rise of a
    /// share, is an eighth of its number: 0.25 stands for 3 percentage points.
    ///
    /// # Errors
    /// [`DriftError::OutOfRange`] for settings outside their range.
    pub fn new(reference: CategoricalReference, config: DetectorConfig, now: Timestamp) -> Result<Self, DriftError> {
        config.check()?;
        let shares = reference.shares();
        let bank = ShareBank::new(&shares, reference.observations() as f64, config.dead_zone / 8.0, config.arl);
        let calibration = Calibration::new(&bank, &reference.counts, config.arl, config.seed);
        let lanes = bank.start().len();
        let mut detector = Self {
            level: calibration.level(config.arl),
            statistic: 0.0,
            earned: vec![],
            excess: vec![0.0; lanes],
            since: vec![now; lanes],
            latch: Latch::new(config.calm),
            recent: Vec::new(),
            next: 0,
            observations: 0,
            config,
            reference,
            bank,
            calibration,
        };
        detector.restart(now);
        Ok(detector)
    }

    fn restart(&mut self, now: Timestamp) {
        self.earned = self.bank.start().to_vec();
        self.statistic = self.earned.iter().sum::<f64>() / self.earned.len() as f64;
        self.excess.fill(0.0);
        self.since.fill(now);
    }

    /// Takes one observation.
    pub fn observe(&mut self, now: Timestamp, category: &str) -> Change {
        let index = self.reference.index(category);
        self.observations += 1;
        self.remember(index);
        self.statistic = self.bank.step(&mut self.earned, index);
        for lane in 0..self.excess.len() {
            let own = if lane / RISES.len() == index { 1.0 } else { 0.0 };
            self.follow(now, lane, self.bank.log_paid(lane, own, 1.0 - own));
        }
        self.judge(now, 1)
    }

    /// Takes the counts of a tick, of this pod or added up over pods, instead of single observations.
    pub fn tick(&mut self, now: Timestamp, counts: &CategoryCounts) -> Change {
        let total = counts.total();
        if total == 0 {
            return Change::None;
        }
        self.observations += total;
        let mut by_index = vec![0_u64; self.reference.counts.len()];
        counts.iter().for_each(|(category, count)| by_index[self.reference.index(category)] += count);
        for (index, count) in by_index.iter().enumerate() {
            (0..(*count).min(RECENT as u64)).for_each(|_| self.remember(index));
        }
        for lane in 0..self.earned.len() {
            let own = by_index[lane / RISES.len()] as f64;
            let log = self.bank.log_paid(lane, own, total as f64 - own);
            self.earned[lane] = ((self.earned[lane] + total as f64).ln() + log).exp().min(1e280);
            self.follow(now, lane, log);
        }
        self.statistic = self.earned.iter().sum::<f64>() / self.earned.len() as f64;
        self.judge(now, total)
    }

    fn follow(&mut self, now: Timestamp, lane: usize, log: f64) {
        if self.excess[lane] <= 0.0 {
            self.since[lane] = now;
        }
        self.excess[lane] = self.excess[lane].max(0.0) + log;
    }

    fn remember(&mut self, index: usize) {
        if self.recent.len() < RECENT {
            self.recent.push(index as u8);
            return;
        }
        self.recent[self.next] = index as u8;
        self.next = (self.next + 1) % RECENT;
    }

    fn judge(&mut self, now: Timestamp, observations: u64) -> Change {
        let evidence = self.evidence();
        if evidence < self.level {
            return self.latch.quiet(now, observations);
        }
        let alternative = self.best();
        let since = self.since[alternative];
        self.restart(now);
        self.latch.crossed(now, &Crossing { evidence, since, alternative })
    }

    fn best(&self) -> usize {
        (0..self.earned.len()).fold(0, |best, lane| if self.earned[lane] > self.earned[best] { lane } else { best })
    }

    /// Log of the statistic, in nats.
    pub fn evidence(&self) -> f64 {
        self.statistic.ln()
    }

    /// The evidence at which an alarm is raised.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// How long, in observations, one waits for evidence like this while nothing changes.
    pub fn run_length(&self) -> f64 {
        self.calibration.run_length(self.evidence())
    }

    /// The alarm that stands.
    pub fn alarm(&self) -> Option<&Alarm> {
        self.latch.standing()
    }

    /// What is usual.
    pub fn reference(&self) -> &CategoricalReference {
        &self.reference
    }

    /// Observations taken.
    pub fn seen(&self) -> u64 {
        self.observations
    }

    /// The category whose share rose (`None`: one that was rare or unknown), when, and how surely.
    pub fn explain(&self) -> CategoricalExplanation {
        let lane = self.latch.standing().map_or_else(|| self.best(), |alarm| alarm.alternative);
        let since = self.latch.standing().map_or(self.since[lane], |alarm| alarm.since);
        let category = self.reference.names.get(lane / RISES.len()).cloned();
        let evidence = self.latch.standing().map_or_else(|| self.evidence(), |alarm| alarm.evidence);
        CategoricalExplanation { category, since, evidence, shares: self.shares(), recent_values: self.recent.len() }
    }

    /// Shares in the reference and lately, of each category and the rest (`None`), the largest change first.
    fn shares(&self) -> Vec<(Option<String>, ShareShift)> {
        let mut counts = vec![0.0; self.reference.counts.len()];
        self.recent.iter().for_each(|index| counts[usize::from(*index)] += 1.0);
        let total = (self.recent.len().max(1)) as f64;
        let names = self.reference.names.iter().cloned().map(Some).chain([None]);
        let shifts = counts.iter().zip(self.reference.shares());
        let shifts = shifts.map(|(count, reference)| ShareShift { reference, recent: count / total });
        let mut all: Vec<_> = names.zip(shifts).collect();
        all.sort_by(|a, b| (b.1.recent - b.1.reference).abs().total_cmp(&(a.1.recent - a.1.reference).abs()));
        all
    }

    /// Watches against another reference from now on; calibrates anew.
    ///
    /// # Errors
    /// As [`CategoricalDetector::new`].
    pub fn accept(&mut self, reference: CategoricalReference, now: Timestamp) -> Result<(), DriftError> {
        let seen = self.observations;
        *self = Self::new(reference, self.config, now)?;
        self.observations = seen;
        Ok(())
    }

    /// Sets the average run length anew; evidence and alarm stay.
    pub fn set_arl(&mut self, arl: f64) {
        let arl = if arl.is_nan() { self.config.arl } else { arl };
        self.config.arl = arl.clamp(ARL_RANGE.0, ARL_RANGE.1);
        self.level = self.calibration.level(self.config.arl);
    }
}

/// Why a categorical detector says what it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoricalExplanation {
    /// The category that became more frequent; `None`: one too rare or never seen in the reference.
    pub category: Option<String>,
    /// When it most likely did.
    pub since: Timestamp,
    /// Log e-value in nats.
    pub evidence: f64,
    /// Each category's share in the reference and lately, the largest change first.
    pub shares: Vec<(Option<String>, ShareShift)>,
    /// Observations behind the recent shares.
    pub recent_values: usize,
}

#[cfg(test)]
mod tests;
