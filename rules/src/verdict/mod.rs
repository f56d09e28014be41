//! Is the other version better, worse, or can nobody say yet? Answers that stay valid however often one looks.
//!
//! An e-process starts at 1, is multiplied by a fair bet at every unit and, where nothing is the matter, hardly ever gets
//! large: it reaches `1/alpha` with probability at most alpha, over all of time (Ville's inequality). So it may be read
//! at every unit, and the first time it is large enough decides. All evidence is kept as its natural logarithm.

mod asymptotic;
pub mod comparators;
mod moments;
mod ppi;
mod special;

pub use asymptotic::{Answer, AsymptoticSequence, FEWEST_UNITS, Interval};
pub use moments::Moments;
pub use ppi::ppi_value;
pub use special::{beta_quantile, ln_beta, log_mean_exp, log_sum_exp, normal_quantile, regularised_beta};
