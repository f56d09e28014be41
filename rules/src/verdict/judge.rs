//! A judge's label logits made into a preference, and whether the judge may be listened to.
//!
//! A judge is asked in both orders, because a model leans to one place whatever stands there (Zheng et al., arXiv
//! 2306.05685). One whose lean is large, or who changes its mind with the order, is disabled. A judge never promotes alone.

use serde::{Deserialize, Serialize};

use super::Moments;
use super::estimate_error::{EstimateError, finite, inside};

/// A judge is disabled beyond this mean position gap, either way.
pub const MOST_POSITION_GAP: f64 = 0.1;
/// A judge is disabled beyond this share of verdicts that flip with the order.
pub const MOST_FLIPS: f64 = 0.25;
/// Comparisons before a judge's health is known.
pub const FEWEST_COMPARISONS: u64 = 50;

/// Logits of the labels `[first is better, second is better, tie]`, in nats, up to a constant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwapLogits {
    /// With variant A's answer first.
    pub a_first: [f64; 3],
    /// With variant B's answer first.
    pub b_first: [f64; 3],
}

/// What a judge makes of one pair of answers, both orders averaged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwapVerdict {
    /// Probability that A is better.
    pub p_a: f64,
    /// That B is.
    pub p_b: f64,
    /// That neither is.
    pub p_tie: f64,
    /// Preference for B: `p_b + p_tie/2`, in `[0, 1]`.
    pub score_b: f64,
    /// How far the first place is preferred: mean over orders of `P(first) - P(second)`, in `[-1, 1]`.
    pub position_gap: f64,
    /// Whether both orders have the same verdict.
    pub consistent: bool,
}

/// The verdict from both orders at a `temperature` (1 leaves the logits as they are; more makes them milder).
///
/// # Errors
/// [`EstimateError::Refused`] for a logit that is not finite or a temperature that is not positive.
pub fn judge_swap(logits: &SwapLogits, temperature: f64) -> Result<SwapVerdict, EstimateError> {
    let (ab, ba) = (softmax(&logits.a_first, temperature)?, softmax(&logits.b_first, temperature)?);
    let mean = |a: f64, b: f64| 0.5 * (a + b);
    let (p_a, p_b, p_tie) = (mean(ab[0], ba[1]), mean(ab[1], ba[0]), mean(ab[2], ba[2]));
    let turned = [logits.b_first[1], logits.b_first[0], logits.b_first[2]];
    Ok(SwapVerdict {
        p_a,
        p_b,
        p_tie,
        score_b: p_b + 0.5 * p_tie,
        position_gap: mean(ab[0] - ab[1], ba[0] - ba[1]),
        consistent: best(&logits.a_first) == best(&turned),
    })
}

/// The place of the largest; the first of equals.
fn best(values: &[f64; 3]) -> usize {
    (1..3).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

fn softmax(logits: &[f64; 3], temperature: f64) -> Result<[f64; 3], EstimateError> {
    inside("the temperature", "positive and finite", (0.0, f64::INFINITY), temperature)?;
    for logit in logits {
        finite("a logit", *logit)?;
    }
    let most = logits[best(logits)];
    let parts = logits.map(|logit| ((logit - most) / temperature).exp());
    let sum: f64 = parts.iter().sum();
    Ok(parts.map(|part| part / sum))
}

/// What a judge has said so far; mergeable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgeRecord {
    scores: Moments,
    gaps: Moments,
    flips: u64,
}

/// Whether a judge may be listened to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgeHealth {
    /// Too few comparisons to know; its score is not used yet.
    TooFew {
        /// Comparisons there are.
        have: u64,
        /// Comparisons there must be.
        need: u64,
    },
    /// It may be.
    Healthy,
    /// It prefers a place: the mean position gap.
    Leans(f64),
    /// It changes its mind with the order: the share of verdicts that flip.
    Flips(f64),
    /// It disagrees with people: the share of labels it agrees with.
    Disagrees(f64),
}

impl JudgeHealth {
    /// A word for it, a label of the series.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::TooFew { .. } => "too_few",
            Self::Healthy => "healthy",
            Self::Leans(_) => "leans",
            Self::Flips(_) => "flips",
            Self::Disagrees(_) => "disagrees",
        }
    }

    /// All words.
    pub const WORDS: [&'static str; 5] = ["too_few", "healthy", "leans", "flips", "disagrees"];
}

impl JudgeRecord {
    /// Takes a verdict.
    pub fn add(&mut self, verdict: &SwapVerdict) {
        self.scores.add(verdict.score_b);
        self.gaps.add(verdict.position_gap);
        self.flips += u64::from(!verdict.consistent);
    }

    /// Takes what another pod has heard.
    pub fn merge(&mut self, other: &Self) {
        self.scores.merge(&other.scores);
        self.gaps.merge(&other.gaps);
        self.flips += other.flips;
    }

    /// Verdicts taken.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.scores.count()
    }

    /// Moments of the preference for B.
    #[must_use]
    pub fn score_b(&self) -> &Moments {
        &self.scores
    }

    /// Share of verdicts that flip with the order; `None` before the first.
    #[must_use]
    pub fn flips(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.flips as f64 / self.count() as f64)
    }

    /// Mean position gap; `None` before the first.
    #[must_use]
    pub fn position_gap(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.gaps.mean())
    }

    /// Whether the judge may be listened to, after at least [`FEWEST_COMPARISONS`].
    #[must_use]
    pub fn health(&self) -> JudgeHealth {
        if self.count() < FEWEST_COMPARISONS {
            return JudgeHealth::TooFew { have: self.count(), need: FEWEST_COMPARISONS };
        }
        let (gap, flips) = (self.gaps.mean(), self.flips as f64 / self.count() as f64);
        if gap.abs() > MOST_POSITION_GAP {
            JudgeHealth::Leans(gap)
        } else if flips > MOST_FLIPS {
            JudgeHealth::Flips(flips)
        } else {
            JudgeHealth::Healthy
        }
    }
}

/// What a person said of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Label {
    /// A is better.
    A,
    /// B is better.
    B,
    /// Neither is.
    Tie,
}

impl Label {
    /// As a preference for B: 0, 0.5 or 1.
    #[must_use]
    pub fn preference_b(self) -> f64 {
        match self {
            Self::A => 0.0,
            Self::Tie => 0.5,
            Self::B => 1.0,
        }
    }
}

/// The temperature in `[0.05, 20]` at which the judge's probabilities fit people's labels best (Guo et al. 2017): least mean
/// `-ln p(label)`, both orders averaged before the logarithm, by a scan in ln T and golden-section search around its best.
///
/// # Errors
/// [`EstimateError`] for no label or a logit that is not finite.
pub fn fit_temperature(labelled: &[(SwapLogits, Label)]) -> Result<f64, EstimateError> {
    const GRID: i32 = 60;
    if labelled.is_empty() {
        return Err(EstimateError::TooFew { what: "labels", have: 0, need: 1 });
    }
    let (low, high) = (0.05_f64.ln(), 20.0_f64.ln());
    let width = (high - low) / f64::from(GRID);
    let (mut best, mut least) = (low, f64::INFINITY);
    for step in 0..=GRID {
        let at = low + width * f64::from(step);
        let loss = loss(labelled, at.exp())?;
        if loss < least {
            (best, least) = (at, loss);
        }
    }
    let (mut left, mut right) = ((best - width).max(low), (best + width).min(high));
    for _ in 0..60 {
        let (a, b) = (right - GOLDEN * (right - left), left + GOLDEN * (right - left));
        if loss(labelled, a.exp())? <= loss(labelled, b.exp())? { right = b } else { left = a }
    }
    Ok((0.5 * (left + right)).exp())
}

/// 1/φ.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Mean `-ln p(label)` in nats.
fn loss(labelled: &[(SwapLogits, Label)], temperature: f64) -> Result<f64, EstimateError> {
    let mut sum = 0.0;
    for (logits, label) in labelled {
        let verdict = judge_swap(logits, temperature)?;
        let p = match label {
            Label::A => verdict.p_a,
            Label::B => verdict.p_b,
            Label::Tie => verdict.p_tie,
        };
        sum -= p.max(f64::MIN_POSITIVE).ln();
    }
    Ok(sum / labelled.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(a_first: [f64; 3], b_first: [f64; 3]) -> SwapLogits {
        SwapLogits { a_first, b_first }
    }

    #[test]
    fn broken_numbers_are_refused_and_large_ones_are_not() {
        let plain = said([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]);
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(judge_swap(&plain, temperature).is_err());
        }
        assert!(judge_swap(&said([f64::NAN, 0.0, 0.0], [0.0; 3]), 1.0).is_err());
        let sure = judge_swap(&said([1e5, 0.0, 0.0], [0.0, 1e5, 0.0]), 1e-3).unwrap();
        assert_eq!((sure.p_a, sure.position_gap, sure.consistent), (1.0, 0.0, true));
    }

    #[test]
    fn a_judge_that_leans_or_flips_is_disabled() {
        let record = |logits: SwapLogits| {
            let mut record = JudgeRecord::default();
            (0..60).for_each(|_| record.add(&judge_swap(&logits, 1.0).unwrap()));
            record
        };
        assert_eq!(JudgeRecord::default().health(), JudgeHealth::TooFew { have: 0, need: FEWEST_COMPARISONS });
        assert_eq!((JudgeRecord::default().flips(), JudgeRecord::default().position_gap()), (None, None));
        assert_eq!(record(said([0.0, 1.0, 0.0], [1.0, 0.0, 0.0])).health(), JudgeHealth::Healthy);
        assert!(
            matches!(record(said([2.0, 0.0, 0.0], [2.0, 0.0, 0.0])).health(), JudgeHealth::Leans(gap) if gap > 0.5)
        );
        assert_eq!(record(said([0.1, 0.0, 0.0], [0.1, 0.0, 0.0])).health(), JudgeHealth::Flips(1.0));
        let (mut merged, whole) = (record(said([0.0; 3], [0.0; 3])), record(said([1.0, 0.0, 0.0], [0.0; 3])));
        merged.merge(&whole);
        assert_eq!(merged.count(), 120);
        let text = serde_json::to_string(&merged).unwrap();
        assert_eq!(serde_json::from_str::<JudgeRecord>(&text).unwrap().count(), 120);
    }

    #[test]
    fn a_judge_too_sure_of_itself_gets_a_temperature_above_one() {
        // says A by 3 nats, is right in 60 of 100: at T, 1/(1+exp(-3/T)) of A or B is 0.6
        let pair = said([3.0, 0.0, -1e4], [0.0, 3.0, -1e4]);
        let labelled: Vec<_> = (0..100).map(|i| (pair, if i < 60 { Label::A } else { Label::B })).collect();
        assert!((fit_temperature(&labelled).unwrap() - 3.0 / 1.5_f64.ln()).abs() < 1e-4);
        assert!(fit_temperature(&[]).is_err());
    }
}
