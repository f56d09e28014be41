//! When a model is taught anew, whether what came of it may be tried, and which versions are kept. Pure: facts in, verdicts
//! out; `agent/src/retrain/` does what follows.

mod gate;
mod registry;
mod trigger;

pub use gate::{Check, Compared, FAILURES_BETTER, Gate, GateReport, Reading, Safety, level};
pub use registry::{Status, Version, to_prune};
pub use trigger::{Evidence, Fall, Hold, Reason, Trigger, day};
