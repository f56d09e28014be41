//! Task completion and satisfaction over a sliding window, per model and variant, with counts.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use plimsoll_exporters::{Metric, Reading, ReadingValue};
use plimsoll_rules::Timestamp;

use super::item::Meaning;
use super::quality::Quality;

/// Label sets kept at most.
const MOST_KEYS: usize = 256;
/// Outcomes kept at most: at a thousand a second, about four minutes.
const MOST_OUTCOMES: usize = 262_144;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Totals {
    count: u64,
    score: f64,
}

type Key = (String, String);

/// Outcomes of the window, oldest first, and their totals.
#[derive(Debug)]
pub(super) struct Window {
    length: Duration,
    outcomes: VecDeque<(Timestamp, u32, Meaning, f64)>,
    keys: Vec<Key>,
    totals: BTreeMap<(u32, bool), Totals>,
    /// Evidence on completion, by place.
    quality: BTreeMap<u32, Quality>,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Self { length, outcomes: VecDeque::new(), keys: Vec::new(), totals: BTreeMap::new(), quality: BTreeMap::new() }
    }

    /// Adds one outcome.
    pub(super) fn add(&mut self, at: Timestamp, key: Key, meaning: Meaning, score: f64) {
        if self.outcomes.len() >= MOST_OUTCOMES {
            self.forget_oldest();
        }
        let Some(place) = self.place(key) else { return };
        if meaning == Meaning::Completion {
            self.quality.entry(place).or_default().add(at, score);
        }
        self.outcomes.push_back((at, place, meaning, score));
        let totals = self.totals.entry((place, meaning == Meaning::Completion)).or_default();
        totals.count += 1;
        totals.score += score;
    }

    /// Replaces what an earlier version of the same feedback said, if it is still in the window.
    pub(super) fn correct(&mut self, received: Timestamp, meaning: Meaning, old: f64, new: f64) -> bool {
        let found = self.outcomes.iter_mut().find(|(at, _, m, s)| *at == received && *m == meaning && *s == old);
        let Some((_, place, _, score)) = found else { return false };
        *score = new;
        let place = *place;
        self.totals.entry((place, meaning == Meaning::Completion)).or_default().score += new - old;
        true
    }

    fn place(&mut self, key: Key) -> Option<u32> {
        let known = self.keys.iter().position(|k| *k == key);
        let place = known.or_else(|| {
            (self.keys.len() < MOST_KEYS).then(|| {
                self.keys.push(key);
                self.keys.len() - 1
            })
        })?;
        u32::try_from(place).ok()
    }

    fn forget_oldest(&mut self) {
        if let Some((_, place, meaning, score)) = self.outcomes.pop_front() {
            let totals = self.totals.entry((place, meaning == Meaning::Completion)).or_default();
            totals.count -= 1;
            totals.score = if totals.count == 0 { 0.0 } else { totals.score - score };
        }
    }

    /// Ratios and counts as of `now`; a ratio without any outcome is no series.
    pub(super) fn readings(&mut self, now: Timestamp) -> Vec<Reading> {
        let oldest = now - self.length;
        while self.outcomes.front().is_some_and(|(at, ..)| *at <= oldest) {
            self.forget_oldest();
        }
        let mut out = Vec::new();
        for ((place, completion), totals) in &self.totals {
            let (ratio, count) = match completion {
                true => (Metric::TaskCompletion, Metric::TaskCount),
                false => (Metric::Satisfaction, Metric::SatisfactionCount),
            };
            let (model, variant) = &self.keys[*place as usize];
            let labels = vec![model.clone(), variant.clone()];
            out.push(Reading {
                metric: count,
                labels: labels.clone(),
                value: ReadingValue::Scalar(totals.count as f64),
            });
            if totals.count > 0 {
                let value = ReadingValue::Scalar(totals.score / totals.count as f64);
                out.push(Reading { metric: ratio, labels, value });
            }
        }
        for (place, quality) in &self.quality {
            let (model, variant) = &self.keys[*place as usize];
            out.extend(quality.readings(model, variant, now));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn seen(window: &mut Window, now: i64) -> Vec<(Metric, f64)> {
        let value = |r: &Reading| match r.value {
            ReadingValue::Scalar(value) => value,
            ReadingValue::Histogram { .. } => f64::NAN,
        };
        window
            .readings(at(now))
            .iter()
            .filter(|r| r.metric != Metric::CompletionEvidence)
            .map(|r| (r.metric, value(r)))
            .collect()
    }

    #[test]
    fn ratios_slide_and_corrections_replace() {
        let mut window = Window::new(Duration::from_secs(10));
        let key = || ("m".to_owned(), String::new());
        for (second, score) in [(1, 1.0), (2, 0.0), (3, 1.0), (4, 1.0)] {
            window.add(at(second), key(), Meaning::Completion, score);
        }
        window.add(at(4), key(), Meaning::Satisfaction, 0.5);
        let four = [
            (Metric::SatisfactionCount, 1.0),
            (Metric::Satisfaction, 0.5),
            (Metric::TaskCount, 4.0),
            (Metric::TaskCompletion, 0.75),
        ];
        assert_eq!(seen(&mut window, 5), four);
        assert!(window.correct(at(2), Meaning::Completion, 0.0, 1.0));
        assert_eq!(seen(&mut window, 5)[3], (Metric::TaskCompletion, 1.0));
        assert_eq!(seen(&mut window, 13)[2..], [(Metric::TaskCount, 1.0), (Metric::TaskCompletion, 1.0)]);
        assert_eq!(seen(&mut window, 20), [(Metric::SatisfactionCount, 0.0), (Metric::TaskCount, 0.0)]);
    }
}
