//! Drift: has what arrives moved away from what was learned, at a stated rate of false alarms.

pub mod clusters;
pub mod embedding;
