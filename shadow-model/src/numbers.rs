//! What a model's layers are built for: the device, the numbers on it, and how the big products are computed.

use candle_core::{DType, Device};

use crate::{ModelError, Options, Precision, Result};

/// How the products with weights are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Products {
    /// candle's own: any device, any numbers, with gradients.
    Plain,
    /// f32 on the CPU with weights laid out beforehand; no gradients.
    Packed,
    /// 8-bit integers on the CPU: weights per channel, activations per row; no gradients.
    Int8,
}

/// Device, numbers and products of a model.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    /// Where the tensors lie.
    pub device: Device,
    /// The numbers in which activations are computed.
    pub dtype: DType,
    /// How the products with weights are computed.
    pub products: Products,
}

impl Numbers {
    /// What `options` ask for: the packed or 8-bit products on the CPU, candle's on a GPU.
    ///
    /// # Errors
    /// Where the device is not there, or 8-bit numbers are asked of a GPU.
    pub fn of(options: &Options) -> Result<Self> {
        let device = options.device()?;
        let dtype = options.dtype(&device);
        let products = match (device.is_cpu(), options.precision) {
            (false, Precision::Int8) => {
                return Err(ModelError::Device("int8 is for the CPU; a GPU computes in f32, bf16 or f16".to_owned()));
            }
            (false, _) => Products::Plain,
            (true, Precision::Int8) => Products::Int8,
            (true, _) => Products::Packed,
        };
        Ok(Self { device, dtype, products })
    }

    /// For a layer that reads what an activation gives: a few large numbers among many small ones, for which 8 bits are too
    /// few (MiniLM: least cosine 0.993 with it in 8 bits, on 500 texts), so it stays in f32.
    pub fn of_long_tails(&self) -> Self {
        let products = if self.products == Products::Int8 { Products::Packed } else { self.products };
        Self { products, ..self.clone() }
    }
}
