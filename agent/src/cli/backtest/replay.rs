//! Samples into the backtest: those after the end are left out, the order is kept, progress is told.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use plimsoll_rules::promql::{Selection, parse_selection};
use plimsoll_rules::{
    Append, Backtest, BacktestReport, Group, Labels, METRIC_NAME, Store, StoreLimits, Timestamp, warm_up,
};

use super::ticks::clock;

/// How often progress is told: on a terminal, and in a log.
const TELL_EVERY: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

/// A selector that no sample has met.
struct Unseen {
    /// The first rule that has it.
    rule: String,
    text: String,
    selection: Selection,
}

/// Takes samples in the order of time.
pub(super) struct Replay {
    backtest: Backtest,
    end: Option<Timestamp>,
    warm_up: Duration,
    /// Series that the rules record themselves.
    recorded: Vec<String>,
    /// What the rules read.
    selections: Vec<String>,
    /// Which of them no sample has met yet, by the metric's name.
    unseen: HashMap<String, Vec<Unseen>>,
    samples: u64,
    progress: Progress,
}

impl Replay {
    pub(super) fn new(groups: &[Group], start: Option<Timestamp>, end: Option<Timestamp>) -> Self {
        let rules = || groups.iter().flat_map(|group| &group.rules);
        let recorded = rules().map(|rule| rule.name.clone()).chain(["ALERTS".into(), "ALERTS_FOR_STATE".into()]);
        let (recorded, mut selections) = (recorded.collect(), Vec::new());
        for selection in rules().flat_map(|rule| rule.expr.selections()) {
            if !selections.contains(&selection) {
                selections.push(selection);
            }
        }
        let mut replay = Self {
            warm_up: warm_up(groups),
            backtest: Backtest::new(groups.to_vec(), start),
            end,
            recorded,
            selections,
            unseen: HashMap::new(),
            samples: 0,
            progress: Progress::default(),
        };
        replay.unseen = replay.expected(groups);
        replay
    }

    /// What the rules look back on before the first evaluation.
    pub(super) fn warm_up(&self) -> Duration {
        self.warm_up
    }

    /// Selectors that a database has to be asked for: not those of what the rules record.
    pub(super) fn wanted(&self) -> Vec<String> {
        let recorded = |text: &str| {
            let selection = plimsoll_rules::promql::parse_selection(text).ok();
            selection.and_then(|s| s.name().map(|name| self.recorded.iter().any(|r| r == name))).unwrap_or(false)
        };
        self.selections.iter().filter(|text| !recorded(text)).cloned().collect()
    }

    /// What the data has to hold for each rule to be judged, and the first rule that reads it.
    fn expected(&self, groups: &[Group]) -> HashMap<String, Vec<Unseen>> {
        let mut expected: HashMap<String, Vec<Unseen>> = HashMap::new();
        for text in self.wanted() {
            let mut rules = groups.iter().flat_map(|group| &group.rules);
            let reader = rules.find(|rule| rule.expr.selections().contains(&text)).map(|rule| rule.name.clone());
            let (Some(rule), Ok(selection)) = (reader, parse_selection(&text)) else { continue };
            if let Some(name) = selection.name().map(str::to_owned) {
                expected.entry(name).or_default().push(Unseen { rule, text, selection });
            }
        }
        expected
    }

    /// One sample; `done` is the share of the data that has been read, 0 to 1.
    pub(super) fn push(&mut self, labels: &Labels, at: Timestamp, value: f64, done: f64) {
        if self.end.is_some_and(|end| at > end) {
            return;
        }
        self.samples += 1;
        if let Some(unseen) = labels.get(METRIC_NAME).and_then(|name| self.unseen.get_mut(name)) {
            unseen.retain(|unseen| !unseen.selection.matches(labels));
        }
        self.backtest.push(labels, at, value);
        // looking at the clock costs more than a sample
        if self.samples.is_multiple_of(4096) {
            self.progress.tell(done, at, self.samples);
        }
    }

    /// What the rules made of it.
    ///
    /// # Errors
    /// There was no sample at all.
    pub(super) fn finish(self) -> anyhow::Result<BacktestReport> {
        self.progress.end();
        anyhow::ensure!(self.samples > 0, "there is no sample in the data (or none before --end)");
        let mut unseen: Vec<_> = self.unseen.into_values().flatten().map(|unseen| (unseen.rule, unseen.text)).collect();
        unseen.sort();
        Ok(BacktestReport { unseen, ..self.backtest.finish() })
    }
}

/// A store for data that does not come in the order of time: compressed, a sample takes two or three bytes.
pub(super) struct Tape(Store);

impl Tape {
    pub(super) fn new() -> Self {
        let limits = StoreLimits { series: 1_000_000, retention: Duration::MAX };
        Self(Store::new(limits))
    }

    pub(super) fn push(&mut self, labels: &Labels, at: Timestamp, value: f64) -> Append {
        self.0.append(labels, at, value)
    }

    /// Everything, in the order of time.
    #[cfg(test)]
    pub(super) fn samples(&self) -> impl Iterator<Item = (&Labels, Timestamp, f64)> {
        self.0.replay()
    }

    /// Everything, in the order of time; `from` and `to` are the shares of all data before and after.
    pub(super) fn play(self, replay: &mut Replay, from: f64, to: f64) {
        let all = self.0.stats().samples.max(1) as f64;
        for (played, (labels, at, value)) in self.0.replay().enumerate() {
            replay.push(labels, at, value, from + (to - from) * played as f64 / all);
        }
    }
}

/// Tells on standard error how far it is, once it takes long.
struct Progress {
    begun: Instant,
    told: Instant,
    terminal: bool,
}

impl Default for Progress {
    fn default() -> Self {
        let now = Instant::now();
        Self { begun: now, told: now, terminal: std::io::stderr().is_terminal() }
    }
}

impl Progress {
    fn tell(&mut self, done: f64, at: Timestamp, samples: u64) {
        if self.told.elapsed() < TELL_EVERY[usize::from(!self.terminal)] {
            return;
        }
        self.told = Instant::now();
        let left = self.begun.elapsed().mul_f64((1.0 - done).max(0.0) / done.max(1e-3));
        let text = format!("{:3.0} %  {}  {samples} samples, {} s left", done * 100.0, clock(at), left.as_secs());
        let (before, after) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        let _ = write!(std::io::stderr(), "{before}{text}{after}");
    }

    fn end(&self) {
        if self.terminal && self.told > self.begun {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
