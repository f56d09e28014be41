//! The experiments that run: what the tap asks at each request. Short locks, no I/O.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::verdict::experiment::Arm;
use plimsoll_rules::{Assignment, arm_at, unit_hash};

use super::course::Course;
use super::sticky::Sticky;
use crate::config::{Experiment, Split};

/// Why a request of an experiment does not take part; it is served by control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unenrolled {
    /// It names no unit.
    NoUnit,
    /// Its body is longer than what is read.
    TooLong,
    /// Its body is compressed, or held back until the upstream asks for it.
    Unreadable,
    /// Its body is no JSON object with plain keys.
    NotJson,
    /// So many units have a half that no more are remembered.
    Full,
    /// An outside splitter says nothing, or neither of the variants' names.
    NoVariant,
    /// An outside splitter has moved the unit to the other half.
    Moved,
}

impl Unenrolled {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoUnit => "no_unit",
            Self::TooLong => "too_long",
            Self::Unreadable => "unreadable",
            Self::NotJson => "not_json",
            Self::Full => "full",
            Self::NoVariant => "no_variant",
            Self::Moved => "moved",
        }
    }
}

#[derive(Debug, Default)]
struct State {
    course: Course,
    /// The records were read, or somebody has set the course.
    restored: bool,
    units: Sticky,
}

/// One experiment and where it stands.
#[derive(Debug)]
pub struct Running {
    experiment: Arc<Experiment>,
    id: Arc<str>,
    /// Shared with the next version of the experiment after a reload.
    state: Arc<Mutex<State>>,
}

impl Running {
    fn new(experiment: Arc<Experiment>, before: Option<&Self>) -> Self {
        let id = experiment.spec.id.as_str().into();
        Self { experiment, id, state: before.map_or_else(Arc::default, |before| before.state.clone()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was configured.
    pub fn experiment(&self) -> &Arc<Experiment> {
        &self.experiment
    }

    /// What is done with its requests.
    pub fn course(&self) -> Course {
        self.lock().course
    }

    /// Whether its past has been read from the records.
    pub(super) fn is_restored(&self) -> bool {
        self.lock().restored
    }

    /// The past has been read: begins on `course`, unless one has been set meanwhile.
    pub(super) fn begin(&self, course: Course) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.restored, true) {
            state.course = course;
        }
    }

    /// Remembers a unit that got its half before this start. The first half stays.
    pub fn remember(&self, unit: u64, arm: Arm, propensity: f64) {
        self.lock().units.put(unit, arm, propensity);
    }

    /// The half of a unit; `None` while nobody is enrolled. `told` is the half that an outside splitter has put it into.
    ///
    /// # Errors
    /// It cannot take part.
    pub fn assign(&self, unit: &[u8], told: Option<Arm>) -> Result<Option<Assignment>, Unenrolled> {
        let mut state = self.lock();
        let Some((phase, share)) = state.course.enrols() else { return Ok(None) };
        let number = unit_hash(&self.id, phase, unit);
        let known = state.units.find(number);
        let share = match self.experiment.split {
            Split::Outside { propensity, .. } => propensity,
            _ => share,
        };
        let (arm, propensity) = known.unwrap_or_else(|| (told.unwrap_or_else(|| arm_at(number, share)), share));
        if told.is_some_and(|told| told != arm) {
            return Err(Unenrolled::Moved);
        }
        if known.is_none() && !state.units.put(number, arm, propensity) {
            return Err(Unenrolled::Full);
        }
        let (experiment, first) = (self.id.clone(), known.is_none());
        Ok(Some(Assignment { experiment, unit: number, arm, propensity, phase, first }))
    }
}

#[derive(Debug, Default)]
struct Known {
    configured: Vec<Arc<Experiment>>,
    /// The experiment of trained versions, which no configuration names; behind all others.
    route: Option<Arc<Experiment>>,
    running: Arc<[Arc<Running>]>,
}

impl Known {
    /// One whose id was there before keeps its course and its units.
    fn renew(&mut self) {
        let before = |one: &Experiment| self.running.iter().find(|old| *old.id == *one.spec.id).map(|old| &**old);
        let all = self.configured.iter().chain(&self.route);
        self.running = all.map(|one| Arc::new(Running::new(one.clone(), before(one)))).collect();
    }
}

/// All experiments; clones share them.
#[derive(Clone, Debug)]
pub struct Splitter {
    known: Arc<Mutex<Known>>,
    registry: Registry,
}

impl Splitter {
    /// These experiments, all off until they are restored or somebody sets their courses.
    pub fn new(experiments: &[Arc<Experiment>], registry: Registry) -> Self {
        let splitter = Self { known: Arc::default(), registry };
        splitter.reconfigure(experiments);
        splitter
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes other experiments; one whose id was there before keeps its course and its units.
    pub fn reconfigure(&self, experiments: &[Arc<Experiment>]) {
        let mut known = self.lock();
        known.configured = experiments.to_vec();
        known.renew();
    }

    /// Takes another experiment of trained versions, or none; the others stay.
    pub fn set_route(&self, experiment: Option<Arc<Experiment>>) {
        let mut known = self.lock();
        known.route = experiment;
        known.renew();
    }

    /// Every experiment, in the order of the configuration.
    pub fn all(&self) -> Arc<[Arc<Running>]> {
        self.lock().running.clone()
    }

    /// The experiment of this id.
    pub fn find(&self, id: &str) -> Option<Arc<Running>> {
        self.all().iter().find(|running| *running.id == *id).cloned()
    }

    /// Sets what is done with an experiment's requests from now on; `false` when there is no such experiment.
    pub fn set(&self, id: &str, course: Course) -> bool {
        let Some(running) = self.find(id) else { return false };
        let mut state = running.lock();
        (state.course, state.restored) = (course, true);
        true
    }

    /// Counts a unit that takes part from now on.
    pub fn count_unit(&self, running: &Running, arm: Arm) {
        self.registry.add(Metric::ExperimentUnits, &[&running.id, &running.experiment.variant(arm).name], 1.0);
    }

    /// Counts a request that does not take part.
    pub fn count_unenrolled(&self, running: &Running, why: Unenrolled) {
        self.registry.add(Metric::ExperimentUnenrolled, &[&running.id, why.as_str()], 1.0);
        if why == Unenrolled::Full {
            self.registry.add(Metric::Dropped, &["experiment_units"], 1.0);
        }
    }

    /// Counts a copy for a treatment that was not sent, because too many were on their way.
    pub fn count_dropped_mirror(&self) {
        self.registry.add(Metric::Dropped, &["experiment_mirrors"], 1.0);
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_rules::Phase;

    use super::*;
    use crate::config;

    fn splitter(experiment: &str) -> Splitter {
        Splitter::new(&experiments(experiment), Registry::new(100))
    }

    fn experiments(experiment: &str) -> Vec<Arc<Experiment>> {
        let text = format!("rules: {{builtin: false}}\nexperiments:\n  - {experiment}\n");
        config::parse("p.yaml", &text, &Vec::new(), None, &|_| None).unwrap().experiments
    }

    const PLAIN: &str = "{id: a, unit: user, treatment: {name: b, model: m}}";

    fn arms(splitter: &Splitter, units: std::ops::Range<u32>) -> Vec<Assignment> {
        let running = splitter.find("a").unwrap();
        units.map(|unit| running.assign(&unit.to_le_bytes(), None).unwrap().unwrap()).collect()
    }

    fn treated(all: &[Assignment]) -> f64 {
        all.iter().filter(|one| one.arm == Arm::Treatment).count() as f64
    }

    #[test]
    fn a_unit_keeps_its_half_while_the_ramp_grows() {
        let splitter = splitter(PLAIN);
        assert!(splitter.find("a").unwrap().assign(b"x", None).unwrap().is_none(), "off at first");
        assert!(splitter.set("a", Course::Split { share: 0.05 }) && !splitter.set("b", Course::Off));
        let first = arms(&splitter, 0..4000);
        assert!((treated(&first) - 200.0).abs() < 4.0 * (4000.0_f64 * 0.05 * 0.95).sqrt());
        assert!(first.iter().all(|one| one.first && one.propensity == 0.05 && one.phase == Phase::Split));
        splitter.set("a", Course::Split { share: 0.5 });
        let again = arms(&splitter, 0..8000);
        for (before, now) in first.iter().zip(&again) {
            assert_eq!((before.unit, before.arm, before.propensity), (now.unit, now.arm, now.propensity));
            assert!(!now.first);
        }
        let new = &again[4000..];
        assert!((treated(new) - 2000.0).abs() < 4.0 * 1000.0_f64.sqrt(), "{}", treated(new));
        assert!(new.iter().all(|one| one.first && one.propensity == 0.5));
    }

    #[test]
    fn an_a_a_check_has_units_of_its_own() {
        let splitter = splitter(PLAIN);
        splitter.set("a", Course::Aa);
        let check = arms(&splitter, 0..1000);
        assert!((treated(&check) - 500.0).abs() < 64.0 && check.iter().all(|one| one.phase == Phase::Aa));
        splitter.set("a", Course::Split { share: 0.5 });
        let split = arms(&splitter, 0..1000);
        assert!(split.iter().all(|one| one.first), "nobody has been split yet");
        let same = check.iter().zip(&split).filter(|(a, b)| a.arm == b.arm).count();
        assert!((400..600).contains(&same), "independent of the check: {same}");
        for over in [Course::Control, Course::Treatment, Course::Off] {
            splitter.set("a", over);
            assert_eq!(splitter.find("a").unwrap().assign(b"new", None), Ok(None));
        }
    }

    #[test]
    fn a_reload_keeps_what_an_id_has() {
        let splitter = splitter(PLAIN);
        splitter.set("a", Course::Split { share: 0.3 });
        let before = arms(&splitter, 0..100);
        splitter.reconfigure(&experiments("{id: a, unit: user, alpha: 0.01, treatment: {name: b, model: n}}"));
        assert_eq!(splitter.find("a").unwrap().course(), Course::Split { share: 0.3 });
        let after = arms(&splitter, 0..100);
        assert!(before.iter().zip(&after).all(|(a, b)| a.arm == b.arm && !b.first));
        splitter.reconfigure(&[]);
        assert!(splitter.all().is_empty());
    }

    #[test]
    fn the_route_of_versions_stands_behind_the_others_and_outlives_a_reload() {
        let splitter = splitter(PLAIN);
        let ids = || splitter.all().iter().map(|one| one.experiment().spec.id.clone()).collect::<Vec<_>>();
        let route = |id: &str| Some(experiments(&PLAIN.replace("id: a", &format!("id: {id}"))).remove(0));
        splitter.set_route(route("finetune-1"));
        splitter.set("finetune-1", Course::Treatment);
        splitter.reconfigure(&experiments(&PLAIN.replace("id: a", "id: b")));
        assert_eq!(ids(), ["b", "finetune-1"]);
        assert_eq!(splitter.find("finetune-1").unwrap().course(), Course::Treatment);
        splitter.set_route(route("finetune-2"));
        assert_eq!(ids(), ["b", "finetune-2"]);
        splitter.set_route(None);
        assert_eq!(ids(), ["b"]);
    }

    #[test]
    fn what_was_before_a_restart_is_remembered() {
        let (before, now) = (splitter(PLAIN), splitter(PLAIN));
        before.set("a", Course::Split { share: 0.05 });
        let running = now.find("a").unwrap();
        let old = arms(&before, 0..500);
        old.iter().for_each(|one| running.remember(one.unit, one.arm, one.propensity));
        running.begin(Course::Split { share: 0.5 });
        running.begin(Course::Off);
        assert_eq!(running.course(), Course::Split { share: 0.5 }, "once is once");
        assert!(old.iter().zip(arms(&now, 0..500)).all(|(a, b)| a.arm == b.arm && a.propensity == b.propensity));
    }

    #[test]
    fn an_outside_splitter_is_believed_until_it_moves_a_unit() {
        let splitter =
            splitter("{id: a, split: outside, variant: {header: x-v}, weights: {control: 0.9, treatment: 0.1}}");
        let running = splitter.find("a").unwrap();
        running.begin(Course::first(running.experiment()));
        let one = running.assign(b"ann", Some(Arm::Treatment)).unwrap().unwrap();
        assert_eq!((one.arm, one.propensity, one.phase), (Arm::Treatment, 0.1, Phase::Split));
        assert_eq!(running.assign(b"ann", Some(Arm::Control)), Err(Unenrolled::Moved));
        assert!(running.assign(b"ann", Some(Arm::Treatment)).is_ok());
    }
}
