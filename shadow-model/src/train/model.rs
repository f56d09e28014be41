//! The decoder in training: loss and derivatives over a batch, layer by layer, with a bound on what is held.
//!
//! Frozen weights are held once, and nothing is derived by them; on the CPU those of layers in the numbers in which they
//! are stored, each widened while it is used. Of each layer either what its backward pass needs is kept, or its input
//! alone, and the rest is computed again (Chen et al., arXiv 1604.06174).

use std::cell::RefCell;

use candle_core::{DType, Tensor};

use super::backward;
use super::layer::{Kept, TrainedLayer};
use super::linear::{Lora, Trainable, Trained, Turn, row_norms};
use super::loss::{self, Wanted};
use super::parameters::{Gradients, Parameters};
use super::random::Random;
use super::recipe::{Method, Recipe, Recompute};
use super::size::{Size, kept_bytes};
use crate::decoder::{Batch, Checkpoint, Config, Layer, Part, Pass, Target, ops};
use crate::numbers::Numbers;
use crate::peft::{self, Adapter};
use crate::{ModelError, Result};

/// A decoder and what of it is trained.
pub(crate) struct Model {
    pub config: Config,
    pub numbers: Numbers,
    pub parameters: Parameters,
    embeddings: Trainable,
    layers: Vec<TrainedLayer>,
    norm: Trainable,
    output: Trainable,
    /// Bytes that may be kept for backward passes.
    room: u64,
}

/// What a layer leaves for its backward pass.
enum Left {
    All(Box<Kept>),
    Input(Tensor),
}

impl Model {
    /// Reads a model and puts what is to be trained beside it: as drawn, or as an adapter has it.
    ///
    /// # Errors
    /// Where a tensor is missing, of another shape, or cannot be read, or the adapter is of another form.
    pub fn load(checkpoint: &Checkpoint, recipe: &Recipe, from: Option<&Adapter>, memory: Option<u64>) -> Result<Self> {
        let config = checkpoint.config.clone();
        let made = Making { checkpoint, recipe, from, parts: recipe.parts()?, parameters: RefCell::default() };
        let embeddings = checkpoint.embeddings()?;
        let output = checkpoint.output_matrix(&embeddings)?.to_dtype(checkpoint.numbers.dtype)?;
        let embeddings = if config.tied { output.clone() } else { embeddings };
        let embeddings = made.trainable("model.embed_tokens.weight", embeddings)?;
        let layers = (0..config.layers.len()).map(|number| made.layer(number)).collect::<Result<Vec<_>>>()?;
        let norm = made.trainable("model.norm.weight", checkpoint.vector("norm.weight", config.hidden)?)?;
        let output = if config.tied { embeddings.clone() } else { made.trainable("lm_head.weight", output)? };
        let mut model = Self {
            parameters: made.parameters.into_inner(),
            numbers: checkpoint.numbers.clone(),
            embeddings,
            layers,
            norm,
            output,
            room: 0,
            config,
        };
        model.room = match (recipe.recompute, memory) {
            (Recompute::Always, _) => 0,
            (Recompute::AsNeeded, None) => u64::MAX,
            (Recompute::AsNeeded, Some(memory)) => memory.saturating_sub(Size::of(checkpoint, recipe)?.least),
        };
        model.refresh()?;
        Ok(model)
    }

    /// To be called whenever parameters have changed.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn refresh(&mut self) -> Result<()> {
        self.layers.iter_mut().flat_map(TrainedLayer::products).try_for_each(Trained::refresh)
    }

    /// The sum of −ln p over targets, in nats; the derivatives of `scale` times it are added to `gradients`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn pass(
        &self,
        batch: &Batch,
        targets: &[Target],
        scale: f64,
        turn: Turn,
        gradients: Option<&mut Gradients>,
    ) -> Result<f64> {
        let Numbers { dtype, device, .. } = &self.numbers;
        let pass = Pass::new(batch, &self.config, *dtype, device)?;
        let ids = Tensor::new(batch.ids(), device)?;
        let x = self.embeddings.1.index_select(&ids, 0)?.to_dtype(*dtype)?;
        let (rows, tokens): (Vec<u32>, Vec<u32>) =
            targets.iter().map(|target| (target.row as u32, target.token)).unzip();
        let rows = Tensor::new(rows, device)?;
        let (read, left) = self.forward(x, &rows, &pass, turn, gradients.is_some())?;
        let normed = ops::rms_norm(&read, &self.norm.1.to_dtype(*dtype)?, self.config.eps)?;
        let wanted = match (&gradients, self.output.0) {
            (None, _) => Wanted::Loss,
            (Some(_), None) => Wanted::Rows,
            (Some(_), Some(_)) => Wanted::RowsAndOutput,
        };
        let loss = loss::loss(&normed, &self.output.1, &tokens, scale, wanted)?;
        let (Some(gradients), Some(asked)) = (gradients, loss.rows) else { return Ok(loss.nats) };
        if let (Some(slot), Some(matrix)) = (self.output.0, loss.output) {
            gradients.add(slot, &matrix)?;
        }
        let weight = self.norm.1.to_dtype(*dtype)?;
        let (asked, norm) = backward::rms_norm(&read, &weight, self.config.eps, &asked, self.norm.0.is_some())?;
        if let (Some(slot), Some(norm)) = (self.norm.0, norm) {
            gradients.add(slot, &norm)?;
        }
        drop((read, normed));
        let asked = self.backward(asked, left, &rows, &pass, turn, gradients)?;
        if let (Some(slot), Some(asked)) = (self.embeddings.0, asked) {
            let table = Tensor::zeros(self.embeddings.1.shape(), DType::F32, device)?;
            gradients.add(slot, &table.index_add(&ids, &asked.to_dtype(DType::F32)?, 0)?)?;
        }
        Ok(loss.nats)
    }

    /// Those `rows` after the last layer, and what each layer leaves where the backward pass is to follow.
    fn forward(
        &self,
        mut x: Tensor,
        rows: &Tensor,
        pass: &Pass<'_>,
        turn: Turn,
        backward: bool,
    ) -> Result<(Tensor, Vec<Left>)> {
        let keeps = self.kept_layers(x.dim(0)?);
        let mut left = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let (y, kept) = layer.forward(&x, self.only(number, rows), pass, turn)?;
            if backward {
                // the last are kept: they are the first that the backward pass asks for
                let keep = number + keeps >= self.layers.len();
                left.push(if keep { Left::All(Box::new(kept)) } else { Left::Input(x) });
            }
            x = y;
        }
        Ok((x, left))
    }

    /// The rows that go on after attention in the layer of a number: of the last one those that are to predict something.
    fn only<'r>(&self, number: usize, rows: &'r Tensor) -> Option<&'r Tensor> {
        (number + 1 == self.layers.len()).then_some(rows)
    }

    /// What is asked of the rows before the first layer, `None` where nothing that is trained is before it.
    fn backward(
        &self,
        mut asked: Tensor,
        left: Vec<Left>,
        rows: &Tensor,
        pass: &Pass<'_>,
        turn: Turn,
        gradients: &mut Gradients,
    ) -> Result<Option<Tensor>> {
        for (number, (layer, left)) in self.layers.iter().zip(left).enumerate().rev() {
            let kept = match left {
                Left::All(kept) => *kept,
                Left::Input(x) => layer.forward(&x, self.only(number, rows), pass, turn)?.1,
            };
            let wanted = number > 0 || self.embeddings.0.is_some();
            match layer.backward(kept, &asked, pass, turn, gradients, wanted)? {
                Some(before) => asked = before,
                None => return Ok(None),
            }
        }
        Ok(Some(asked))
    }

    /// Layers of a pass of so many rows that are kept for the backward pass.
    fn kept_layers(&self, rows: usize) -> usize {
        let each = kept_bytes(&self.config, rows, self.numbers.dtype).max(1);
        usize::try_from(self.room / each).unwrap_or(usize::MAX).min(self.layers.len())
    }
}

/// What is needed to make the parts of a model.
struct Making<'a> {
    checkpoint: &'a Checkpoint,
    recipe: &'a Recipe,
    from: Option<&'a Adapter>,
    parts: Vec<Part>,
    parameters: RefCell<Parameters>,
}

impl Making<'_> {
    /// A tensor of the model: frozen, or a parameter where all is trained.
    fn trainable(&self, name: &str, tensor: Tensor) -> Result<Trainable> {
        if self.recipe.method != Method::Full {
            return Ok((None, tensor));
        }
        let decays = tensor.rank() > 1;
        let (slot, shared) = self.parameters.borrow_mut().add(name.to_owned(), &tensor, decays)?;
        Ok((Some(slot), shared))
    }

    fn layer(&self, number: usize) -> Result<TrainedLayer> {
        let mut norms = Vec::new();
        let vector = &mut |name: &str, length: usize| {
            let (slot, tensor) = self.trainable(&format!("model.{name}"), self.checkpoint.vector(name, length)?)?;
            norms.extend(slot);
            Ok(tensor)
        };
        let layer = Layer::load_with(&self.checkpoint.config, number, vector, &mut |part| self.product(part, number))?;
        Ok(TrainedLayer { layer, norms })
    }

    fn product(&self, part: Part, layer: usize) -> Result<Trained> {
        let frozen = self.recipe.method != Method::Full;
        let (weight, bias) = self.checkpoint.matrix(part, layer, frozen)?;
        let lora = match (self.recipe.form(), self.parts.contains(&part)) {
            (Some(_), true) => Some(self.lora(part, layer, &weight)?),
            _ => None,
        };
        let name = |tensor: &str| format!("model.{}.{tensor}", part.path(layer));
        let bias = bias.map(|bias| self.trainable(&name("bias"), bias)).transpose()?;
        Ok(Trained { weight: self.trainable(&name("weight"), weight)?, bias, lora })
    }

    /// As PEFT begins: A uniform within ±1/√inputs (Kaiming with a = √5), B zero, the magnitudes those of the weight.
    fn lora(&self, part: Part, layer: usize, weight: &Tensor) -> Result<Lora> {
        let Some(form) = self.recipe.form() else { return Err(ModelError::Recipe("nothing to adapt".to_owned())) };
        let (inputs, outputs) = part.shape(&self.checkpoint.config);
        let number = (layer * Part::ALL.len()) as u64 + part as u64;
        let device = weight.device();
        let given = self.from.and_then(|adapter| adapter.module(part, layer));
        if self.from.is_some() && given.is_none() {
            let what = format!("targets: the adapter to go on from does not change {}", part.path(layer));
            return Err(ModelError::Recipe(what));
        }
        let (a, b) = match given {
            Some(module) => (module.a.to_device(device)?, module.b.to_device(device)?),
            None => {
                let mut random = Random::new(self.recipe.seed, &[BEGINNING, number]);
                let bound = 1.0 / (inputs as f32).sqrt();
                let numbers = (0..form.rank * inputs).map(|_| (2.0 * random.uniform() - 1.0) * bound).collect();
                let zeros = Tensor::zeros((outputs, form.rank), DType::F32, device)?;
                (Tensor::from_vec::<_, f32>(numbers, (form.rank, inputs), device)?, zeros)
            }
        };
        let magnitude = match (form.dora, given.and_then(|module| module.magnitude.as_ref())) {
            (false, _) => None,
            (true, Some(magnitude)) => Some(magnitude.to_device(device)?),
            (true, None) => Some(row_norms(weight, &a, &b, form.scale())?),
        };
        let mut parameters = self.parameters.borrow_mut();
        let mut add =
            |tensor: &str, value: &Tensor, decays| parameters.add(peft::key(part, layer, tensor), value, decays);
        Ok(Lora {
            a: add("lora_A.weight", &a, true)?,
            b: add("lora_B.weight", &b, true)?,
            magnitude: magnitude.map(|magnitude| add("lora_magnitude_vector", &magnitude, true)).transpose()?,
            scale: form.scale(),
            dropout: self.recipe.dropout(),
            number,
            sizes: None,
        })
    }
}

/// What the numbers of a new adapter are drawn for.
const BEGINNING: u64 = 1;
