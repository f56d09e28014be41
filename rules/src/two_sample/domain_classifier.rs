//! Domain classifier: can a model tell current texts from reference texts it has not seen?
//!
//! Logistic regression over hashed n-grams, cross-validated; the area under the ROC curve (AUC) is an effect size that
//! people can read: the chance that a current text looks more current than a reference text. 0.5 is no drift.

use super::TestError;
use super::hashing::Sparse;

/// Texts are cut into this many parts; each is judged by a model of the others.
const FOLDS: usize = 4;
/// Passes over the training texts.
const PASSES: usize = 4;
/// Columns of the hashed features; a power of two.
const BUCKETS: u32 = 1 << 16;
/// Fewest texts a side.
const NEED: usize = 5 * FOLDS;

/// One of the two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is compared with.
    Reference,
    /// What is judged.
    Current,
}

/// What [`domain_classifier`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainClassifier {
    /// Mean area under the ROC curve over the parts, in `[0, 1]`.
    pub auc: f64,
    /// One-sided Mann-Whitney: the chance of such an AUC when texts cannot be told apart.
    pub p_value: f64,
    /// How current each current text looks to the model that has not seen it, in log odds.
    pub margins: Vec<f32>,
}

/// Trains and judges; `seed` deals the texts into parts and orders the training.
///
/// Within a part the scores come from one model, so there the null distribution of its AUC is Mann-Whitney's with
/// variance `(n + m + 1) / (12 n m)`, less for ties; the parts' mean is compared with the normal of their mean variance.
///
/// # Errors
/// [`TestError::TooFew`] below 20 texts a side.
pub fn domain_classifier(reference: &[&str], current: &[&str], seed: u64) -> Result<DomainClassifier, TestError> {
    let have = reference.len().min(current.len());
    if have < NEED {
        return Err(TestError::TooFew { have, need: NEED });
    }
    let rows = Sparse::of(reference.iter().chain(current).copied(), BUCKETS);
    let side = |row: usize| if row < reference.len() { Side::Reference } else { Side::Current };
    let mut random = fastrand::Rng::with_seed(seed);
    let parts = dealt(reference.len(), current.len(), &mut random);
    let mut margins = vec![0.0_f32; current.len()];
    let (mut auc, mut variance) = (0.0, 0.0);
    for held_out in 0..FOLDS {
        let of = |part: usize| &parts[part];
        let mut train: Vec<usize> = (0..FOLDS).filter(|part| *part != held_out).flat_map(of).copied().collect();
        let model = Model::trained(&rows, &mut train, side, &mut random);
        let mut scores: Vec<(f32, Side)> = Vec::with_capacity(of(held_out).len());
        for row in of(held_out) {
            let score = model.score(rows.row(*row));
            scores.push((score, side(*row)));
            if let Some(at) = row.checked_sub(reference.len()) {
                margins[at] = score;
            }
        }
        let (part, spread) = area(&mut scores);
        auc += part / FOLDS as f64;
        variance += spread / (FOLDS * FOLDS) as f64;
    }
    let p_value = if variance > 0.0 { normal_tail((auc - 0.5) / variance.sqrt()) } else { 1.0 };
    Ok(DomainClassifier { auc, p_value, margins })
}

/// Rows in parts, each side dealt out evenly.
fn dealt(reference: usize, current: usize, random: &mut fastrand::Rng) -> [Vec<usize>; FOLDS] {
    let mut parts: [Vec<usize>; FOLDS] = Default::default();
    for range in [0..reference, reference..reference + current] {
        let mut rows: Vec<usize> = range.collect();
        random.shuffle(&mut rows);
        rows.into_iter().enumerate().for_each(|(at, row)| parts[at % FOLDS].push(row));
    }
    parts
}

/// Weights of a logistic regression, learned by AdaGrad (Duchi, Hazan, Singer 2011).
struct Model {
    weights: Vec<f32>,
    bias: f32,
}

impl Model {
    fn trained(rows: &Sparse, train: &mut [usize], side: impl Fn(usize) -> Side, random: &mut fastrand::Rng) -> Self {
        const RATE: f32 = 0.5;
        let current = train.iter().filter(|row| side(**row) == Side::Current).count() as f32;
        let share = current / train.len() as f32;
        let mut model = Self { weights: vec![0.0; BUCKETS as usize], bias: 0.0 };
        let mut squares = vec![1e-3_f32; BUCKETS as usize];
        for _ in 0..PASSES {
            random.shuffle(train);
            for row in &*train {
                // both sides weigh the same in sum, however many texts they have
                let (target, weight) = match side(*row) {
                    Side::Current => (1.0, 0.5 / share),
                    Side::Reference => (0.0, 0.5 / (1.0 - share)),
                };
                let cells = rows.row(*row);
                let error = weight * (1.0 / (1.0 + (-model.score(cells)).exp()) - target);
                model.bias -= 0.01 * error;
                for (bucket, value) in cells {
                    let (at, gradient) = (*bucket as usize, error * value);
                    squares[at] += gradient * gradient;
                    model.weights[at] -= RATE * gradient / squares[at].sqrt();
                }
            }
        }
        model
    }

    fn score(&self, cells: &[(u32, f32)]) -> f32 {
        self.bias + cells.iter().map(|(bucket, value)| self.weights[*bucket as usize] * value).sum::<f32>()
    }
}

/// AUC of scores, ties at their mean rank, and its variance when sides are exchangeable.
fn area(scores: &mut [(f32, Side)]) -> (f64, f64) {
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let size = scores.len() as f64;
    let (mut before, mut ranks, mut m, mut ties) = (0.0, 0.0, 0.0, 0.0);
    for same in scores.chunk_by(|a, b| a.0 == b.0) {
        let (copies, current) =
            (same.len() as f64, same.iter().filter(|(_, side)| *side == Side::Current).count() as f64);
        ranks += current * (before + (copies + 1.0) / 2.0);
        ties += copies * (copies * copies - 1.0);
        before += copies;
        m += current;
    }
    let n = size - m;
    let auc = (ranks - m * (m + 1.0) / 2.0) / (n * m);
    (auc, ((size + 1.0) - ties / (size * (size - 1.0))) / (12.0 * n * m))
}

fn normal_tail(z: f64) -> f64 {
    statrs::function::erf::erfc(z / std::f64::consts::SQRT_2) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 12] =
        ["card", "where", "lost", "please", "help", "account", "transfer", "when", "money", "arrive", "my", "the"];

    fn texts(count: usize, foreign: f64, random: &mut fastrand::Rng) -> Vec<String> {
        let mut text = || {
            let mut words: Vec<&str> = (0..6).map(|_| WORDS[random.usize(..WORDS.len())]).collect();
            if random.f64() < foreign {
                words[2] = "bitcoin";
            }
            words.join(" ")
        };
        (0..count).map(|_| text()).collect()
    }

    fn judged(reference: &[String], current: &[String]) -> DomainClassifier {
        let r: Vec<&str> = reference.iter().map(String::as_str).collect();
        let c: Vec<&str> = current.iter().map(String::as_str).collect();
        domain_classifier(&r, &c, 5).unwrap()
    }

    #[test]
    fn a_new_word_is_found_and_its_texts_stand_out() {
        let mut random = fastrand::Rng::with_seed(1);
        let (reference, current) = (texts(300, 0.0, &mut random), texts(200, 0.3, &mut random));
        let found = judged(&reference, &current);
        assert!(found.auc > 0.6 && found.p_value < 1e-4, "{found:?}");
        let most = (0..200).max_by(|a, b| found.margins[*a].total_cmp(&found.margins[*b])).unwrap();
        assert!(current[most].contains("bitcoin"));
    }

    #[test]
    fn p_values_are_level_when_nothing_differs() {
        let mut random = fastrand::Rng::with_seed(2);
        let below = (0..100)
            .filter(|_| judged(&texts(40, 0.1, &mut random), &texts(60, 0.1, &mut random)).p_value <= 0.1)
            .count();
        assert!((2..=20).contains(&below), "{below} of 100 at 10 %");
    }

    #[test]
    fn areas_by_hand_and_too_few() {
        use Side::{Current as C, Reference as R};
        for (scores, expected) in [
            (vec![(1.0, R), (2.0, R), (3.0, C)], 1.0),
            (vec![(1.0, C), (2.0, R)], 0.0),
            (vec![(1.0, C), (1.0, R)], 0.5),
            (vec![(1.0, R), (2.0, C), (2.0, R), (3.0, C)], 0.875),
        ] {
            assert_eq!(area(&mut scores.clone()).0, expected, "{scores:?}");
        }
        assert_eq!(domain_classifier(&["a"; 5], &["b"; 50], 1), Err(TestError::TooFew { have: 5, need: NEED }));
    }
}
