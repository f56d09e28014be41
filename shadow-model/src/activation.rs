//! What stands between two linear layers.

use candle_core::Tensor;
use rten_simd::SimdUnaryOp;

use crate::Result;

/// A function of one number, applied to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// x
    Identity,
    /// x·Φ(x), by the error function (Hendrycks and Gimpel, arXiv 1606.08415): `gelu` of transformers.
    Gelu,
    /// GELU by tanh: `gelu_new`, `gelu_pytorch_tanh`.
    GeluTanh,
    /// max(0, x)
    Relu,
    /// x·σ(x)
    Silu,
}

impl Activation {
    /// The names that transformers has for them (`hidden_act`).
    pub const NAMES: [(&str, Self); 6] = [
        ("gelu", Self::Gelu),
        ("gelu_new", Self::GeluTanh),
        ("gelu_pytorch_tanh", Self::GeluTanh),
        ("relu", Self::Relu),
        ("silu", Self::Silu),
        ("swish", Self::Silu),
    ];

    /// By candle, on any device.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn of(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Identity => x.clone(),
            Self::Gelu => x.gelu_erf()?,
            Self::GeluTanh => x.gelu()?,
            Self::Relu => x.relu()?,
            Self::Silu => x.silu()?,
        })
    }

    /// In place, on the CPU.
    pub fn apply(self, numbers: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Gelu => rten_vecmath::Gelu {}.map_mut(numbers),
            Self::GeluTanh => rten_vecmath::ApproxGelu {}.map_mut(numbers),
            Self::Relu => numbers.iter_mut().for_each(|x| *x = x.max(0.0)),
            Self::Silu => rten_vecmath::Silu {}.map_mut(numbers),
        }
    }
}
