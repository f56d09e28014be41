//! The numbers that are trained, in f32, and what each is asked.

use candle_core::{DType, Device, Tensor, Var};

use crate::Result;

/// A tensor that is trained.
pub(crate) struct Parameter {
    /// The name under which it is saved.
    pub name: String,
    pub value: Var,
    /// Whether weight decay pulls it to zero; scales of norms and biases it does not.
    pub decays: bool,
}

/// All that is trained, in the order in which it is saved.
#[derive(Default)]
pub(crate) struct Parameters {
    pub all: Vec<Parameter>,
}

/// The number of a parameter.
pub(crate) type Slot = usize;

impl Parameters {
    /// Takes in a tensor; gives its number, and the value as the model computes with it, which changes as it is trained.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn add(&mut self, name: String, value: &Tensor, decays: bool) -> Result<(Slot, Tensor)> {
        let value = Var::from_tensor(&value.to_dtype(DType::F32)?.contiguous()?)?;
        let shared = value.as_detached_tensor();
        self.all.push(Parameter { name, value, decays });
        Ok((self.all.len() - 1, shared))
    }

    /// Names and values.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        self.all.iter().map(|parameter| (parameter.name.clone(), parameter.value.as_detached_tensor())).collect()
    }

    /// Sets the numbers of one.
    ///
    /// # Errors
    /// Where there are not as many as it has.
    pub fn set(&self, slot: Slot, numbers: Vec<f32>) -> Result<()> {
        let var = &self.all[slot].value;
        Ok(var.set(&Tensor::from_vec(numbers, var.as_tensor().shape(), &Device::Cpu)?.to_device(var.device())?)?)
    }
}

/// What a loss asks of the parameters: its derivative by each.
pub(crate) struct Gradients {
    all: Vec<Option<Tensor>>,
}

impl Gradients {
    /// Nothing yet, for so many parameters.
    pub fn none(parameters: usize) -> Self {
        Self { all: vec![None; parameters] }
    }

    /// Adds to one.
    ///
    /// # Errors
    /// Where the shapes differ.
    pub fn add(&mut self, slot: Slot, more: &Tensor) -> Result<()> {
        let more = more.to_dtype(DType::F32)?;
        let sum = match self.all[slot].take() {
            Some(sum) => (sum + more)?,
            None => more,
        };
        self.all[slot] = Some(sum);
        Ok(())
    }

    /// The numbers of each on the host; `None` where nothing was asked.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn into_numbers(self) -> Result<Vec<Option<Vec<f32>>>> {
        let numbers = |tensor: Option<Tensor>| tensor.map(|tensor| tensor.flatten_all()?.to_vec1()).transpose();
        Ok(self.all.into_iter().map(numbers).collect::<candle_core::Result<_>>()?)
    }
}
