//! Requests that both variants answered: an experiment's mirror sends the treatment a copy, and here the two answers come
//! together again, to be judged and to be labelled. Bounded: what waits too long for its other half is dropped and counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::verdict::Label;
use plimsoll_rules::verdict::experiment::Arm;
use plimsoll_rules::{Assignment, Exchange, ExchangeOutcome, MaskedText, Phase, Source, arm_at, unit_hash};
use serde::Serialize;

use crate::feed::Post;

/// Halves that may wait in the queue, and halves that may wait for the other one; two texts of `text.max_bytes` each.
const QUEUE: usize = 64;
/// Pairs shown to be labelled.
const SHOWN: usize = 64;

/// What a request and its copy share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// The same for both; evenly distributed over all numbers.
    pub number: u64,
    /// Whether the pair was drawn to be labelled.
    pub asked: bool,
}

/// One of the two, observed.
#[derive(Clone, Debug)]
pub struct Half {
    /// What it shares with the other.
    pub pairing: Pairing,
    /// Request and answer.
    pub exchange: Exchange,
}

/// The way of halves to the judge; what is dropped is counted as `judge_pairs`.
pub type PairPost = Post<Half>;

/// An empty queue of halves and its two ends.
pub fn post(registry: Registry) -> (PairPost, tokio::sync::mpsc::Receiver<Half>) {
    Post::new(registry, QUEUE, "judge_pairs")
}

/// A request that both answered, with text.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The treatment's exchange, by whose id the pair goes.
    pub id: String,
    /// Control's.
    pub control: String,
    /// Name of the treatment.
    pub treatment: String,
    /// The unit's place.
    pub place: Assignment,
    /// Whether it was drawn to be labelled.
    pub asked: bool,
    /// The question.
    pub prompt: MaskedText,
    /// Control's answer, and the treatment's.
    pub answers: [MaskedText; 2],
}

impl Pair {
    /// Characters of the treatment's answer less those of control's.
    pub fn length_b_minus_a(&self) -> f64 {
        let [a, b] = &self.answers;
        b.as_str().chars().count() as f64 - a.as_str().chars().count() as f64
    }

    fn of(control: Exchange, treatment: Exchange, asked: bool) -> Option<Self> {
        let said = |exchange: &Exchange| {
            let text = exchange.text.as_ref().filter(|_| exchange.outcome == ExchangeOutcome::Ok)?;
            Some((text.prompt.clone()?, text.response.clone()?))
        };
        let ((prompt, a), (_, b)) = (said(&control)?, said(&treatment)?);
        let (place, answers) = (treatment.assignment?, [a, b]);
        Some(Self {
            id: treatment.id,
            control: control.id,
            treatment: treatment.variant,
            place,
            asked,
            prompt,
            answers,
        })
    }
}

/// Brings halves together.
#[derive(Debug)]
pub struct Matcher {
    waiting: VecDeque<Half>,
    registry: Registry,
}

impl Matcher {
    /// Of no halves.
    pub fn new(registry: Registry) -> Self {
        Self { waiting: VecDeque::new(), registry }
    }

    /// Takes a half; gives the pair that it completes, if both were answered and read.
    pub fn take(&mut self, half: Half) -> Option<Pair> {
        let other = self.waiting.iter().position(|other| other.pairing.number == half.pairing.number);
        let Some(other) = other.and_then(|at| self.waiting.remove(at)) else {
            self.waiting.push_back(half);
            if self.waiting.len() > QUEUE {
                self.waiting.pop_front();
                self.count_dropped();
            }
            return None;
        };
        let asked = half.pairing.asked;
        let (control, treatment) = match half.exchange.source {
            Source::Mirror => (other.exchange, half.exchange),
            _ => (half.exchange, other.exchange),
        };
        Pair::of(control, treatment, asked)
    }

    /// A pair is not judged.
    pub fn count_dropped(&self) {
        self.registry.add(Metric::Dropped, &["judge_pairs"], 1.0);
    }
}

/// A pair as a person gets to see it: without a word of which variant said what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// What a label names as its `inference_id`.
    pub id: String,
    /// The question, masked.
    pub prompt: String,
    /// An answer.
    pub first: String,
    /// The other.
    pub second: String,
    #[serde(skip)]
    experiment: Arc<str>,
    #[serde(skip)]
    treatment: String,
}

/// Pairs that were drawn to be labelled, the newest few, in memory only; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Arc<Mutex<VecDeque<Shown>>>);

impl Shelf {
    /// Lays a pair down, if it was drawn.
    pub fn lay(&self, pair: &Pair) {
        if !pair.asked {
            return;
        }
        let [a, b] = pair.answers.each_ref().map(|answer| answer.as_str().to_owned());
        let (first, second) = if is_turned(&pair.place.experiment, &pair.id) { (b, a) } else { (a, b) };
        let prompt = pair.prompt.as_str().to_owned();
        let (id, experiment, treatment) = (pair.id.clone(), pair.place.experiment.clone(), pair.treatment.clone());
        let shown = Shown { id, prompt, first, second, experiment, treatment };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(shown);
        if all.len() > SHOWN {
            all.pop_front();
        }
    }

    /// Pairs of an experiment with this treatment, the newest first.
    pub fn of(&self, experiment: &str, treatment: &str) -> Vec<Shown> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |shown: &&Shown| *shown.experiment == *experiment && shown.treatment == treatment;
        all.iter().rev().filter(of).cloned().collect()
    }
}

/// Whether a person sees the treatment's answer first: half of all pairs, each always in the same way.
fn is_turned(experiment: &str, id: &str) -> bool {
    arm_at(unit_hash(experiment, Phase::Mirror, id.as_bytes()), 0.5) == Arm::Treatment
}

/// What a person means by `value`: 0 the first that was shown is better, 1 the second, between them neither.
pub fn label(experiment: &str, id: &str, value: f64) -> Option<Label> {
    let for_second = value - 0.5;
    let for_b = if is_turned(experiment, id) { -for_second } else { for_second };
    match for_b.partial_cmp(&0.0)? {
        std::cmp::Ordering::Less => Some(Label::A),
        std::cmp::Ordering::Equal => Some(Label::Tie),
        std::cmp::Ordering::Greater => Some(Label::B),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_rules::mask::{MaskOptions, Masker};
    use plimsoll_rules::{ExchangeText, Timestamp};

    use super::*;

    fn half(number: u64, source: Source, answer: Option<&str>) -> Half {
        let masker = Masker::new(b"salt of the tests", &MaskOptions::default()).unwrap();
        let masked = |text: &str| MaskedText::of(&masker, text);
        let place = Assignment {
            experiment: "e".into(),
            unit: number,
            arm: Arm::Treatment,
            propensity: 0.5,
            phase: Phase::Mirror,
            first: true,
        };
        let text =
            ExchangeText { prompt: Some(masked("why?")), response: answer.map(masked), ..ExchangeText::default() };
        let exchange = Exchange {
            source,
            variant: source.as_str().to_owned(),
            assignment: (source == Source::Mirror).then_some(place),
            text: Some(Arc::new(text)),
            ..Exchange::chat(format!("{}-{number}", source.as_str()), "", Timestamp::from_millis(0))
        };
        Half { pairing: Pairing { number, asked: true }, exchange }
    }

    #[test]
    fn halves_meet_in_either_order() {
        let mut matcher = Matcher::new(Registry::new(100));
        for (first, second) in [(Source::Tap, Source::Mirror), (Source::Mirror, Source::Tap)] {
            assert!(matcher.take(half(1, first, Some(first.as_str()))).is_none());
            assert!(matcher.take(half(2, Source::Tap, Some("x"))).is_none());
            let pair = matcher.take(half(1, second, Some(second.as_str()))).unwrap();
            assert_eq!((pair.id.as_str(), pair.control.as_str(), pair.place.unit), ("mirror-1", "tap-1", 1));
            assert_eq!(pair.answers.each_ref().map(MaskedText::as_str), ["tap", "mirror"]);
            assert!((pair.length_b_minus_a() - 3.0).abs() < f64::EPSILON);
            matcher.waiting.clear();
        }
        matcher.take(half(3, Source::Tap, Some("x")));
        assert!(matcher.take(half(3, Source::Mirror, None)).is_none(), "an answer that was not read");
    }

    #[test]
    fn what_never_meets_is_dropped_and_counted() {
        let registry = Registry::new(100);
        let mut matcher = Matcher::new(registry.clone());
        (0..QUEUE as u64 + 3).for_each(|number| assert!(matcher.take(half(number, Source::Tap, None)).is_none()));
        assert_eq!(matcher.waiting.len(), QUEUE);
        assert_eq!(registry.samples()[0].1, 3.0);
    }

    #[test]
    fn a_label_means_the_same_however_the_pair_was_shown() {
        let (shelf, mut matcher, mut turned) = (Shelf::default(), Matcher::new(Registry::new(100)), 0);
        for number in 0..60 {
            matcher.take(half(number, Source::Tap, Some("control")));
            shelf.lay(&matcher.take(half(number, Source::Mirror, Some("treatment"))).unwrap());
        }
        for shown in shelf.of("e", "mirror") {
            turned += u32::from(shown.first == "treatment");
            let prefers_b = if shown.first == "treatment" { 0.0 } else { 1.0 };
            assert_eq!(label("e", &shown.id, prefers_b), Some(Label::B));
            assert_eq!(label("e", &shown.id, 1.0 - prefers_b), Some(Label::A));
            assert_eq!(label("e", &shown.id, 0.5), Some(Label::Tie));
        }
        assert!((15..=45).contains(&turned), "{turned}");
        assert_eq!(label("e", "x", f64::NAN), None);
        assert!(shelf.of("other", "mirror").is_empty() && shelf.of("e", "v3").is_empty());
    }
}
