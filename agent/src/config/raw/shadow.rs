//! The shadow model, as written in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{ByteSize, Span};

/// In which numbers a model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Numbers {
    /// f32 on the CPU, bf16 on a GPU.
    Auto,
    /// 32-bit floats.
    F32,
    /// bfloat16.
    Bf16,
    /// 16-bit floats.
    F16,
    /// 8-bit integers; CPU only.
    Int8,
}

section! {
    /// A small model that reads a sample of the (masked) traffic: see docs/shadow.md. Without `model`, `scorer` and `url`
    /// there is none, and what prompts are about is told by hashed character n-grams in the agent itself.
    Shadow {
        /// Folder of an embedding model in Hugging Face's form. With `url`: the name of the model that is asked for there.
        model: Option<String> = None,
        /// Folder of a language model, or its `.gguf` file, that tells how surprising prompts and answers are. Not with `url`:
        /// the worker there says whether it has one.
        scorer: Option<String> = None,
        /// A worker elsewhere instead of a child of the agent: `http://HOST:PORT` or `unix:PATH`, `plimsoll shadow --listen` or
        /// any server of embeddings with OpenAI's interface.
        url: Option<String> = None,
        /// Bearer token of the worker at `url`: the token itself, `${NAME}` or `file:/path`.
        token: Option<String> = None,
        /// Where the child computes: `auto`, `cpu`, `cuda` or `cuda:N`.
        device: String = "auto".into(),
        /// In which numbers.
        precision: Numbers = Numbers::Auto,
        /// SHA-256 of the embedding model's weights; the child refuses others.
        sha256: Option<String> = None,
        /// Memory that the child may take, weights included, at least 128MiB: on the device, and as a process.
        memory: ByteSize = ByteSize(2 << 30),
        /// Threads of the child on the CPU; it runs at the lowest priority.
        #[schemars(range(min = 1, max = 256))]
        threads: u64 = 1,
        /// Share of the exchanges whose text was read (`text.sample`) that it is shown.
        #[schemars(range(min = 0.0, max = 1.0))]
        sample: f64 = 0.25,
        /// Exchanges that may wait for it; more are left out and counted.
        #[schemars(range(min = 1, max = 10_000))]
        queue: u64 = 256,
        /// Give up on one request to it after this long.
        timeout: Span = Span::secs(10),
    }
}
