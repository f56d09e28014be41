//! HTTP/1.1 from end to end, which is nearly all traffic: heads are read and written on line by line, bodies pass in the
//! framing they came in, both sockets belong to one task.
//!
//! hyper would do, and does for HTTP/2; but with it a plain request cost twice the CPU (docs/benchmarks.md), and the order
//! of lines, the framing and 1xx answers were lost on the way. What could be misunderstood by another hop is refused (`head`, `framing`).

mod conduit;
mod connection;
mod download;
mod exchange;
mod fields;
mod framing;
mod head;
#[cfg(test)]
mod head_tests;
mod upload;

pub(super) use conduit::Conduit;
pub(super) use connection::{ForHyper, serve};
pub(super) use framing::BadChunk;
pub(super) use head::BadHead;
