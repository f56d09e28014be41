//! Many models, compared in pairs: one strength for each (Bradley and Terry 1952), ties as half wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::estimate_error::{EstimateError, inside};
use super::linear::{inverse, logistic, times};

/// Newton's steps; a likelihood that has a maximum takes about ten.
const MOST_STEPS: usize = 200;

/// Comparisons of one pair of models, by sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Pair {
    /// How many.
    count: f64,
    /// `Σ y`, the smaller model's outcome.
    wins: f64,
    /// `Σ y²`.
    squares: f64,
}

/// Comparisons so far; mergeable: sums of every pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BradleyTerry {
    models: usize,
    /// Rows `(i, j, sums)` with i < j, by place `i * models + j`.
    pairs: BTreeMap<usize, Pair>,
}

/// Strengths; model 0 is the reference at 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Strengths {
    /// Log odds against the reference: `logit P(a beats b) = theta[a] - theta[b]`.
    pub theta: Vec<f64>,
    /// Standard errors if the model holds; 0 for the reference.
    pub se_model: Vec<f64>,
    /// Standard errors if it does not, too (Huber 1967; White 1980), as Chatbot Arena's.
    pub se_sandwich: Vec<f64>,
}

impl BradleyTerry {
    /// No comparison yet among `models`.
    #[must_use]
    pub fn new(models: usize) -> Self {
        Self { models, pairs: BTreeMap::new() }
    }

    /// Takes a comparison: `outcome` is 1 where `a` won, 0 where `b` did, 0.5 for a tie, or a probability.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] for a model that does not exist, one against itself, an outcome outside of `[0, 1]`.
    pub fn add(&mut self, a: usize, b: usize, outcome: f64) -> Result<(), EstimateError> {
        if a.max(b) >= self.models || a == b {
            return Err(EstimateError::Refused {
                what: "a pair",
                must: "two different models",
                found: a.max(b) as f64,
            });
        }
        let outcome = inside("an outcome", "in [0, 1]", (-f64::EPSILON, 1.0 + f64::EPSILON), outcome)?.clamp(0.0, 1.0);
        let (first, second, outcome) = if a < b { (a, b, outcome) } else { (b, a, 1.0 - outcome) };
        let pair = self.pairs.entry(first * self.models + second).or_default();
        pair.count += 1.0;
        pair.wins += outcome;
        pair.squares += outcome * outcome;
        Ok(())
    }

    /// Takes what another pod has seen.
    ///
    /// # Errors
    /// [`EstimateError::Mismatch`] where the other has other models.
    pub fn merge(&mut self, other: &Self) -> Result<(), EstimateError> {
        if self.models != other.models {
            return Err(EstimateError::Mismatch { what: "models", left: self.models, right: other.models });
        }
        for (place, theirs) in &other.pairs {
            let pair = self.pairs.entry(*place).or_default();
            pair.count += theirs.count;
            pair.wins += theirs.wins;
            pair.squares += theirs.squares;
        }
        Ok(())
    }

    /// The strengths of largest likelihood, by Newton's method.
    ///
    /// # Errors
    /// [`EstimateError::TooFew`] under two models; [`EstimateError::Separated`] where the likelihood has no maximum: the
    /// models fall in two groups of which one never took anything from the other (Ford 1957).
    pub fn strengths(&self) -> Result<Strengths, EstimateError> {
        if self.models < 2 {
            return Err(EstimateError::TooFew { what: "models", have: self.models as u64, need: 2 });
        }
        if !(self.reaches_all(Way::Won) && self.reaches_all(Way::Lost)) {
            return Err(EstimateError::Separated(
                "some models never win, never lose or are never compared with the rest",
            ));
        }
        let free = self.models - 1;
        let mut theta = vec![0.0; free];
        for _ in 0..MOST_STEPS {
            let (gradient, information, _) = self.derivatives(&theta);
            let step = times(&inverse(&information).ok_or(NO_MAXIMUM)?, &gradient);
            let longest = step.iter().fold(0.0_f64, |most, step| most.max(step.abs()));
            // damped: a full step from far off may overshoot
            let share = if longest > 2.0 { 2.0 / longest } else { 1.0 };
            theta.iter_mut().zip(&step).for_each(|(theta, step)| *theta += share * step);
            if longest < 1e-11 {
                return self.with_errors(&theta);
            }
        }
        Err(NO_MAXIMUM)
    }

    /// Whether every model is reached from model 0 by going from winner to loser, or the other way; a tie goes both.
    fn reaches_all(&self, way: Way) -> bool {
        let mut reached = vec![false; self.models];
        let mut open = vec![0];
        while let Some(model) = open.pop() {
            if std::mem::replace(&mut reached[model], true) {
                continue;
            }
            for (first, second, pair) in self.rows() {
                let (down, up) = match way {
                    Way::Won => (pair.wins > 0.0, pair.wins < pair.count),
                    Way::Lost => (pair.wins < pair.count, pair.wins > 0.0),
                };
                if first == model && down {
                    open.push(second);
                } else if second == model && up {
                    open.push(first);
                }
            }
        }
        reached.into_iter().all(|reached| reached)
    }

    fn rows(&self) -> impl Iterator<Item = (usize, usize, &Pair)> {
        self.pairs.iter().map(|(place, pair)| (place / self.models, place % self.models, pair))
    }

    /// Gradient, information and `Σ (y - p)² x xᵀ` of the parameters after the reference's.
    fn derivatives(&self, theta: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let free = theta.len();
        let mut gradient = vec![0.0; free];
        let mut information = vec![vec![0.0; free]; free];
        let mut middle = information.clone();
        let strength = |model: usize| if model == 0 { 0.0 } else { theta[model - 1] };
        for (first, second, pair) in self.rows() {
            let p = logistic(strength(first) - strength(second));
            let residual = pair.wins - pair.count * p;
            let squares = (pair.squares + p * (pair.count * p - 2.0 * pair.wins)).max(0.0);
            if first > 0 {
                gradient[first - 1] += residual;
            }
            gradient[second - 1] -= residual;
            add_pair(&mut information, first, second, pair.count * p * (1.0 - p));
            add_pair(&mut middle, first, second, squares);
        }
        (gradient, information, middle)
    }

    fn with_errors(&self, theta: &[f64]) -> Result<Strengths, EstimateError> {
        let (_, information, middle) = self.derivatives(theta);
        let bread = inverse(&information).ok_or(NO_MAXIMUM)?;
        let sandwich = |at: usize| {
            let row = &bread[at];
            times(&middle, row).iter().zip(row).map(|(a, b)| a * b).sum::<f64>().max(0.0).sqrt()
        };
        let with_reference = |values: Vec<f64>| std::iter::once(0.0).chain(values).collect::<Vec<f64>>();
        Ok(Strengths {
            theta: with_reference(theta.to_vec()),
            se_model: with_reference((0..theta.len()).map(|at| bread[at][at].max(0.0).sqrt()).collect()),
            se_sandwich: with_reference((0..theta.len()).map(sandwich).collect()),
        })
    }
}

const NO_MAXIMUM: EstimateError = EstimateError::Separated("Newton's method found no maximum");

/// Along which comparisons to go.
#[derive(Clone, Copy)]
enum Way {
    /// From a model to those it took something from.
    Won,
    /// From a model to those that took something from it.
    Lost,
}

/// Adds `weight` times the outer product of (e_first - e_second), the reference left out.
fn add_pair(matrix: &mut [Vec<f64>], first: usize, second: usize, weight: f64) {
    matrix[second - 1][second - 1] += weight;
    if first > 0 {
        matrix[first - 1][first - 1] += weight;
        matrix[first - 1][second - 1] -= weight;
        matrix[second - 1][first - 1] -= weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(models: usize, games: &[(usize, usize, f64)]) -> BradleyTerry {
        let mut table = BradleyTerry::new(models);
        games.iter().for_each(|(a, b, outcome)| table.add(*a, *b, *outcome).unwrap());
        table
    }

    #[test]
    fn what_has_no_finite_strength_says_so() {
        for (why, table) in [
            ("no model", of(0, &[])),
            ("one model", of(1, &[])),
            ("no game", of(2, &[])),
            ("one game", of(2, &[(0, 1, 1.0)])),
            ("never wins", of(3, &[(0, 1, 1.0), (1, 0, 1.0), (0, 2, 1.0), (1, 2, 1.0)])),
            ("never compared", of(3, &[(0, 1, 0.5)])),
        ] {
            assert!(table.strengths().is_err(), "{why}");
        }
        let mut table = BradleyTerry::new(2);
        for (a, b, outcome) in [(0, 0, 1.0), (0, 2, 1.0), (0, 1, f64::NAN), (0, 1, 1.5), (0, 1, -1.0)] {
            assert!(table.add(a, b, outcome).is_err());
        }
        assert_eq!(table, BradleyTerry::new(2));
    }

    #[test]
    fn two_models_have_the_logit_of_the_share() {
        let found = of(2, &[(1, 0, 1.0), (1, 0, 1.0), (0, 1, 0.0), (0, 1, 1.0)]).strengths().unwrap();
        assert!((found.theta[1] - 3.0_f64.ln()).abs() < 1e-12);
        assert_eq!(of(2, &[(0, 1, 0.5)]).strengths().unwrap().theta, [0.0, 0.0]);
        // far apart, but not separated
        let mut far = of(2, &[(0, 1, 1.0)]);
        (0..100_000).for_each(|_| far.add(1, 0, 1.0).unwrap());
        assert!((far.strengths().unwrap().theta[1] - 1e5_f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn merging_equals_seeing_all() {
        let games = [(0, 1, 1.0), (1, 2, 1.0), (2, 0, 1.0), (0, 2, 0.5)];
        let mut merged = of(3, &games[..1]);
        merged.merge(&of(3, &games[1..])).unwrap();
        assert_eq!(merged, of(3, &games));
        assert!(merged.merge(&BradleyTerry::new(2)).is_err());
        let text = serde_json::to_string(&merged).unwrap();
        assert_eq!(serde_json::from_str::<BradleyTerry>(&text).unwrap(), merged);
    }
}
