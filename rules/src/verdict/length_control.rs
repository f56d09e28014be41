//! How often B's answer would be preferred if both were of one length: judges like long answers.

use super::Moments;
use super::estimate_error::{EstimateError, finite, inside};
use super::linear::{inverse, logistic, times};

/// Newton's steps; a likelihood that has a maximum takes about ten.
const MOST_STEPS: usize = 200;

/// Preferences for B, as they are and with length taken out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LengthControlled {
    /// Mean preference for B.
    pub raw_win_rate: f64,
    /// Log odds of B at equal lengths.
    pub beta: f64,
    /// Log odds that a length difference adds, at most.
    pub beta_length: f64,
    /// `logistic(beta)`: the win rate at equal lengths.
    pub win_rate: f64,
}

/// The logistic regression `logit P(B preferred) = beta + beta_length·tanh(d/sd)` of preferences on length differences, of
/// largest likelihood (Dubois et al. 2024, AlpacaEval 2, reduced to two arms: no term for an instruction's difficulty).
///
/// `length_b_minus_a` in tokens or characters, `preference_b` each in `[0, 1]`; sd with divisor n.
///
/// # Errors
/// [`EstimateError`] for lists of two lengths, fewer than three pairs, a preference outside of `[0, 1]`, lengths that do not
/// differ, or preferences that a length difference tells fully, so that no finite estimate exists.
pub fn length_control(length_b_minus_a: &[f64], preference_b: &[f64]) -> Result<LengthControlled, EstimateError> {
    if length_b_minus_a.len() != preference_b.len() {
        let (left, right) = (length_b_minus_a.len(), preference_b.len());
        return Err(EstimateError::Mismatch { what: "pairs", left, right });
    }
    if preference_b.len() < 3 {
        return Err(EstimateError::TooFew { what: "pairs", have: preference_b.len() as u64, need: 3 });
    }
    for (difference, preference) in length_b_minus_a.iter().zip(preference_b) {
        finite("a length difference", *difference)?;
        inside("a preference", "in [0, 1]", (-f64::EPSILON, 1.0 + f64::EPSILON), *preference)?;
    }
    let spread = Moments::of(length_b_minus_a.iter().copied()).variance().sqrt();
    if !(spread > 0.0 && spread.is_finite()) {
        return Err(EstimateError::Constant("lengths"));
    }
    let pulls: Vec<f64> = length_b_minus_a.iter().map(|difference| (difference / spread).tanh()).collect();
    let [beta, beta_length] = fit(&pulls, preference_b)?;
    let raw_win_rate = Moments::of(preference_b.iter().copied()).mean();
    Ok(LengthControlled { raw_win_rate, beta, beta_length, win_rate: logistic(beta) })
}

/// Intercept and slope of largest likelihood, by damped Newton steps.
fn fit(x: &[f64], y: &[f64]) -> Result<[f64; 2], EstimateError> {
    let nothing = EstimateError::Separated("the preferences follow from the lengths alone, or are all one");
    let mut beta = [0.0; 2];
    for _ in 0..MOST_STEPS {
        let mut gradient = [0.0; 2];
        let mut information = vec![vec![0.0; 2]; 2];
        for (x, y) in x.iter().zip(y) {
            let p = logistic(beta[0] + beta[1] * x);
            let weight = p * (1.0 - p);
            gradient[0] += y - p;
            gradient[1] += (y - p) * x;
            information[0][0] += weight;
            information[0][1] += weight * x;
            information[1][1] += weight * x * x;
        }
        information[1][0] = information[0][1];
        let step = times(&inverse(&information).ok_or_else(|| nothing.clone())?, &gradient);
        let longest = step.iter().fold(0.0_f64, |most, step| most.max(step.abs()));
        let share = if longest > 2.0 { 2.0 / longest } else { 1.0 };
        beta.iter_mut().zip(&step).for_each(|(beta, step)| *beta += share * step);
        if longest < 1e-11 {
            return Ok(beta);
        }
        // no data of a finite estimate asks for odds beyond e^30
        if beta.iter().any(|beta| beta.abs() > 30.0) {
            break;
        }
    }
    Err(nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_controlled_says_why() {
        for (why, lengths, preferences) in [
            ("none", &[][..], &[][..]),
            ("two", &[1.0, 2.0], &[0.5, 0.6]),
            ("lists", &[1.0, 2.0, 3.0], &[0.5]),
            ("one length", &[4.0, 4.0, 4.0], &[0.1, 0.5, 0.9]),
            ("NaN", &[1.0, 2.0, f64::NAN], &[0.1, 0.5, 0.9]),
            ("beyond 1", &[1.0, 2.0, 3.0], &[0.1, 0.5, 1.9]),
            ("NaN preference", &[1.0, 2.0, 3.0], &[0.1, 0.5, f64::NAN]),
            ("separated", &[-1.0, -2.0, 3.0, 1.0], &[0.0, 0.0, 1.0, 1.0]),
            ("all one", &[-1.0, -2.0, 3.0], &[1.0, 1.0, 1.0]),
        ] {
            assert!(length_control(lengths, preferences).is_err(), "{why}");
        }
    }

    #[test]
    fn preferences_that_do_not_follow_length_stay() {
        let found = length_control(&[-1.0, 1.0, -1.0, 1.0], &[0.6, 0.6, 0.8, 0.8]).unwrap();
        assert!((found.win_rate - 0.7).abs() < 1e-12 && found.beta_length.abs() < 1e-12);
    }
}
