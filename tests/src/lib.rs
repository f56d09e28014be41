//! Proves it end to end: starts the real binary beside real servers and watches from outside.

mod agent;
mod hooks;
mod loop_scene;
mod openai;
mod postgres;
mod process;
mod promtool;
mod servers;
mod shared;
mod tiny;
mod upstream;
mod vllm;
mod wait;
mod wire;

pub use agent::{Agent, AgentBuilder, binary};
pub use hooks::{Heard, Hook, Mood, State};
pub use loop_scene::{A, B, Editor, LoopScene, Taught, Topic};
pub use openai::openai_client;
pub use postgres::Postgres;
pub use process::{Process, free_port};
pub use promtool::promtool;
pub use servers::{Alertmanager, LlamaCpp, Prometheus, python};
pub use shared::shared;
pub use tiny::{LlamaSlot, TinyModel};
pub use upstream::Upstream;
pub use vllm::{Vllm, nats_apart, our_nlls};
pub use wait::{eventually, get_json, get_text, series};
pub use wire::{End, Message, Wire};
