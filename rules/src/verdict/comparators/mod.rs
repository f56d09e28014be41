//! What others use, by their own formulas: comparators in benchmarks, and checks of ours. Nothing here decides.

mod bernoulli_sequence;
mod mann_whitney;
mod msprt;
mod proportions;
mod safe_2x2;
mod tensorzero;

pub use bernoulli_sequence::bernoulli_sequence;
pub use mann_whitney::{MannWhitney, mann_whitney};
pub use msprt::msprt_bernoulli;
pub use proportions::{Proportion, clopper_pearson, pooled_z, wilson};
pub use safe_2x2::{Restriction, Safe2x2};
pub use tensorzero::{Pulls, Stop, Stopping, tensorzero_stop};
