//! How a model is trained: everything that decides the outcome beside the model and the data.

use serde::{Deserialize, Serialize};

use crate::decoder::Part;
use crate::peft::Form;
use crate::{ModelError, Result};

/// What is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Low-rank changes beside frozen weights.
    Lora {
        /// Columns of B and rows of A.
        rank: usize,
        /// α of the scale.
        alpha: f64,
        /// Names of the matrices, as `q_proj`.
        targets: Vec<String>,
        /// The share of the inputs of A that is dropped.
        dropout: f64,
        /// Scaled by α/√r.
        rslora: bool,
        /// The sizes of rows apart from their direction.
        dora: bool,
    },
    /// Every number of the model, to compare with.
    Full,
}

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Half a cosine to zero.
    #[default]
    Cosine,
    /// A line to zero.
    Linear,
    /// As it is.
    Constant,
}

/// How layers are brought back for the backward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recompute {
    /// As many layers as memory has room for are kept, the others computed again.
    #[default]
    AsNeeded,
    /// All are computed again: the least memory, a third more time.
    Always,
}

/// How a model is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// What is trained.
    pub method: Method,
    /// The learning rate after the warm-up.
    pub learning_rate: f64,
    /// How it goes on.
    pub schedule: Schedule,
    /// Steps of the warm-up; below 1 a share of all steps.
    pub warmup: f64,
    /// The most that the norm of all gradients may be; 0 is no bound.
    pub clip: f64,
    /// AdamW's β₁, β₂.
    pub betas: [f64; 2],
    /// AdamW's ε.
    pub epsilon: f64,
    /// AdamW's decay of weights.
    pub weight_decay: f64,
    /// How often the data is gone through.
    pub epochs: usize,
    /// The most steps.
    pub max_steps: Option<usize>,
    /// The most tokens of one pass.
    pub batch_tokens: usize,
    /// Passes that make one step.
    pub accumulate: usize,
    /// The share of the examples that is replayed from old data.
    pub replay_share: f64,
    /// What everything random follows from.
    pub seed: u64,
    /// How layers are brought back.
    pub recompute: Recompute,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            method: Method::Lora {
                rank: 16,
                alpha: 32.0,
                targets: Part::ALL.iter().map(|part| part.name().to_owned()).collect(),
                dropout: 0.0,
                rslora: false,
                dora: false,
            },
            learning_rate: 2e-4,
            schedule: Schedule::default(),
            warmup: 0.03,
            clip: 1.0,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.0,
            epochs: 1,
            max_steps: None,
            batch_tokens: 2048,
            accumulate: 1,
            replay_share: 0.2,
            seed: 0,
            recompute: Recompute::default(),
        }
    }
}

impl Recipe {
    /// Checks every number.
    ///
    /// # Errors
    /// The first that is out of range, with what would be right.
    pub fn check(&self) -> Result<()> {
        let share = |number: f64| (0.0..1.0).contains(&number);
        let above = |number: f64| number > 0.0 && number.is_finite();
        let mut rules = vec![
            ("lr", above(self.learning_rate), "a number above 0"),
            ("warmup", self.warmup >= 0.0 && self.warmup.is_finite(), "a number of steps, or a share below 1"),
            ("clip", self.clip >= 0.0 && self.clip.is_finite(), "a number above 0, or 0 for no bound"),
            ("betas", self.betas.into_iter().all(share), "two numbers from 0 up to 1"),
            ("epsilon", above(self.epsilon), "a number above 0"),
            ("weight-decay", share(self.weight_decay), "a number from 0 up to 1"),
            ("epochs", (1..=1_000_000).contains(&self.epochs), "1 to 1000000"),
            ("max-steps", self.max_steps.is_none_or(|most| (1..=10_000_000).contains(&most)), "1 to 10000000"),
            ("batch-tokens", self.batch_tokens > 1, "2 or more"),
            ("accumulate", self.accumulate > 0, "1 or more"),
            ("replay-share", (0.0..=0.99).contains(&self.replay_share), "a share from 0 to 0.99"),
        ];
        if let Method::Lora { rank, alpha, dropout, .. } = &self.method {
            rules.push(("rank", (1..=4096).contains(rank), "1 to 4096"));
            rules.push(("alpha", above(*alpha), "a number above 0"));
            rules.push(("dropout", share(*dropout), "a share from 0 up to 1"));
        }
        match rules.into_iter().find(|(_, right, _)| !right) {
            Some((name, _, expected)) => Err(ModelError::Recipe(format!("{name}: expected {expected}"))),
            None => self.parts().map(|_| ()),
        }
    }

    /// The matrices that are trained.
    ///
    /// # Errors
    /// Where a name is none of them, or there is none.
    pub(crate) fn parts(&self) -> Result<Vec<Part>> {
        let Method::Lora { targets, .. } = &self.method else { return Ok(Part::ALL.to_vec()) };
        let known = || Part::ALL.map(Part::name).join(", ");
        let part = |name: &String| {
            let part = Part::ALL.into_iter().find(|part| part.name() == name);
            part.ok_or_else(|| ModelError::Recipe(format!("targets: found `{name}`, expected some of {}", known())))
        };
        let mut parts = targets.iter().map(part).collect::<Result<Vec<_>>>()?;
        parts.sort_unstable();
        parts.dedup();
        if parts.is_empty() {
            return Err(ModelError::Recipe(format!("targets: found none, expected some of {}", known())));
        }
        Ok(parts)
    }

    /// The form of the adapter; `None` where all is trained.
    pub(crate) fn form(&self) -> Option<Form> {
        match self.method {
            Method::Lora { rank, alpha, rslora, dora, .. } => Some(Form { rank, alpha, rslora, dora }),
            Method::Full => None,
        }
    }

    /// The share of an adapter's input that is dropped.
    pub(crate) fn dropout(&self) -> f64 {
        if let Method::Lora { dropout, .. } = self.method { dropout } else { 0.0 }
    }

    /// The learning rate of the step of a number, from 0, of `steps`; as transformers' schedules, but that a training of one step
    /// has no warm-up: it would learn nothing.
    pub(crate) fn rate(&self, step: usize, steps: usize) -> f64 {
        let (step, steps) = (step as f64, steps as f64);
        let warmup = match self.warmup {
            _ if steps <= 1.0 => 0.0,
            share if share < 1.0 => (share * steps).ceil(),
            warmup => warmup,
        };
        if step < warmup {
            return self.learning_rate * step / warmup;
        }
        let done = (step - warmup) / (steps - warmup).max(1.0);
        self.learning_rate
            * match self.schedule {
                Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
                Schedule::Linear => 1.0 - done,
                Schedule::Constant => 1.0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_transformers() {
        // get_cosine_schedule_with_warmup and get_linear_schedule_with_warmup(optimizer, 2, 10), lr 1
        let recipe = |schedule| Recipe { learning_rate: 1.0, warmup: 2.0, schedule, ..Recipe::default() };
        for (schedule, wanted) in [
            (Schedule::Cosine, [0.0, 0.5, 1.0, 0.961_939_766, 0.691_341_716, 0.038_060_233_7]),
            (Schedule::Linear, [0.0, 0.5, 1.0, 0.875, 0.625, 0.125]),
            (Schedule::Constant, [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]),
        ] {
            for (step, wanted) in [0, 1, 2, 3, 5, 9].into_iter().zip(wanted) {
                assert!((recipe(schedule).rate(step, 10) - wanted).abs() < 1e-8, "{schedule:?} {step}");
            }
        }
    }

    #[test]
    fn some_step_of_every_training_learns() {
        for schedule in [Schedule::Cosine, Schedule::Linear, Schedule::Constant] {
            for (warmup, steps) in [(0.03, 1), (10.0, 1), (0.99, 2), (10.0, 2), (0.0, 1)] {
                let recipe = Recipe { warmup, schedule, ..Recipe::default() };
                let most = (0..steps).map(|step| recipe.rate(step, steps)).fold(0.0, f64::max);
                assert!(most > 0.0, "{schedule:?}, a warm-up of {warmup} in {steps} steps");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_told() {
        let lora = |targets: &[&str], rank| Method::Lora {
            rank,
            alpha: 1.0,
            targets: targets.iter().map(|&name| name.to_owned()).collect(),
            dropout: 0.0,
            rslora: false,
            dora: false,
        };
        let recipe = Recipe::default;
        for (recipe, message) in [
            (Recipe { learning_rate: f64::NAN, ..recipe() }, "lr: expected a number above 0"),
            (Recipe { replay_share: 1.0, ..recipe() }, "replay-share: expected a share from 0 to 0.99"),
            (Recipe { method: lora(&["q_proj"], 0), ..recipe() }, "rank: expected 1 to 4096"),
            (
                Recipe { method: lora(&["qproj"], 1), ..recipe() },
                "targets: found `qproj`, expected some of q_proj, k_proj",
            ),
            (Recipe { method: lora(&[], 1), ..recipe() }, "targets: found none, expected some of q_proj, k_proj"),
        ] {
            let error = recipe.check().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        recipe().check().unwrap();
    }
}
