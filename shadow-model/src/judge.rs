//! Which of two answers a model prefers, by the probabilities of one-token labels, asked in both orders.
//!
//! A model that is asked for a letter leans to one place whatever stands there (Zheng et al., arXiv 2306.05685), so each
//! comparison is read twice with the answers swapped and the probabilities are averaged; how far the two readings differ
//! is told with the verdict. The question is read once for both.

use std::sync::Arc;

use serde::Serialize;

use crate::decoder::{Batch, Load, Target};
use crate::scorer::cut::{beginning, end, worth_reading};
use crate::{ModelError, Result, Scorer, Tokens, Vocabulary};

/// What is written around the question and the answers, and the labels' letters in the order first, second, tie.
const BEFORE_QUESTION: &str = "Two assistants answered the same question. Decide which answer is better: more correct, \
more helpful, more to the point. Ignore the order of the answers and their length.\n\n[Question]\n";
const BEFORE_FIRST: &str = "\n\n[Answer A]\n";
const BEFORE_SECOND: &str = "\n\n[Answer B]\n";
const BEFORE_VERDICT: &str = "\n\nWhich answer is better? Reply with A, B, or C if they are equally good.\n\n[Verdict]";
const LETTERS: [&str; 3] = ["A", "B", "C"];

/// How the labels may follow: what ends the text, and what stands before the letter in its token.
const FORMS: [(&str, &str); 2] = [(":", " "), ("\n", "")];

/// A judge over a model that scores.
pub struct Judge {
    scorer: Arc<Scorer>,
    /// The tokens of the labels.
    labels: [u32; 3],
    /// The template, in tokens.
    parts: [Tokens; 4],
}

/// A question and two answers in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Up to the answers.
    question: Tokens,
    /// The rest, with a first and with b first.
    orders: [Tokens; 2],
    truncated: bool,
}

impl Comparison {
    /// Tokens that are read, the question's once.
    pub fn tokens(&self) -> usize {
        self.question.len() + self.orders.iter().map(Vec::len).sum::<usize>()
    }
}

/// Which answer is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Preference {
    /// The first that was given.
    A,
    /// The second that was given.
    B,
    /// Neither.
    Tie,
}

/// What a judge makes of two answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The most probable of the three.
    pub verdict: Preference,
    /// The probability that a is better, the mean of both orders.
    pub a: f64,
    /// That b is.
    pub b: f64,
    /// That neither is.
    pub tie: f64,
    /// |p(a is better, a first) − p(a is better, b first)|.
    pub position_gap: f64,
    /// Whether the two orders have different verdicts.
    pub flip: bool,
    /// ln p of the labels for a, b and tie, with a first and with b first: what a temperature is fitted to.
    pub logits: [[f64; 3]; 2],
    /// The probability of all three labels, the smaller of both orders; a model that means something else has little.
    pub mass: f64,
    /// Whether some of the texts was cut off to fit the model's window.
    pub truncated: bool,
}

impl Judge {
    /// A judge over a model.
    ///
    /// # Errors
    /// Where its vocabulary has no single tokens for the labels, or its window does not hold the template.
    pub fn new(scorer: Arc<Scorer>) -> Result<Self> {
        let (end, labels) = labels(&scorer)?;
        let plain = |text: &str| scorer.vocabulary().encode_plain(text);
        let start = [scorer.beginning(), &plain(BEFORE_QUESTION)?].concat();
        let verdict = plain(&format!("{BEFORE_VERDICT}{end}"))?;
        let parts = [start, plain(BEFORE_FIRST)?, plain(BEFORE_SECOND)?, verdict];
        let judge = Self { scorer, labels, parts };
        let (taken, window) = (judge.template(), judge.scorer.window());
        if taken + 3 > window {
            let what = format!("a window of {window} tokens, the template of a judgement takes {taken}");
            return Err(ModelError::Text(what));
        }
        Ok(judge)
    }

    /// Tokens of the template.
    fn template(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    /// The tokens of a comparison. Where it does not fit the window, the longest of the three texts are cut: the question
    /// keeps its end, the answers their beginnings.
    ///
    /// # Errors
    /// Where the tokenizer refuses a text.
    pub fn tokenize(&self, question: &str, a: &str, b: &str) -> Result<Comparison> {
        let plain = |text: &str| self.scorer.vocabulary().encode_plain(text);
        let bytes = worth_reading(self.scorer.window());
        let (question, question_cut) = end(question, bytes);
        let ((a, a_cut), (b, b_cut)) = (beginning(a, bytes), beginning(b, bytes));
        let (mut question, mut a, mut b) = (plain(question)?, plain(a)?, plain(b)?);
        let room = self.scorer.window() - self.template();
        let most = share([question.len(), a.len(), b.len()], room);
        let cut = question_cut || a_cut || b_cut;
        let truncated = cut || [&question, &a, &b].into_iter().any(|text| text.len() > most);
        question.drain(..question.len().saturating_sub(most));
        a.truncate(most);
        b.truncate(most);
        let [start, first, second, verdict] = &self.parts;
        let order = |one: &[u32], other: &[u32]| [first, one, second, other, verdict].concat();
        let orders = [order(&a, &b), order(&b, &a)];
        Ok(Comparison { question: [start.as_slice(), &question].concat(), orders, truncated })
    }

    /// The judgements of comparisons, in their order.
    ///
    /// # Errors
    /// Where a comparison alone takes more memory than allowed, or the device fails.
    pub fn judge(&self, comparisons: &[Comparison]) -> Result<Vec<Judgement>> {
        let load = |comparison: &Comparison| {
            let longest = comparison.question.len() + comparison.orders.iter().map(Vec::len).max().unwrap_or(0);
            Load { rows: comparison.tokens(), longest, segments: 3 }
        };
        let loads: Vec<_> = comparisons.iter().map(load).collect();
        let mut all = vec![None; comparisons.len()];
        for pass in self.scorer.passes(&loads)? {
            let judged = self.pass(pass.iter().map(|&number| &comparisons[number]))?;
            pass.into_iter().zip(judged).for_each(|(number, judged)| all[number] = Some(judged));
        }
        Ok(all.into_iter().flatten().collect())
    }

    fn pass<'a>(&self, comparisons: impl Iterator<Item = &'a Comparison>) -> Result<Vec<Judgement>> {
        let (mut batch, mut targets, mut truncated) = (Batch::default(), Vec::new(), Vec::new());
        for comparison in comparisons {
            let question = batch.add(&comparison.question, None);
            for order in &comparison.orders {
                let segment = batch.add(order, Some(question));
                let row = batch.rows(segment).end - 1;
                targets.extend(self.labels.map(|token| Target { row, token }));
            }
            truncated.push(comparison.truncated);
        }
        let nll = self.scorer.nll(&batch, &targets)?;
        Ok(nll.chunks_exact(6).zip(truncated).map(|(nll, truncated)| judgement(nll, truncated)).collect())
    }
}

/// The tokens of the labels and what ends the text before them, in the first form in which each is one token.
fn labels(scorer: &Scorer) -> Result<(&'static str, [u32; 3])> {
    for (end, space) in FORMS {
        let [a, b, c] = LETTERS.map(|letter| single(scorer.vocabulary(), &format!("{space}{letter}")));
        if let (Some(a), Some(b), Some(c)) = (a?, b?, c?) {
            return Ok((end, [a, b, c]));
        }
    }
    let expected = "A, B and C as single tokens, with a space before them or without, for the labels of a judge";
    Err(ModelError::Text(format!("the vocabulary has not {expected}")))
}

/// The one token of a label; `None` where it has several, or the vocabulary does not know all of its characters.
fn single(vocabulary: &Vocabulary, label: &str) -> Result<Option<u32>> {
    let tokens = vocabulary.encode_plain(label)?;
    let text = vocabulary.tokenizer().decode(&tokens, false).map_err(|why| ModelError::Text(why.to_string()))?;
    Ok(tokens.first().copied().filter(|_| tokens.len() == 1 && text.trim() == label.trim()))
}

/// The most tokens that each of three texts may keep so that together they fit the room.
fn share(mut lengths: [usize; 3], room: usize) -> usize {
    lengths.sort_unstable();
    let [short, middle, long] = lengths;
    if short + middle + long <= room {
        return long;
    }
    let (third, half) = (room / 3, room.saturating_sub(short) / 2);
    if short > third {
        third
    } else if middle > half {
        half
    } else {
        room - short - middle
    }
}

/// From −ln p of the labels first, second and tie, with a first and then with b first.
fn judgement(nll: &[f32], truncated: bool) -> Judgement {
    let ln = |at: usize| -f64::from(nll[at]);
    let logits = [[ln(0), ln(1), ln(2)], [ln(4), ln(3), ln(5)]];
    let [a_first, b_first] = logits.map(softmax);
    let [a, b, tie] = std::array::from_fn(|at| f64::midpoint(a_first[at], b_first[at]));
    Judgement {
        verdict: verdict([a, b, tie]),
        a,
        b,
        tie,
        position_gap: (a_first[0] - b_first[0]).abs(),
        flip: verdict(a_first) != verdict(b_first),
        logits,
        mass: logits.map(|order| order.into_iter().map(f64::exp).sum::<f64>()).into_iter().fold(1.0, f64::min),
        truncated,
    }
}

fn softmax(logits: [f64; 3]) -> [f64; 3] {
    let largest = logits.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let weights = logits.map(|logit| (logit - largest).exp());
    weights.map(|weight| weight / weights.iter().sum::<f64>())
}

/// The most probable; a tie where a and b are equally probable.
fn verdict([a, b, tie]: [f64; 3]) -> Preference {
    if a > b && a > tie {
        Preference::A
    } else if b > a && b > tie {
        Preference::B
    } else {
        Preference::Tie
    }
}

#[cfg(test)]
mod tests;
