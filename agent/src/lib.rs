//! The shell: tokio, files, sockets, clock. Wires sources to rules and rules to receivers; decides nothing itself.

pub mod cli;
pub mod collect;
pub mod config;
pub mod demo;
pub mod http;
pub mod pipeline;
pub mod records;
pub mod shutdown;
pub mod tap;
pub mod telemetry;
