//! Past samples through the rule engine on a virtual clock: when would each rule have been pending and firing?

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Action, AlertState, EngineOptions, Group, GroupStanding, RuleEngine};
use crate::promql::EvalOptions;
use crate::{Append, Labels, Store, StoreLimits, Timestamp};

/// Episodes kept one by one; beyond, they only count in the sums.
const EPISODES: usize = 200_000;
/// Series held at once.
const SERIES: usize = 1_000_000;
/// Where a rule names a fixed time (`@`), nothing is ever forgotten.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// One alert from its beginning to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Which rule: an index into [`BacktestReport::rules`].
    pub rule: usize,
    /// The alert's labels, `alertname` included.
    pub labels: Labels,
    /// The expression's value when it began to fire, else when it became pending.
    pub value: f64,
    /// When it became pending.
    pub pending_at: Timestamp,
    /// When it began to fire; `None` where it ended before.
    pub firing_at: Option<Timestamp>,
    /// When it was over; `None` where the data ended before.
    pub ended_at: Option<Timestamp>,
}

/// What one rule did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleOutcome {
    /// Its file.
    pub file: String,
    /// Its group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Whether it raises alerts (the others record).
    pub alerting: bool,
    /// Times an alert began to fire.
    pub fired: u64,
    /// Times an alert was pending and ended without firing.
    pub pending_only: u64,
    /// Time spent pending, summed over alerts.
    pub pending: Duration,
    /// Time spent firing, summed over alerts.
    pub firing: Duration,
    /// The longest firing.
    pub longest: Duration,
    /// Evaluations that failed.
    pub failures: u64,
    /// When and why the first one failed.
    pub first_failure: Option<(Timestamp, String)>,
}

/// What the rules did with the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BacktestReport {
    /// The first evaluation and the last; both `None` where there was none.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Evaluations of groups.
    pub evaluations: u64,
    /// Samples taken in.
    pub samples: u64,
    /// Samples that were not newer than their series' last one.
    pub late: u64,
    /// Samples of series beyond the most that are held.
    pub refused: u64,
    /// Every rule, in the order of the files.
    pub rules: Vec<RuleOutcome>,
    /// Every alert, in the order of their beginning; at most 200 000.
    pub episodes: Vec<Episode>,
    /// Alerts beyond.
    pub episodes_over: u64,
    /// Selectors that met no sample, each with the name of the rule that has it; filled in by who feeds the samples.
    pub unseen: Vec<(String, String)>,
}

/// A backtest under way. Memory is that of the samples which the rules can still see.
#[derive(Debug)]
pub struct Backtest {
    engine: RuleEngine,
    store: Store,
    from: Option<Timestamp>,
    /// The newest sample.
    newest: Option<Timestamp>,
    forget_at: Timestamp,
    forget_every: Duration,
    /// For each rule the alerts that are on: their labels, what is known, and whether the last evaluation had them.
    open: Vec<BTreeMap<Labels, (Episode, Timestamp)>>,
    report: BacktestReport,
}

impl Backtest {
    /// Nothing is evaluated before `from`; samples before it are what the first evaluations look back on.
    pub fn new(groups: Vec<Group>, from: Option<Timestamp>) -> Self {
        let window = window(&groups);
        let rules: Vec<RuleOutcome> = groups
            .iter()
            .flat_map(|group| {
                group.rules.iter().map(|rule| RuleOutcome {
                    file: group.file.clone(),
                    group: group.name.clone(),
                    name: rule.name.clone(),
                    alerting: rule.action != Action::Record,
                    ..RuleOutcome::default()
                })
            })
            .collect();
        let options = EngineOptions {
            external_labels: Labels::default(),
            external_url: String::new(),
            resend_delay: Duration::from_secs(60),
        };
        Self {
            engine: RuleEngine::new(groups, options),
            store: Store::new(StoreLimits { series: SERIES, retention: window }),
            from,
            newest: None,
            forget_at: Timestamp::from_millis(i64::MIN),
            forget_every: (window / 4).max(Duration::from_secs(60)),
            open: rules.iter().map(|_| BTreeMap::new()).collect(),
            report: BacktestReport { rules, ..BacktestReport::default() },
        }
    }

    /// Takes the next sample; times must not go back. Every slot that lies before it is evaluated first.
    pub fn push(&mut self, labels: &Labels, at: Timestamp, value: f64) {
        if self.newest.is_none_or(|newest| at > newest) {
            self.evaluate_until(at, End::Excluded);
            self.newest = Some(at);
        }
        match self.store.append(labels, at, value) {
            Append::Stored => self.report.samples += 1,
            Append::OutOfOrder => self.report.late += 1,
            Append::TooManySeries => self.report.refused += 1,
        }
    }

    /// The time of the newest sample.
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Evaluates what is left and sums up.
    pub fn finish(mut self) -> BacktestReport {
        let Some(newest) = self.newest else { return self.report };
        self.evaluate_until(newest, End::Included);
        let end = self.report.span.map_or(newest, |(_, end)| end);
        for (rule, open) in std::mem::take(&mut self.open).into_iter().enumerate() {
            for (episode, _) in open.into_values() {
                close(&mut self.report, rule, episode, end);
            }
        }
        self.report
            .episodes
            .sort_by(|a, b| (a.pending_at, a.rule).cmp(&(b.pending_at, b.rule)).then_with(|| a.labels.cmp(&b.labels)));
        self.report
    }

    fn evaluate_until(&mut self, until: Timestamp, end: End) {
        let Some(newest) = self.newest else { return };
        let first = self.from.unwrap_or(newest).max(newest);
        loop {
            let now = self.report.span.map_or(first, |(_, last)| last);
            let Some(due) = self.engine.next_due(now) else { return };
            let passed = if end == End::Included { due <= until } else { due < until };
            if !passed || self.from.is_some_and(|from| due < from) {
                return;
            }
            self.evaluate(due);
        }
    }

    fn evaluate(&mut self, now: Timestamp) {
        if now >= self.forget_at {
            self.store.expire(now);
            self.forget_at = now + self.forget_every;
        }
        self.report.evaluations += self.engine.evaluate(&mut self.store, now).len() as u64;
        self.report.span = Some((self.report.span.map_or(now, |(first, _)| first), now));
        let mut rule = 0;
        for group in self.engine.standing() {
            if group.last.is_some_and(|(at, _)| at == now) {
                log(&mut self.report, &mut self.open[rule..], rule, &group, now);
            }
            rule += group.rules.len();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Included,
    Excluded,
}

/// Notes what became of a group's alerts; `first` is the number of its first rule.
fn log(
    report: &mut BacktestReport,
    open: &mut [BTreeMap<Labels, (Episode, Timestamp)>],
    first: usize,
    group: &GroupStanding<'_>,
    now: Timestamp,
) {
    for (index, (standing, open)) in group.rules.iter().zip(open).enumerate() {
        let number = first + index;
        if let Some(error) = standing.last.and_then(|last| last.error.as_ref()) {
            let rule = &mut report.rules[number];
            rule.failures += 1;
            rule.first_failure.get_or_insert_with(|| (now, error.clone()));
        }
        for alert in &standing.alerts {
            let (episode, seen) = open.entry(alert.labels.clone()).or_insert_with(|| {
                let (labels, value) = (alert.labels.clone(), alert.alert.value);
                (Episode { rule: number, labels, value, pending_at: now, firing_at: None, ended_at: None }, now)
            });
            *seen = now;
            if alert.alert.state == AlertState::Firing && episode.firing_at.is_none() {
                (episode.firing_at, episode.value) = (Some(now), alert.alert.value);
            }
        }
        let over: Vec<Labels> = open.iter().filter(|(_, (_, seen))| *seen < now).map(|(l, _)| l.clone()).collect();
        for labels in over {
            if let Some((mut episode, _)) = open.remove(&labels) {
                episode.ended_at = Some(now);
                close(report, number, episode, now);
            }
        }
    }
}

/// Adds an episode that is over, or that `end` of the data has cut, to the sums.
fn close(report: &mut BacktestReport, rule: usize, episode: Episode, end: Timestamp) {
    let outcome = &mut report.rules[rule];
    match episode.firing_at {
        Some(firing_at) => {
            let firing = end.since(firing_at);
            outcome.fired += 1;
            outcome.pending += firing_at.since(episode.pending_at);
            outcome.firing += firing;
            outcome.longest = outcome.longest.max(firing);
        }
        None => {
            outcome.pending_only += 1;
            outcome.pending += end.since(episode.pending_at);
        }
    }
    if report.episodes.len() < EPISODES {
        report.episodes.push(episode);
    } else {
        report.episodes_over += 1;
    }
}

/// How long a sample can matter to any rule.
fn window(groups: &[Group]) -> Duration {
    let options = EvalOptions::default();
    let mut longest = options.lookback;
    for group in groups {
        for rule in &group.rules {
            let Some(reach) = rule.expr.reach(options.lookback, options.default_step) else { return FOREVER };
            longest = longest.max(reach.saturating_add(group.query_offset));
        }
    }
    longest.saturating_add(Duration::from_secs(60))
}

/// How much data before the first evaluation the rules look back on.
pub fn warm_up(groups: &[Group]) -> Duration {
    window(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load_rules;

    const RULES: &str = "groups:
  - name: g
    interval: 30s
    rules:
      - {alert: Hot, expr: 'x > 10', for: 2m}
      - {alert: Gone, expr: 'absent(x)'}
      - {record: 'x:avg', expr: 'avg_over_time(x[5m])'}
      - {alert: Slow, expr: 'x:avg > 10', keep_firing_for: 1m}
      - {alert: Broken, expr: 'x + on () group_left () x'}
";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    /// `x` is 1, but 20 from 600 to 1200 and from 2000 to 2060; nothing from 3000 to 4000.
    fn play(from: Option<Timestamp>) -> BacktestReport {
        let mut test = Backtest::new(load_rules("f.yml", RULES, Duration::from_secs(60)).unwrap(), from);
        for second in (0..=5000).step_by(10).filter(|s| !(3000..4000).contains(s)) {
            let high = (600..1200).contains(&second) || (2000..2060).contains(&second);
            for id in ["1", "2"] {
                let value = if high && id == "1" { 20.0 } else { 1.0 };
                test.push(&Labels::metric("x", [("id", id)]), at(second), value);
            }
        }
        test.finish()
    }

    #[test]
    fn alerts_are_found_with_their_times() {
        let report = play(None);
        assert_eq!(report.span, Some((at(0), at(4980))));
        assert_eq!((report.evaluations, report.samples), (167, 802));
        let of = |name: &str| {
            let rule = report.rules.iter().position(|rule| rule.name == name).unwrap();
            let episodes = report.episodes.iter().filter(move |episode| episode.rule == rule);
            let times = episodes.map(|e| (e.pending_at, e.firing_at, e.ended_at)).collect::<Vec<_>>();
            (times, report.rules[rule].clone())
        };
        let (times, hot) = of("Hot");
        assert_eq!(times, [(at(600), Some(at(720)), Some(at(1200))), (at(2010), None, Some(at(2070)))]);
        assert_eq!((hot.fired, hot.pending_only), (1, 1));
        assert_eq!((hot.firing, hot.longest, hot.pending), (secs(480), secs(480), secs(120 + 60)));
        // a sample counts for five minutes
        assert_eq!(of("Gone").0, [(at(3300), Some(at(3300)), Some(at(4020)))]);
        let (slow, _) = of("Slow");
        // a window of 5 minutes averages more than 10 once 15 of its 30 samples are 20
        assert_eq!(slow, [(at(750), Some(at(750)), Some(at(1410)))]);
        let (_, broken) = of("Broken");
        assert!(broken.failures > 100 && broken.first_failure.is_some_and(|(when, _)| when == at(0)));
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nothing_is_judged_before_its_time_but_looked_back_on() {
        let report = play(Some(at(1000)));
        assert_eq!(report.span, Some((at(1020), at(4980))));
        let slow = report.episodes.iter().find(|e| e.labels.get("alertname") == Some("Slow")).unwrap();
        assert_eq!(slow.pending_at, at(1020), "its window was full of samples from before");
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let report = Backtest::new(load_rules("f.yml", RULES, secs(60)).unwrap(), None).finish();
        assert_eq!((report.span, report.episodes.len()), (None, 0));
    }
}
