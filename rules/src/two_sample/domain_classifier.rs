//! Domain classifier: can a model tell current texts from reference texts it has not seen?
//!
//! Logistic regression over hashed n-grams, cross-validated; the area under the ROC curve (AUC) is an effect size that
//! people can read: the chance that a current text looks more current than a reference text. 0.5 is no drift.
//!
//! Copies of one text go to one part. Were a text of the reference judged by a model that has learned its copy in the
//! current sample, it would look current: texts that are in both samples would be told apart the wrong way round.

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
/// Most copies of a text that go to one part. More are dealt like other texts: what is learned of them is their share on
/// both sides, and a text that often comes anew must be seen in training to be known again.
const COPIES: usize = 16;
/// Variance of the parts' mean over that of independent parts: see [`domain_classifier`].
const BETWEEN_PARTS: f64 = 2.0;

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
/// variance `(n + m + 1) / (12 n m)`, less for ties. The parts' mean is weighted by `n m / (n + m)`. Parts are not
/// independent: where two agree by chance on what looks current, the model of each judges the other well, so each of the
/// `k (k - 1) / 2` pairs counts twice, and a sum of `k (k - 1) / 2` doubled terms has twice the variance of one of
/// `k (k - 1)` independent ones. The mean is compared with the normal of that variance. Which part a text goes to depends on the text and its copies, never on its side: so the sides
/// within a part stay exchangeable, however many texts are equal.
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
    let parts = dealt(&rows, COPIES.min(have / (2 * FOLDS)), &mut random);
    let mut margins = vec![0.0_f32; current.len()];
    let mut judged = Vec::with_capacity(FOLDS);
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
        judged.extend(area(&mut scores));
    }
    let (auc, variance) = mean(&judged);
    let p_value = if variance > 0.0 { normal_tail((auc - 0.5) / variance.sqrt()) } else { 1.0 };
    Ok(DomainClassifier { auc, p_value, margins })
}

/// Rows in parts of nearly equal size. Equal rows go to one part, unless there are more than `together` of them.
fn dealt(rows: &Sparse, together: usize, random: &mut fastrand::Rng) -> [Vec<usize>; FOLDS] {
    let mut order: Vec<(u64, usize)> = (0..rows.len()).map(|row| (rows.hash(row), row)).collect();
    order.sort_unstable();
    let mut groups: Vec<&[(u64, usize)]> = Vec::new();
    for equal in order.chunk_by(|a, b| a.0 == b.0) {
        groups.extend(equal.chunks(if equal.len() > together { 1 } else { equal.len() }));
    }
    random.shuffle(&mut groups);
    // the large ones first: the small ones fill the parts up to the same size
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut parts: [Vec<usize>; FOLDS] = Default::default();
    for group in groups {
        if let Some(part) = parts.iter_mut().min_by_key(|part| part.len()) {
            part.extend(group.iter().map(|(_, row)| *row));
        }
    }
    parts
}

/// Part of a judgement: AUC, its variance when sides are exchangeable, and its weight.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    auc: f64,
    variance: f64,
    weight: f64,
}

/// AUC over the parts and its variance; 0.5 and 0 without a part.
fn mean(parts: &[Area]) -> (f64, f64) {
    let sum: f64 = parts.iter().map(|part| part.weight).sum();
    if sum == 0.0 {
        return (0.5, 0.0);
    }
    let share = |part: &Area| part.weight / sum;
    let auc = parts.iter().map(|part| share(part) * part.auc).sum();
    let apart: f64 = parts.iter().map(|part| share(part) * share(part) * part.variance).sum();
    (auc, BETWEEN_PARTS * apart)
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
        // all texts of a side may be in the part that is held out
        let share = (current / train.len() as f32).clamp(1e-6, 1.0 - 1e-6);
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

/// AUC of scores, ties at their mean rank; `None` where a side has none.
fn area(scores: &mut [(f32, Side)]) -> Option<Area> {
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
    if n == 0.0 || m == 0.0 {
        return None;
    }
    let auc = (ranks - m * (m + 1.0) / 2.0) / (n * m);
    let variance = ((size + 1.0) - ties / (size * (size - 1.0))) / (12.0 * n * m);
    Some(Area { auc, variance, weight: n * m / size })
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
        assert!(found.auc > 0.6 && found.p_value < 1e-3, "{found:?}");
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

    /// `count` texts of which half are of the pool, the rest about something else.
    fn half_of(pool: &[String], subject: &str, count: usize, random: &mut fastrand::Rng) -> Vec<String> {
        let mut own = texts(count / 2, 0.0, random);
        own.iter_mut().for_each(|text| *text = format!("{subject} {text}"));
        pool.iter().cloned().chain(own).collect()
    }

    #[test]
    fn what_both_samples_share_does_not_hide_what_moved() {
        for (why, copies) in [("each once", 1), ("some copies", 6), ("many copies", 20)] {
            let mut random = fastrand::Rng::with_seed(3 + copies as u64);
            let shared: Vec<String> =
                texts(200 / copies, 0.0, &mut random).iter().flat_map(|text| vec![text.clone(); copies]).collect();
            let reference = half_of(&shared, "refund", 2 * shared.len(), &mut random);
            let current = half_of(&shared, "passport", 2 * shared.len(), &mut random);
            let found = judged(&reference, &current);
            assert!(found.auc > 0.75 && found.p_value < 1e-6, "{why}: {} {}", found.auc, found.p_value);
        }
    }

    #[test]
    fn texts_that_are_in_both_samples_are_no_drift_and_keep_the_rate() {
        let mut random = fastrand::Rng::with_seed(4);
        let pool = texts(60, 0.1, &mut random);
        let mut sample = |count: usize| -> Vec<String> {
            (0..count).map(|_| pool[random.usize(..60) * random.usize(..60) / 60].clone()).collect()
        };
        let found: Vec<DomainClassifier> = (0..100).map(|_| judged(&sample(80), &sample(60))).collect();
        let below = found.iter().filter(|one| one.p_value <= 0.1).count();
        let mean = found.iter().map(|one| one.auc).sum::<f64>() / 100.0;
        assert!((2..=20).contains(&below), "{below} of 100 at 10 %");
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
    }

    #[test]
    fn a_text_that_comes_often_anew_is_known_again() {
        let mut random = fastrand::Rng::with_seed(5);
        let (reference, mut current) = (texts(300, 0.0, &mut random), texts(100, 0.0, &mut random));
        current.extend(vec!["zzz qqq".to_owned(); 100]);
        assert!(judged(&reference, &current).auc > 0.7);
        let few = judged(&reference, &vec!["zzz qqq".to_owned(); 20]);
        assert!(few.auc > 0.9 && few.p_value < 1e-4, "{few:?}");
    }

    #[test]
    fn areas_by_hand_and_too_few() {
        use Side::{Current as C, Reference as R};
        for (scores, expected) in [
            (vec![(1.0, R), (2.0, R), (3.0, C)], Some(1.0)),
            (vec![(1.0, C), (2.0, R)], Some(0.0)),
            (vec![(1.0, C), (1.0, R)], Some(0.5)),
            (vec![(1.0, R), (2.0, C), (2.0, R), (3.0, C)], Some(0.875)),
            (vec![(1.0, R), (2.0, R)], None),
        ] {
            assert_eq!(area(&mut scores.clone()).map(|area| area.auc), expected, "{scores:?}");
        }
        assert_eq!(domain_classifier(&["a"; 5], &["b"; 50], 1), Err(TestError::TooFew { have: 5, need: NEED }));
    }
}
