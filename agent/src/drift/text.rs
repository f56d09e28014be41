//! Signals that are texts, watched by their embeddings; clusters and terms say what is new.

use std::collections::VecDeque;

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::Change;
use plimsoll_rules::drift::clusters::EmbeddingClusters;
use plimsoll_rules::drift::embedding::{EmbeddingDetector, EmbeddingSettings, LEAST_ARL, LEAST_REFERENCE, MOST_ARL};
use plimsoll_rules::text::{DistinctiveTerm, TermCounts, distinctive_terms};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::finding::{Finding, Top, said};
use super::hold::Hold;
use super::method::{Method, MethodConfig};
use super::ring::Ring;
use super::signal::Signal;

/// Terms kept of a baseline.
const TERMS: usize = 4096;
/// Terms, clusters and examples shown.
const SHOWN_TERMS: usize = 8;
const SHOWN_CLUSTERS: usize = 3;
const SHOWN_EXAMPLES: usize = 3;
/// Characters of an example that are shown.
const EXAMPLE: usize = 160;
/// Spreads of the baseline that the mean text may move, for each unit of `minimum_effect`.
const SPREADS: f64 = 0.4;
/// The longest memory of the detector's means, in observations.
const MEMORY: usize = 256;

/// One text: its vector, and its masked beginning. The text itself is never saved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Embedded {
    pub(super) vector: Vec<f32>,
    #[serde(skip)]
    pub(super) text: Option<Box<str>>,
}

/// What is usual of texts.
#[derive(Serialize, Deserialize)]
pub(super) struct TextReference {
    detector: EmbeddingDetector,
    #[serde(serialize_with = "without_examples")]
    clusters: EmbeddingClusters,
    terms: TermCounts,
    centre: Vec<f32>,
}

/// Clusters hold a few masked texts as examples. They stay in memory: what is saved has the words, counted, and no text.
fn without_examples<S: Serializer>(clusters: &EmbeddingClusters, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fresh = clusters.clone();
    fresh.restart();
    let mut value = serde_json::to_value(fresh).map_err(S::Error::custom)?;
    // those of what is recent are empty after a restart, and of the same shape
    let empty = value["latest"]["examples"].clone();
    value["usual"]["examples"] = empty;
    value.serialize(serializer)
}

/// Tells whether what texts are about has changed.
#[derive(Serialize, Deserialize)]
pub(super) struct TextWatch {
    detector: EmbeddingDetector,
    /// As learned; they count only what is to be explained.
    #[serde(skip)]
    clusters: Option<EmbeddingClusters>,
    hold: Hold,
    since: Timestamp,
    /// When the last texts came.
    times: VecDeque<Timestamp>,
}

impl Method for TextWatch {
    type Value = Embedded;
    type Reference = TextReference;

    const LEAST: usize = LEAST_REFERENCE;

    fn learn(values: &[&Embedded], config: &MethodConfig) -> Result<TextReference, String> {
        let vectors: Vec<&[f32]> = values.iter().map(|value| value.vector.as_slice()).collect();
        let dead_zone = SPREADS * config.detector.dead_zone;
        let settings = EmbeddingSettings { seed: config.detector.seed, dead_zone, ..EmbeddingSettings::default() };
        let detector = EmbeddingDetector::learn(&vectors, &settings).map_err(|why| why.to_string())?;
        let with_text: Vec<(&[f32], Option<&str>)> =
            values.iter().map(|value| (value.vector.as_slice(), value.text.as_deref())).collect();
        let clusters = EmbeddingClusters::learn(&with_text, config.detector.seed).map_err(|why| why.to_string())?;
        let mut terms = TermCounts::new(TERMS);
        values.iter().filter_map(|value| value.text.as_deref()).for_each(|text| terms.add(text));
        Ok(TextReference { detector, clusters, terms, centre: centre(&vectors) })
    }

    fn start(reference: &TextReference, config: &MethodConfig, now: Timestamp) -> Result<Self, String> {
        let mut watch = Self {
            detector: reference.detector.clone(),
            clusters: Some(reference.clusters.clone()),
            hold: Hold::new(config.detector.calm),
            since: now,
            times: VecDeque::new(),
        };
        watch.set_arl(config.detector.arl);
        Ok(watch)
    }

    fn is_sound(&self) -> bool {
        self.detector.validate().is_ok()
    }

    fn attach(&mut self, reference: &TextReference, _config: &MethodConfig) {
        self.clusters = Some(reference.clusters.clone());
    }

    fn observe(&mut self, now: Timestamp, value: &Embedded) -> Change {
        let Ok(reading) = self.detector.update(&value.vector) else { return Change::Refused };
        self.times.push_back(now);
        if self.times.len() > MEMORY {
            self.times.pop_front();
        }
        let change = self.hold.judge(now, reading.alarm);
        if change == Change::Raised {
            let back = usize::try_from(reading.memory).unwrap_or(MEMORY).min(self.times.len());
            self.since = self.times.get(self.times.len() - back).copied().unwrap_or(now);
        }
        change
    }

    fn set_arl(&mut self, arl: f64) {
        if self.detector.set_run_length(arl.clamp(LEAST_ARL, MOST_ARL)).is_err() {
            tracing::warn!(arl, "not a run length; the detector keeps its own");
        }
    }

    fn finding(&self, _signal: Signal, recent: &Ring<Embedded>) -> Finding {
        let reading = self.detector.reading();
        let mut finding = Finding {
            alarm: self.hold.standing(),
            threshold_ratio: (reading.score / reading.threshold).max(0.0),
            evidence: Some(reading.score),
            threshold: Some(reading.threshold),
            direction: "other topics".into(),
            size: format!("the mean text lies {} spreads of the baseline away", said(reading.shift)),
            since: self.hold.standing().map(|_| self.since),
            statistics: vec![("shift", reading.shift)],
            ..Finding::default()
        };
        if self.hold.standing().is_some() {
            self.explain(&mut finding, recent);
        }
        finding
    }

    fn describe(reference: &TextReference) -> Value {
        json!({"texts": reference.detector.reference_len(), "dimensions": reference.detector.dimensions()})
    }

    fn compare(before: &TextReference, after: &TextReference) -> Value {
        let terms = distinctive_terms(&after.terms, &before.terms, SHOWN_TERMS);
        json!({
            "cosine": cosine(&before.centre, &after.centre),
            "new_terms": terms.iter().map(|term| json!({"term": term.term, "z": term.z})).collect::<Vec<_>>(),
        })
    }
}

impl TextWatch {
    /// What is new in the texts since the change.
    fn explain(&self, finding: &mut Finding, recent: &Ring<Embedded>) {
        let Some(mut clusters) = self.clusters.clone() else { return };
        clusters.restart();
        for (_, value) in recent.since(self.since) {
            // a vector of another length, as after a change of the embedder, explains nothing
            let _ = clusters.update(&value.vector, value.text.as_deref());
        }
        let why = clusters.explain();
        finding.top.extend(why.terms.iter().take(SHOWN_TERMS).map(term));
        for shift in why.clusters.iter().filter(|shift| shift.recent > shift.reference).take(SHOWN_CLUSTERS) {
            let name = shift.cluster.map_or_else(|| "new".to_owned(), |cluster| cluster.to_string());
            let weight = shift.recent / shift.reference.max(1e-3);
            finding.top.push(Top { kind: "cluster", item: name, weight });
            let room = SHOWN_EXAMPLES.saturating_sub(finding.examples.len());
            finding.examples.extend(shift.examples.iter().take(room).map(|text| shortened(text)));
        }
        if let Some(shift) = why.clusters.iter().find(|shift| shift.recent > shift.reference) {
            finding.size = format!("{}; {shift}", finding.size);
        }
    }
}

fn term(term: &DistinctiveTerm) -> Top {
    Top { kind: "term", item: term.term.clone(), weight: term.z }
}

fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut cut: String = line.chars().take(EXAMPLE).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}

fn centre(vectors: &[&[f32]]) -> Vec<f32> {
    let mut sum = vec![0.0; vectors.first().map_or(0, |vector| vector.len())];
    for vector in vectors {
        sum.iter_mut().zip(*vector).for_each(|(sum, value)| *sum += value);
    }
    sum.iter_mut().for_each(|sum| *sum /= vectors.len().max(1) as f32);
    sum
}

fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    (lengths > 0.0).then(|| dot(a, b) / lengths)
}
