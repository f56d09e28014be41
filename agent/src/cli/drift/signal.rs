//! One column as a stream: its detector, and what an alarm of it says.

use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::clusters::EmbeddingClusters;
use plimsoll_rules::drift::embedding::{EmbeddingDetector, EmbeddingSettings};
use plimsoll_rules::drift::{
    CategoricalDetector, CategoricalReference, CategoryCounts, Change, DetectorConfig, Direction, Quantiles,
    ScalarDetector, ScalarReference,
};
use plimsoll_rules::mask::Masker;
use plimsoll_rules::text::HashedEmbedder;
use serde_json::{Value, json};

use super::column::finite;
use super::kind::{Kept, Kind};
use super::odd::OddCells;
use super::read::Cell;
use super::words::{percent, short};

/// Observations without a crossing after which the alarm of a text column falls.
const CALM: u64 = 500;
/// Examples and terms of an explanation.
const SHOWN: usize = 3;

/// A column that is watched.
pub(super) struct Signal {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Observations taken after the reference.
    pub(super) seen: u64,
    pub(super) alarms: u64,
    /// Cells that are no numbers where numbers are watched; no observations.
    pub(super) odd: OddCells,
    /// Observations that the reference was learned from.
    learned: u64,
    detector: Detector,
}

enum Detector {
    Numbers(Box<ScalarDetector>),
    Categories(Box<CategoricalDetector>),
    Texts(Box<Texts>),
}

struct Texts {
    embedder: HashedEmbedder,
    detector: EmbeddingDetector,
    clusters: EmbeddingClusters,
    /// Observations since the last crossing, while an alarm stands.
    quiet: Option<u64>,
    crossed: Option<(f64, f64)>,
}

impl Signal {
    /// Learns the first rows' cells, each with its place; `arl` in observations of this signal.
    ///
    /// # Errors
    /// Says why the column cannot be watched: too few values, all texts equal, cells that are no numbers.
    pub(super) fn learn(
        name: &str,
        kind: Kind,
        cells: &[(&Kept, &str)],
        arl: f64,
        masker: &Masker,
    ) -> anyhow::Result<Self> {
        let start = Timestamp::from_millis(0);
        let config = DetectorConfig { seed: 1, ..DetectorConfig::new(arl) };
        let (mut odd, mut learned) = (OddCells::default(), cells.len() as u64);
        let detector = match kind {
            Kind::Numeric => {
                let values = numbers(cells, &mut odd, masker);
                learned = values.len() as u64;
                odd.check(name, learned)?;
                let reference = ScalarReference::learn(&values, config.seed)?;
                Detector::Numbers(Box::new(ScalarDetector::new(reference, config, start)?))
            }
            Kind::Categorical | Kind::Skip => {
                let mut counts = CategoryCounts::default();
                cells.iter().filter_map(|(cell, _)| text_of(cell.cell())).for_each(|text| counts.add(&text));
                let reference = CategoricalReference::learn(&counts)?;
                Detector::Categories(Box::new(CategoricalDetector::new(reference, config, start)?))
            }
            Kind::Text => Detector::Texts(Box::new(Texts::learn(cells, arl, masker)?)),
        };
        Ok(Self { name: name.to_owned(), kind, seen: 0, alarms: 0, odd, learned, detector })
    }

    /// Takes the value of a row; a missing or odd one is no observation. Says whether an alarm was raised.
    pub(super) fn observe(&mut self, now: Timestamp, cell: Cell<'_>, masker: &Masker) -> bool {
        let change = match &mut self.detector {
            Detector::Numbers(detector) => match finite(cell) {
                Ok(Some(value)) => detector.observe(now, value),
                Ok(None) => return false,
                Err(found) => {
                    self.odd.note(masker.mask_to_kinds(&found));
                    return false;
                }
            },
            Detector::Categories(detector) => match text_of(cell) {
                Some(text) => detector.observe(now, &text),
                None => return false,
            },
            Detector::Texts(texts) => match text_of(cell) {
                Some(text) => texts.observe(&masker.mask_to_kinds(&text)),
                None => return false,
            },
        };
        self.seen += 1;
        change == Change::Raised
    }

    /// Takes the place of the row that was observed last, and says when the first odd cell stands there.
    ///
    /// # Errors
    /// More than one cell in twenty is odd.
    pub(super) fn check(&mut self, place: &str) -> anyhow::Result<Option<String>> {
        let first = self.odd.stands_at(place);
        self.odd.check(&self.name, self.learned + self.seen)?;
        Ok(self.odd.said(&self.name).filter(|_| first))
    }

    /// Another run length, in observations of this signal.
    pub(super) fn set_arl(&mut self, arl: f64) {
        match &mut self.detector {
            Detector::Numbers(detector) => detector.set_arl(arl),
            Detector::Categories(detector) => detector.set_arl(arl),
            Detector::Texts(texts) => {
                // the caller keeps it within what the detector takes
                let _ = texts.detector.set_run_length(arl);
            }
        }
    }

    /// The alarm for row `row`.
    pub(super) fn alarm(&self, row: u64, masker: &Masker) -> Value {
        let mut out = match &self.detector {
            Detector::Numbers(detector) => numbers_alarm(&self.name, detector),
            Detector::Categories(detector) => categories_alarm(&self.name, detector, masker),
            Detector::Texts(texts) => texts.alarm(&self.name),
        };
        let mut all = json!({"row": row, "signal": self.name});
        if let (Some(all), Some(out)) = (all.as_object_mut(), out.as_object_mut()) {
            all.append(out);
        }
        all
    }
}

/// The numbers of the first rows; what is none is noted.
fn numbers(cells: &[(&Kept, &str)], odd: &mut OddCells, masker: &Masker) -> Vec<f64> {
    let number = |(cell, place): &(&Kept, &str)| match finite(cell.cell()) {
        Ok(number) => number,
        Err(found) => {
            odd.note(masker.mask_to_kinds(&found));
            odd.stands_at(place);
            None
        }
    };
    cells.iter().filter_map(number).collect()
}

fn text_of(cell: Cell<'_>) -> Option<String> {
    match cell {
        Cell::Missing => None,
        Cell::Number(number) => Some(number.to_string()),
        Cell::Text(text) => Some(text.to_owned()),
    }
}

fn row_of(at: Timestamp) -> i64 {
    at.millis() / 1000
}

fn numbers_alarm(name: &str, detector: &ScalarDetector) -> Value {
    let why = detector.explain();
    let word = match why.direction {
        Direction::Up => "up",
        Direction::Down => "down",
        Direction::Wider => "wider",
        Direction::Narrower => "narrower",
        Direction::UpperTail => "upper_tail",
        Direction::LowerTail => "lower_tail",
    };
    let pick: (&str, fn(&Quantiles) -> f64) = match why.direction {
        Direction::Up | Direction::Down => ("median", |q| q.p50),
        Direction::Wider | Direction::Narrower => ("p95 - p05", |q| q.p95 - q.p05),
        Direction::UpperTail => ("p95", |q| q.p95),
        Direction::LowerTail => ("p05", |q| q.p05),
    };
    let (measure, of) = pick;
    let before = of(&why.reference);
    let mut effect = json!({"measure": measure, "reference": before});
    let since = row_of(why.since);
    let mut said = format!("{name} {}: {measure} {}", word.replace('_', " "), short(before));
    if let Some(recent) = &why.recent {
        effect["recent"] = json!(of(recent));
        said += &format!(" → {}", short(of(recent)));
    }
    let evidence = detector.alarm().map_or(detector.evidence(), |alarm| alarm.evidence);
    json!({
        "evidence": evidence, "level": detector.level(), "direction": word, "effect": effect, "since": since,
        "explanation": format!("{said}, since about row {since}"),
    })
}

fn categories_alarm(name: &str, detector: &CategoricalDetector, masker: &Masker) -> Value {
    let why = detector.explain();
    let shown = |category: &Option<String>| match category {
        Some(category) => masker.mask_to_kinds(category),
        None => "(new or rare)".to_owned(),
    };
    let since = row_of(why.since);
    let share = why.shares.iter().find(|(category, _)| *category == why.category).or(why.shares.first());
    let mut effect = json!({"measure": "share", "category": shown(&why.category)});
    let mut said = format!("{name}: {} more often", shown(&why.category));
    if let Some((_, shift)) = share {
        effect["reference"] = json!(shift.reference);
        effect["recent"] = json!(shift.recent);
        said = format!("{name}: {} {} → {}", shown(&why.category), percent(shift.reference), percent(shift.recent));
    }
    json!({
        "evidence": detector.alarm().map_or(why.evidence, |alarm| alarm.evidence), "level": detector.level(),
        "direction": "up", "effect": effect, "since": since,
        "explanation": format!("{said}, since about row {since}"),
    })
}

impl Texts {
    fn learn(cells: &[(&Kept, &str)], arl: f64, masker: &Masker) -> anyhow::Result<Self> {
        let embedder = HashedEmbedder::default();
        let texts = cells.iter().filter_map(|(cell, _)| text_of(cell.cell()));
        let masked: Vec<String> = texts.map(|text| masker.mask_to_kinds(&text)).collect();
        let pairs: Vec<(Vec<f32>, Option<&str>)> = masked
            .iter()
            .map(|text| (embedder.embed(text), Some(text.as_str())))
            .filter(|(vector, _)| vector.iter().any(|value| *value != 0.0))
            .collect();
        let vectors: Vec<&[f32]> = pairs.iter().map(|(vector, _)| vector.as_slice()).collect();
        let settings = EmbeddingSettings { arl, dead_zone: 0.0, seed: 1 };
        let detector = EmbeddingDetector::learn(&vectors, &settings)?;
        let clusters = EmbeddingClusters::learn(&pairs, 1)?;
        Ok(Self { embedder, detector, clusters, quiet: None, crossed: None })
    }

    /// Takes a masked text.
    fn observe(&mut self, text: &str) -> Change {
        let vector = self.embedder.embed(text);
        if vector.iter().all(|value| *value == 0.0) {
            return Change::None;
        }
        let Ok(reading) = self.detector.update(&vector) else { return Change::Refused };
        // a vector that the detector takes, the clusters take too
        let _ = self.clusters.update(&vector, Some(text));
        if reading.alarm {
            let raised = self.quiet.is_none();
            (self.quiet, self.crossed) = (Some(0), Some((reading.score, reading.threshold)));
            self.detector.restart();
            return if raised { Change::Raised } else { Change::Confirmed };
        }
        self.quiet = self.quiet.map(|quiet| quiet + 1).filter(|quiet| *quiet < CALM);
        Change::None
    }

    fn alarm(&self, name: &str) -> Value {
        let why = self.clusters.explain();
        let (score, threshold) = self.crossed.unwrap_or((0.0, 0.0));
        let mut said: Vec<String> = why.clusters.iter().take(SHOWN).map(ToString::to_string).collect();
        let terms: Vec<String> = why
            .terms
            .iter()
            .take(SHOWN + 2)
            .map(|term| format!("{:?} {} → {}", term.term, percent(term.reference), percent(term.current)))
            .collect();
        if !terms.is_empty() {
            said.push(format!("terms {}", terms.join(", ")));
        }
        let examples: Vec<&String> =
            why.clusters.iter().flat_map(|shift| shift.examples.iter().take(2)).take(SHOWN).collect();
        let effect = json!({"measure": "score / threshold", "recent": score / threshold});
        json!({
            "evidence": score, "level": threshold, "direction": "content", "effect": effect,
            "explanation": format!("{name}: {}", said.join("; ")), "examples": examples,
        })
    }
}
