//! The shadow model: a small model beside the served one that reads a sample of the traffic.
//!
//! `worker` is the process that holds the models (`plimsoll shadow`); the rest is the agent's side: it keeps the worker
//! running (`supervise`), asks it (`client`), and hands what it says to the drift detectors and the records (`reader`, `judging`).
//! The agent goes on whole without it.

mod breaker;
mod client;
mod judging;
mod reader;
mod supervise;
pub mod worker;

pub use reader::{Reading, ShadowFeed, feed, start};
