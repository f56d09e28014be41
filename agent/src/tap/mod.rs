//! Transparent proxy in front of the engine: forwards bytes, observes copies.
//!
//! ```text
//! client <-> serve <-> h1 (HTTP/1.1, socket to socket) <-----------------------------> engine
//!              |        \-> observe -> record -> registry, records
//!              \----> forward (hyper: h2c on either side, inject_usage, experiments) <-> link/pool or h2c <-> engine
//! ```
//! Bodies and heads pass as they are; only what concerns a single connection is changed (`headers`, `h1::fields`). Called
//! by `plimsoll run`. With experiments (`split`, `mirror`) it also
//! decides which variant serves a request. Deliberately absent: any other routing, retries of answered requests, caching, added headers, TLS.

mod client_io;
mod download;
mod failure;
mod forward;
mod h1;
mod h2c;
mod headers;
mod inject;
mod link;
mod members;
mod mirror;
mod observe;
mod options;
mod outlets;
mod pool;
mod record;
mod serve;
mod split;
mod tunnel;
mod upload;
mod watch;

pub use options::{TapOptions, Upstream, UpstreamError, UpstreamProtocol};
pub use outlets::Outlets;
pub use record::record;
pub use serve::serve;
