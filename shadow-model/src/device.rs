//! Where a model runs and in which numbers.

use candle_core::{DType, Device};

use crate::{ModelError, Result};

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The first GPU where this build knows GPUs and there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number.
    Cuda(usize),
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => (text.strip_prefix("cuda:").and_then(|number| number.parse().ok()))
                .map(Self::Cuda)
                .ok_or_else(|| format!("found `{text}`, expected auto, cpu, cuda or cuda:N")),
        }
    }
}

impl Place {
    /// Whether this build can compute there at all.
    ///
    /// # Errors
    /// What to do instead.
    pub fn built(self) -> Result<()> {
        match self {
            Self::Cuda(_) if !cfg!(feature = "cuda") => Err(ModelError::Device(
                "this build knows no GPU: build it with `--features cuda`, or use `cpu`".to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// In which numbers a model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// f32 on the CPU, bf16 on a GPU.
    #[default]
    Auto,
    /// 32-bit floats: equal to the reference implementation.
    F32,
    /// bfloat16 on a GPU; the CPU computes in f32, which is faster there and nearer to the reference.
    Bf16,
    /// 16-bit floats on a GPU; the CPU computes in f32.
    F16,
    /// 8-bit integers for the big matrices, per-channel weights and per-token activations; CPU only.
    Int8,
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            "int8" => Ok(Self::Int8),
            _ => Err(format!("found `{text}`, expected auto, f32, bf16, f16 or int8")),
        }
    }
}

/// How a model is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where it runs.
    pub place: Place,
    /// In which numbers.
    pub precision: Precision,
    /// The SHA-256 that the weights must have, in hexadecimal: of the one file, or of the files in the order of their names.
    pub sha256: Option<String>,
    /// Bytes that weights and one batch may take together.
    pub memory: Option<u64>,
    /// A folder with a LoRA adapter in PEFT's format, merged into the weights of a decoder as they are read.
    pub adapter: Option<std::path::PathBuf>,
}

impl Options {
    /// The device.
    ///
    /// # Errors
    /// Where a GPU is asked for and this build or this machine has none.
    pub fn device(&self) -> Result<Device> {
        self.place.built()?;
        match self.place {
            Place::Cpu => Ok(Device::Cpu),
            Place::Auto => Ok(Device::cuda_if_available(0).unwrap_or(Device::Cpu)),
            Place::Cuda(number) => {
                Device::new_cuda(number).map_err(|why| ModelError::Device(format!("cuda:{number}: {why}")))
            }
        }
    }

    /// The numbers in which activations are computed on `device`; the CPU computes in f32, whatever half is asked for.
    pub fn dtype(&self, device: &Device) -> DType {
        match self.precision {
            _ if device.is_cpu() => DType::F32,
            Precision::Auto | Precision::Bf16 => DType::BF16,
            Precision::F32 | Precision::Int8 => DType::F32,
            Precision::F16 => DType::F16,
        }
    }
}

/// Sets how many threads compute on the CPU, at most one a core; only the first call of a process does, and before any model
/// has run.
pub fn set_threads(threads: usize) {
    // where the cores cannot be counted, they are taken to be enough
    let cores = std::thread::available_parallelism().map_or(usize::MAX, std::num::NonZero::get);
    // a second call finds the threads running and changes nothing
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads.clamp(1, cores)).build_global();
}
