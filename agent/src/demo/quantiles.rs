//! How long real prompts and answers are: quantiles of a real trace, and a way to draw from them evenly.
//!
//! The quantiles were computed from the Azure LLM inference trace 2023, code service (Microsoft, CC-BY 4.0; see
//! `docs/demo.md`); no row of it is here.

/// `ContextTokens` at 0 %, 5 %, ... 100 %.
pub(crate) const PROMPT_TOKENS: [f64; 21] = [
    3.0, 75.0, 147.0, 232.0, 386.0, 578.0, 770.0, 938.0, 1075.0, 1261.0, 1469.0, 1690.0, 1909.0, 2164.0, 2433.0,
    2745.0, 3192.0, 3919.0, 5186.0, 7302.0, 7437.0,
];

/// `GeneratedTokens` at 0 %, 5 %, ... 95 %, then 99 %: the last percent (up to 1899) has infinite variance, and a
/// window of seconds cannot hold enough of it for its mean to stand still.
pub(crate) const ANSWER_TOKENS: [f64; 21] = [
    6.0, 6.0, 7.0, 7.0, 8.0, 9.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 16.0, 18.0, 20.0, 24.0, 29.0, 39.0, 55.0, 90.0,
    252.0,
];

/// The value at share `u` (0 to 1, clamped), on straight lines between the quantiles.
pub(crate) fn at(quantiles: &[f64; 21], u: f64) -> f64 {
    let place = u.clamp(0.0, 1.0) * 20.0;
    let below = (place as usize).min(19);
    let part = place - below as f64;
    quantiles[below] + (quantiles[below + 1] - quantiles[below]) * part
}

/// Steps of [`Spread`], one for each thing drawn: badly approximable and independent, so that no two march together.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The square root of two: prompt lengths.
    Prompt,
    /// The golden ratio, the evenest of all: answer lengths, whose tail is the longest.
    Answer,
    /// The square root of three: whether a task was completed.
    Completed,
    /// The square root of seven: whether a user was satisfied.
    Satisfied,
    /// The square root of thirteen: everything that has no effect on a rule (streaming, arrival times).
    Manner,
}

impl Step {
    fn length(self) -> f64 {
        match self {
            Self::Prompt => std::f64::consts::SQRT_2,
            Self::Answer => 1.618_033_988_749_895,
            Self::Completed => 3.0_f64.sqrt(),
            Self::Satisfied => 7.0_f64.sqrt(),
            Self::Manner => 13.0_f64.sqrt(),
        }
        .fract()
    }
}

/// Numbers in `[0, 1)` that fill it evenly from every starting point (an additive recurrence).
///
/// Independent draws at 20 requests a second would move a 10-second mean of these lengths by 7 %; a real service's
/// five minutes hold enough requests to be calmer than that, and the scene stands for such a service. Of these
/// numbers any 200 in a row have a mean within 3 % (prompts) and 6 % (answers) of the whole.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    at: f64,
    step: f64,
}

impl Spread {
    /// Begins at a random place.
    pub(crate) fn new(step: Step, rng: &mut fastrand::Rng) -> Self {
        Self { at: rng.f64(), step: step.length() }
    }

    /// The next number.
    pub(crate) fn draw(&mut self) -> f64 {
        self.at = (self.at + self.step).fract();
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_on_the_quantiles_and_between_them() {
        for (why, u, expected) in [
            ("lowest", 0.0, 6.0),
            ("highest", 1.0, 252.0),
            ("a knot", 0.5, 13.0),
            ("half way between 95 % and the end", 0.975, 171.0),
            ("clamped", 7.0, 252.0),
            ("not a number takes the lowest", f64::NAN.max(0.0), 6.0),
        ] {
            assert!((at(&ANSWER_TOKENS, u) - expected).abs() < 1e-9, "{why}");
        }
    }

    #[test]
    fn any_two_hundred_draws_have_nearly_the_mean_of_the_whole() {
        for (quantiles, step, most) in [(&PROMPT_TOKENS, Step::Prompt, 0.03), (&ANSWER_TOKENS, Step::Answer, 0.06)] {
            let whole = (0..20_000).map(|i| at(quantiles, (f64::from(i) + 0.5) / 20_000.0)).sum::<f64>() / 20_000.0;
            for seed in 0..200 {
                let mut spread = Spread::new(step, &mut fastrand::Rng::with_seed(seed));
                let mean = (0..200).map(|_| at(quantiles, spread.draw())).sum::<f64>() / 200.0;
                assert!((mean / whole - 1.0).abs() < most, "{step:?} seed {seed}: {mean} of {whole}");
            }
        }
    }
}
