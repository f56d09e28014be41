//! Shows: one catalog of every metric, a registry of their current values, and the text formats.
//!
//! Called by `agent`, which serves the text and feeds the registry. Opens no socket, reads no clock, decides nothing.

mod catalog;
mod docs;
pub mod parse;
mod reading;
mod registry;
mod text;

pub use catalog::{CATALOG, Kind, Metric, Spec};
pub use docs::markdown;
pub use prometheus::proto::MetricFamily;
pub use reading::{Reading, ReadingValue, Sampled};
pub use registry::Registry;
pub use text::TextFormat;
