//! What is shown of the signals: to the API, as series, and in the words of an alert.

use std::collections::BTreeMap;

use plimsoll_exporters::{Metric, Reading, ReadingValue};
use plimsoll_rules::Timestamp;
use serde::Serialize;

use super::bench::Bench;
use super::finding::{Finding, Standing, Top, said};
use super::signal::SignalId;
use super::watch::Watch;

/// Where a signal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its first baseline is being learned.
    Learning,
    /// It is as usual.
    Watching,
    /// An alarm stands.
    Alarm,
}

/// Why it stands there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Which way.
    pub direction: String,
    /// How much, in the signal's own unit.
    pub size: String,
    /// Figures behind it.
    pub statistics: BTreeMap<&'static str, f64>,
    /// What is new, the most telling first.
    pub top: Vec<Top>,
    /// A few masked texts that are new.
    pub examples: Vec<String>,
    /// What to look at next.
    pub next_step: &'static str,
}

/// One signal of one model and variant, as `GET /api/v1/drift` shows it. What does not exist is left out.
#[derive(Clone, Debug, Serialize)]
pub struct SignalView {
    /// Which.
    #[serde(flatten)]
    pub id: SignalId,
    /// Unit of its values; `""` where they have none.
    pub unit: &'static str,
    /// Where it stands.
    pub state: State,
    /// Observations so far.
    pub observations: u64,
    /// Observations a second.
    pub rate: f64,
    /// Observations that the baseline was, or is being, learned from.
    pub reference_observations: u64,
    /// The baseline in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<u64>,
    /// Why it still learns, when it had enough to learn from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlearned: Option<String>,
    /// Evidence over threshold: 1 is an alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Log e-value in nats; of texts, the standardised squared shift of their mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<f64>,
    /// The evidence at which an alarm is raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Mean observations between two false alarms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arl: Option<f64>,
    /// When the change most likely happened.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339")]
    pub since: Option<Timestamp>,
    /// The alarm that stands.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "alarm")]
    pub alarm: Option<Standing>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

fn rfc3339<S: serde::Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(Timestamp::rfc3339).serialize(serializer)
}

fn alarm<S: serde::Serializer>(alarm: &Option<Standing>, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = |alarm: &Standing| {
        serde_json::json!({
            "raised": alarm.raised.rfc3339(),
            "confirmed": alarm.confirmed.rfc3339(),
            "crossings": alarm.crossings,
        })
    };
    alarm.as_ref().map(shown).serialize(serializer)
}

/// Longest item of a label, in characters.
const LONGEST_ITEM: usize = 64;

/// All signals, in order.
pub(super) fn views(bench: &mut Bench) -> Vec<SignalView> {
    let mut views: Vec<SignalView> = bench.watches_mut().map(|(id, watch)| view(id, watch)).collect();
    views.sort_by(|a, b| a.id.cmp(&b.id));
    views
}

fn view(id: SignalId, watch: &mut Watch) -> SignalView {
    let learning = watch.is_learning();
    let found = watch.finding().clone();
    let state = match (learning, &found.alarm) {
        (true, _) => State::Learning,
        (false, None) => State::Watching,
        (false, Some(_)) => State::Alarm,
    };
    let explanation = (!learning).then(|| explanation(&id, &found));
    SignalView {
        unit: id.signal.unit(),
        state,
        observations: watch.observations(),
        rate: watch.rate.per_second(),
        reference_observations: watch.reference_observations(),
        baseline: watch.version(),
        unlearned: watch.unlearned().map(ToOwned::to_owned),
        score: (!learning).then_some(found.threshold_ratio),
        evidence: found.evidence,
        threshold: found.threshold,
        arl: (!learning).then(|| watch.arl()),
        since: found.alarm.and(found.since),
        alarm: found.alarm,
        explanation,
        id,
    }
}

fn explanation(id: &SignalId, found: &Finding) -> Explanation {
    Explanation {
        direction: found.direction.clone(),
        size: found.size.clone(),
        statistics: found.statistics.iter().copied().filter(|(_, value)| value.is_finite()).collect(),
        top: found.top.clone(),
        examples: found.examples.clone(),
        next_step: id.signal.next_step(),
    }
}

/// The series of `views`.
pub(super) fn readings(views: &[SignalView]) -> Vec<Reading> {
    let mut all = Vec::new();
    for view in views {
        let mut add = |metric, more: &[&str], value: Option<f64>| {
            let labels = view.id.labels().iter().chain(more).map(|label| (*label).to_owned()).collect();
            all.extend(value.map(|value| Reading { metric, labels, value: ReadingValue::Scalar(value) }));
        };
        let yes = |is: bool| Some(f64::from(u8::from(is)));
        add(Metric::DriftLearning, &[], yes(view.state == State::Learning));
        add(Metric::DriftReference, &[], Some(view.reference_observations as f64));
        add(Metric::DriftObservations, &[], Some(view.observations as f64));
        add(Metric::DriftBaseline, &[], view.baseline.map(|version| version as f64));
        add(Metric::DriftArl, &[], view.arl);
        add(Metric::DriftEvidence, &[], view.evidence.filter(|evidence| evidence.is_finite()));
        add(Metric::DriftThreshold, &[], view.threshold);
        if view.state == State::Learning {
            continue;
        }
        add(Metric::DriftAlarm, &[], yes(view.state == State::Alarm));
        add(Metric::DriftScore, &["threshold_ratio"], view.score.filter(|score| score.is_finite()));
        add(Metric::DriftSince, &[], view.since.map(Timestamp::secs_f64));
        for (statistic, value) in view.explanation.iter().flat_map(|why| &why.statistics) {
            add(Metric::DriftScore, &[statistic], Some(*value));
        }
        // Only while an alarm stands: names that come and go with noise would be series that come and go.
        for top in view.explanation.iter().filter(|_| view.alarm.is_some()).flat_map(|why| &why.top) {
            let item: String = top.item.chars().take(LONGEST_ITEM).collect();
            add(Metric::DriftTop, &[top.kind, &item], Some(top.weight));
        }
    }
    all
}

/// What an alert on a signal says beside its series.
pub type Annotations = BTreeMap<String, String>;

/// The annotations of the signals whose alarm stands.
pub(super) fn annotations(views: &[SignalView]) -> BTreeMap<(String, String, String), Annotations> {
    let alarmed = views.iter().filter(|view| view.alarm.is_some());
    let one = |view: &SignalView| {
        let [signal, model, variant] = view.id.labels().map(ToOwned::to_owned);
        view.explanation.as_ref().map(|why| ((signal, model, variant), words(why)))
    };
    alarmed.filter_map(one).collect()
}

fn words(why: &Explanation) -> Annotations {
    let mut said_of = Annotations::new();
    let mut say = |name: &str, text: String| {
        if !text.is_empty() {
            said_of.insert(name.into(), text);
        }
    };
    say("direction", why.direction.clone());
    say("size", why.size.clone());
    say("terms", listed(&why.top, "term", |top| top.item.clone()));
    say("clusters", listed(&why.top, "cluster", |top| format!("{} ({}x its share)", top.item, said(top.weight))));
    say("categories", listed(&why.top, "category", |top| format!("{} ({}x its share)", top.item, said(top.weight))));
    say("examples", why.examples.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join("; "));
    say("next_step", why.next_step.into());
    said_of
}

fn listed(top: &[Top], kind: &str, show: impl Fn(&Top) -> String) -> String {
    top.iter().filter(|top| top.kind == kind).map(show).collect::<Vec<_>>().join(", ")
}
