//! A training from its first step to its last: what a step does, what is remembered, how it goes on after a kill.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::examples::{Example, packed};
use super::linear::Turn;
use super::model::Model;
use super::optimiser::{AdamW, clip};
use super::origin::{Origin, differences, hash};
use super::parameters::Gradients;
use super::plan::{self, Step};
use super::random::Random;
use super::recipe::{Method, Recipe};
use super::saved::{self, Standing};
use super::size::Size;
use crate::decoder::Checkpoint;
use crate::numbers::Products;
use crate::peft::{self, Adapter};
use crate::{ModelError, Options, Precision, Result};

/// Steps in a row without a finite loss and derivative after which a training ends.
const MOST_SKIPPED: usize = 5;

/// What dropped numbers are drawn for.
const DROPPING: u64 = 4;

/// What a training learns from, and what it is measured by.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// New examples.
    pub new: Vec<Example>,
    /// Old ones, replayed so that they are not forgotten.
    pub old: Vec<Example>,
    /// The holdout: not learnt.
    pub held: Vec<Example>,
}

/// One step, done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its number, from 1.
    pub step: usize,
    /// Nats per answer token; `None` where it was not finite.
    pub loss: Option<f64>,
    /// The norm of all derivatives before clipping; `None` where it was not finite.
    pub gradient_norm: Option<f64>,
    /// The learning rate.
    pub learning_rate: f64,
    /// Tokens that were read.
    pub tokens: usize,
    /// Answer tokens among them.
    pub learnt: usize,
}

/// The loss on a holdout.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Steps that had been done.
    pub step: usize,
    /// Nats per answer token.
    pub loss: f64,
}

/// What has happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Steps done.
    pub step: usize,
    /// Of those, how many changed nothing because loss or derivative was not finite.
    pub skipped: usize,
    /// Of those, the last ones in a row.
    pub skipped_in_a_row: usize,
    /// Every step.
    pub points: Vec<Point>,
    /// Every reading of the holdout.
    pub held: Vec<Held>,
}

/// A training.
pub struct Trainer {
    model: Model,
    origin: Origin,
    examples: Vec<Example>,
    held: Vec<Example>,
    steps: Vec<Step>,
    optimiser: AdamW,
    course: Course,
    size: Size,
}

impl Trainer {
    /// Opens a model's folder to be trained, from nothing or from an adapter of a stage before.
    ///
    /// # Errors
    /// Where the recipe cannot be, a file is missing or cannot be read, or there is nothing to learn from.
    pub fn open(folder: &Path, options: &Options, recipe: &Recipe, data: Data, from: Option<&Path>) -> Result<Self> {
        recipe.check()?;
        if data.new.is_empty() {
            return Err(ModelError::Training("no examples".to_owned()));
        }
        let checkpoint = checkpoint(folder, options)?;
        let size = Size::of(&checkpoint, recipe)?;
        size.within(options.memory)?;
        let adapter = from.map(|from| Adapter::read(from, &checkpoint.config)).transpose()?;
        if let Some(adapter) = &adapter {
            fits(adapter, recipe)?;
        }
        let new = data.new.len();
        let examples: Vec<Example> = data.new.into_iter().chain(data.old).collect();
        let lengths: Vec<usize> = examples.iter().map(Example::tokens).collect();
        let origin = Origin {
            recipe: recipe.clone(),
            base: checkpoint.sha256()?,
            data: hash(&examples),
            adapter: from.map(peft::sha256).transpose()?,
            holdout: Some(hash(&data.held)),
        };
        let model = Model::load(&checkpoint, recipe, adapter.as_ref(), options.memory)?;
        Ok(Self {
            optimiser: AdamW::new(&model.parameters),
            steps: plan::steps(&lengths, new, recipe),
            course: Course::default(),
            model,
            origin,
            examples,
            held: data.held,
            size,
        })
    }

    /// How much it trains and takes.
    pub fn size(&self) -> Size {
        self.size
    }

    /// What it started from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What has happened so far.
    pub fn course(&self) -> &Course {
        &self.course
    }

    /// Steps of the whole training.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The next step; `None` where all are done.
    ///
    /// # Errors
    /// Where the device fails, or too many steps in a row had no finite loss and derivative.
    pub fn step(&mut self) -> Result<Option<Point>> {
        let Some(step) = self.steps.get(self.course.step) else { return Ok(None) };
        let examples = |pass: &[usize]| pass.iter().map(|&number| &self.examples[number]).collect::<Vec<_>>();
        let passes: Vec<_> = step.iter().map(|pass| examples(pass)).collect();
        let (loss, mut asked) = derivatives(&self.model, &passes, Some((self.origin.recipe.seed, self.course.step)))?;
        let recipe = &self.origin.recipe;
        let norm = clip(&mut asked, recipe.clip);
        let rate = recipe.rate(self.course.step, self.steps.len());
        let all = || passes.iter().flatten();
        self.course.step += 1;
        let point = Point {
            step: self.course.step,
            loss: Some(loss).filter(|loss| loss.is_finite()),
            gradient_norm: Some(norm).filter(|norm| norm.is_finite()),
            learning_rate: rate,
            tokens: all().map(|example| example.tokens()).sum(),
            learnt: all().map(|example| example.learnt()).sum(),
        };
        if loss.is_finite() && norm.is_finite() {
            self.optimiser.step(&self.model.parameters, &asked, rate, recipe)?;
            self.model.refresh()?;
            self.course.skipped_in_a_row = 0;
        } else {
            self.course.skipped += 1;
            self.course.skipped_in_a_row += 1;
        }
        self.course.points.push(point.clone());
        if self.course.skipped_in_a_row >= MOST_SKIPPED {
            let what = format!(
                "step {}: loss or derivative was not finite {MOST_SKIPPED} times in a row; a lower learning rate, or \
                 weights that are finite, would help",
                self.course.step
            );
            return Err(ModelError::Training(what));
        }
        Ok(Some(point))
    }

    /// Nats per answer token of the holdout, with nothing dropped; remembered in the course. `None` where there is none.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn hold(&mut self) -> Result<Option<Held>> {
        if self.held.is_empty() {
            return Ok(None);
        }
        let most = self.origin.recipe.batch_tokens;
        let (mut nats, mut learnt, mut rest) = (0.0, 0, &self.held[..]);
        while !rest.is_empty() {
            let fits = |count: &usize| rest[..*count].iter().map(Example::tokens).sum::<usize>() <= most;
            let count = (2..=rest.len()).take_while(fits).last().unwrap_or(1);
            let (batch, targets) = packed(rest[..count].iter());
            nats += self.model.pass(&batch, &targets, 0.0, Turn { key: None }, None)?;
            learnt += targets.len();
            rest = &rest[count..];
        }
        let held = Held { step: self.course.step, loss: nats / learnt.max(1) as f64 };
        self.course.held.push(held);
        Ok(Some(held))
    }

    /// Writes where the training stands into a folder.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let (origin, course) = (self.origin.clone(), self.course.clone());
        let standing = Standing { origin, course, optimiser_steps: self.optimiser.steps };
        saved::write(folder, &standing, &self.model.parameters, &self.optimiser)
    }

    /// Goes on from the newest checkpoint of a folder that is whole; gives what is wrong with newer ones. Where there is
    /// none, nothing changes.
    ///
    /// # Errors
    /// Where it is of another training, or all that there are are damaged.
    pub fn resume(&mut self, folder: &Path) -> Result<Vec<String>> {
        let mut damaged = Vec::new();
        for path in saved::found(folder)? {
            match saved::read(&path, &self.model.parameters, &mut self.optimiser, &self.origin) {
                Ok(standing) => {
                    self.course = standing.course;
                    self.model.refresh()?;
                    return Ok(damaged);
                }
                Err(why @ ModelError::Training(_)) => return Err(why),
                Err(why) => damaged.push(why.to_string()),
            }
        }
        if damaged.is_empty() { Ok(damaged) } else { Err(ModelError::Training(damaged.join("; "))) }
    }

    /// Whether a folder has checkpoints.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn has_checkpoints(folder: &Path) -> Result<bool> {
        Ok(!saved::found(folder)?.is_empty())
    }

    /// Writes what was trained: an adapter in PEFT's format, or a whole model where all was trained. `base` is the name of
    /// the model that an adapter is for.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(&self, folder: &Path, base: &str) -> Result<()> {
        let (recipe, tensors) = (&self.origin.recipe, self.model.parameters.tensors());
        match recipe.form() {
            Some(form) => peft::write(folder, &form, recipe.dropout(), &recipe.parts()?, base, &tensors),
            None => peft::write_tensors(&folder.join("model.safetensors"), &tensors),
        }
    }
}

/// The size of a training without opening it.
///
/// # Errors
/// Where the recipe cannot be, the model's configuration cannot be read, or `options` allow less memory than it takes.
pub fn size(folder: &Path, options: &Options, recipe: &Recipe) -> Result<(Size, u64)> {
    recipe.check()?;
    let checkpoint = checkpoint(folder, options)?;
    let size = Size::of(&checkpoint, recipe)?;
    size.within(options.memory)?;
    Ok((size, size.expected(recipe.recompute, options.memory)))
}

/// How many steps a training has.
pub fn steps(data: &Data, recipe: &Recipe) -> usize {
    let lengths: Vec<usize> = data.new.iter().chain(&data.old).map(Example::tokens).collect();
    plan::steps(&lengths, data.new.len(), recipe).len()
}

fn checkpoint(folder: &Path, options: &Options) -> Result<Checkpoint> {
    if options.precision == Precision::Int8 {
        let what = "precision: found int8, expected auto, f32, bf16 or f16: a training takes no 8-bit integers";
        return Err(ModelError::Recipe(what.to_owned()));
    }
    let mut checkpoint = Checkpoint::open(folder, &Options { memory: None, ..options.clone() })?;
    checkpoint.numbers.products = Products::Plain;
    Ok(checkpoint)
}

fn fits(adapter: &Adapter, recipe: &Recipe) -> Result<()> {
    let (form, parts) = (adapter.form, adapter.parts());
    if recipe.form() == Some(form) && parts == recipe.parts()? {
        return Ok(());
    }
    let targets = match &recipe.method {
        Method::Lora { targets, .. } if parts == recipe.parts()? => targets.clone(),
        _ => parts.into_iter().map(|part| part.name().to_owned()).collect(),
    };
    let (rank, alpha, rslora, dora, dropout) = (form.rank, form.alpha, form.rslora, form.dora, recipe.dropout());
    let method = Method::Lora { rank, alpha, targets, dropout, rslora, dora };
    let there = Recipe { method, ..recipe.clone() };
    let what = format!("the adapter to go on from is of another form: {}", differences(&there, recipe));
    Err(ModelError::Recipe(what))
}

/// Loss and derivatives of the mean over all answer tokens of some passes together; what is dropped is drawn for a seed and
/// a step, nothing is where there is none.
pub(super) fn derivatives(
    model: &Model,
    passes: &[Vec<&Example>],
    drawn: Option<(u64, usize)>,
) -> Result<(f64, super::optimiser::Asked)> {
    let learnt: usize = passes.iter().flatten().map(|example| example.learnt()).sum();
    let mut gradients = Gradients::none(model.parameters.all.len());
    let mut nats = 0.0;
    for (number, pass) in passes.iter().enumerate() {
        let (batch, targets) = packed(pass.iter().copied());
        let key = drawn.map(|(seed, step)| Random::new(seed, &[DROPPING, step as u64, number as u64]).key());
        nats += model.pass(&batch, &targets, 1.0 / learnt as f64, Turn { key }, Some(&mut gradients))?;
    }
    Ok((nats / learnt as f64, gradients.into_numbers()?))
}
