//! The shell: tokio, files, sockets, clock. Wires sources to rules and rules to receivers; decides nothing itself.

pub mod capacity;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod config;
pub mod dataset;
pub mod demo;
pub mod deploy;
pub mod drift;
pub mod experiment;
pub mod feed;
pub mod health;
pub mod http;
pub mod masking;
pub mod pairs;
pub mod pipeline;
pub mod ranks;
pub mod records;
pub mod retrain;
pub mod run;
pub mod shadow;
pub mod shutdown;
pub mod state;
pub mod tap;
pub mod telemetry;
