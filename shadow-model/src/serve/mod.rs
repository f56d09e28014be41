//! How work is put together: what runs in one batch and when, and what need not run again. No clock, no thread: whoever
//! serves says what time it is.

mod batcher;
mod cache;

pub use batcher::{BatchLimits, Batcher};
pub use cache::{Cache, Key};
