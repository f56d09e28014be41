//! One experiment from its first unit to its verdict.

mod decision;
mod machine;
mod metric;
mod spec;

pub use decision::{Decision, Reason, State};
pub use machine::{Act, BROKEN, Experiment, UnitResult};
pub use metric::{Interval, Metric, SameTwice};
pub use spec::{Arm, Direction, ExperimentSpec, MetricKind, MetricSpec, RampStep, Role};
