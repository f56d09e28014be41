//! The course of one signal: its first observations become the baseline, the rest is watched against it, and what it
//! shows may be accepted, pinned or rolled back.

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{Baseline, BaselineKind, Baselines, Change, DriftError, Learned};
use serde_json::{Value, json};

use super::act::{Act, ActError};
use super::finding::Finding;
use super::method::{Method, MethodConfig};
use super::ring::{Ring, Unsaved};
use super::signal::Signal;
use super::weeks::Weeks;
use crate::config::HourOfWeek;

/// What an observation led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing that anybody must hear of.
    Quiet,
    /// A baseline has been learned: the first one, or one by hour of the week.
    Learned,
    /// An alarm was raised or fell.
    Turned,
}

/// A signal while it is learned and watched.
pub(super) struct Course<M: Method> {
    signal: Signal,
    config: MethodConfig,
    /// First the values to learn from, later the newest ones.
    ring: Ring<M::Value>,
    /// What a baseline by hour of the week is learned from, while there is none.
    weeks: Weeks,
    baselines: Option<Baselines<M::Reference>>,
    detector: Option<M>,
    observations: u64,
    /// Why the values collected first could not be learned from.
    unlearned: Option<String>,
}

/// A course as it is kept on disk, each part in JSON; `None` where there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SavedCourse {
    pub(super) observations: u64,
    /// All recent values, in place of those that were saved.
    pub(super) ring: Option<String>,
    /// Recent values that came since, in the order in which they were saved; of what is to be saved, at most one part.
    pub(super) newer: Vec<String>,
    pub(super) baselines: Option<String>,
    pub(super) detector: Option<String>,
    pub(super) weeks: Option<String>,
}

impl<M: Method> Course<M> {
    /// Learns from the next `wanted` values.
    pub(super) fn new(signal: Signal, wanted: usize, config: MethodConfig) -> Self {
        let ring = Ring::new(wanted.max(M::LEAST));
        let weeks = Weeks::default();
        Self { signal, config, ring, weeks, baselines: None, detector: None, observations: 0, unlearned: None }
    }

    pub(super) fn observe(&mut self, now: Timestamp, value: M::Value) -> Step {
        self.observations += 1;
        let change = self.detector.as_mut().map(|detector| detector.observe(now, &value));
        let number = M::number(&value);
        self.ring.push(now, value);
        match change {
            Some(Change::Raised | Change::Fell) => Step::Turned,
            Some(_) => number.map_or(Step::Quiet, |number| self.by_hour(now, number)),
            None if self.ring.is_full() => self.learn_first(now),
            None => Step::Quiet,
        }
    }

    fn learn_first(&mut self, now: Timestamp) -> Step {
        let learned = self.learn(Timestamp::from_millis(i64::MIN), BaselineKind::First);
        match learned.and_then(|(learned, reference)| {
            self.detector = Some(M::start(&reference, &self.config, now)?);
            self.baselines = Some(Baselines::new(learned, reference));
            Ok(())
        }) {
            Ok(()) => {
                self.unlearned = None;
                Step::Learned
            }
            Err(why) => {
                self.unlearned = Some(why);
                self.ring.clear();
                Step::Quiet
            }
        }
    }

    /// While no alarm stands, some values of each hour are kept; once they cover enough weeks, they become the baseline.
    /// A pinned baseline stays.
    fn by_hour(&mut self, now: Timestamp, number: f64) -> Step {
        let calm = self.detector.as_ref().is_some_and(|detector| !detector.alarmed());
        let replaceable = self.baselines.as_ref().is_some_and(|all| {
            !all.is_pinned() && all.current().is_some_and(|current| !M::knows_hours(&current.reference))
        });
        if self.config.hours == HourOfWeek::Off || !calm || !replaceable {
            return Step::Quiet;
        }
        self.weeks.push(now, number);
        if !self.weeks.is_due(now) {
            return Step::Quiet;
        }
        if self.learn_hours(now).is_none() {
            self.weeks.put_off(now);
            return Step::Quiet;
        }
        self.weeks = Weeks::default();
        Step::Learned
    }

    fn learn_hours(&mut self, now: Timestamp) -> Option<u64> {
        let values = self.weeks.values();
        let (from, until) = (values.first()?.0, values.last()?.0);
        let reference = M::learn_hours(&values, &self.config)?;
        let detector = M::start(&reference, &self.config, now).ok()?;
        let learned = Learned { kind: BaselineKind::Hours, values: values.len() as u64, from, until };
        let version = self.baselines.as_mut()?.accept(learned, reference).ok()?;
        self.detector = Some(detector);
        Some(version)
    }

    fn learn(&self, from: Timestamp, kind: BaselineKind) -> Result<(Learned, M::Reference), String> {
        let (times, values): (Vec<Timestamp>, Vec<&M::Value>) =
            self.ring.since(from).map(|(at, value)| (*at, value)).unzip();
        let (Some(first), Some(last)) = (times.first(), times.last()) else {
            return Err("nothing has been observed".into());
        };
        let reference = M::learn(&values, &self.config)?;
        Ok((Learned { kind, values: values.len() as u64, from: *first, until: *last }, reference))
    }

    /// Does what an operator asked for; gives the version in force.
    pub(super) fn act(&mut self, act: Act, now: Timestamp) -> Result<u64, ActError> {
        match act {
            Act::Accept => self.accept(now),
            Act::Pin(version) => {
                if let Some(version) = version {
                    self.roll_back(version, now)?;
                }
                let baselines = self.baselines.as_mut().ok_or(ActError::Learning)?;
                baselines.pin();
                Ok(in_force(baselines))
            }
            Act::Unpin => {
                let baselines = self.baselines.as_mut().ok_or(ActError::Learning)?;
                baselines.unpin();
                Ok(in_force(baselines))
            }
            Act::RollBack(version) => self.roll_back(version, now),
        }
    }

    /// What has been seen since the change becomes the new baseline.
    fn accept(&mut self, now: Timestamp) -> Result<u64, ActError> {
        let (Some(detector), Some(baselines)) = (&self.detector, &self.baselines) else {
            return Err(ActError::Learning);
        };
        let version = in_force(baselines);
        if baselines.is_pinned() {
            return Err(DriftError::Pinned { version }.into());
        }
        let finding = detector.finding(self.signal, &self.ring);
        let alarm = finding.alarm.ok_or(ActError::NoAlarm { version })?;
        let from = finding.since.unwrap_or(alarm.raised);
        let have = self.ring.since(from).count();
        if have < M::LEAST {
            return Err(ActError::TooFew { have, need: M::LEAST });
        }
        let (learned, reference) = self.learn(from, BaselineKind::Accepted).map_err(ActError::Failed)?;
        let detector = M::start(&reference, &self.config, now).map_err(ActError::Failed)?;
        let baselines = self.baselines.as_mut().ok_or(ActError::Learning)?;
        let version = baselines.accept(learned, reference)?;
        self.detector = Some(detector);
        Ok(version)
    }

    fn roll_back(&mut self, version: u64, now: Timestamp) -> Result<u64, ActError> {
        let baselines = self.baselines.as_mut().ok_or(ActError::Learning)?;
        if in_force(baselines) == version {
            return Ok(version);
        }
        let baseline = baselines.roll_back(version)?;
        self.detector = Some(M::start(&baseline.reference, &self.config, now).map_err(ActError::Failed)?);
        Ok(version)
    }

    pub(super) fn set_arl(&mut self, arl: f64) {
        // a share and its margin may ask for more than a detector is calibrated for
        let arl = arl.min(1e9);
        self.config.detector.arl = arl;
        if let Some(detector) = &mut self.detector {
            detector.set_arl(arl);
        }
    }

    pub(super) fn arl(&self) -> f64 {
        self.config.detector.arl
    }

    pub(super) fn is_learning(&self) -> bool {
        self.detector.is_none()
    }

    pub(super) fn observations(&self) -> u64 {
        self.observations
    }

    /// Why it still learns, when it had enough to learn from.
    pub(super) fn unlearned(&self) -> Option<&str> {
        self.unlearned.as_deref()
    }

    /// Observations that the baseline was, or is being, learned from.
    pub(super) fn reference_observations(&self) -> u64 {
        let current = self.baselines.as_ref().and_then(Baselines::current);
        current.map_or(self.ring.len() as u64, |baseline| baseline.learned.values)
    }

    pub(super) fn version(&self) -> Option<u64> {
        self.baselines.as_ref().map(in_force)
    }

    pub(super) fn finding(&self) -> Finding {
        self.detector.as_ref().map(|detector| detector.finding(self.signal, &self.ring)).unwrap_or_default()
    }

    /// What the baseline in force was learned from, and how long ago that ended.
    pub(super) fn learned(&self, now: Timestamp) -> Option<Value> {
        let Learned { values, from, until, .. } = self.baselines.as_ref()?.current()?.learned;
        let age = now.since(until).as_secs_f64();
        Some(json!({"observations": values, "from": from.rfc3339(), "until": until.rfc3339(), "age_seconds": age}))
    }

    /// Every version, oldest first.
    pub(super) fn baselines(&self) -> Vec<Value> {
        let Some(all) = &self.baselines else { return Vec::new() };
        let shown = |baseline: &Baseline<M::Reference>| {
            json!({
                "id": baseline.version,
                "current": baseline.version == in_force(all),
                "pinned": all.is_pinned() && baseline.version == in_force(all),
                "kind": baseline.learned.kind,
                "observations": baseline.learned.values,
                "from": baseline.learned.from.rfc3339(),
                "until": baseline.learned.until.rfc3339(),
                "reference": M::describe(&baseline.reference),
            })
        };
        all.iter().map(shown).collect()
    }

    /// How far two versions lie apart.
    pub(super) fn compare(&self, before: u64, after: u64) -> Result<Value, ActError> {
        let all = self.baselines.as_ref().ok_or(ActError::Learning)?;
        let get = |version| all.get(version).ok_or_else(|| missing(all, version));
        let (before, after) = (get(before)?, get(after)?);
        Ok(json!({
            "a": before.version,
            "b": after.version,
            "difference": M::compare(&before.reference, &after.reference),
        }))
    }

    /// What is to be kept, of recent values only those that came since the last time; the parts that change seldom only
    /// when asked for.
    pub(super) fn save(&mut self, all: Parts) -> Result<SavedCourse, serde_json::Error> {
        let whole = all == Parts::All;
        let (ring, newer) = match self.ring.unsaved() {
            Unsaved::Newest(count) if !whole => (None, vec![serde_json::to_string(&self.ring.newest(count))?]),
            Unsaved::None if !whole => (None, Vec::new()),
            _ => (Some(serde_json::to_string(&self.ring)?), Vec::new()),
        };
        self.ring.saved();
        Ok(SavedCourse {
            observations: self.observations,
            ring,
            newer,
            baselines: self.baselines.as_ref().filter(|_| whole).map(serde_json::to_string).transpose()?,
            detector: self.detector.as_ref().map(serde_json::to_string).transpose()?,
            weeks: whole.then(|| serde_json::to_string(&self.weeks)).transpose()?,
        })
    }

    /// Goes on from what was kept. Parts that cannot be read are left out, and named.
    pub(super) fn restore(&mut self, saved: &SavedCourse, now: Timestamp) -> Vec<String> {
        let mut lost = Vec::new();
        let mut note = |part: &str, why: String| lost.push(format!("{part}: {why}"));
        self.observations = saved.observations;
        if let Some(text) = &saved.ring {
            match serde_json::from_str::<Ring<M::Value>>(text) {
                Ok(mut ring) => {
                    ring.resize(self.ring.most());
                    self.ring = ring;
                }
                Err(why) => note("recent values", why.to_string()),
            }
        }
        for newer in &saved.newer {
            match serde_json::from_str(newer) {
                Ok(newer) => self.ring.extend(newer),
                Err(why) => note("recent values", why.to_string()),
            }
        }
        match saved.weeks.as_deref().map(serde_json::from_str).transpose() {
            Ok(weeks) => self.weeks = weeks.unwrap_or_default(),
            Err(why) => note("values by hour of the week", why.to_string()),
        }
        let Some(text) = &saved.baselines else { return lost };
        match serde_json::from_str(text) {
            Ok(baselines) => self.baselines = Some(baselines),
            Err(why) => {
                note("baselines", why.to_string());
                return lost;
            }
        }
        let Some(current) = self.baselines.as_ref().and_then(Baselines::current) else { return lost };
        let read = saved.detector.as_deref().map(serde_json::from_str::<M>);
        let read = match read {
            Some(Ok(detector)) if detector.is_sound() => Some(detector),
            Some(Ok(_)) => {
                note("detector", "it is damaged; it starts afresh".into());
                None
            }
            Some(Err(why)) => {
                note("detector", format!("{why}; it starts afresh"));
                None
            }
            None => None,
        };
        match read.map_or_else(|| M::start(&current.reference, &self.config, now), Ok) {
            Ok(mut detector) => {
                detector.attach(&current.reference, &self.config);
                self.detector = Some(detector);
            }
            Err(why) => note("detector", why),
        }
        lost
    }
}

/// How much is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    /// What changes with every observation.
    State,
    /// Baselines and recent values too.
    All,
}

fn in_force<R>(baselines: &Baselines<R>) -> u64 {
    baselines.current().map_or(0, |baseline| baseline.version)
}

fn missing<R>(all: &Baselines<R>, version: u64) -> ActError {
    let versions: Vec<u64> = all.iter().map(|baseline| baseline.version).collect();
    ActError::NoSuchVersion { version, versions }
}
