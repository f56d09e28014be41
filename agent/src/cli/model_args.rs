//! Arguments of every verb that runs a model: where, in which numbers, from which weights.

use plimsoll_shadow_model::{Options, Place, Precision};

/// Where a model runs, and in which numbers.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ModelArgs {
    /// Where to compute: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    device: Place,
    /// In which numbers: auto (f32 on the CPU, bf16 on a GPU), f32, bf16, f16, or int8 (CPU).
    #[arg(long, default_value = "auto")]
    precision: Precision,
    /// SHA-256 that the weights of --model must have.
    #[arg(long, value_name = "HEX", requires = "model")]
    sha256: Option<String>,
    /// Threads on the CPU, at most as many as there are cores; so many when absent.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

impl ModelArgs {
    /// How models are opened that may take `memory` bytes; sets the threads of this process.
    pub(super) fn options(&self, memory: Option<u64>) -> Options {
        if let Some(threads) = self.threads {
            plimsoll_shadow_model::set_threads(threads);
        }
        Options { place: self.device, precision: self.precision, sha256: self.sha256.clone(), memory, adapter: None }
    }
}
