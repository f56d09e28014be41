//! LoRA adapters in the format of Hugging Face PEFT: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! W' = W + s·B·A with s = α/r (Hu et al., arXiv 2106.09685) or α/√r (rsLoRA: Kalajdzievski, arXiv 2312.03732); with
//! magnitudes m, W' = m ∘ (W + s·B·A) / ‖W + s·B·A‖, row by row (DoRA: Liu et al., arXiv 2402.09353).

mod gguf;
mod settings;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candle_core::{D, DType, Device, Tensor};

use crate::decoder::{Config, Part};
use crate::{ModelError, Result, Settings, Weights};

pub use gguf::{adapter_name, write_gguf};
pub(crate) use settings::Form;
pub(crate) use write::{Item, Numbers, safetensors, sha256, write, write_tensors};

/// The two files of an adapter.
pub(crate) const SETTINGS: &str = "adapter_config.json";
pub(crate) const TENSORS: &str = "adapter_model.safetensors";

/// What is to be there, for messages.
const FILES: &str = "an adapter's folder has adapter_config.json and adapter_model.safetensors";

/// What stands before the names of a layer's parts.
const PREFIX: &str = "base_model.model.model.";

/// An adapter.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    pub form: Form,
    modules: BTreeMap<(usize, Part), Module>,
}

/// What an adapter adds to one matrix.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// `[rank, inputs]`
    pub a: Tensor,
    /// `[outputs, rank]`
    pub b: Tensor,
    /// `[outputs]`, of DoRA.
    pub magnitude: Option<Tensor>,
    /// α/r or α/√r.
    pub scale: f64,
}

impl Module {
    /// The weight `[outputs, inputs]` with the adapter in it.
    ///
    /// # Errors
    /// Where the shapes do not fit.
    pub fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        let sum = (weight + (self.b.matmul(&self.a)? * self.scale)?)?;
        let Some(magnitude) = &self.magnitude else { return Ok(sum) };
        let norm = sum.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        Ok(sum.broadcast_mul(&magnitude.unsqueeze(1)?.div(&norm)?)?)
    }
}

/// An adapter's two files, whose tensors are read one by one.
struct Stored {
    form: Form,
    weights: Weights,
    /// The matrices that it changes.
    places: BTreeSet<(usize, Part)>,
}

impl Stored {
    /// Opens an adapter for a decoder.
    ///
    /// # Errors
    /// Where a file is missing or damaged, the adapter does something that is not supported here, or changes other matrices
    /// than the model has.
    fn open(folder: &Path, config: &Config) -> Result<Self> {
        let (settings, path) = (folder.join(SETTINGS), folder.join(TENSORS));
        if !folder.is_dir() {
            return Err(ModelError::file(folder, format!("no such folder; {FILES}")));
        }
        if let Some(missing) = [&settings, &path].into_iter().find(|path| !path.exists()) {
            return Err(ModelError::file(missing, format!("no such file; {FILES}")));
        }
        let form = Form::read(&Settings::read(&settings)?)?;
        let weights = Weights::of_files(folder, vec![path.clone()])?;
        let mut places = BTreeSet::new();
        for (name, _) in weights.shapes() {
            let Some((layer, part, tensor)) = place(name, config) else {
                let expected = "an adapter of the matrices in the layers of this model";
                return Err(ModelError::tensor(&path, name, "it", expected));
            };
            if tensor == "lora_A.weight" {
                places.insert((layer, part));
            } else if !weights.has(&key(part, layer, "lora_A.weight")) {
                return Err(ModelError::tensor(&path, name, "it without its lora_A.weight", "both"));
            }
        }
        if places.is_empty() {
            return Err(ModelError::file(&path, "no tensors of an adapter in it"));
        }
        Ok(Self { form, weights, places })
    }

    /// What it adds to a matrix.
    ///
    /// # Errors
    /// Where a tensor is missing, of another shape, or cannot be read.
    fn module(&self, (layer, part): (usize, Part), config: &Config) -> Result<Module> {
        let ((inputs, outputs), form) = (part.shape(config), &self.form);
        let tensor =
            |name: &str, shape: &[usize]| self.weights.tensor(&key(part, layer, name), shape, DType::F32, &Device::Cpu);
        Ok(Module {
            a: tensor("lora_A.weight", &[form.rank, inputs])?,
            b: tensor("lora_B.weight", &[outputs, form.rank])?,
            magnitude: form.dora.then(|| tensor("lora_magnitude_vector", &[outputs])).transpose()?,
            scale: form.scale(),
        })
    }
}

impl Adapter {
    /// Reads an adapter for a decoder.
    ///
    /// # Errors
    /// Where a file is missing or damaged, the adapter does something that is not supported here, or does not fit the model.
    pub fn read(folder: &Path, config: &Config) -> Result<Self> {
        let stored = Stored::open(folder, config)?;
        let module = |&place| Ok((place, stored.module(place, config)?));
        Ok(Self { form: stored.form, modules: stored.places.iter().map(module).collect::<Result<_>>()? })
    }

    /// What it adds to a part of a layer.
    pub fn module(&self, part: Part, layer: usize) -> Option<&Module> {
        self.modules.get(&(layer, part))
    }

    /// The parts that it changes, over all layers.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = self.modules.keys().map(|&(_, part)| part).collect();
        parts.sort_unstable();
        parts.dedup();
        parts
    }
}

/// The name of a tensor of an adapter.
pub(crate) fn key(part: Part, layer: usize, tensor: &str) -> String {
    format!("{PREFIX}{}.{tensor}", part.path(layer))
}

/// Layer, part and tensor of a name.
fn place<'n>(name: &'n str, config: &Config) -> Option<(usize, Part, &'n str)> {
    let rest = name.strip_prefix(PREFIX)?.strip_prefix("layers.")?;
    let layer: usize = rest.split('.').next()?.parse().ok().filter(|&layer| layer < config.layers.len())?;
    let tensor = ["lora_A.weight", "lora_B.weight", "lora_magnitude_vector"].into_iter();
    let tensor = tensor.clone().find(|tensor| name.ends_with(&format!(".{tensor}")))?;
    let part = Part::ALL.into_iter().find(|&part| key(part, layer, tensor) == name)?;
    Some((layer, part, tensor))
}
