//! Transparent proxy in front of the engine: forwards bytes, observes copies.
//!
//! ```text
//! client <-> serve (hyper server) <-> forward <-> link/pool or h2c (hyper client) <-> engine
//!                                        |
//!                                     observe  ->  record  ->  registry, records
//! ```
//! Bodies and heads pass as they are; only what concerns a single connection is changed (`headers`). Called by
//! `plimsoll run`. Deliberately absent: routing, retries of answered requests, caching, added headers, TLS.

mod client_io;
mod download;
mod failure;
mod forward;
mod h2c;
mod headers;
mod link;
mod observe;
mod options;
mod pool;
mod record;
mod serve;
mod tunnel;
mod upload;

pub use options::{TapOptions, Upstream, UpstreamError, UpstreamProtocol};
pub use record::record;
pub use serve::serve;
