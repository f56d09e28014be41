//! What others use, by their own formulas: comparators in benchmarks, and checks of ours. Nothing here decides.

mod bernoulli_sequence;
mod betting;
mod boundaries;
mod bounded;
mod brent;
mod conjmix;
mod mann_whitney;
mod msprt;
mod predmix;
mod proportions;
mod safe_2x2;
mod stitching;
mod tensorzero;

pub use bernoulli_sequence::bernoulli_sequence;
pub use betting::Hedge;
pub use boundaries::{Family, Mixture};
pub use bounded::running_intersection;
pub use conjmix::{conjmix_bernoulli, conjmix_empirical_bernstein, conjmix_empirical_bernstein_lower};
pub use mann_whitney::{MannWhitney, mann_whitney};
pub use msprt::msprt_bernoulli;
pub use predmix::{predmix_empirical_bernstein, predmix_hoeffding};
pub use proportions::{Proportion, clopper_pearson, pooled_z, wilson};
pub use safe_2x2::{Restriction, Safe2x2};
pub use stitching::Stitching;
pub use tensorzero::{Pulls, Stop, Stopping, tensorzero_stop};
