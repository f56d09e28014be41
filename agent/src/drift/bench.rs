//! All watched signals of a pod: takes exchanges, spends one budget of false alarms over them.

use std::time::Duration;

use plimsoll_rules::drift::{Combination, DetectorConfig, reference_margin};
use plimsoll_rules::text::{HashedEmbedder, is_refusal, language};
use plimsoll_rules::{Exchange, ExchangeOutcome, MaskedText, Timestamp};

use super::audit::{Entry, KEPT};
use super::course::{Parts, Step};
use super::method::MethodConfig;
use super::outcomes::Outcome;
use super::settings::Settings;
use super::signal::{Signal, SignalId};
use super::store::Saved;
use super::text::Embedded;
use super::watch::{Observed, Watch};
use crate::shadow::Reading;

/// Longest name of a category, in characters.
const LONGEST_CATEGORY: usize = 64;
/// Bytes of a masked text that are kept beside its vector.
const KEPT_TEXT: usize = 1024;

/// The signals of one model and variant.
struct Pair {
    model: String,
    variant: String,
    /// In the order of [`Signal::ALL`]; `None` for one that is off or has not been seen.
    watches: Vec<Option<Watch>>,
}

/// All of them.
pub(super) struct Bench {
    settings: Settings,
    pairs: Vec<Pair>,
    budget: Combination,
    embedder: HashedEmbedder,
    /// Exchanges of models beyond the bound, since last asked.
    beyond: u64,
    /// Something that must be saved and shown at once.
    urgent: bool,
    /// What was done to baselines and is not on disk yet.
    acts: Vec<Entry>,
}

impl Bench {
    /// Nothing is known yet.
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            budget: Combination::new(settings.false_alarms),
            settings,
            pairs: Vec::new(),
            embedder: HashedEmbedder::default(),
            beyond: 0,
            urgent: false,
            acts: Vec::new(),
        }
    }

    /// Takes exchanges in the order in which they ended.
    pub(super) fn take(&mut self, exchanges: &[Exchange], now: Timestamp) {
        for exchange in exchanges {
            let Some(at) = self.pair(&exchange.model, &exchange.variant) else {
                self.beyond += 1;
                continue;
            };
            for (place, signal) in Signal::ALL.iter().copied().enumerate() {
                if self.settings.of(signal).is_some()
                    && let Some(value) = self.observed(signal, exchange)
                {
                    self.observe(at, (place, signal), now, value);
                }
            }
        }
    }

    /// Takes what came of a task, or what a user said.
    pub(super) fn take_outcome(&mut self, outcome: &Outcome, now: Timestamp) {
        if self.settings.of(outcome.signal).is_none() {
            return;
        }
        match self.pair(&outcome.model, &outcome.variant) {
            Some(at) => {
                let value = Observed::Number(outcome.score);
                self.observe(at, (outcome.signal as usize, outcome.signal), now, value);
            }
            None => self.beyond += 1,
        }
    }

    /// Takes what the shadow model said.
    pub(super) fn take_reading(&mut self, reading: &Reading, now: Timestamp) {
        let Some(at) = self.pair(&reading.model, &reading.variant) else {
            self.beyond += 1;
            return;
        };
        let number = |nll: Option<(f64, u64)>| nll.map(|(nats, _)| Observed::Number(nats));
        for (signal, value) in [
            (Signal::ShadowEmbedding, embedded_elsewhere(reading)),
            (Signal::PromptNll, number(reading.prompt_nll)),
            (Signal::ResponseNll, number(reading.response_nll)),
        ] {
            if self.settings.of(signal).is_some()
                && let Some(value) = value
            {
                self.observe(at, (signal as usize, signal), now, value);
            }
        }
    }

    /// The place of a pair; `None` for a new one when there are as many as may be.
    fn pair(&mut self, model: &str, variant: &str) -> Option<usize> {
        let known = self.pairs.iter().position(|pair| pair.model == model && pair.variant == variant);
        if known.is_some() || self.pairs.len() >= self.settings.models {
            return known;
        }
        let watches = Signal::ALL.iter().map(|_| None).collect();
        self.pairs.push(Pair { model: model.to_owned(), variant: variant.to_owned(), watches });
        Some(self.pairs.len() - 1)
    }

    fn observe(&mut self, at: usize, (place, signal): (usize, Signal), now: Timestamp, value: Observed) {
        let pair = &mut self.pairs[at];
        let id = SignalId { signal, model: pair.model.clone(), variant: pair.variant.clone() };
        let watch = pair.watches[place].get_or_insert_with(|| self.settings.watch(&id));
        match watch.observe(now, value) {
            Step::Quiet => {}
            Step::Turned => self.urgent = true,
            Step::Learned => {
                self.urgent = true;
                let version = watch.version();
                self.note(Entry::learned(now, id.clone(), version));
                self.join(&id);
            }
        }
    }

    /// A signal that is watched from now on takes its share of the false alarms.
    fn join(&mut self, id: &SignalId) {
        self.budget.join_equally(&id.to_string());
        self.spend();
    }

    /// Sets every threshold to its signal's share of the budget and rate.
    fn spend(&mut self) {
        let signals = self.budget.signals();
        for pair in &mut self.pairs {
            for (signal, watch) in Signal::ALL.iter().zip(&mut pair.watches) {
                let Some(watch) = watch else { continue };
                let id = SignalId { signal: *signal, model: pair.model.clone(), variant: pair.variant.clone() };
                let margin = reference_margin(signals, watch.reference_observations());
                watch.set_arl(margin * self.budget.arl(&id.to_string(), watch.rate.per_second()));
            }
        }
    }

    /// Time has passed; only while the agent runs.
    pub(super) fn pass(&mut self, elapsed: Duration) {
        self.watches_mut().for_each(|(_, watch)| watch.rate.pass(elapsed));
        self.spend();
    }

    /// Exchanges that were left out since the last time because their model is beyond the bound.
    pub(super) fn take_beyond(&mut self) -> u64 {
        std::mem::take(&mut self.beyond)
    }

    /// Whether something happened since the last time that must be saved and shown at once.
    pub(super) fn take_urgent(&mut self) -> bool {
        std::mem::take(&mut self.urgent)
    }

    pub(super) fn set_urgent(&mut self) {
        self.urgent = true;
    }

    /// Something was done to a baseline.
    pub(super) fn note(&mut self, act: Entry) {
        self.acts.push(act);
        self.acts.drain(..self.acts.len().saturating_sub(KEPT));
    }

    /// What was done since the last time.
    pub(super) fn take_acts(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.acts)
    }

    /// What could not be written down is due again, before what came since.
    pub(super) fn acts_not_saved(&mut self, mut lost: Vec<Entry>) {
        lost.append(&mut self.acts);
        lost.drain(..lost.len().saturating_sub(KEPT));
        self.acts = lost;
    }

    /// Every watched signal with its name.
    pub(super) fn watches_mut(&mut self) -> impl Iterator<Item = (SignalId, &mut Watch)> {
        self.pairs.iter_mut().flat_map(|pair| {
            let (model, variant) = (&pair.model, &pair.variant);
            Signal::ALL.iter().zip(&mut pair.watches).filter_map(move |(signal, watch)| {
                let id = SignalId { signal: *signal, model: model.clone(), variant: variant.clone() };
                watch.as_mut().map(|watch| (id, watch))
            })
        })
    }

    /// What changed since the last time, ready to be written; `all` of it when the agent stops.
    pub(super) fn unsaved(&mut self, all: Option<Parts>) -> Vec<Saved> {
        let fingerprints: Vec<String> = Signal::ALL.iter().map(|signal| self.settings.fingerprint(*signal)).collect();
        let mut unsaved = Vec::new();
        for (id, watch) in self.watches_mut() {
            match watch.take_unsaved(all) {
                None => {}
                Some(Ok(course)) => {
                    let settings = fingerprints[id.signal as usize].clone();
                    unsaved.push(Saved { rate: watch.rate, course, id, settings });
                }
                Some(Err(error)) => tracing::warn!(signal = %id, %error, "drift state cannot be written as JSON"),
            }
        }
        unsaved
    }

    /// What could not be written is due again.
    pub(super) fn not_saved(&mut self, lost: &[Saved]) {
        for (id, watch) in self.watches_mut() {
            if lost.iter().any(|saved| saved.id == id) {
                watch.unsaved = Some(Parts::All);
            }
        }
    }

    /// Goes on from what was saved; signals that are off now, or beyond the bound, are left where they are.
    pub(super) fn restore(&mut self, saved: Vec<Saved>, now: Timestamp) {
        for Saved { id, mut course, rate, settings } in saved {
            if self.settings.of(id.signal).is_none() {
                continue;
            }
            if self.settings.is_of_another_model(id.signal, &settings) {
                tracing::info!(signal = %id, "another shadow model tells it now: it is learned afresh");
                continue;
            }
            let Some(at) = self.pair(&id.model, &id.variant) else { continue };
            if settings != self.settings.fingerprint(id.signal) {
                tracing::info!(signal = %id, "its settings have changed: its detector starts afresh from its baseline");
                course.detector = None;
            }
            let mut watch = self.settings.watch(&id);
            for lost in watch.restore(&course, now) {
                tracing::warn!(signal = %id, %lost, "drift state cannot be read");
            }
            watch.rate = rate;
            if !watch.is_learning() {
                self.budget.join_equally(&id.to_string());
            }
            self.pairs[at].watches[id.signal as usize] = Some(watch);
        }
        self.spend();
    }

    fn observed(&self, signal: Signal, exchange: &Exchange) -> Option<Observed> {
        let answered = exchange.outcome == ExchangeOutcome::Ok;
        let text = exchange.text.as_ref().filter(|_| answered);
        let prompt = || text.and_then(|text| text.prompt.as_ref()).map(MaskedText::as_str);
        match signal {
            Signal::ErrorKind => Some(category(exchange.outcome.as_str())),
            Signal::FinishReason => exchange.finish_reason.as_deref().filter(|_| answered).map(category),
            Signal::Language => prompt().map(|text| category(language(text))),
            Signal::Refusal => {
                let answer = text.and_then(|text| text.response.as_ref()).map(MaskedText::as_str)?;
                Some(category(if is_refusal(answer) { "refused" } else { "answered" }))
            }
            Signal::Embedding => self.embedded(prompt()?).map(Observed::Text),
            _ => signal.number(exchange).map(Observed::Number),
        }
    }

    /// `None` for a text without letters: it has no direction.
    fn embedded(&self, text: &str) -> Option<Embedded> {
        let vector = self.embedder.embed(text);
        let kept = &text[..text.floor_char_boundary(KEPT_TEXT)];
        vector.iter().any(|value| *value != 0.0).then(|| Embedded { vector, text: Some(kept.into()) })
    }
}

fn embedded_elsewhere(reading: &Reading) -> Option<Observed> {
    let text = reading.prompt.as_ref().map(|text| {
        let text = text.as_str();
        text[..text.floor_char_boundary(KEPT_TEXT)].into()
    });
    let vector = reading.embedding.to_vec();
    vector.iter().any(|value| *value != 0.0).then_some(Observed::Text(Embedded { vector, text }))
}

fn category(name: &str) -> Observed {
    Observed::Category(name.chars().take(LONGEST_CATEGORY).collect::<String>().into())
}

impl Settings {
    fn watch(&self, id: &SignalId) -> Watch {
        let tuned = self.of(id.signal).copied().unwrap_or_default();
        let detector = DetectorConfig {
            dead_zone: tuned.minimum_effect,
            calm: self.calm,
            seed: id.seed(),
            ..DetectorConfig::default()
        };
        Watch::new(id.signal, tuned.reference, MethodConfig { detector, floor: tuned.floor, hours: self.hours })
    }
}
