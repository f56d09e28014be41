//! One signal of one model and variant, whatever kind of value it has.

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{CategoricalDetector, RatioDetector};
use serde_json::Value;

use super::act::{Act, ActError};
use super::course::{Course, Parts, SavedCourse, Step};
use super::finding::Finding;
use super::method::MethodConfig;
use super::number::NumberWatch;
use super::rate::Rate;
use super::signal::{Kind, Signal};
use super::text::{Embedded, TextWatch};

/// One value of a signal.
#[derive(Clone, Debug)]
pub(super) enum Observed {
    Number(f64),
    Category(Box<str>),
    Text(Embedded),
}

enum AnyCourse {
    Number(Course<NumberWatch>),
    Category(Course<CategoricalDetector>),
    Text(Course<TextWatch>),
    Ratio(Course<RatioDetector>),
}

/// Calls the same on every kind of course.
macro_rules! on {
    ($any:expr, $course:ident => $what:expr) => {
        match $any {
            AnyCourse::Number($course) => $what,
            AnyCourse::Category($course) => $what,
            AnyCourse::Text($course) => $what,
            AnyCourse::Ratio($course) => $what,
        }
    };
}

/// A watched signal.
pub(super) struct Watch {
    course: AnyCourse,
    pub(super) rate: Rate,
    /// Whether something was observed since it was last saved, and whether parts that change seldom have changed.
    pub(super) unsaved: Option<Parts>,
    /// Whether something was observed since all parts were last saved.
    rest_unsaved: bool,
    /// Whether something was observed since its finding was last made.
    news: bool,
    found: Finding,
}

impl Watch {
    /// Learns from the first `wanted` observations.
    pub(super) fn new(signal: Signal, wanted: usize, config: MethodConfig) -> Self {
        let course = match signal.kind() {
            Kind::Number => AnyCourse::Number(Course::new(signal, wanted, config)),
            Kind::Category => AnyCourse::Category(Course::new(signal, wanted, config)),
            Kind::Text => AnyCourse::Text(Course::new(signal, wanted, config)),
            Kind::Ratio => AnyCourse::Ratio(Course::new(signal, 1, config)),
        };
        Self {
            course,
            rate: Rate::default(),
            unsaved: None,
            rest_unsaved: false,
            news: true,
            found: Finding::default(),
        }
    }

    /// Takes a value; one of another kind is left out.
    pub(super) fn observe(&mut self, now: Timestamp, value: Observed) -> Step {
        let step = match (&mut self.course, value) {
            (AnyCourse::Number(course), Observed::Number(value)) => course.observe(now, value),
            (AnyCourse::Ratio(course), Observed::Number(value)) => course.observe(now, value),
            (AnyCourse::Category(course), Observed::Category(value)) => course.observe(now, value),
            (AnyCourse::Text(course), Observed::Text(value)) => course.observe(now, value),
            _ => return Step::Quiet,
        };
        self.rate.count();
        let parts = if step == Step::Learned { Parts::All } else { Parts::State };
        self.mark(parts);
        step
    }

    fn mark(&mut self, parts: Parts) {
        (self.news, self.rest_unsaved) = (true, true);
        self.unsaved = if self.unsaved == Some(Parts::All) { self.unsaved } else { Some(parts) };
    }

    pub(super) fn act(&mut self, act: Act, now: Timestamp) -> Result<u64, ActError> {
        let version = on!(&mut self.course, course => course.act(act, now))?;
        self.mark(Parts::All);
        Ok(version)
    }

    /// Where it stands; made anew only when something was observed.
    pub(super) fn finding(&mut self) -> &Finding {
        if std::mem::take(&mut self.news) {
            self.found = on!(&self.course, course => course.finding());
        }
        &self.found
    }

    /// The run length, when it has moved by more than a twentieth.
    pub(super) fn set_arl(&mut self, arl: f64) {
        if !self.is_learning() && (arl / self.arl() - 1.0).abs() > 0.05 {
            on!(&mut self.course, course => course.set_arl(arl));
            self.mark(Parts::State);
        }
    }

    pub(super) fn arl(&self) -> f64 {
        on!(&self.course, course => course.arl())
    }

    pub(super) fn is_learning(&self) -> bool {
        on!(&self.course, course => course.is_learning())
    }

    pub(super) fn unlearned(&self) -> Option<&str> {
        on!(&self.course, course => course.unlearned())
    }

    pub(super) fn observations(&self) -> u64 {
        on!(&self.course, course => course.observations())
    }

    pub(super) fn reference_observations(&self) -> u64 {
        on!(&self.course, course => course.reference_observations())
    }

    pub(super) fn version(&self) -> Option<u64> {
        on!(&self.course, course => course.version())
    }

    pub(super) fn baselines(&self) -> Vec<Value> {
        on!(&self.course, course => course.baselines())
    }

    pub(super) fn compare(&self, before: u64, after: u64) -> Result<Value, ActError> {
        on!(&self.course, course => course.compare(before, after))
    }

    /// What the baseline in force was learned from.
    pub(super) fn learned(&self, now: Timestamp) -> Option<Value> {
        on!(&self.course, course => course.learned(now))
    }

    /// What changed since the last time, of the parts that change seldom only what `all` asks for.
    pub(super) fn take_unsaved(&mut self, all: Option<Parts>) -> Option<Result<SavedCourse, serde_json::Error>> {
        let rest = all.filter(|all| *all == Parts::All && self.rest_unsaved);
        let parts = self.unsaved.take().map(|parts| all.unwrap_or(parts)).or(rest)?;
        self.rest_unsaved &= parts == Parts::State;
        Some(self.save(parts))
    }

    fn save(&mut self, parts: Parts) -> Result<SavedCourse, serde_json::Error> {
        on!(&mut self.course, course => course.save(parts))
    }

    pub(super) fn restore(&mut self, saved: &SavedCourse, now: Timestamp) -> Vec<String> {
        on!(&mut self.course, course => course.restore(saved, now))
    }
}
