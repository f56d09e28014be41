//! One experiment from its first unit to its verdict.

mod spec;

pub use spec::{Arm, Direction, ExperimentSpec, MetricKind, MetricSpec, RampStep, Role};
