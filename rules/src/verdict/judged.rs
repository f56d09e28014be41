//! What a judge's comparisons of two variants' answers say together, and how far it may be trusted.
//!
//! Evidence counts one comparison a unit and no temperature, so that later labels cannot change what was bet before. The
//! win rate is calibrated on solicited labels, and told once more by labels and judge together (PPI++). All of it is a
//! signal: nothing here promotes.

use std::collections::HashSet;

use serde::{Deserialize, Serialize, Serializer};

use super::judge::{JudgeHealth, JudgeRecord, Label, SwapLogits, fit_temperature, judge_swap};
use super::{Paired, PpiEstimate, PpiMean, length_control};

/// Labels before a temperature is fitted, and before a judge that disagrees with people is disabled.
pub const FEWEST_LABELS: u64 = 30;
/// Pairs before the win rate at equal lengths is told.
const FEWEST_LENGTHS: usize = 50;

/// One request answered by both variants, as the judge saw it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedPair {
    /// Whose request it was.
    pub unit: u64,
    /// What the judge said: A is control's answer, B the treatment's.
    pub logits: SwapLogits,
    /// Length of the treatment's answer less control's, in characters.
    pub length_b_minus_a: f64,
    /// Whether it was drawn, by chance and before anybody saw it, to be labelled.
    pub asked: bool,
    /// What a person said.
    pub label: Option<Label>,
}

/// What all pairs say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JudgeReport {
    /// Comparisons.
    pub pairs: u64,
    /// Units they are of.
    pub units: u64,
    /// Whether the judge may be listened to; where not, there are no win rates.
    #[serde(serialize_with = "word")]
    pub health: JudgeHealth,
    /// How far the first place is preferred, in [-1, 1].
    pub position_gap: Option<f64>,
    /// Share of verdicts that change with the order.
    pub flips: Option<f64>,
    /// Labels of pairs that were drawn for it; others are not used.
    pub labels: u64,
    /// Share of labelled pairs, ties apart, on which judge and person agree.
    pub agreement: Option<f64>,
    /// The temperature that fits the labels; above 1 the judge is too sure of itself.
    pub temperature: Option<f64>,
    /// Mean preference for the treatment's answer, in [0, 1]; 0.5 is neither. At the temperature, once there is one.
    pub win_rate: Option<f64>,
    /// The same, were all answers of one length.
    pub win_rate_at_equal_length: Option<f64>,
    /// The mean of people's labels, from labels alone.
    pub labelled: Option<[f64; 3]>,
    /// The same with the judge's help (PPI++).
    pub assisted: Option<[f64; 3]>,
    /// ln of the evidence that the treatment's answers are preferred, one pair a unit.
    pub log_e_better: f64,
    /// That control's are.
    pub log_e_worse: f64,
}

fn word<S: Serializer>(health: &JudgeHealth, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(health.as_str())
}

/// The report of `pairs`, oldest first; `alpha` in (0, 1) is the level of the intervals `[mean, lower, upper]`, which hold
/// at a moment chosen before.
#[must_use]
pub fn judge_report(pairs: &[JudgedPair], alpha: f64) -> JudgeReport {
    let (record, evidence, units) = comparisons(pairs);
    let labelled: Vec<_> = asked(pairs).collect();
    let agreement = agreement(&labelled);
    let health = match (record.health(), agreement) {
        (JudgeHealth::Healthy, Some((share, count))) if count >= FEWEST_LABELS && share < 0.5 => {
            JudgeHealth::Disagrees(share)
        }
        (health, _) => health,
    };
    let temperature = (labelled.len() as u64 >= FEWEST_LABELS).then(|| fit_temperature(&labelled).ok()).flatten();
    let preferences = preferences(pairs, temperature.unwrap_or(1.0));
    let heard = health == JudgeHealth::Healthy;
    let (labelled_mean, assisted) = by_labels(pairs, alpha);
    JudgeReport {
        pairs: record.count(),
        units,
        health,
        position_gap: record.position_gap(),
        flips: record.flips(),
        labels: labelled.len() as u64,
        agreement: agreement.map(|(share, _)| share),
        temperature,
        win_rate: (heard && !preferences.is_empty()).then(|| mean(&preferences)),
        win_rate_at_equal_length: if heard { at_equal_length(pairs, &preferences) } else { None },
        labelled: labelled_mean,
        assisted: assisted.filter(|_| heard),
        log_e_better: if heard { evidence.log_e_better() } else { 0.0 },
        log_e_worse: if heard { evidence.log_e_worse() } else { 0.0 },
    }
}

/// The judge's own record, the evidence of the first comparison of each unit, and units.
fn comparisons(pairs: &[JudgedPair]) -> (JudgeRecord, Paired, u64) {
    let (mut record, mut evidence, mut units) = (JudgeRecord::default(), Paired::default(), HashSet::new());
    for pair in pairs {
        let Ok(verdict) = judge_swap(&pair.logits, 1.0) else { continue };
        record.add(&verdict);
        if units.insert(pair.unit) {
            evidence.add(2.0 * verdict.score_b - 1.0);
        }
    }
    (record, evidence, units.len() as u64)
}

/// Labels that were solicited, beside what the judge said.
fn asked(pairs: &[JudgedPair]) -> impl Iterator<Item = (SwapLogits, Label)> {
    pairs.iter().filter(|pair| pair.asked).filter_map(|pair| Some((pair.logits, pair.label?)))
}

/// Share of the labels that are no ties with which the judge agrees, and how many those are.
fn agreement(labelled: &[(SwapLogits, Label)]) -> Option<(f64, u64)> {
    let agrees = |(logits, label): &(SwapLogits, Label)| {
        let verdict = judge_swap(logits, 1.0).ok()?;
        match label {
            Label::A => Some(verdict.score_b < 0.5),
            Label::B => Some(verdict.score_b > 0.5),
            Label::Tie => None,
        }
    };
    let all: Vec<bool> = labelled.iter().filter_map(agrees).collect();
    let count = all.len() as u64;
    (count > 0).then(|| (all.iter().filter(|agrees| **agrees).count() as f64 / count as f64, count))
}

/// Preference for B of each pair.
fn preferences(pairs: &[JudgedPair], temperature: f64) -> Vec<f64> {
    pairs.iter().filter_map(|pair| judge_swap(&pair.logits, temperature).ok()).map(|said| said.score_b).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn at_equal_length(pairs: &[JudgedPair], preferences: &[f64]) -> Option<f64> {
    let lengths: Vec<f64> = pairs.iter().map(|pair| pair.length_b_minus_a).collect();
    if lengths.len() < FEWEST_LENGTHS {
        return None;
    }
    length_control(&lengths, preferences).ok().map(|controlled| controlled.win_rate)
}

/// The mean label of all pairs: from the labels, and with the judge's scores of those that nobody was asked about. Pairs
/// that were drawn and are not labelled yet are in neither.
fn by_labels(pairs: &[JudgedPair], alpha: f64) -> (Option<[f64; 3]>, Option<[f64; 3]>) {
    let mut both = PpiMean::default();
    for pair in pairs {
        let Ok(said) = judge_swap(&pair.logits, 1.0) else { continue };
        let taken = match (pair.asked, pair.label) {
            (true, Some(label)) => both.add_labelled(label.preference_b(), said.score_b),
            (true, None) => continue,
            (false, _) => both.add_unlabelled(said.score_b),
        };
        debug_assert!(taken.is_ok(), "a score is finite");
    }
    if both.counts().0 < FEWEST_LABELS {
        return (None, None);
    }
    let told = |estimate: PpiEstimate| [estimate.mean, estimate.interval[0], estimate.interval[1]];
    (both.with_lambda(0.0, alpha).ok().map(told), both.estimate(alpha).ok().map(told))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A judge that prefers B by `nats` and the first place by `lean`.
    fn pair(unit: u64, nats: f64, lean: f64) -> JudgedPair {
        let logits = SwapLogits { a_first: [lean, nats, -3.0], b_first: [nats + lean, 0.0, -3.0] };
        JudgedPair { unit, logits, length_b_minus_a: 0.0, asked: false, label: None }
    }

    #[test]
    fn a_judge_that_is_not_trusted_says_nothing() {
        let few: Vec<_> = (0..49).map(|unit| pair(unit, 2.0, 0.0)).collect();
        let leaning: Vec<_> = (0..200).map(|unit| pair(unit, 1.0, 2.0)).collect();
        let contrary: Vec<_> =
            (0..200).map(|unit| JudgedPair { asked: true, label: Some(Label::A), ..pair(unit, 2.0, 0.0) }).collect();
        for (why, pairs) in [("few", few), ("leaning", leaning), ("contrary", contrary)] {
            let report = judge_report(&pairs, 0.05);
            assert_ne!(report.health, JudgeHealth::Healthy, "{why}");
            assert_eq!((report.win_rate, report.assisted), (None, None), "{why}");
            assert_eq!((report.log_e_better, report.log_e_worse), (0.0, 0.0), "{why}");
        }
    }

    #[test]
    fn evidence_counts_units_and_not_their_requests() {
        let many: Vec<_> = (0..400).map(|at| pair(at % 4, 2.0, 0.0)).collect();
        let one = judge_report(&many, 0.05);
        assert_eq!((one.pairs, one.units), (400, 4));
        assert!(one.log_e_better < 3.0, "{}", one.log_e_better);
        let units: Vec<_> = (0..400).map(|unit| pair(unit, 2.0, 0.0)).collect();
        let all = judge_report(&units, 0.05);
        assert!(all.log_e_better > 20.0 && all.win_rate.is_some_and(|rate| rate > 0.8), "{all:?}");
    }

    /// Long answers are preferred whoever gave them, and the treatment's are long.
    #[test]
    fn length_is_taken_out() {
        let pairs: Vec<_> = (0..400_u32)
            .map(|at| {
                let length = if at % 4 == 0 { -1.0 } else { 1.0 };
                JudgedPair { length_b_minus_a: 100.0 * length, ..pair(at.into(), length, 0.0) }
            })
            .collect();
        let report = judge_report(&pairs, 0.05);
        assert!(report.win_rate.is_some_and(|rate| rate > 0.6), "{report:?}");
        assert!(report.win_rate_at_equal_length.is_some_and(|rate| (rate - 0.5).abs() < 0.02), "{report:?}");
    }

    /// People prefer B in 60 of 100; the judge sees who prefers what with an error. PPI++ covers as often as it says and is
    /// narrower than labels alone.
    #[test]
    fn labels_and_judge_together_are_narrower_and_right() {
        let (mut covered, mut widths) = (0, [0.0, 0.0]);
        for seed in 0..400 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let pairs: Vec<_> = (0..2000)
                .map(|unit| {
                    let prefers_b = rng.f64() < 0.6;
                    let nats = if prefers_b { 2.0 } else { -2.0 } * if rng.f64() < 0.1 { -1.0 } else { 1.0 };
                    let asked = rng.f64() < 0.1;
                    let label = asked.then_some(if prefers_b { Label::B } else { Label::A });
                    JudgedPair { asked, label, ..pair(unit, nats, 0.0) }
                })
                .collect();
            let report = judge_report(&pairs, 0.05);
            let (alone, [_, lower, upper]) = (report.labelled.unwrap(), report.assisted.unwrap());
            covered += u32::from((lower..=upper).contains(&0.6));
            widths[0] += alone[2] - alone[1];
            widths[1] += upper - lower;
            assert!(report.agreement.is_some_and(|share| share > 0.8) && report.temperature.is_some());
        }
        // 380 in the mean, three standard errors of 4.4 below
        assert!((367..=393).contains(&covered), "{covered} of 400 at 95 %");
        assert!(widths[1] < 0.75 * widths[0], "{widths:?}");
    }

    #[test]
    fn volunteered_labels_are_left_alone() {
        let pairs: Vec<_> = (0..200).map(|unit| JudgedPair { label: Some(Label::A), ..pair(unit, 2.0, 0.0) }).collect();
        let report = judge_report(&pairs, 0.05);
        assert_eq!((report.labels, report.agreement, report.temperature, report.labelled), (0, None, None, None));
        assert_eq!(report.health, JudgeHealth::Healthy);
    }

    #[test]
    fn nothing_and_broken_numbers_do_no_harm() {
        let report = judge_report(&[], 0.05);
        assert!(matches!(report.health, JudgeHealth::TooFew { .. }));
        let broken =
            JudgedPair { logits: SwapLogits { a_first: [f64::NAN; 3], b_first: [0.0; 3] }, ..pair(0, 0.0, 0.0) };
        assert_eq!(judge_report(&[broken], 0.05).pairs, 0);
    }
}
