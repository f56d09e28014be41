//! The detector for numbers: a mixture of Shiryaev-Roberts e-detectors on prewhitened ranks.
//!
//! `R_k ← (R_k + 1)·q_k(b)/p_k(b)` for each alternative `k` and the bin `b` of a value; the statistic is their mean,
//! and crossing the [`threshold`] raises an alarm. Several pods add up the bins of a tick and ship 32 counts:
//! `R_k ← (R_k + n)·Π_b (q_k(b)/p_k(b))^n_b`, the same whatever the order and the number of pods. At long run lengths
//! no short run of values may decide alone: see [`Burst`].

use serde::{Deserialize, Serialize};

use super::alarm::{Crossing, Latch};
use super::bank::{ALTERNATIVES, Bank, LANES, Lanes};
use super::budget::ARL_RANGE;
use super::burst::{Burst, Gained};
use super::recent::Recent;
use super::{
    Alarm, BINS, Calm, Change, DeadZone, DriftError, Explanation, Quantiles, ScalarReference, Whitener, arl_of,
    threshold, within,
};
use crate::Timestamp;

/// Settings of a scalar detector.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectorConfig {
    /// Mean number of observations between two false alarms, 50 to 1e9.
    pub arl: f64,
    /// The shift that is too small to matter, in standard deviations of the normal scores, 0 to 1. A shift of 0.3 is a
    /// population stability index of 0.09.
    pub dead_zone: f64,
    /// What a short run of values may say; `None`: as usual for the run length, see [`Burst::usual`].
    #[serde(default)]
    pub burst: Option<Burst>,
    /// When a standing alarm falls.
    pub calm: Calm,
    /// Breaks ties.
    pub seed: u64,
}

impl Default for DetectorConfig {
    /// One false alarm in 30 days of one observation a second.
    fn default() -> Self {
        Self::new(2_592_000.0)
    }
}

impl DetectorConfig {
    /// For this average run length, with the usual dead zone: see [`DeadZone::usual`].
    pub fn new(arl: f64) -> Self {
        Self { arl, dead_zone: DeadZone::usual(arl), burst: None, calm: Calm::default(), seed: 0 }
    }

    pub(super) fn check(&self) -> Result<(), DriftError> {
        let (least, most) = ARL_RANGE;
        within(self.arl >= least && self.arl <= most, "the average run length", "between 50 and 1e9", self.arl)?;
        within((0.0..=1.0).contains(&self.dead_zone), "the dead zone", "between 0 and 1", self.dead_zone)
    }
}

/// Bins seen in one tick by one pod or by many: counts add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickCounts {
    bins: [u32; BINS],
}

impl TickCounts {
    /// One more value in `bin` (see [`Whitener::bin`]); a bin above 31 is ignored.
    pub fn add(&mut self, bin: usize) {
        if let Some(count) = self.bins.get_mut(bin) {
            *count = count.saturating_add(1);
        }
    }

    /// Takes in what another pod saw.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// Counts by bin.
    pub fn bins(&self) -> &[u32; BINS] {
        &self.bins
    }

    /// Values in all bins.
    pub fn total(&self) -> u64 {
        self.bins.iter().map(|count| u64::from(*count)).sum()
    }
}

/// Kept below this, so that nothing overflows while a drift lasts.
const MOST: f64 = 1e280;

/// A bet for each alternative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bets {
    /// Shiryaev-Roberts statistics.
    earned: Lanes,
    /// Log CUSUM statistics: where they last were 0 is where the change is looked for.
    excess: Lanes,
    since: [i64; LANES],
    /// What was won within the present burst.
    #[serde(default)]
    gained: Gained,
}

/// Tells whether a numeric signal has left its reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalarDetector {
    config: DetectorConfig,
    reference: ScalarReference,
    bank: Bank,
    #[serde(default)]
    burst: Burst,
    level: f64,
    /// The level itself, not its logarithm.
    crossing: f64,
    statistic: f64,
    bets: Bets,
    whitener: Whitener,
    latch: Latch,
    recent: Recent,
    observations: u64,
    refused: u64,
}

impl ScalarDetector {
    /// Starts to watch a signal against `reference`.
    ///
    /// # Errors
    /// [`DriftError::OutOfRange`] for settings outside their range.
    pub fn new(reference: ScalarReference, config: DetectorConfig, now: Timestamp) -> Result<Self, DriftError> {
        config.check()?;
        let zone = DeadZone::at_least(config.dead_zone, reference.observations());
        let bank = Bank::new(zone);
        let mut detector = Self {
            burst: Burst::default(),
            level: 0.0,
            crossing: 0.0,
            statistic: 0.0,
            bets: Bets::new(&bank, now),
            whitener: Whitener::new(config.seed),
            latch: Latch::new(config.calm),
            recent: Recent::new(),
            observations: 0,
            refused: 0,
            config,
            reference,
            bank,
        };
        detector.set_arl(config.arl);
        detector.restart(now);
        Ok(detector)
    }

    fn restart(&mut self, now: Timestamp) {
        self.bets = Bets::new(&self.bank, now);
        self.statistic = mean(&self.bets.earned);
    }

    /// Takes one value. A value that is not finite is counted and refused.
    #[inline]
    pub fn observe(&mut self, now: Timestamp, value: f64) -> Change {
        if !value.is_finite() {
            self.refused += 1;
            return Change::Refused;
        }
        self.recent.push(now, value);
        self.observations += 1;
        match self.whitener.bin(&self.reference, value) {
            Some(bin) => self.advance(now, bin),
            None => self.latch.quiet(now, 1),
        }
    }

    /// Takes one value whose bin is known already (see [`Whitener::bin`]); a bin above 31 is refused.
    #[inline]
    pub fn observe_bin(&mut self, now: Timestamp, bin: usize) -> Change {
        if bin >= BINS {
            self.refused += 1;
            return Change::Refused;
        }
        self.observations += 1;
        self.advance(now, bin)
    }

    #[inline]
    fn advance(&mut self, now: Timestamp, bin: usize) -> Change {
        let (logs, bets) = (&self.bank.log_ratio[bin], &mut self.bets);
        let mut ratios = self.bank.ratio[bin];
        bets.gained.hold(self.burst, 1, &mut ratios);
        let mut sum = 0.0;
        for (earned, ratio) in bets.earned.iter_mut().zip(ratios) {
            *earned = ((*earned + 1.0) * ratio).min(MOST);
            sum += *earned;
        }
        for (lane, log) in logs.iter().enumerate() {
            let fresh = bets.excess[lane] <= 0.0;
            bets.since[lane] = if fresh { now.millis() } else { bets.since[lane] };
            bets.excess[lane] = bets.excess[lane].max(0.0) + log;
        }
        self.statistic = sum / ALTERNATIVES as f64;
        self.judge(now, 1)
    }

    /// Takes the bins of a tick, of this pod or added up over pods, instead of single values.
    pub fn tick(&mut self, now: Timestamp, counts: &TickCounts) -> Change {
        let total = counts.total();
        if total == 0 {
            return Change::None;
        }
        self.observations += total;
        let mut logs = [0.0; LANES];
        for (bin, count) in counts.bins.iter().enumerate() {
            for (lane, log) in logs.iter_mut().enumerate() {
                *log += f64::from(*count) * self.bank.log_ratio[bin][lane];
            }
        }
        let mut ratios = logs.map(|log| log.exp().min(MOST));
        self.bets.gained.hold(self.burst, total, &mut ratios);
        for lane in 0..ALTERNATIVES {
            self.bets.bet(lane, now, total as f64, logs[lane], ratios[lane]);
        }
        self.statistic = mean(&self.bets.earned);
        self.judge(now, total)
    }

    #[inline]
    fn judge(&mut self, now: Timestamp, observations: u64) -> Change {
        if self.statistic < self.crossing {
            return self.latch.quiet(now, observations);
        }
        let alternative = self.best();
        let since = Timestamp::from_millis(self.bets.since[alternative]);
        let change = self.latch.crossed(now, &Crossing { evidence: self.evidence(), since, alternative });
        self.restart(now);
        change
    }

    /// Where more has been earned than by any other alternative.
    fn best(&self) -> usize {
        let earned = &self.bets.earned;
        (0..ALTERNATIVES).fold(0, |best, lane| if earned[lane] > earned[best] { lane } else { best })
    }

    /// Log of the statistic, in nats: `drift_evidence`.
    pub fn evidence(&self) -> f64 {
        self.statistic.ln()
    }

    /// The statistic itself, an e-detector for every signal that stays within the dead zone.
    pub fn statistic(&self) -> f64 {
        self.statistic
    }

    /// The evidence at which an alarm is raised.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// How long, in observations, one waits for evidence like this while nothing changes.
    pub fn run_length(&self) -> f64 {
        arl_of(self.burst, self.bank.zone(), self.reference.observations(), self.evidence())
    }

    /// The alarm that stands.
    pub fn alarm(&self) -> Option<&Alarm> {
        self.latch.standing()
    }

    /// The dead zone in force.
    pub fn dead_zone(&self) -> DeadZone {
        self.bank.zone()
    }

    /// What is usual.
    pub fn reference(&self) -> &ScalarReference {
        &self.reference
    }

    /// Values taken, and values refused because they were not finite.
    pub fn seen(&self) -> (u64, u64) {
        (self.observations, self.refused)
    }

    /// Which way, how much, since when: of the alarm that stands, else of the bet that leads.
    pub fn explain(&self) -> Explanation {
        let lane = self.latch.standing().map_or_else(|| self.best(), |alarm| alarm.alternative);
        let leading = Timestamp::from_millis(self.bets.since[lane]);
        let since = self.latch.standing().map_or(leading, |alarm| alarm.since);
        let recent = self.recent.sorted_since(since, 8);
        let median = self.reference.quantile(0.5);
        let above = recent.iter().map(|value| {
            if *value > median {
                1.0
            } else if *value == median {
                0.5
            } else {
                0.0
            }
        });
        let alternative = self.bank.alternative(lane);
        Explanation {
            direction: alternative.into(),
            alternative,
            since,
            evidence: self.latch.standing().map_or_else(|| self.evidence(), |alarm| alarm.evidence),
            reference: Quantiles::of_reference(&self.reference),
            recent: Quantiles::of_sorted(&recent),
            recent_values: recent.len(),
            above_median: (!recent.is_empty()).then(|| above.sum::<f64>() / recent.len() as f64),
        }
    }

    /// The last values since `from`, at most 1024, oldest first: what [`ScalarReference::learn`] takes to accept the
    /// present as the new baseline.
    pub fn recent(&self, from: Timestamp) -> Vec<(Timestamp, f64)> {
        self.recent.since(from)
    }

    /// Watches against another reference from now on: the alarm falls, the evidence starts afresh.
    pub fn accept(&mut self, reference: ScalarReference, now: Timestamp) {
        self.bank = Bank::new(DeadZone::at_least(self.config.dead_zone, reference.observations()));
        self.reference = reference;
        self.latch.clear();
        self.set_arl(self.config.arl);
        self.restart(now);
    }

    /// Sets the average run length anew, for a signal whose rate has become known; evidence and alarm stay.
    pub fn set_arl(&mut self, arl: f64) {
        let arl = if arl.is_nan() { self.config.arl } else { arl };
        self.config.arl = arl.clamp(ARL_RANGE.0, ARL_RANGE.1);
        self.burst = self.config.burst.unwrap_or_else(|| Burst::usual(self.config.arl));
        self.level = threshold(self.burst, self.bank.zone(), self.reference.observations(), self.config.arl);
        self.crossing = self.level.exp();
    }
}

impl Bets {
    fn new(bank: &Bank, now: Timestamp) -> Self {
        Self { earned: bank.start, excess: [0.0; LANES], since: [now.millis(); LANES], gained: Gained::default() }
    }

    fn bet(&mut self, lane: usize, now: Timestamp, observations: f64, log: f64, ratio: f64) {
        self.earned[lane] = ((self.earned[lane] + observations) * ratio).min(MOST);
        if self.excess[lane] <= 0.0 {
            self.since[lane] = now.millis();
        }
        self.excess[lane] = self.excess[lane].max(0.0) + log;
    }
}

fn mean(earned: &Lanes) -> f64 {
    earned.iter().sum::<f64>() / ALTERNATIVES as f64
}

#[cfg(test)]
mod tests;
