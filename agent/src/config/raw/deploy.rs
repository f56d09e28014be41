//! Where adapters are served, as written in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Span;

/// Who loads adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum DeployKind {
    /// vLLM, started with `--enable-lora` and `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`.
    Vllm,
    /// SGLang, started with `--enable-lora`.
    Sglang,
    /// llama.cpp's server, one for each of `slots`.
    Llamacpp,
    /// Somebody else: told what to load by signed posts.
    Webhook,
}

section! {
    /// Where adapters are served: see docs/versions.md. Without `kind` nothing is loaded anywhere.
    Deploy {
        /// Who loads adapters.
        kind: Option<DeployKind> = None,
        /// The engine at `http://HOST:PORT`, or the webhook. Not with `slots`.
        #[schemars(extend("format" = "url"))]
        url: Option<String> = None,
        /// Bearer token of the engine: the token itself, `${NAME}` or `file:/path`.
        token: Option<String> = None,
        /// Signs the posts to the webhook as Standard Webhooks says: the secret itself, `${NAME}` or `file:/path`.
        secret: Option<String> = None,
        /// llama.cpp's servers, two or more: the version that serves is not disturbed while the next one is loaded.
        slots: Vec<Slot> = Vec::new(),
        /// Give up on one request, and on the restart command of a slot, after this long.
        timeout: Span = Span::secs(60),
        /// Give up on a slot that does not serve its new adapter this long after its restart.
        ready_timeout: Span = Span::secs(300),
    }
}

section! {
    /// One llama.cpp server, which reads its adapter when it starts.
    Slot {
        /// The server.
        #[schemars(extend("format" = "url"))]
        upstream: String = String::new(),
        /// The file that it was started with, `--lora FILE`: each version is written there.
        adapter: String = String::new(),
        /// What makes it start again, program and arguments, run without a shell: `[pkill, -f, "llama-server.*8001"]`. Without
        /// it somebody else restarts the server.
        restart: Vec<String> = Vec::new(),
    }
}
