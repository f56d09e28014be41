//! Proves it end to end: starts the real binary beside real servers and watches from outside.

mod agent;
mod hooks;
mod openai;
mod postgres;
mod process;
mod promtool;
mod servers;
mod shared;
mod upstream;
mod wait;
mod wire;

pub use agent::{Agent, AgentBuilder, binary};
pub use hooks::{Heard, Hook, Mood, State};
pub use openai::openai_client;
pub use postgres::Postgres;
pub use process::{Process, free_port};
pub use promtool::promtool;
pub use servers::{Alertmanager, LlamaCpp, Prometheus, python};
pub use shared::shared;
pub use upstream::Upstream;
pub use wait::{eventually, get_json, get_text, series};
pub use wire::{End, Message, Wire};
